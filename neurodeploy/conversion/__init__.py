"""From a rate graph to a spiking graph; no chip is known here."""

from neurodeploy.conversion.fold import fold
from neurodeploy.conversion.spiking import convert

__all__ = ["convert", "fold"]
