"""Measure rules that find features without labels on MNIST, beside a random encoder of equal size, as JSON.

    python tools/bench_features.py --rule voja
    python tools/bench_features.py --rule r-stdp --found-by stdp --validate

In the first stage one hidden layer learns by the rule from samples without labels, then it is frozen, and the
output learns by the delta rule. The random encoder is as wide, keeps the weights it was drawn with, has the
numbers of the output that suit it, and is read by the same rule from the same samples. ``r-stdp`` learns the
output from a reward in place of the delta rule, on features of another rule. Without ``--validate`` the test
set is seen once per seed, by each of both; with it the last 5,000 training samples judge.
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

from bench_rules import HOST, RESULTS, SHARES, split  # noqa: E402

from neurodeploy.backends import deep as teaching  # noqa: E402
from neurodeploy.compiler.checks.plasticity import expressible  # noqa: E402
from neurodeploy.kernels import online  # noqa: E402
from neurodeploy.learning import HEBBIAN, deep, features  # noqa: E402
from neurodeploy.learning.bcm import BCM  # noqa: E402
from neurodeploy.learning.circuit import Circuit, Projection  # noqa: E402
from neurodeploy.learning.reward_stdp import RewardSTDP  # noqa: E402
from neurodeploy.learning.stdp import PairSTDP  # noqa: E402
from neurodeploy.targets import target  # noqa: E402

RANDOM = deep.Setup(
    mechanism="neuron-trace", thresholds=(1020, 256), input_rate=512, label_rate=512, impulse=4, teach=128,
    exponents=(-3,),
)  # fmt: skip
READ = dataclasses.replace(RANDOM, impulse=16, exponents=(-4,), thresholds=(1020, 128))
FINDERS: dict[str, tuple[Any, features.Competition]] = {
    "stdp": (PairSTDP(1, 1 / 16, 32), features.Competition(faster=-3)),
    "oja": (HEBBIAN["oja"], features.Competition(own=64, faster=-1)),
    "bcm": (BCM(slow=4096, impulse=4), features.Competition(faster=-4)),
    "voja": (HEBBIAN["voja"], features.Competition()),
}
"""Chosen on held-out training samples, as are the numbers of what reads them and the random encoder."""
REWARD = RewardSTDP(PairSTDP(rise=1 / 4, fall=1 / 32))
REWARDED: dict[str, Any] = {"reward": (64, 64), "speed": -3, "rivalry": 4}
REWARD_SETUP = dataclasses.replace(READ, thresholds=(1020, 2040), error_shift=10)
STAGES = HOST + "; thresholds and inhibition of the features are loaded anew once, when they are found"
ANNEALED = "; rules are reloaded twice, with half the learning rate"


def find(o: argparse.Namespace, seed: int, codes: Any, labels: Any) -> tuple[Any, Any, dict[str, Any]]:
    """Find features; return weights, drives and what it took."""
    rule, numbers = FINDERS[o.found_by]
    wired = features.finding(rule, (784, o.features), rng=np.random.default_rng(seed), numbers=numbers)
    course, start = teaching.begin(wired, seed=seed), time.process_time()
    order = np.random.default_rng([seed, 77]).permutation(len(codes))[: o.find]
    spikes = online.run(course.laid, course.state, codes, labels, order=order)
    told = {
        "samples": len(order), "winners_per_sample": float((spikes[-1000:] > 0).sum(axis=1).mean()),
        "samples_per_second": len(order) / max(time.process_time() - start, 1e-9),
        "rules": sorted({j.rule.text for j in wired.plastic if j.rule}),
    }  # fmt: skip
    return course.weight(wired, "data", "h1"), course.weight(wired, "tonic", "h1"), told


def taught(wired: Circuit, codes: Any, labels: Any, *, seed: int, o: argparse.Namespace) -> teaching.Course:
    """Let the output learn; with ``--anneal`` its rate is halved twice, as in `bench_rules`."""
    course, total = teaching.begin(wired, seed=seed), o.epochs * len(codes)
    for lower, share in enumerate(SHARES if o.anneal else (1.0,)):
        slow = dataclasses.replace(wired, projections=tuple(slower(j, lower) for j in wired.projections))
        course = dataclasses.replace(course, laid=teaching.begin(slow, seed=seed).laid)
        course = teaching.teach(course, codes, labels, epochs=o.epochs, seed=seed, until=int(share * total))
    return course


def slower(join: Projection, by: int) -> Projection:
    """Halve a projection's learning rate so many times."""
    if join.rule is None:
        return join
    updates = (
        dataclasses.replace(u, products=tuple(
            dataclasses.replace(p, exponent=p.exponent - by * (u.target == "w")) for p in u.products
        ))
        for u in join.rule.updates
    )  # fmt: skip
    return dataclasses.replace(join, rule=dataclasses.replace(join.rule, updates=tuple(updates)))


