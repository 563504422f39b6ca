"""Convert nine classes and let the chip learn the tenth from a few examples: what becomes of the nine.

    python tools/continual.py                  scikit-learn's digits
    python tools/continual.py --data mnist     MNIST, where tools/data_folder.py looks

A perceptron is trained in floats on the nine other classes only, converted, and the tenth output goes on
learning in the chip's integers by the delta rule, with errors that its neuron collects (Loihi 2). The nine
others are left as they are: only the new class's error is sent. Each round shows every example of the new
class `--repeat` times, and as many examples of each old class once, so that it learns when to be silent; a
chip would keep those as spike trains. Defaults were chosen on held-out training digits.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import shlex
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
sys.path.insert(0, str(ROOT / "tools"))

from bench_rules import mnist  # noqa: E402

from neurodeploy import stages  # noqa: E402
from neurodeploy.demo_data import digits  # noqa: E402
from neurodeploy.ir import ops  # noqa: E402
from neurodeploy.ir.graph import Graph, Node  # noqa: E402
from neurodeploy.learning import DEEP, deep, rate  # noqa: E402

RESULTS = ROOT / "tools" / "results" / "rules"
COMMON = deep.Setup(mechanism="neuron-trace", input_rate=1024, teach=128, thresholds=(128,))
SETUPS = {
    "digits": dataclasses.replace(COMMON, label_rate=640, exponents=(-6,), dead=(2, 4)),
    "mnist": dataclasses.replace(COMMON, label_rate=512, exponents=(-5,)),
}
"""A higher rate of the new output, and no error for few spikes of it, weigh it against the others."""
ROUNDS = {"digits": 15, "mnist": 10}
HIDDEN = {"digits": 512, "mnist": 200}
HELD_OUT = 5
"""Of the training samples, one in so many judges numbers that are still to be chosen."""


def samples(name, *, validate=False):
    """Return training and test samples, 0 to 1 and flat, with their labels; held-out ones for the test's."""
    if name == "digits":
        d = digits()
        found = d.x_train, d.y_train, d.x_test, d.y_test
    else:
        d = mnist()
        found = d["x_train"] / 255, d["y_train"], d["x_test"] / 255, d["y_test"]
    x, y, x_new, y_new = found
    if validate:
        held = np.random.default_rng(0).permutation(len(x)) % HELD_OUT == 0
        x, y, x_new, y_new = x[~held], y[~held], x[held], y[held]
    return x.reshape(len(x), -1), y.astype(int), x_new.reshape(len(x_new), -1), y_new.astype(int)


def perceptron(x, y, *, hidden, seed, epochs):
    """Train on what is given, in floats, by the gradient; return a rate network of ten outputs."""
    rng, rule = np.random.default_rng(seed), DEEP["backprop"]
    net = rate.network((x.shape[1], hidden, 10), rule, rng=rng)
    for epoch in range(epochs):
        order = rng.permutation(len(x))
        for at in range(0, len(x), 32):
            some = order[at : at + 32]
            net = rate.learn(rule, net, x[some], y[some], rate=0.1 * (1 - epoch / epochs))
    return net


def graph_of(net, name):
    """Write a perceptron down as a graph of rates."""
    nodes = [Node("pixels", ops.Input((net.weights[0].shape[1],)))]
    for at, (w, b) in enumerate(zip(net.weights, net.biases, strict=True)):
        nodes.append(Node(f"fc{at + 1}", ops.Affine(w, b)))
        if at < net.hidden:
            nodes.append(Node(f"fc{at + 1}.relu", ops.ReLU()))
    nodes.append(Node("output", ops.Output((10,))))
    names = [n.name for n in nodes]
    return Graph(tuple(nodes), tuple(pairwise(names)), name=name)


def measured(graph, x, y, new):
    """Return accuracy on the new class, and on the others."""
    found = stages.run(graph, x).predictions == y
    return {"new": float(found[y == new].mean()), "old": float(found[y != new].mean())}


def once(o, seed, data):
    """Learn one class from a few examples; return accuracy before and after."""
    x, y, x_test, y_test = data
    rng = np.random.default_rng(seed)
    old = np.flatnonzero(y != o.new)
    net = perceptron(x[old], y[old], hidden=o.hidden or HIDDEN[o.data], seed=seed, epochs=o.pretrain)
    spiking = stages.convert(graph_of(net, f"{o.data}_nine"), calibration=x[rng.permutation(old)[:256]])
    shown = rng.permutation(np.flatnonzero(y == o.new))[: o.examples]
    kept = [rng.permutation(np.flatnonzero(y == c))[: o.examples] for c in range(10) if c != o.new]
    shown = np.concatenate([*[shown] * o.repeat, *kept])
    told = {k: tuple(v) if isinstance(v, list) else v for k, v in json.loads(o.set).items()}
    before = measured(spiking, x_test, y_test, o.new)
    learned = stages.learn(
        spiking, x[shown], y[shown], rule="delta", target="loihi2", passes=o.rounds, seed=seed,
        setup=dataclasses.replace(SETUPS[o.data], taught=(o.new,), **told),
    )  # fmt: skip
    after = measured(learned, x_test, y_test, o.new)
    return {"seed": seed, "before": before, "after": after, "lost": before["old"] - after["old"]}


def main():
    """Measure, print, write."""
    p = argparse.ArgumentParser(description="Convert nine classes, learn the tenth in the chip's integers.")
    p.add_argument("--data", choices=("digits", "mnist"), default="digits")
    p.add_argument("--new", type=int, default=9, help="class that was never seen")
    p.add_argument("--examples", type=int, default=20)
    p.add_argument("--rounds", type=int, help="15 for digits and 10 for MNIST by default")
    p.add_argument("--repeat", type=int, default=5, help="how often a round shows each new example")
    p.add_argument("--pretrain", type=int, default=20, help="epochs in floats, on nine classes")
    p.add_argument("--hidden", type=int, help="features, frozen; 512 for digits and 200 for MNIST by default")
    p.add_argument("--validate", action="store_true", help="never look at test samples, and write nothing")
    p.add_argument("--set", default="{}", help='numbers of the circuit as JSON: {"teach": 100}')
    p.add_argument("--seeds", type=int, default=3)
    p.add_argument("--out", help="JSON; tools/results/rules/continual-DATA.json by default")
    o = p.parse_args()
    o.rounds = o.rounds or ROUNDS[o.data]
    data = samples(o.data, validate=o.validate)
    runs = [once(o, seed, data) for seed in range(o.seeds)]
    mean = {k: float(np.mean([r["after"][k] for r in runs])) for k in ("new", "old")}
    lost = float(np.mean([r["lost"] for r in runs]))
    print(f"{o.data}: class {o.new} from {o.examples} examples: {100 * mean['new']:.1f} %; the nine others "
          f"{100 * mean['old']:.1f} %, {100 * lost:+.2f} points lost")  # fmt: skip
    if o.validate:
        return
    path = Path(o.out) if o.out else RESULTS / f"continual-{o.data}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    command = " ".join(["python tools/continual.py", shlex.join(sys.argv[1:])]).strip()
    options = {k: v for k, v in vars(o).items() if k != "out"}
    facts = {"command": command, **options, "after": mean, "lost": lost, "runs": runs}
    path.write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
