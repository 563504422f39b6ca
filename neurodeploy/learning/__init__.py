"""Learning rules, by name."""

from neurodeploy.learning.pes import PES

RULES: dict[str, type[PES]] = {"pes": PES}
"""Every learning rule by the name the command line knows it by."""
