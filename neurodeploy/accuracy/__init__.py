"""Accuracy from the source model to the chip: where it is lost and why, and the cheapest way to keep it."""

from neurodeploy.accuracy.climbing import ladder
from neurodeploy.accuracy.reconstruct import adapt_rounding
from neurodeploy.accuracy.search import autotune

__all__ = ["adapt_rounding", "autotune", "ladder"]
