"""Write the generated parts of README.md anew: tables from the code, sessions from real runs.

    python tools/generate_docs.py              tables only, in a second
    python tools/generate_docs.py --sessions   also run every command of the sessions and paste what it prints

A part stands between ``<!-- generated: NAME -->`` and ``<!-- end -->``. In a session, lines that begin
with ``$`` are commands and stay; what follows them is output. Sessions whose data is missing (MNIST:
see tools/data_folder.py) are left as they are. A test compares both with what the code does, figure by figure
but for seconds.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
sys.path.insert(0, str(ROOT / "tools"))

import data_folder  # noqa: E402
import rule_matrix  # noqa: E402

from neurodeploy.backends.base import BACKENDS  # noqa: E402
from neurodeploy.reporting import catalogue  # noqa: E402
from neurodeploy.reporting.figures import ARITHMETIC  # noqa: E402
from neurodeploy.reporting.fits import fit_rows  # noqa: E402
from neurodeploy.reporting.text import percent, table  # noqa: E402
from neurodeploy.stages import convert, load  # noqa: E402

README = ROOT / "README.md"
PART = re.compile(r"(<!-- generated: (?P<name>[\w-]+) -->\n)(?P<body>.*?)(<!-- end -->)", re.DOTALL)
SESSION = "session-"
NEEDS_MNIST = "mnist.npz"


def _backend_rows() -> catalogue.Table:
    rows = []
    for name, backend in BACKENDS.items():
        extra = f"`{backend.needs}`" if backend.needs else "-"
        rows.append([f"`{name}`", backend.takes, ARITHMETIC[name].format(bits=8), extra])
    return ["backend", "runs a", "computes with", "extra"], rows


DEMOS = ("digits_mlp", "digits_cnn", "mnist_cnn")


def _fit_rows() -> catalogue.Table:
    """Compile the demo models for every chip, as ``check MODEL --output spikes --target CHIP`` does.

    Random samples set their thresholds there. Here they are few, which is faster and changes no row.
    """
    loaded = {name: load(ROOT / "models" / f"{name}.keras") for name in DEMOS}
    options = {"samples": 8, "steps": 16, "output": "spikes"}
    return fit_rows({name: convert(graph, **options) for name, graph in loaded.items()})


def _cores_rows() -> catalogue.Table:
    """Show what tools/bench_compiler.py found: cores beside the least there could be."""
    found = json.loads((ROOT / "tools" / "results" / "bench_compiler.json").read_text(encoding="utf-8"))
    rows = [
        [
            name, row["neurons"], row["synapses"], row["blocks"], row["cores"], row["lower_bound"],
            found["exact"]["networks"][name]["one_core_less"],
        ]
        for name, row in found["cores"].items()
    ]  # fmt: skip
    head = ["network", "neurons", "synapses", "blocks", "cores", "at least", "one core less"]
    return head, rows


def _compile_rows() -> catalogue.Table:
    """Show how long compilation took there, and how much of nengo-loihi's build that is."""
    found = json.loads((ROOT / "tools" / "results" / "bench_compiler.json").read_text(encoding="utf-8"))
    scale, nengo = found["scale"], found["nengo"]
    seconds = statistics.median(nengo["ours_seconds"])
    return ["dense synapses", "seconds", "peak GiB", "of nengo-loihi's build"], [
        [f"{nengo['synapses']:,}", seconds, None, f"{nengo['ratio_median']:.1%}"],
        [f"{scale['synapses']:,}", scale["seconds"], scale["peak_gib"], None],
    ]


MEASURED = ROOT / "tools" / "results" / "bench_conversion.json"


def _conversion_rows() -> catalogue.Table:
    """Show what conversion loses on the emulator, as tools/bench_conversion.py measured it."""
    head = ["model", "steps", "source", "points lost", "spikes/sample", "synops/sample"]
    rows: list[list[Any]] = []
    for model, parts in json.loads(MEASURED.read_text(encoding="utf-8"))["models"].items():
        if parts.get("emulator", {"part_of_the_samples": True}).get("part_of_the_samples"):
            continue
        runs = {(r["balancing"], r["steps"]): r for r in parts["emulator"]["runs"]}
        for steps in sorted({steps for _, steps in runs}):
            ours, plain = (runs.get((kind, steps)) for kind in ("neurodeploy", "plain percentile"))
            if ours is None:
                continue
            source = percent(parts["emulator"]["source_accuracy"] / 100)
            rows.append([
                model, steps, source, f"{ours['lost_points']:.2f}",
                ours["spikes"], ours["synops"],
                *([f"{plain['lost_points']:.2f}", plain["spikes"]] if plain else [None, None]),
            ])  # fmt: skip
    return [*head, "plain: points lost", "plain: spikes/sample"], rows


