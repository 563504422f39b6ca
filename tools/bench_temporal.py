"""Measure rules in time in floats (tier R): MNIST as constant currents, or row by row to a recurrent layer.

    python tools/bench_temporal.py --rule e-prop --epochs 2
    python tools/bench_temporal.py --rule e-prop --task rows --hidden 100 --limit 10000 --epochs 4
    python tools/bench_temporal.py --rule e-prop --task rows --hidden 100 --control frozen-recurrent

Row by row, a sample is 28 steps of 28 currents, and errors count in the last eight steps: what stood further
up has to be held by recurrent spikes and adapting thresholds. Controls leave recurrent synapses, or all of
hidden layers, as they were drawn. Synapses step by Adam, each by its own running averages, as in the paper of
e-prop. Without ``--validate`` every seed sees the test set once, at its end.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import shlex
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
sys.path.insert(0, str(ROOT / "tools"))

import bench_rules  # noqa: E402

from neurodeploy.learning import TEMPORAL, temporal  # noqa: E402

CONTROLS = ("none", "frozen-recurrent", "frozen")
ROWS, COUNT_FROM = 28, 20
"""Steps of a sample row by row, and the first whose error counts."""


def currents(x: np.ndarray, o: argparse.Namespace) -> np.ndarray:
    """Return what neurons get, shape (T, B, I)."""
    scaled = np.asarray(x, np.float64) / 255
    if o.task == "rows":
        return np.asarray(scaled.transpose(1, 0, 2))
    flat = scaled.reshape(len(x), -1)
    return np.broadcast_to(flat, (o.steps, *flat.shape))


class Adam:
    """Steps of every synapse by its own averages.

    Parameters
    ----------
    rate : float
    """

    def __init__(self, rate: float) -> None:
        self.rate, self.done = rate, 0
        self.kept: dict[tuple[str, int], tuple[Any, Any]] = {}

    def step(self, net: temporal.Spiking, found: temporal.Spiking, hold: tuple[str, ...]) -> temporal.Spiking:
        """Return the network after one batch; `hold` names what stays."""
        self.done += 1
        own = net.recurrent if "recurrent" in hold else self._all("recurrent", net, found)
        weights = self._all("weights", net, found)
        if "hidden" in hold:
            weights, own = (*net.weights[:-1], weights[-1]), net.recurrent
        return dataclasses.replace(net, weights=weights, recurrent=own)

    def _all(self, name: str, net: temporal.Spiking, found: temporal.Spiking) -> tuple[Any, ...]:
        pairs = zip(getattr(net, name), getattr(found, name), strict=True)
        return tuple(self._one((name, k), w, d) for k, (w, d) in enumerate(pairs))

    def _one(self, key: tuple[str, int], weight: Any, change: Any) -> Any:
        first, second = self.kept.get(key, (0.0, 0.0))
        first, second = 0.9 * first + 0.1 * change, 0.999 * second + 0.001 * change**2
        self.kept[key] = first, second
        size = np.sqrt(second / (1 - 0.999**self.done)) + 1e-8
        return weight - self.rate * first / (1 - 0.9**self.done) / size


def accuracy(net: temporal.Spiking, x: np.ndarray, y: np.ndarray, o: argparse.Namespace) -> float:
    """Return the share right, in portions."""
    right = 0
    for at in range(0, len(x), 500):
        out = temporal.answer(TEMPORAL[o.rule], net, currents(x[at : at + 500], o), since=o.since)
        right += int((out.argmax(axis=1) == y[at : at + 500]).sum())
    return right / len(x)


def one(seed: int, data: tuple[Any, Any, Any, Any], o: argparse.Namespace) -> dict[str, Any]:
    """Learn; return figures of one seed."""
    x, y, x_new, y_new = data
    rule, rng = TEMPORAL[o.rule], np.random.default_rng(seed)
    rows = o.task == "rows"
    net = temporal.network(o.sizes, rule, rng=rng, gain=o.gain, recurrent=rows, adapts=0.5 * rows)
    hold = {"none": (), "frozen-recurrent": ("recurrent",), "frozen": ("hidden",)}[o.control]
    adam, say, start = Adam(o.rate), bench_rules.said(f"{o.rule} seed {seed}"), time.process_time()
    total = o.epochs * len(x)
    for epoch in range(o.epochs):
        order = rng.permutation(len(x))
        for at in range(0, len(x), o.batch):
            ids = order[at : at + o.batch]
            adam.rate = o.rate * (1 - (epoch * len(x) + at) / total)
            found = temporal.changes(rule, net, currents(x[ids], o), y[ids], since=o.since)
            net = adam.step(net, found, hold)
            say(epoch * len(x) + at + len(ids), total)
    courses, _ = temporal.forward(rule, net, currents(x_new[:500], o))
    return {
        "seed": seed,
        "accuracy": accuracy(net, x_new, y_new, o),
        "spikes_per_step": [round(float(c.spikes.mean()), 4) for c in courses],
        "seconds": round(time.process_time() - start, 1),
    }


def summary(o: argparse.Namespace, data: Any, runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Return what is written."""
    found = [r["accuracy"] for r in runs]
    numbers = {k: getattr(o, k) for k in ("rate", "batch", "gain", "since", "steps")}
    numbers |= {k: v for k, v in dataclasses.asdict(TEMPORAL[o.rule]).items()}
    return {
        "command": "python tools/bench_temporal.py " + shlex.join(sys.argv[1:]),
        "rule": o.rule, "tier": "R", "control": o.control,
        "data": "mnist, row by row" if o.task == "rows" else "mnist",
        "judged_by": "held out of training" if o.validate else "test set, once per seed and command",
        "samples": len(data[0]), "epochs": o.epochs, "sizes": list(o.sizes), "numbers": numbers,
        "host": "everything", "mean": float(np.mean(found)), "spread": float(np.std(found)), "runs": runs,
    }  # fmt: skip


