"""``neurodeploy nir-verify``, and what the command line says about files of other tools."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING, Any

from neurodeploy import stages
from neurodeploy.cli import DONE, FINDINGS
from neurodeploy.cli.outputs import ensure_outputs
from neurodeploy.errors import OptionError
from neurodeploy.frontends.dispatch import is_nir
from neurodeploy.frontends.nir.dialect import save_nir
from neurodeploy.ir.compare import Comparison, Pair, as_rows
from neurodeploy.reporting.text import table

if TYPE_CHECKING:
    from neurodeploy.ir.graph import Graph

TOLD = ("dt", "reset", "decay", "time_unit", "written_by")
"""Options that say how a NIR file is read."""


def told(args: argparse.Namespace) -> dict[str, Any]:
    """Return what was said of a NIR file."""
    return {name: getattr(args, name) for name in TOLD if getattr(args, name, None) is not None}


def verify(args: argparse.Namespace) -> int:
    """Compare two networks by behaviour; 1 if they part."""
    graphs = [stages.load(path, **(told(args) if is_nir(path) else {})) for path in (args.first, args.second)]
    found = stages.compare(
        *graphs, input=args.input, rate=args.rate, steps=args.steps, samples=args.samples, seed=args.seed
    )
    same = found.same(args.tolerance)
    if args.format == "json":
        print(json.dumps({"same": same, "steps": found.steps, "pairs": as_rows(found)}, indent=2))
    else:
        print(_text(found, *graphs, same=same, tolerance=args.tolerance))
    return DONE if same else FINDINGS


def write(args: argparse.Namespace) -> int:
    """Write a spiking network as NIR that another tool steps as we do."""
    ensure_outputs({"-o": args.out}, {"FILE.nd": args.file})
    graph = stages.load(args.file)
    if not graph.is_spiking:
        raise OptionError(f"'{args.file}' is a trained model, not a spiking network; convert it first")
    print(f"{save_nir(graph, args.out, written_for=args.written_for)}: for {args.written_for}")
    return DONE


def _text(found: Comparison, a: Graph, b: Graph, *, same: bool, tolerance: float) -> str:
    head = ["layer", a.name, b.name, "differing", "outputs", "largest rate error"]
    parts = [table(head, [_row(pair) for pair in found.pairs])]
    if found.left_out:
        parts.append(f"without a partner, not compared: {', '.join(found.left_out)}")
    if (pair := found.first) is not None and pair.first is not None:
        step, sample, neuron = pair.first
        parts.append(f"first difference: '{pair.layer}', step {step}, sample {sample}, neuron {neuron}")
    share = max((pair.share for pair in found.pairs), default=0.0)
    much = f"{found.steps} steps of {found.samples} samples"
    verdict = "the same" if same else "not the same"
    parts.append(f"{verdict} in {much}: {share:.2%} differ at most, {tolerance:.2%} is allowed")
    return "\n\n".join(parts)


def _row(pair: Pair) -> list[str]:
    name = pair.layer if pair.layer == pair.other else f"{pair.layer} / {pair.other}"
    what = " spikes" if pair.spiking else " at most"
    sums = [f"{total:,.6g}{what}" for total in pair.totals]
    return [name, *sums, f"{pair.differing:,}", f"{pair.outputs:,}", f"{pair.rate_error:.3g}"]
