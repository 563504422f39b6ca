"""Compilation as the command line asks for it: the same options wherever a network is laid out on a chip."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from neurodeploy import stages
from neurodeploy.errors import OptionError

if TYPE_CHECKING:
    from neurodeploy.ir.graph import Graph
    from neurodeploy.program import Program

_DEFAULTS: dict[str, Any] = {
    "weight_bits": None, "layer_bits": [], "min_weight_bits": None, "match": "", "clip_delays": False,
    "pop_axons": "pop32", "share_cores": True,
}  # fmt: skip


def compiled(args: argparse.Namespace, graph: Graph, **options: Any) -> Program:
    """Compile a network with the options of the command; further ones replace them."""
    bits: dict[str, int] = {}
    for layer, count in args.layer_bits:
        if bits.setdefault(layer, count) != count:
            raise OptionError(f"--layer-bits gives layer '{layer}' {bits[layer]} bits and {count}; keep one")
    told = {name: getattr(args, name) for name in _DEFAULTS} | {"layer_bits": bits}
    return stages.compile(
        graph, args.target, input_coding=args.input_coding, steps=args.steps, **(told | options)
    )


def refuse_layout(args: argparse.Namespace, where: str) -> None:
    """Refuse options of the compiler where they would do nothing."""
    if idle := [name for name, value in _DEFAULTS.items() if getattr(args, name) != value]:
        option = "--no-share-cores" if idle[0] == "share_cores" else f"--{idle[0].replace('_', '-')}"
        raise OptionError(f"{option} says how a network lies on a chip, and {where}")
