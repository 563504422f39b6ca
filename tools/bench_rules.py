"""Measure a learning rule on MNIST and write what it reached, with its cost and its controls, as JSON.

    python tools/bench_rules.py --rule dfa --tier C --seeds 3 --epochs 5
    python tools/bench_rules.py --rule dfa --tier C --control frozen --seeds 1
    python tools/bench_rules.py --rule dfa --tier R --validate

Without ``--validate`` every seed learns from the whole training set and sees the test set once, at its end.
With it the last 5,000 training samples are held out, and the test set stays closed: numbers are chosen so.
With ``--checkpoint DIR`` a run that was killed goes on where it stood, to the same weights.
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
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

import data_folder  # noqa: E402
import rule_controls  # noqa: E402

from neurodeploy.backends import deep as teaching  # noqa: E402
from neurodeploy.compiler.checks.plasticity import expressible  # noqa: E402
from neurodeploy.errors import LoadError  # noqa: E402
from neurodeploy.learning import NETWORKS, deep, rate  # noqa: E402
from neurodeploy.learning.arithmetic import Arithmetic  # noqa: E402
from neurodeploy.learning.circuit import UNIT, Circuit  # noqa: E402
from neurodeploy.targets import target  # noqa: E402

RESULTS = ROOT / "tools" / "results" / "rules"
HELD_OUT = 5000
SHARES = (0.6, 0.85, 1.0)
"""Of all samples, at which ``--anneal`` halves the learning rate: the host reloads the rules."""
CONTROLS = ("none", "frozen", "shuffled", "zero-error")
SIZES = {"mnist": (784, 10), "banded-2d": (4, rule_controls.CLASSES)}
"""Inputs and classes of a task."""
HOST = "samples and labels become spike trains; spike counts are read"
TIER_C = deep.Setup(
    mechanism="neuron-trace", thresholds=(1020, 1020, 256), input_rate=512, label_rate=512, impulse=4,
    teach=128, feedback=80, exponents=(-4, -4, -3),
)  # fmt: skip
"""Chosen on the held-out part of the training set."""


def mnist() -> dict[str, np.ndarray]:
    """Find and open MNIST."""
    found = data_folder.find("mnist.npz")
    if found is None:
        raise SystemExit(data_folder.MISSING.format(name="mnist.npz"))
    with np.load(found) as file:
        return {k: file[k] for k in file.files}


def split(*, validate: bool, limit: int | None, task: str = "mnist") -> tuple[Any, Any, Any, Any]:
    """Return samples and labels to learn from, and to be judged by."""
    if task == "banded-2d":
        x, y = rule_controls.banded(limit or 20000, seed=0)
        return (255 * x, y, *(255 * a if a.ndim > 1 else a for a in rule_controls.banded(5000, seed=1)))
    data = mnist()
    x, y = data["x_train"], data["y_train"].astype(np.int64)
    if validate:
        shown = slice(0, min(limit or len(x), len(x) - HELD_OUT))
        return x[shown], y[shown], x[-HELD_OUT:], y[-HELD_OUT:]
    return x[:limit], y[:limit], data["x_test"], data["y_test"].astype(np.int64)


def in_integers(
    rule: str, seed: int, data: tuple[Any, Any, Any, Any], o: argparse.Namespace
) -> dict[str, Any]:
    """Learn in tier C; return figures of one seed."""
    setup = setup_of(o)
    x, y, x_new, y_new = data
    codes = deep.codes(x)
    how, wired = Arithmetic(rounding=o.rounding), wired_for(o, seed, setup)
    course = teaching.begin(wired, seed=seed, arithmetic=how)
    first, batch = rule_controls.weights(wired, course), (codes[: o.cosine], y[: o.cosine])
    aim = setup.label_rate / UNIT
    found = [rule_controls.cosines(wired, course, *batch, aim=aim)] if o.cosine else []
    kept = checkpoint_of(o, seed)
    start, total, held = time.process_time(), o.epochs * len(codes), bool(kept and kept.is_file())
    before, meddle = 0, teaching.copy_signs(wired, course.laid) if _copies(rule) else None
    for lower, share in enumerate(SHARES if o.anneal else (1.0,)):
        slower = dataclasses.replace(setup, exponents=tuple(max(e - lower, -7) for e in setup.exponents))
        if lower:
            again = teaching.begin(wired_for(o, seed, slower), seed=seed, arithmetic=how)
            course = dataclasses.replace(course, laid=again.laid)
        if kept and held:
            try:
                course, held = teaching.resume(course, kept), False
            except LoadError:  # a later share's rules; of all shares, the last one says what is wrong
                if share == 1.0:
                    raise
                continue
            before = len(course.right)
        course = teaching.teach(
            course, codes, y, epochs=o.epochs, seed=seed, progress=said(f"{rule} seed {seed}"),
            checkpoint=kept, until=int(share * total), meddle=meddle,
        )  # fmt: skip
    seconds = max(time.process_time() - start, 1e-9)
    last = rule_controls.weights(wired, course)
    more: dict[str, Any] = {"cosine_to_gradient": found} if o.cosine else {}
    if o.cosine:
        found.append(rule_controls.cosines(wired, course, *batch, aim=aim))
    if o.control == "zero-error":
        more["drift"] = rule_controls.drift(wired, first, last, len(course.right))
    fits = {t: sorted({expressible(j.rule, target(t)) for j in wired.plastic}) for t in ("loihi1", "loihi2")}
    return {
        "seed": seed,
        "accuracy": teaching.accuracy(course, deep.codes(x_new), y_new),
        "samples_per_second": (len(course.right) - before) / seconds,
        "per_sample": course.per_sample(),
        "neurons": sum(p.size for p in wired.populations if p.role == "neurons"),
        "synapses": int(sum(j.weight.size for j in wired.projections)),
        "plastic_layers": len(wired.plastic),
        "expressible": fits,
        "rules": sorted({j.rule.text for j in wired.plastic if j.rule}),
        "curve": teaching.curve(course.right, 40),
        **more,
    }


def wired_for(o: argparse.Namespace, seed: int, setup: deep.Setup) -> Circuit:
    """Build the circuit of one seed, with its control."""
    wired = deep.circuit(NETWORKS[o.rule], o.sizes, rng=np.random.default_rng(seed), setup=setup)
    return rule_controls.untaught(wired) if o.control == "zero-error" else wired


def checkpoint_of(o: argparse.Namespace, seed: int) -> Path | None:
    """Return the checkpoint of one seed; another command's runs have other names."""
    if not o.checkpoint:
        return None
    told = [o.rule, o.sizes, o.epochs, o.limit, o.validate, o.anneal, dataclasses.asdict(setup_of(o))]
    mark = hashlib.sha256(json.dumps(told).encode()).hexdigest()[:12]
    return Path(o.checkpoint) / f"{name_of(o)}-seed{seed}-{mark}.npz"


