"""The compiler: a spiking graph and a target in, a program with all its findings out.

`PASSES` is the whole order. Every pass takes a program and returns another; the program is legal between
them.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping

import numpy as np

from neurodeploy.compiler.accumulate import accumulate
from neurodeploy.compiler.check import check
from neurodeploy.compiler.checks import CHECKS
from neurodeploy.compiler.lower import lower
from neurodeploy.compiler.partition import partition
from neurodeploy.compiler.place import place
from neurodeploy.compiler.quantize import quantize
from neurodeploy.compiler.registers import registers
from neurodeploy.compiler.repair import narrow_weights
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

PASSES: tuple[Pass, ...] = (lower, accumulate, quantize, partition, place, check)


def compile(
    graph: Graph,
    target: Target | str = "loihi1",
    *,
    input_coding: str = "rate",
    weight_bits: int | None = None,
    layer_bits: Mapping[str, int] | None = None,
    min_weight_bits: int | None = None,
    steps: int | None = None,
    match: str = "",
    pop_axons: str = "pop32",
    share_cores: bool = True,
    clip_delays: bool = False,
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
    weight_bits : int, optional
        Most bits of a weight, the sign included, 1 to 8; by default what a search left with the graph, or 8.
    layer_bits : mapping of str to int, optional
        The same for single layers, by the user's names: of a layer with weights, or of the neurons behind.
    min_weight_bits : int, optional
        Where the network does not fit, take bits from its largest layers, down to this many.
    steps : int, optional
        Length of a run, which bounds the membrane of a read-out; the graph's own by default.
    match : {"", "nengo-loihi"}
        Reproduce nengo-loihi's weight rounding, its errors included.
    pop_axons : {"pop32", "pop16"}
        Kind of axon for shared weights; ``pop16`` takes one output entry in place of two, and fewer channels.
    share_cores : bool
        Put several blocks on a core where they fit together.
    clip_delays : bool
        Cut delays short that the target cannot hold, with a finding for each.
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
    _check_options(graph, input_coding, match, pop_axons)
    if weight_bits is None:
        weight_bits = int(graph.meta.get("weight_bits", MOST_WEIGHT_BITS))
    _check_bits(graph, weight_bits, layer_bits or {}, min_weight_bits)
    found = find_target(target) if isinstance(target, str) else target
    _check_target(found, min_weight_bits=min_weight_bits, match=match, pop_axons=pop_axons != "pop32")
    options: dict[str, float | int | str] = {"input_coding": input_coding, "weight_bits": weight_bits}
    options |= {f"weight_bits {layer}": bits for layer, bits in (layer_bits or {}).items()}
    if steps is not None:
        options["steps"] = steps
    if clip_delays:
        options["clip_delays"] = 1
    if not share_cores:
        options["share_cores"] = 0
    if pop_axons != "pop32":
        options["pop_axons"] = pop_axons
    if match:
        options["match"] = match

    def run(bits: Mapping[str, int]) -> Program:
        narrower = {f"weight_bits {layer}": n for layer, n in bits.items()}
        return _run(Program(graph, found, options=options | narrower), after)

    if min_weight_bits is None:
        return run({})
    return narrow_weights(run, least=min_weight_bits)


def _run(program: Program, after: Callable[[str, Program], object] | None) -> Program:
    for step in PASSES:
        with np.errstate(invalid="ignore", over="ignore"):  # values that are not finite are reported
            program = verify(step(program), after=step.__name__)
        if after is not None:
            after(step.__name__, program)
    return program


def _check_options(graph: Graph, input_coding: str, match: str, pop_axons: str) -> None:
    if not graph.neurons:
        raise OptionError(f"'{graph.name}' is not in spiking form (no neurons); convert it first")
    if input_coding not in CODINGS:
        raise OptionError(f"input coding '{input_coding}' is unknown; choose from {', '.join(CODINGS)}")
    if match not in ("", "nengo-loihi"):
        raise OptionError(f"there is nothing to match called '{match}'; choose nengo-loihi")
    if pop_axons not in ("pop16", "pop32"):
        raise OptionError(f"there are no '{pop_axons}' axons; choose pop16 or pop32")


def _check_target(target: Target, **asked: object) -> None:
    """Refuse options about number formats that are not written for a target; they would do nothing."""
    idle = [name for name, value in asked.items() if value]
    if idle and registers(target) is None:
        raise OptionError(
            f"{idle[0]} has no effect on '{target.id}': the compiler does not write its number formats; "
            "it does for loihi1 and its boards"
        )


def _check_bits(graph: Graph, weight_bits: int, layer_bits: Mapping[str, int], least: int | None) -> None:
    for bits in (weight_bits, *layer_bits.values(), *([] if least is None else [least])):
        if not 1 <= bits <= MOST_WEIGHT_BITS:
            raise OptionError(f"{bits} weight bits; choose 1 to {MOST_WEIGHT_BITS}")
    if least is not None and least > weight_bits:
        raise OptionError(f"at least {least} weight bits, and at most {weight_bits}; choose fewer or more")
    layers = {node.origin for node in graph.nodes}
    if odd := [name for name in layer_bits if name not in layers]:
        near = difflib.get_close_matches(odd[0], layers, n=1)
        hint = f"; did you mean '{near[0]}'?" if near else ""
        raise OptionError(f"'{graph.name}' has no layer '{odd[0]}'{hint}")
