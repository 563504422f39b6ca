"""The compiler: a spiking graph and a target in, a program with all its findings out.

`PASSES` is the whole order. Every pass takes a program and returns another; the program is legal between
them.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from neurodeploy.compiler.check import check
from neurodeploy.compiler.checks import CHECKS
from neurodeploy.compiler.lower import lower
from neurodeploy.compiler.partition import partition
from neurodeploy.compiler.place import place
from neurodeploy.compiler.quantize import quantize
from neurodeploy.compiler.verify import verify
from neurodeploy.errors import OptionError
from neurodeploy.ir.graph import Graph
from neurodeploy.numerics.coding import CODINGS
from neurodeploy.program import Program
from neurodeploy.targets import Target
from neurodeploy.targets import target as find_target

Pass = Callable[[Program], Program]

__all__ = ["CHECKS", "PASSES", "compile"]

MOST_WEIGHT_BITS = 8

PASSES: tuple[Pass, ...] = (lower, quantize, partition, place, check)


def compile(
    graph: Graph,
    target: Target | str = "loihi1",
    *,
    input_coding: str = "rate",
    weight_bits: int = 8,
    steps: int | None = None,
    match: str = "",
    pop_axons: str = "pop32",
    share_cores: bool = True,
    after: Callable[[str, Program], object] | None = None,
) -> Program:
    """Compile a spiking graph for a target.

    Parameters
    ----------
    graph : Graph
        In spiking form.
    target : Target or str
    input_coding : {"rate", "poisson", "bias"}
        How samples enter; with ``bias`` the encoder lies on the chip.
    weight_bits : int
        Most bits of a weight, the sign included, 1 to 8.
    steps : int, optional
        Length of a run, which bounds the membrane of a read-out; the graph's own by default.
    match : {"", "nengo-loihi"}
        Reproduce nengo-loihi's weight rounding, its errors included.
    pop_axons : {"pop32", "pop16"}
        Kind of axon for shared weights; ``pop16`` takes one output entry in place of two, and fewer channels.
    share_cores : bool
        Put several blocks on a core where they fit together.
    after : callable of (str, Program), optional
        Called with the name and the result of every pass.

    Returns
    -------
    Program
        Its `diagnostics` hold all findings; only `Program.raise_for_errors` raises.

    Raises
    ------
    OptionError
        If the graph is not in spiking form or an option makes no sense.
    """
    _check_options(graph, input_coding, weight_bits, match, pop_axons)
    found = find_target(target) if isinstance(target, str) else target
    options: dict[str, float | int | str] = {"input_coding": input_coding, "weight_bits": weight_bits}
    if steps is not None:
        options["steps"] = steps
    if not share_cores:
        options["share_cores"] = 0
    if pop_axons != "pop32":
        options["pop_axons"] = pop_axons
    if match:
        options["match"] = match
    program = Program(graph, found, options=options)
    for step in PASSES:
        with np.errstate(invalid="ignore", over="ignore"):  # values that are not finite are reported
            program = verify(step(program), after=step.__name__)
        if after is not None:
            after(step.__name__, program)
    return program


def _check_options(graph: Graph, input_coding: str, weight_bits: int, match: str, pop_axons: str) -> None:
    if not graph.neurons:
        raise OptionError(f"'{graph.name}' is not in spiking form (no neurons); convert it first")
    if input_coding not in CODINGS:
        raise OptionError(f"input coding '{input_coding}' is unknown; choose from {', '.join(CODINGS)}")
    if not 1 <= weight_bits <= MOST_WEIGHT_BITS:
        raise OptionError(f"{weight_bits} weight bits; choose 1 to {MOST_WEIGHT_BITS}")
    if match not in ("", "nengo-loihi"):
        raise OptionError(f"there is nothing to match called '{match}'; choose nengo-loihi")
    if pop_axons not in ("pop16", "pop32"):
        raise OptionError(f"there are no '{pop_axons}' axons; choose pop16 or pop32")
