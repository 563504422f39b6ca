"""From a spiking graph and a target to a program on cores, with every finding on the way."""

from neurodeploy.compiler.pipeline import CHECKS, PASSES, compile

__all__ = ["CHECKS", "PASSES", "compile"]
