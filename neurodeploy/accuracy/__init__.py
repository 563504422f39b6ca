"""Accuracy from the source model to the chip: where it is lost, and why."""

from neurodeploy.accuracy.climbing import ladder

__all__ = ["ladder"]