def once(o: argparse.Namespace, seed: int, data: Any) -> dict[str, Any]:
    """Measure one seed: features of the rule, and the random encoder."""
    x, y, x_new, y_new = data
    codes, new = deep.codes(x), deep.codes(x_new)
    weight, drive, told = find(o, seed, codes, y)
    sizes, numbers = (784, o.features, 10), FINDERS[o.found_by][1]
    if o.rule == "r-stdp":
        wired = features.rewarded(
            REWARD, sizes, (weight, drive), rng=np.random.default_rng(seed), setup=REWARD_SETUP,
            numbers=numbers, **REWARDED,
        )  # fmt: skip
    else:
        wired = features.reading(
            sizes, (weight, drive), rng=np.random.default_rng(seed), setup=READ, numbers=numbers
        )
    blank = features.reading(sizes, None, rng=np.random.default_rng(seed), setup=RANDOM)
    start = time.process_time()
    course = taught(wired, codes, y, seed=seed, o=o)
    seconds = max(time.process_time() - start, 1e-9)
    random = taught(blank, codes, y, seed=seed, o=o)
    rules = [*(j.rule for j in wired.plastic), features.form(*FINDERS[o.found_by])]
    return {
        "seed": seed,
        "accuracy": teaching.accuracy(course, new, y_new),
        "random_encoder": teaching.accuracy(random, new, y_new),
        "samples_per_second": len(course.right) / seconds,
        "per_sample": course.per_sample(),
        "neurons": sum(p.size for p in wired.populations if p.role == "neurons"),
        "synapses": int(sum(j.weight.size for j in wired.projections)),
        "expressible": {
            chip: sorted({expressible(r, target(chip)) for r in rules}) for chip in ("loihi1", "loihi2")
        },
        "finding": told,
        "rules": sorted({j.rule.text for j in wired.plastic if j.rule}),
        "curve": teaching.curve(course.right, 20),
    }


def main() -> None:
    """Measure, print, write."""
    p = argparse.ArgumentParser(description="Measure features found without labels on MNIST.")
    p.add_argument("--rule", required=True, choices=[*FINDERS, "r-stdp"])
    p.add_argument("--found-by", choices=list(FINDERS), help="of r-stdp's features; stdp by default")
    p.add_argument("--features", type=int, default=200)
    p.add_argument("--find", type=int, default=10000, help="samples of the first stage")
    p.add_argument("--limit", type=int, help="only the first training samples")
    p.add_argument("--epochs", type=int, default=1)
    p.add_argument("--seeds", type=int, default=1)
    p.add_argument("--anneal", action="store_true", help="halve the output's learning rate twice")
    p.add_argument("--validate", action="store_true", help="never open the test set, write nothing")
    o = p.parse_args()
    o.found_by = o.found_by or ("stdp" if o.rule == "r-stdp" else o.rule)
    data = split(validate=o.validate, limit=o.limit)
    runs = [once(o, seed, data) for seed in range(o.seeds)]
    mean, random = (float(np.mean([r[k] for r in runs])) for k in ("accuracy", "random_encoder"))
    print(f"{o.rule}: {100 * mean:.2f} %; random encoder {100 * random:.2f} %")
    if o.validate:
        return
    numbers = {"mechanism": "neuron-trace", **dataclasses.asdict(FINDERS[o.found_by][1])}
    found = {
        "command": "python tools/bench_features.py " + shlex.join(sys.argv[1:]),
        "rule": o.rule, "tier": "C", "control": "none", "data": "mnist",
        "judged_by": "test set, once per seed and encoder", "samples": len(data[0]), "epochs": o.epochs,
        "sizes": [784, o.features, 10], "numbers": numbers, "host": STAGES + ANNEALED * o.anneal,
        "found_by": o.found_by,
        "mean": mean, "spread": float(np.std([r["accuracy"] for r in runs])), "random_encoder": random,
        "runs": runs,
    }  # fmt: skip
    path = RESULTS / f"{o.rule}-C-{o.features}.json"
    path.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
