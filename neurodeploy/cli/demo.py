"""``neurodeploy demo``: the whole pipeline on the embedded digits, ending in a table and a picture."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from neurodeploy import stages
from neurodeploy.cli import DONE, FINDINGS
from neurodeploy.cli.console import note, progress, show_findings
from neurodeploy.cli.outputs import ensure_folder
from neurodeploy.demo_data import digits
from neurodeploy.errors import LoadError
from neurodeploy.files import write_beside
from neurodeploy.reporting.picture import draw
from neurodeploy.reporting.text import percent, table

if TYPE_CHECKING:
    from neurodeploy.ir.graph import Graph
    from neurodeploy.program import Program

MODEL = "digits_cnn"
FILES = ("demo.png", "demo.json", "run.json", f"{MODEL}.nd")
SPREAD = 1.0
"""Points of accuracy that the runs may lie apart."""
Figures = Mapping[str, Any]


def demo(args: argparse.Namespace) -> int:
    """Convert, check and run the digits model; exit 1 if the backends disagree."""
    folder = ensure_folder(args.output_dir, FILES, {"the embedded model": model_path(MODEL)})
    data = digits()
    x, y = data.x_test[: args.limit], data.y_test[: args.limit]
    graph = stages.load(model_path(MODEL))
    spiking = stages.convert(graph, calibration=data.x_train)
    program = stages.compile(spiking, "loihi1")
    show_findings(program.diagnostics)
    program.raise_for_errors()
    print(f"{MODEL}: converted, compiled for {program.target.id}, {len(set(program.cores))} cores, no errors")
    models: dict[str, Graph | Program] = {"rate": graph, "nengo": spiking, "loihi-emulator": program}
    runs = []
    for backend, model in models.items():
        with progress(f"{len(x)} digits on {backend}") as advance:
            recording = stages.run(model, x, backend=backend, progress=advance)
        facts = {"data": "scikit-learn digits, held out"}
        runs.append(stages.report(model, recording, y, facts=facts))
    folder.mkdir(parents=True, exist_ok=True)
    stages.save(spiking, folder / f"{MODEL}.nd")
    figures = [run.figures for run in runs]
    spread = 100 * (max(f["accuracy"] for f in figures) - min(f["accuracy"] for f in figures))
    summary = {"format": "neurodeploy demo 1", "spread_points": spread, "runs": [dict(f) for f in figures]}
    _write(folder / "demo.json", json.dumps(summary) + "\n")
    _write(folder / "run.json", runs[-1].to_json())
    draw(figures, folder / "demo.png")
    print(f"\n{summary_table(figures)}\n")
    print(f"accuracies lie {spread:.2f} points apart (right is at most {SPREAD})")
    for name in FILES:
        note(f"wrote {folder / name}")
    return DONE if spread <= SPREAD else FINDINGS


def summary_table(runs: Sequence[Figures]) -> str:
    """One row per backend."""
    head = (
        "backend", "arithmetic", "accuracy", "samples", "steps", "spikes/sample", "synops/sample", "cores",
        "seconds",
    )  # fmt: skip
    rows = []
    for f in runs:
        spikes = f["spikes_per_sample"] if f["steps"] > 1 else None
        synops = f["synops_per_sample"] if f["steps"] > 1 else None
        rows.append([
            f["backend"], f["card"]["arithmetic"].split(",")[0].split(":")[0], percent(f["accuracy"]),
            f["samples"], f["steps"], spikes, synops, f["card"].get("cores"), f["seconds"],
        ])  # fmt: skip
    return table(head, rows)


def model_path(name: str) -> Path:
    """Find an embedded model: inside the installed package, or beside it in a checkout."""
    here = Path(__file__).resolve()
    places = [here.parents[1] / "models", here.parents[2] / "models"]
    found = next((place / f"{name}.keras" for place in places if (place / f"{name}.keras").is_file()), None)
    if found is None:
        raise LoadError(f"model '{name}' is not in {places[0]}; the installation is not whole, install again")
    return found


def _write(path: Path, text: str) -> None:
    write_beside(path, lambda beside: beside.write_text(text, encoding="utf-8"))
