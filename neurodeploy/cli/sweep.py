"""``neurodeploy run --sweep``: a table of every combination, and all of it as JSON."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from neurodeploy import stages, sweeps
from neurodeploy.cli import DONE, FINDINGS, INTERRUPTED
from neurodeploy.cli.console import note, progress
from neurodeploy.data import Samples
from neurodeploy.errors import OptionError
from neurodeploy.files import is_stream, write_beside
from neurodeploy.ir.graph import Graph
from neurodeploy.reporting.text import percent, table
from neurodeploy.runs import Interrupted
from neurodeploy.sweeps import Trial

FORMAT = "neurodeploy sweep 1"
"""First entry of the file."""
_FIGURES = (
    "accuracy", "samples", "spikes_per_sample", "synops_per_sample", "overflowed_samples", "seconds",
    "samples_per_second", "card",
)  # fmt: skip


def sweep(args: argparse.Namespace, graph: Graph, data: Samples) -> int:
    """Run every combination; exit 1 if the network does not fit in one of them."""
    if args.outputs:
        raise OptionError("--outputs is of one run, not of a sweep; take the best combination and run that")
    over = dict(args.sweep)
    if len(over) < len(args.sweep):
        raise OptionError("an option is swept twice; give all its values at once")
    told = {name: getattr(args, name) for name in sweeps.SWEPT}
    try:
        with progress(f"{graph.name}, {len(sweeps.combinations(over))} combinations") as advance:
            trials = sweeps.sweep(
                graph, data.x, over, progress=advance,
                partial=f"{args.json}.partial" if args.json and not is_stream(args.json) else None,
                resume=args.resume, workers=args.workers, dask=args.dask,
                **{name: value for name, value in told.items() if name not in over},
            )  # fmt: skip
    except Interrupted as stop:
        kept = "the same command with --resume goes on" if args.json else "a sweep with --json can be resumed"
        note(f"{stop}; {kept}")
        return INTERRUPTED
    figures = [_figures(trial, data) for trial in trials]
    if args.json:
        whole = {"format": FORMAT, "model": graph.name, "data": data.source, "over": over, "trials": figures}
        text = json.dumps(whole, indent=1) + "\n"
        write_beside(args.json, lambda path: Path(path).write_text(text, encoding="utf-8"))
    print(table([*over, *_HEAD], [_row(f) for f in figures]))
    for fault in dict.fromkeys(trial.fault for trial in trials if trial.fault):
        note(fault)
    return FINDINGS if any(trial.fault for trial in trials) else DONE


_HEAD = ("accuracy", "spikes/sample", "synops/sample", "cores", "seconds")


def _figures(trial: Trial, data: Samples) -> dict[str, Any]:
    """Figures of one combination, without what is drawn of a single run."""
    options = dict(trial.options)
    if trial.model is None or trial.recording is None:
        return {"options": options, "fits": False}
    report = stages.report(trial.model, trial.recording, data.y, facts={"data": data.source})
    return {"options": options, "fits": True, **{name: report.figures[name] for name in _FIGURES}}


def _row(figures: Mapping[str, Any]) -> Sequence[Any]:
    options = [value if isinstance(value, str) else f"{value:g}" for value in figures["options"].values()]
    if not figures["fits"]:
        return [*options, "does not fit", *[None] * (len(_HEAD) - 1)]
    names = ("spikes_per_sample", "synops_per_sample")
    rest = [*(figures[name] for name in names), figures["card"].get("cores"), figures["seconds"]]
    return [*options, percent(figures["accuracy"]), *rest]