def _copies(rule: str) -> bool:
    """Say whether the host copies signs of weights for a rule."""
    return NETWORKS[rule].chip().feedback.weights == "signs"


def _host(o: argparse.Namespace) -> str:
    """Return what the host does while a rule learns."""
    if o.tier == "R":
        return "everything"
    signs = f"; signs of weights are copied to the way back every {teaching.PORTION} samples"
    reloads = "; rules are reloaded twice, with half the learning rate"
    return HOST + signs * _copies(o.rule) + reloads * o.anneal


def setup_of(o: argparse.Namespace) -> deep.Setup:
    """Return the numbers of a run, with its control."""
    told = {k: tuple(v) if isinstance(v, list) else v for k, v in json.loads(o.set or "{}").items()}
    setup = dataclasses.replace(TIER_C, **told)
    if o.control == "frozen":
        return dataclasses.replace(setup, frozen=tuple(range(len(o.sizes) - 2)))
    return dataclasses.replace(setup, shuffled=o.control == "shuffled")


def in_rates(rule: str, seed: int, data: tuple[Any, Any, Any, Any], o: argparse.Namespace) -> dict[str, Any]:
    """Learn in tier R, in batches; return figures of one seed, with the cosine to the gradient."""
    x, y, x_new, y_new = data
    x, x_new = (np.asarray(a, np.float64).reshape(len(a), -1) / 255 for a in (x, x_new))
    rng = np.random.default_rng(seed)
    chosen = dataclasses.replace(NETWORKS[rule], **json.loads(o.set or "{}"))
    net = rate.network(o.sizes, chosen, rng=rng, top=o.top, gain=o.gain)
    cosines, advance = [], said(f"{rule} seed {seed}")
    for epoch in range(o.epochs):
        order = rng.permutation(len(x))
        speed = o.rate * (1 - epoch / o.epochs)
        for at in range(0, len(x), o.batch):
            some = order[at : at + o.batch]
            net = rate.learn(chosen, net, x[some], y[some], rate=speed, decay=o.decay)
        ids = order[:1000]
        mine, _ = rate.changes(chosen, net, x[ids], y[ids])
        true, _ = rate.changes(NETWORKS["backprop"], net, x[ids], y[ids])
        cosines.append([round(rate.cosine(a, b), 4) for a, b in zip(mine, true, strict=True)])
        advance((epoch + 1) * len(x), o.epochs * len(x))
    out = rate.answer(chosen, net, x_new)
    return {
        "seed": seed,
        "accuracy": float((out.argmax(axis=1) == y_new).mean()),
        "cosine_to_gradient": cosines,
    }


