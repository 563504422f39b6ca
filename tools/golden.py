"""Write the texts in tests/golden anew; the difference is for review, the files are never edited by hand.

    python tools/golden.py

Each case is a function that returns what the program prints. The network behind them has weights that every
machine represents exactly, so that no digit depends on the machine.
"""

from __future__ import annotations

import dataclasses
import re
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import neurodeploy as nd  # noqa: E402
from neurodeploy.diagnostics import Place, render_all  # noqa: E402
from neurodeploy.ir import ops  # noqa: E402
from neurodeploy.ir.graph import Graph, Node  # noqa: E402
from neurodeploy.ir.text import to_text  # noqa: E402
from neurodeploy.reporting.ladder import FORMAT, LadderReport  # noqa: E402
from neurodeploy.reporting.text import core_table, program_text  # noqa: E402
from neurodeploy.rules import accuracy as rules  # noqa: E402

FOLDER = ROOT / "tests" / "golden"


def network() -> Graph:
    """Build a spiking network of 4 inputs, 6 hidden neurons and 3 outputs."""
    dt = 2.0**-10
    weight = np.array([[((3 * i + 5 * j) % 7 - 2) / 8 for i in range(4)] for j in range(6)])
    last = np.array([[((2 * i + 3 * j) % 5 - 2) / 4 for i in range(6)] for j in range(3)])
    nodes = (
        Node("input", ops.Input((4,)), layer="InputLayer"),
        Node("encoder", ops.IF(1 / dt, np.ones(()), reset="subtract"), "input", "InputLayer",
             notes={"role": "encoder"}),
        Node("hidden", ops.Affine(weight, np.full(6, 1 / 16)), layer="Dense"),
        Node("hidden.relu", ops.IF(1 / dt, np.ones(())), "hidden", "Dense"),
        Node("out", ops.Affine(last, np.zeros(3)), layer="Dense"),
        Node("out.sum", ops.I(1 / dt), "out", "Dense", notes={"peak_drive": 2.0}),
        Node("output", ops.Output((3,))),
    )  # fmt: skip
    edges = tuple(pairwise(node.name for node in nodes))
    return Graph(nodes, edges, dt, "golden", {"steps": 16, "source": "golden.keras"})


def graph() -> str:
    """Show a graph as text."""
    return to_text(network())


def passes() -> str:
    """Show a program after every pass of the compiler."""
    parts: list[str] = []
    nd.compile(network(), after=lambda name, p: parts.append(f"after {name}\n{program_text(p)}"))
    return "\n\n".join(parts)


def check() -> str:
    """Show what fits: used and limit of every resource."""
    return core_table(nd.report(nd.compile(network())).figures["cores"])


def findings() -> str:
    """Show what does not fit: findings on a chip that is far too small."""
    small = nd.target("loihi1").with_limits(
        chip__cores=1, core__compartments=2, core__in_axons=3, synapse__axon_kinds__pop32__atoms_max=1
    )
    return render_all(nd.check(nd.compile(network(), small)))


def run() -> str:
    """Show the report of a run; digests are left out, they change with every fact about the chip."""
    program = nd.compile(network()).raise_for_errors()
    x = np.array([[((i + j) % 5) / 4 for i in range(4)] for j in range(6)])
    recording = dataclasses.replace(nd.run(program, x), seconds=0.25)
    text = str(nd.report(program, recording, recording.predictions))
    return re.sub(r"\b[0-9a-f]{16}\b", "(digest)", text)


def conversion() -> str:
    """Show what a conversion did: to a network of whole halves, so that sums are exact everywhere."""
    rng = np.random.default_rng(0)

    def halves(*shape: int) -> np.ndarray:
        return rng.integers(-2, 4, shape) / 2

    norm = ops.BatchNorm(np.full(4, 2.0), np.zeros(4), np.zeros(4), np.full(4, 0.25), 0.75)
    nodes = (
        Node("image", ops.Input((2, 6, 6)), layer="InputLayer"),
        Node("pad", ops.Pad(((0, 0), (0, 1), (0, 1))), layer="ZeroPadding2D"),
        Node("conv", ops.Conv2d(halves(4, 2, 3, 3), np.zeros(4)), layer="Conv2D"),
        Node("norm", norm, layer="BatchNormalization"),
        Node("relu", ops.ReLU(), layer="ReLU"),
        Node("drop", ops.Identity(), layer="Dropout"),
        Node("flat", ops.Flatten(), layer="Flatten"),
        Node("digit", ops.Affine(halves(3, 100), np.zeros(3)), layer="Dense"),
        Node("digit.softmax", ops.Softmax(), "digit", "Dense"),
        Node("output", ops.Output((3,))),
    )  # fmt: skip
    edges = tuple(pairwise(node.name for node in nodes))
    source = Graph(nodes, edges, 2.0**-10, "golden", {"source": "golden.keras"})
    x = rng.integers(0, 5, (16, 2, 6, 6)) / 4
    parts = [
        nd.report(nd.convert(source, calibration=x, steps=16, neuron=neuron)).layers()
        for neuron in ("if-soft", "cuba")
    ]
    return "\n\n".join(parts)


def ladder() -> str:
    """Show an accuracy ladder, of figures that are not measured."""
    rungs = [
        {
            "rung": name, "accuracy": accuracy, "right_to_wrong": lost, "wrong_to_right": 0,
            "errors": {"hidden.relu": error}, "output_error": error / 2, "spikes_per_sample": spikes,
            "overflowed_samples": None,
        }
        for name, accuracy, lost, error, spikes in (
            ("source model", 1.0, 0, 0.0, None), ("folded", 1.0, 0, 0.0, None),
            ("balanced rate", 1.0, 0, 0.03125, None), ("spiking", 0.75, 8, 0.25, 1024.0),
        )
    ]  # fmt: skip
    place = Place("hidden", "hidden.relu")
    facts = {"used": 20.0, "limit": 25.0, "share": 0.125, "where": "hidden", "rate": 0.25}
    found = rules.SATURATION.at(place, model="golden.keras", file="golden.nd", **facts)
    tried = [
        {"cause": rule.name, "code": rule.code, "points": points, "layer": "hidden", "facts": {}}
        for rule, points in ((rules.SATURATION, 20.0), (rules.FEW_STEPS, 5.0))
    ]
    figures = {
        "format": FORMAT, "model": "golden", "target": "loihi1", "samples": 32, "labelled": True, "steps": 16,
        "rungs": rungs, "layers": {"hidden.relu": "hidden"}, "cause": found.as_dict(), "tried": tried,
        "drop": {"from": "balanced rate", "to": "spiking", "points": 25.0, "significant": True},
    }  # fmt: skip
    return str(LadderReport(figures))


def bundle() -> str:
    """List the files of a bundle."""
    return "\n".join(nd.emit(nd.compile(network())).files)


CASES: tuple[Callable[[], str], ...] = (
    graph, passes, check, findings, run, conversion, ladder, bundle,
)  # fmt: skip


def main() -> None:
    """Write every case."""
    FOLDER.mkdir(exist_ok=True)
    for case in CASES:
        (FOLDER / f"{case.__name__}.txt").write_text(f"{case().rstrip()}\n", encoding="utf-8")
    known = {f"{case.__name__}.txt" for case in CASES}
    for path in FOLDER.iterdir():
        if path.name not in known:
            path.unlink()


if __name__ == "__main__":
    main()