def _spikes_rows() -> catalogue.Table:
    """Show the fewest spikes that keep the accuracy, by how thresholds are found."""
    head = [
        "model",
        "thresholds",
        "seeds",
        "steps",
        "points lost",
        "spikes/sample",
        "synops/sample",
        "times ours",
    ]
    rows: list[list[Any]] = []
    for model, parts in json.loads(MEASURED.read_text(encoding="utf-8"))["models"].items():
        part, ours = parts.get("spikes", {"runs": ()}), None
        for run in part["runs"]:
            kept = [seed for seed in run["seeds"] if "accuracy" in seed]
            row = [model, run["balancing"], f"{len(kept)} of {len(run['seeds'])}"]
            if not kept:
                rows.append([*row, "-", "not kept", None, None, "-"])
                continue
            right, spikes, synops = (
                statistics.mean(k[of] for k in kept) for of in ("accuracy", "spikes", "synops")
            )
            ours = spikes if run["balancing"] == "neurodeploy" else ours
            steps = ", ".join(str(seed["steps"]) for seed in kept)
            lost = f"{part['source_accuracy'] - right:.2f}"
            rows.append([*row, steps, lost, spikes, synops, f"{spikes / ours:.2f}" if ours else "-"])
    return head, rows


def _rounding_rows() -> catalogue.Table:
    """Show what weights of few bits keep, rounded to the nearest code and adaptively."""
    rows: list[list[Any]] = []
    for model, parts in json.loads(MEASURED.read_text(encoding="utf-8"))["models"].items():
        for run in parts.get("rounding", {}).get("runs", ()):
            rows.append(
                [model, run["weight_bits"], *(percent(run[k] / 100) for k in ("nearest", "adaptive"))]
            )
    return ["model", "weight bits", "nearest", "adaptive"], rows


def _peer_rows() -> catalogue.Table:
    """Show float accuracies of ours and of other tools on the same weights and steps."""
    rows: list[list[Any]] = []
    models = json.loads(MEASURED.read_text(encoding="utf-8"))["models"]
    peers = {model: parts.get("peers", {}).get("tools", {}) for model, parts in models.items()}
    found = [(model, name, tool) for model, tools in peers.items() for name, tool in tools.items()]
    steps = sorted({run["steps"] for _, _, tool in found for run in tool["runs"]})
    for model, name, tool in found:
        runs = {run["steps"]: percent(run["accuracy"] / 100) for run in tool["runs"]}
        rows.append([model, name, *(runs.get(t) for t in steps)])
    return ["model", "conversion", *(f"T = {t}" for t in steps)], rows


def _emulator_rows() -> catalogue.Table:
    """Read the results of `tools/bench_emulator.py`."""
    networks = json.loads((ROOT / "tools" / "results" / "bench_emulator.json").read_text())["networks"]
    return EMULATOR, [[name, *map(_figure(of), FIGURES)] for name, of in networks.items()]


EMULATOR = [
    "network", "samples/s", "times nengo-loihi", "at batch 1", "times fastest float", "build", "of the limit",
]  # fmt: skip
FIGURES = (
    ("networks.samples_per_second.ours", ",.0f"),
    ("networks.times_nengo_loihi.median", ",.0f"),
    ("networks.times_nengo_loihi_at_batch_1.median", ",.0f"),
    ("rivals.times_the_fastest", ",.1f"),
    ("build.from.network.times_nengo_loihi.median", ".2f"),
    ("limits.part_of_the_limit", ".0%"),
)


def _figure(result: Any) -> Callable[[tuple[str, str]], str]:
    """Look figures up by their path; what was not measured is a dash."""

    def show(figure: tuple[str, str]) -> str:
        value = result
        for key in figure[0].split("."):
            value = value.get(key) if isinstance(value, dict) else None
        return "-" if value is None else format(value, figure[1])

    return show