def path_of(o: argparse.Namespace) -> Path:
    """Return where the result lies."""
    task = "rows-" if o.task == "rows" else ""
    control = "" if o.control == "none" else f"-{o.control}"
    return bench_rules.RESULTS / f"{o.rule}-{task}R-{'-'.join(map(str, o.sizes[1:-1]))}{control}.json"


def main() -> None:
    """Measure, print, write."""
    p = argparse.ArgumentParser(description="Measure a rule in time, in floats.")
    p.add_argument("--rule", required=True, choices=list(TEMPORAL))
    p.add_argument("--task", choices=("mnist", "rows"), default="mnist")
    p.add_argument("--control", choices=CONTROLS, default="none")
    p.add_argument("--seeds", type=int, default=1, help="how many, from 0")
    p.add_argument("--epochs", type=int, default=1)
    p.add_argument("--limit", type=int, help="only the first training samples")
    p.add_argument("--hidden", default="200,200")
    p.add_argument("--rate", type=float, default=1e-3)
    p.add_argument("--gain", type=float, default=1.0)
    p.add_argument("--batch", type=int, default=50)
    p.add_argument("--steps", type=int, default=20, help="of a sample that is constant")
    p.add_argument("--validate", action="store_true", help="never open the test set")
    o = p.parse_args()
    rows = o.task == "rows"
    o.sizes = (28 if rows else 784, *map(int, o.hidden.split(",")), 10)
    o.since = COUNT_FROM if rows else 0
    o.steps = ROWS if rows else o.steps
    data, runs = bench_rules.split(validate=o.validate, limit=o.limit), []
    for seed in range(o.seeds):
        runs.append(one(seed, data, o))
        if not o.validate:
            text = json.dumps(summary(o, data, runs), indent=1) + "\n"
            path_of(o).write_text(text, encoding="utf-8")
    print(f"{path_of(o).stem}: {np.mean([r['accuracy'] for r in runs]):.4f} {runs[-1]}")


if __name__ == "__main__":
    main()