def said(name: str) -> Any:
    """Return what prints how far a run is."""

    def advance(done: int, total: int) -> None:
        if done == total or done % 10000 == 0:
            print(f"{name}: {done:,} of {total:,}", file=sys.stderr, flush=True)

    return advance


def measure(o: argparse.Namespace) -> dict[str, Any]:
    """Run every seed."""
    data = split(validate=o.validate, limit=o.limit, task=o.task)
    one = in_integers if o.tier == "C" else in_rates
    runs: list[dict[str, Any]] = []
    for seed in o.seeds:
        runs.append(one(o.rule, seed, data, o))
        write(o, summary(o, data, runs))
    return summary(o, data, runs)


def summary(o: argparse.Namespace, data: Any, runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Return what is written: the seeds so far."""
    found = [r["accuracy"] for r in runs]
    in_floats = {k: getattr(o, k) for k in ("rate", "batch", "decay", "gain")}
    in_floats |= {"top": str(o.top), **json.loads(o.set or "{}")}
    numbers = dataclasses.asdict(setup_of(o)) if o.tier == "C" else in_floats
    return {
        "command": "python tools/bench_rules.py " + shlex.join(sys.argv[1:]),
        "rule": o.rule, "tier": o.tier, "control": o.control, "data": o.task, "rounding": o.rounding,
        "judged_by": "held out of training" if o.validate else "test set, once per seed and command",
        "samples": len(data[0]), "epochs": o.epochs, "sizes": list(o.sizes), "numbers": numbers,
        "host": _host(o), "mean": float(np.mean(found)),
        "spread": float(np.std(found)), "runs": runs,
    }  # fmt: skip


def main() -> None:
    """Measure, print, write."""
    p = argparse.ArgumentParser(description="Measure a learning rule on MNIST.")
    p.add_argument("--rule", required=True, choices=list(NETWORKS))
    p.add_argument("--tier", choices=("R", "C"), default="C")
    p.add_argument("--seeds", type=int, default=3, help="how many, from 0")
    p.add_argument("--first-seed", type=int, default=0)
    p.add_argument("--epochs", type=int, default=1)
    p.add_argument("--hidden", default="200,200", help="neurons of each hidden layer")
    p.add_argument("--limit", type=int, help="only the first training samples")
    p.add_argument("--control", choices=CONTROLS, default="none")
    p.add_argument("--task", choices=list(SIZES), default="mnist")
    p.add_argument("--rounding", choices=("synapse", "shared"), default="synapse", help="of tier C")
    p.add_argument("--cosine", type=int, default=0, help="tier C: samples whose change meets the gradient")
    p.add_argument("--validate", action="store_true", help="never open the test set")
    p.add_argument("--set", help='numbers as JSON: tier C {"feedback": 60}, tier R the rule\'s')
    p.add_argument("--rate", type=float, default=0.1, help="of tier R")
    p.add_argument("--batch", type=int, default=50, help="of tier R")
    p.add_argument("--decay", type=float, default=0.0, help="of tier R")
    p.add_argument("--top", type=float, default=float("inf"), help="of tier R: largest hidden rate")
    p.add_argument("--gain", type=float, default=1.0, help="of tier R: size of first weights")
    p.add_argument("--anneal", action="store_true", help="tier C: halve the learning rate twice")
    p.add_argument("--checkpoint", help="tier C: folder; runs are kept there, and go on from there")
    p.add_argument("--out", help="JSON; tools/results/rules/... by default unless --validate")
    o = p.parse_args()
    inputs, classes = SIZES[o.task]
    o.sizes = (inputs, *map(int, filter(None, o.hidden.split(","))), classes)
    if o.checkpoint:
        Path(o.checkpoint).mkdir(parents=True, exist_ok=True)
    o.seeds = range(o.first_seed, o.first_seed + o.seeds)
    found = measure(o)
    print(f"{name_of(o)}: {found['mean']:.4f} +- {found['spread']:.4f} ({found['judged_by']})")


def name_of(o: argparse.Namespace) -> str:
    """Return the name of a result."""
    deepness = "-".join(map(str, o.sizes[1:-1]))
    told = (("none", o.control), ("synapse", o.rounding), ("mnist", o.task))
    return f"{o.rule}-{o.tier}-{deepness}" + "".join(f"-{given}" for usual, given in told if given != usual)


def write(o: argparse.Namespace, found: dict[str, Any]) -> None:
    """Write figures; runs on held-out samples leave no trace unless a file is named."""
    path = Path(o.out) if o.out else None if o.validate else RESULTS / f"{name_of(o)}.json"
    if path:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