TABLES: dict[str, Callable[[], catalogue.Table]] = {
    "backends": _backend_rows,
    "compile-time": _compile_rows,
    "cores": _cores_rows,
    "conversion": _conversion_rows,
    "conversion-peers": _peer_rows,
    "conversion-rounding": _rounding_rows,
    "conversion-spikes": _spikes_rows,
    "emulator": _emulator_rows,
    "findings": catalogue.finding_rows,
    "fits": _fit_rows,
    "layers-keras": lambda: catalogue.layer_rows("keras"),
    "layers-nir": lambda: catalogue.layer_rows("nir"),
    "layers-onnx": lambda: catalogue.layer_rows("onnx"),
    "layers-torch": lambda: catalogue.layer_rows("torch"),
    "forms": catalogue.form_rows,
    "neurons": catalogue.neuron_rows,
    "continual": rule_matrix.continual,
    "rule-controls": rule_matrix.controls,
    "rule-matrix": rule_matrix.matrix,
    "rules-in-time": rule_matrix.in_time,
    "targets": catalogue.target_rows,
}


def with_tables(text: str) -> str:
    """Return README with every table as the code has it now."""

    def written(part: re.Match[str]) -> str:
        name = part["name"]
        body = f"\n{table(*TABLES[name](), markdown=True)}\n\n" if name in TABLES else part["body"]
        return part[1] + body + part[4]

    return PART.sub(written, text)


def with_sessions(text: str, *, only: str = "") -> str:
    """Return README with the sessions run again, in an empty folder with the models in it."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shutil.copytree(ROOT / "models", folder / "models")
        if mnist() is not None:
            (folder / NEEDS_MNIST).symlink_to(str(mnist()))

        def written(part: re.Match[str]) -> str:
            wanted = part["name"].startswith(SESSION) and part["name"].endswith(only)
            if not wanted or (NEEDS_MNIST in part["body"] and mnist() is None):
                return part[0]
            return f"{part[1]}\n```console\n{run_session(commands_of(part['body']), folder)}```\n\n{part[4]}"

        return PART.sub(written, text)


def commands_of(body: str) -> list[str]:
    """Return the commands of a session."""
    return [line[2:] for line in body.splitlines() if line.startswith("$ ")]


def run_session(commands: list[str], folder: Path) -> str:
    """Run commands one after the other; what they print follows each."""
    with tempfile.TemporaryDirectory() as place:
        script = Path(place) / "neurodeploy"
        # Without the lines that say how far it is, which only a slow machine prints.
        start = "import sys, neurodeploy.cli as c, neurodeploy.cli.console as o; o.EVERY = 1e9; "
        start += "sys.exit(c.main())"
        script.write_text(f'#!/bin/sh\nexec "{sys.executable}" -u -c "{start}" "$@"\n')
        script.chmod(0o755)
        path = f"{place}{os.pathsep}{os.environ['PATH']}"
        environ = os.environ | {"PATH": path, "PYTHONPATH": str(ROOT)}
        printed = []
        for command in commands:
            done = subprocess.run(
                ["bash", "-c", f"{command} 2>&1"],
                cwd=folder,
                env=environ,
                capture_output=True,
                text=True,
                check=False,
            )
            printed.append(f"$ {command}\n{done.stdout}".rstrip() + "\n")
        return "".join(printed)


def mnist() -> Path | None:
    """Find MNIST, if it is there."""
    return data_folder.find(NEEDS_MNIST)


ARITHMETIC_OF = ROOT / "tools" / "results" / "readme_arithmetic.json"
"""Says with which arithmetic the sessions in README were made."""


def arithmetic() -> str:
    """Return a digest of how this machine rounds: its NumPy, and the order in which its BLAS adds.

    Thresholds are found in floats: where this differs, the last digits of spikes may, and digests with them.
    """
    rng = np.random.default_rng(0)
    found = hashlib.sha256(np.__version__.encode())
    for rows, inner, columns in ((3, 5, 7), (64, 64, 64), (256, 784, 128), (1000, 257, 10)):
        found.update((rng.normal(size=(rows, inner)) @ rng.normal(size=(inner, columns))).tobytes())
    found.update(np.exp(rng.normal(size=(100, 77))).sum(axis=1).tobytes())
    return found.hexdigest()[:16]


def main() -> None:
    """Write README.md."""
    parser = argparse.ArgumentParser(description="Write the generated parts of README.md anew.")
    parser.add_argument("--sessions", action="store_true", help="run the sessions too")
    rule_matrix.write_measured()
    text = with_tables(README.read_text(encoding="utf-8"))
    if parser.parse_args().sessions:
        text = with_sessions(text)
        ARITHMETIC_OF.write_text(json.dumps({"arithmetic": arithmetic()}) + "\n", encoding="utf-8")
    README.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
