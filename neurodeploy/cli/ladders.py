"""``neurodeploy run --ladder``: what every stage keeps, as part of the run's report."""

from __future__ import annotations

import argparse

import numpy as np

from neurodeploy import stages
from neurodeploy.accuracy.climbing import ladder, source_of
from neurodeploy.cli.console import note, progress
from neurodeploy.data import Samples
from neurodeploy.errors import OptionError
from neurodeploy.ir.graph import Graph
from neurodeploy.program import Program
from neurodeploy.reporting import Report

SAMPLES = 256
"""Samples of a ladder where ``--limit`` does not say how many."""


def check(args: argparse.Namespace, graph: Graph) -> None:
    """See that a ladder can be made, before anything long begins."""
    if args.source and not args.ladder:
        raise OptionError("--source is for --ladder; give both")
    if not args.ladder:
        return
    if args.sweep:
        raise OptionError("--ladder is of one run, not of a sweep; take one combination and run that")
    if not graph.is_spiking:
        raise OptionError(
            f"--ladder shows what a conversion keeps, and '{args.file}' is not converted; "
            "give --calibration here, or convert it first"
        )
    source_of(graph, _source(args))


def _source(args: argparse.Namespace) -> Graph | None:
    return stages.load(args.source) if args.source else None


def with_ladder(args: argparse.Namespace, report: Report, model: Graph | Program, data: Samples) -> Report:
    """Add a ladder to the report of a run, if it was asked for."""
    if not args.ladder:
        return report
    count = min(len(data), args.limit or SAMPLES)
    if count < len(data):
        note(f"the ladder takes the first {count} samples; --limit N takes N")
    with progress(f"ladder of {report.figures['card']['model']}") as advance:
        made = ladder(
            model,
            np.asarray(data.x[:count]),
            None if data.y is None else data.y[:count],
            source=_source(args),
            target=args.target,
            input_coding=args.input_coding,
            steps=args.steps,
            seed=args.seed,
            progress=advance,
        )
    return Report({**report.figures, "ladder": dict(made.figures)})
