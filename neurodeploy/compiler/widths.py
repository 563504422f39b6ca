"""How many bits the user grants the weights of a layer."""

from __future__ import annotations

from neurodeploy.errors import OptionError
from neurodeploy.program import Program

ONE_LAYER = "weight_bits "
"""Begins the name of an option for one layer; the layer's name follows."""


def wanted_bits(program: Program, layer: str, default: int) -> int:
    """Return the bits wanted for a layer's weights, by its name or by that of the neurons they lead to."""
    fed = (program.population(p.target).origin for p in program.projections if p.origin == layer)
    names = (f"{ONE_LAYER}{name}" for name in (layer, *fed))
    own = next((name for name in names if name in program.options), "weight_bits")
    return int(program.options.get(own, default))


def check_layers(program: Program) -> None:
    """Refuse bits for a layer that has no weights, as they would do nothing.

    Raises
    ------
    OptionError
    """
    known = {p.origin: None for p in program.projections}
    known |= {program.population(p.target).origin: None for p in program.projections}
    for option in program.options:
        layer = option.removeprefix(ONE_LAYER)
        if option.startswith(ONE_LAYER) and layer not in known:
            raise OptionError(
                f"layer '{layer}' has no weights of its own on the chip; those that have are "
                f"{', '.join(known)}"
            )
