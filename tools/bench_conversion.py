"""Measure conversion: what spikes lose on the chip's emulator, and what plain balancing and other tools lose.

    python tools/bench_conversion.py                                       all our models with data here
    python tools/bench_conversion.py --models cifar_cnn --steps 64         some models, steps, or balancings
    python tools/bench_conversion.py --only peers --spikingjelly PYTHON    that tool, in its own environment
    python tools/bench_conversion.py --model other.keras --data D.npz      another model; a .zip of images too

Part `emulator` converts with the defaults and three seeds, which draw the calibration samples, for runs of
16, 32, 64 and 128 steps, and runs all test samples in the chip's integers: accuracy, spikes and synaptic
operations per sample. Beside it stands plain percentile balancing (Rueckauer et al. 2017): thresholds from
the 99.9th percentile of training activations, nothing else. Part `peers` compares floats: ours, the Converter
of nengo-dl and ann2snn of spikingjelly on the same weights, training samples and steps, over the first test
samples.

Part `spikes`, on demand, looks for the fewest spikes that keep the source's accuracy but for
0.2 points: for ours and for plain percentiles, over rates and numbers of steps, on training samples that did
not balance it. What is found then sees the test samples.

Part `tune`, on demand, tunes the conversion on training samples first. Part `rounding`, on demand, gives
weights fewer bits, to the nearest code and adaptively.

Nothing is chosen on test samples, and each setting sees them once. Every row goes to
tools/results/bench_conversion.json as soon as it is measured, beside other rows, those of runs at the same
time too; what was measured on another model of that name, or on other samples, it replaces.
"""

import argparse
import contextlib
import functools
import io
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tools")]

from data_folder import find  # noqa: E402

RESULTS = ROOT / "tools" / "results" / "bench_conversion.json"
OURS = (
    "digits_mlp", "digits_cnn", "digits_resnet", "digits_mobilenet", "mnist_cnn",
    *sorted(path.stem for path in (ROOT / "models").glob("cifar_*.pt2")),
)  # fmt: skip
STEPS = (16, 32, 64, 128)
SEEDS = (0, 1, 2)
PERCENTILE = 99.9
CALIBRATION = 256
ROW = ("steps", "balancing", "weight_bits")
"""What tells the rows of a part from each other."""
TOLERANCE = 0.2
"""Points of accuracy on held-out training samples that the fewest spikes may cost."""
RATES, RUNS, HELD_OUT = (1.0, 0.5), (8, 10, 12, 14, 16, 20, 24, 32, 48, 64, 96, 128), 2000
"""What part `spikes` tries, and training samples it measures on."""
ROUNDING_BITS, ROUNDING_STEPS = (8, 6, 4, 3), 32
TUNING = {"samples": 20_000, "epochs": 3, "learning_rate": 3e-4}


# --- models and data ----------------------------------------------------------------------------------------


def cases(args):
    """Yield (name, graph, data, divisor) of everything that was asked for and is there."""
    import neurodeploy as nd
    from neurodeploy.demo_data import digits

    if args.model:
        if not args.data:
            sys.exit("--model takes --data too: x_train, y_train, x_test, y_test")
        graph = nd.load(args.model)
        yield args.model.stem, graph, mixed(read(args.data), graph), args.divide_by
        return
    split = digits()
    embedded = {k: getattr(split, k) for k in ("x_train", "y_train", "x_test", "y_test")}
    files = {"mnist": args.mnist or find("mnist.npz"), "cifar": args.data or find("cifar10_jpeg.zip")}
    for name in args.models or OURS:
        graph, kind = nd.load(next((ROOT / "models").glob(f"{name}.[kp]*"))), name.split("_")[0]
        if kind == "digits":
            yield name, graph, embedded, 1.0
        elif files[kind] is None:
            print(f"{name} is left out: no data set", file=sys.stderr)
        else:
            data = read(files[kind])
            yield name, graph, data if kind == "mnist" else mixed(data, graph), 255.0


def read(path):
    """Read x_train, y_train, x_test, y_test: an .npz, or a .zip of train/CLASS/N.jpg and test/CLASS/N.jpg."""
    if path.suffix != ".zip":
        with np.load(path) as arrays:
            return {k: arrays[k] for k in ("x_train", "y_train", "x_test", "y_test")}
    from PIL import Image

    data = {}
    with zipfile.ZipFile(path) as archive:
        names = sorted(n for n in archive.namelist() if n.endswith(".jpg"))
        classes = sorted({n.split("/")[1] for n in names})
        for part in ("train", "test"):
            here = [n for n in names if n.startswith(f"{part}/")]
            images = [np.asarray(Image.open(io.BytesIO(archive.read(n))).convert("RGB")) for n in here]
            data[f"x_{part}"] = np.stack(images)
            data[f"y_{part}"] = np.array([classes.index(n.split("/")[1]) for n in here])
    return data


def mixed(data, graph):
    """Return images in the model's layout, all classes among each other, always in the same order."""
    result = {}
    for part in ("train", "test"):
        order = np.random.default_rng(0).permutation(len(data[f"y_{part}"]))
        x, last = data[f"x_{part}"][order], graph.input.op.sample_shape
        moves = x.ndim == 4 and x.shape[1:] != last and (x.shape[3], *x.shape[1:3]) == last
        result[f"x_{part}"] = x.transpose(0, 3, 1, 2) if moves else x
        result[f"y_{part}"] = data[f"y_{part}"][order]
    return result


# --- on the emulator ----------------------------------------------------------------------------------------


def ours(graph, data, divide_by, steps, seed, **options):
    """Convert with the defaults, but for what is told."""
    import neurodeploy as nd

    told = {"steps": steps, "seed": seed, **options}
    return nd.convert(graph, calibration=data["x_train"], divide_by=divide_by, **told)


def plain(graph, data, divide_by, steps, seed, neuron="if", rate=1.0):
    """Balance by percentiles alone: weights scaled so that the percentile of each layer is a rate."""
    from neurodeploy.conversion import fold, surgery
    from neurodeploy.conversion.skeleton import with_encoder, with_neurons
    from neurodeploy.ir import ops
    from neurodeploy.ir.evaluate import evaluate
    from neurodeploy.ir.graph import Node
    from neurodeploy.scaleout.job import entering

    chosen = np.random.default_rng(seed).choice(len(data["x_train"]), CALIBRATION, replace=False)
    folded = fold(graph)
    x = entering(folded, data["x_train"][chosen], divide_by)
    top = {}
    evaluate(folded, x, watch=lambda name, v: top.update({name: float(np.percentile(v, PERCENTILE)) / rate}))
    scaled = folded
    for node in folded:
        if isinstance(node.op, ops.ReLU):
            ones = np.ones((1,) * len(folded.shapes[node.name]))
            before = Node(f"{node.name}.divided", ops.Scale(ones / top[node.name]))
            behind = Node(f"{node.name}.times", ops.Scale(ones * top[node.name]))
            scaled = surgery.insert_before(scaled, node.name, before)
            scaled = surgery.insert_after(scaled, node.name, behind)
    encoded = with_encoder(scaled, x)
    encoder = next(n for n in encoded.neurons)
    unit = np.full((1,) * len(encoded.shapes[encoder.name]), encoder.unit)
    encoded = surgery.insert_after(encoded, encoder.name, Node("encoder.unit", ops.Scale(unit)))
    spiking = fold(with_neurons(encoded, neuron, "membrane"))
    spiking = spiking.with_meta(steps=steps, divide_by=divide_by, seed=seed)
    return with_readout_range(spiking, x[:64], steps)


def with_readout_range(graph, x, steps):
    """Note how far the read-out goes on training samples, which sets its integer range."""
    from neurodeploy.ir.simulate import simulate

    last, peak = graph.sources(graph.output.name)[0], {"drive": 0.0, "membrane": 0.0}

    def watch(t, name, drive, out):
        if name == last:
            peak["drive"] = max(peak["drive"], float(np.abs(drive).max()))
            peak["membrane"] = max(peak["membrane"], float(np.abs(out).max()))

    simulate(graph, x, steps=steps, watch=watch)
    notes = {**graph[last].notes, "peak_drive": peak["drive"], "peak_membrane": peak["membrane"]}
    return graph.with_node(last, notes=notes)


BALANCINGS = {
    "neurodeploy": ours,
    "plain percentile": plain,
    "percentile by subtraction": functools.partial(plain, neuron="if-soft"),
}
"""The plain one with Loihi's reset to zero, and with the reset of Rueckauer et al."""


def source_accuracy(graph, data, divide_by):
    """Return the accuracy of the model in floats, in per cent of all test samples."""
    import neurodeploy as nd

    recording = nd.run(graph, data["x_test"], backend="rate", divide_by=divide_by)
    return 100 * recording.accuracy(data["y_test"])


def on_emulator(graph, data, divide_by, steps, make, seeds, target):
    """Run one conversion over all test samples; yield what is measured after every seed."""
    import neurodeploy as nd

    rows = []
    for seed in seeds:
        began = time.perf_counter()
        program = nd.compile(make(graph, data, divide_by, steps, seed), target).raise_for_errors()
        took = time.perf_counter() - began
        recording = nd.run(program, data["x_test"])
        rows.append({
            "seed": seed, "accuracy": 100 * recording.accuracy(data["y_test"]),
            "spikes": recording.spikes_per_sample, "synops": recording.synops_per_sample,
            "cores": len(set(program.cores)), "conversion_seconds": took,
        })  # fmt: skip
        yield tuple(rows)


def emulator_part(name, graph, data, divide_by, args):
    """Yield all rows of one model."""
    if args.limit:
        data = data | {k: data[k][: args.limit] for k in ("x_test", "y_test")}
    source = source_accuracy(graph, data, divide_by)
    head = {"source_accuracy": source, "test_samples": len(data["x_test"])}
    head |= {"part_of_the_samples": args.limit is not None, "target": args.target}
    for steps in args.steps:
        for balancing in args.balancings or BALANCINGS:
            make = BALANCINGS[balancing]
            for rows in on_emulator(graph, data, divide_by, steps, make, args.seeds, args.target):
                mean = {k: statistics.mean(r[k] for r in rows) for k in ("accuracy", "spikes", "synops")}
                entry = {"balancing": balancing, "steps": steps, "lost_points": source - mean["accuracy"]}
                yield {**head, "runs": [{**entry, **mean, "seeds": rows}]}
            print(
                f"{name:12s} {balancing:25s} T={steps:<4d} {mean['accuracy']:6.2f} % "
                f"({source - mean['accuracy']:+.2f} lost), {mean['spikes']:,.0f} spikes, "
                f"{mean['synops']:,.0f} synops per sample",
                flush=True,
            )


ECONOMIES = {
    "neurodeploy": (ours, [{"rate": r, "balancing": b} for b in ("percentile", "local") for r in RATES]),
    "plain percentile": (plain, [{"rate": r} for r in RATES]),
    "percentile by subtraction": (BALANCINGS["percentile by subtraction"], [{"rate": r} for r in RATES]),
}
"""What is converted, and the settings that it is tried with, each in ever longer runs."""


def spikes_part(name, graph, data, divide_by, args):
    """Yield the fewest spikes that keep the accuracy, by how thresholds are found."""
    if args.limit:
        data = data | {k: data[k][: args.limit] for k in ("x_test", "y_test")}
    source = source_accuracy(graph, data, divide_by)
    head = {"source_accuracy": source, "test_samples": len(data["x_test"]), "tolerance": TOLERANCE}
    for balancing in args.balancings or ECONOMIES:
        rows = [thriftiest(graph, data, divide_by, *ECONOMIES[balancing], seed) for seed in args.seeds]
        yield {**head, "runs": [{"balancing": balancing, "seeds": rows}]}
        for row in rows:
            told = [f"{key} {value}" for key, value in row.items()]
            print(f"{name:12s} {balancing:25s} {', '.join(told)}", flush=True)


def thriftiest(graph, data, divide_by, make, settings, seed):
    """Choose settings and steps on training samples, and run the choice over all test samples."""
    import neurodeploy as nd
    from neurodeploy.accuracy.search import split

    balance, _ = split(len(data["x_train"]), seed)
    rest = np.setdiff1d(np.arange(len(data["x_train"])), balance)
    measure = np.random.default_rng(seed).permutation(rest)[:HELD_OUT]
    held_out = {f"{k}_test": data[f"{k}_train"][measure] for k in "xy"}
    goal = source_accuracy(graph, held_out, divide_by) - TOLERANCE
    found, tried = None, []
    for setting in settings:
        for steps in RUNS:
            given = data | {"x_train": data["x_train"][balance]}
            program = nd.compile(make(graph, given, divide_by, steps, seed, **setting)).raise_for_errors()
            got = nd.run(program, held_out["x_test"])
            accuracy, spikes = 100 * got.accuracy(held_out["y_test"]), got.spikes_per_sample
            tried.append({**setting, "steps": steps, "accuracy": accuracy, "spikes": spikes})
            if found is not None and spikes >= found["spikes"]:
                break  # longer runs have no fewer
            if accuracy >= goal:
                found = {**tried[-1], "program": program}
                break
    row = {"seed": seed, "held_out": len(measure), "goal": goal, "tried": len(tried)}
    if found is None:
        return row
    got = nd.run(found.pop("program"), data["x_test"])
    row |= {k: v for k, v in found.items() if k not in ("accuracy", "spikes")}
    row["accuracy"] = 100 * got.accuracy(data["y_test"])
    return {**row, "spikes": got.spikes_per_sample, "synops": got.synops_per_sample}


def tune_part(name, graph, data, divide_by, args):
    """Tune the conversion of one seed on training samples, and run it over all test samples."""
    import neurodeploy as nd

    for steps in args.steps:
        spiking = ours(graph, data, divide_by, steps, SEEDS[0])
        x, y = (data[f"{k}_train"][: TUNING["samples"]] for k in "xy")
        tuned = nd.tune(spiking, x, y, epochs=TUNING["epochs"], learning_rate=TUNING["learning_rate"])
        recording = nd.run(tuned.graph, data["x_test"])
        row = {
            "steps": steps, "accuracy": 100 * recording.accuracy(data["y_test"]),
            "spikes": recording.spikes_per_sample, "synops": recording.synops_per_sample, "epoch": tuned.best,
            "held_out": [[e.number, 100 * e.accuracy, e.spikes] for e in tuned.epochs],
        }  # fmt: skip
        yield {"seed": SEEDS[0], **TUNING, "runs": [row]}
        print(f"{name:12s} tuned T={steps:<4d} {row['accuracy']:6.2f} %, epoch {tuned.best}", flush=True)


def rounding_part(name, graph, data, divide_by, args):
    """Run weights of few bits, to the nearest code and adaptively."""
    import neurodeploy as nd

    x, y = (data[f"{k}_test"][: args.limit] for k in "xy")
    head = {"steps": ROUNDING_STEPS, "test_samples": len(x)}
    for bits in ROUNDING_BITS:
        rows = []
        for seed in args.seeds:
            spiking = ours(graph, data, divide_by, ROUNDING_STEPS, seed)
            adapted = nd.adapt_rounding(spiking, data["x_train"], weight_bits=bits, seed=seed)
            pair = {"nearest": spiking.with_meta(weight_bits=bits), "adaptive": adapted}
            rows.append({"seed": seed, **{k: 100 * nd.run(g, x).accuracy(y) for k, g in pair.items()}})
        mean = {k: statistics.mean(r[k] for r in rows) for k in ("nearest", "adaptive")}
        yield {**head, "runs": [{"weight_bits": bits, **mean, "seeds": rows}]}
        print(f"{name:12s} {bits} bits: {mean['nearest']:.2f} % nearest, {mean['adaptive']:.2f} % adaptive")


# --- beside other tools, in floats --------------------------------------------------------------------------


def peers_part(name, graph, data, divide_by, args):
    """Compare floats on the same weights, training samples, test samples and steps."""
    from neurodeploy.conversion import fold
    from neurodeploy.scaleout.job import entering

    folded = fold(graph)
    head = {"test_samples": len(data["x_test"][: args.peer_samples])}
    for measure in (ours_in_floats, toolbox_style):
        tools = measure(graph, data, divide_by, args)
        yield {**head, "tools": tools}
        say(name, tools)
    try:
        layers, arrays = as_chain(folded)
    except ValueError as why:
        yield {**head, "tools": {}, "skipped": str(why)}
        return
    chosen = np.random.default_rng(SEEDS[0]).choice(len(data["x_train"]), CALIBRATION, replace=False)
    arrays |= {
        "x_calibration": entering(folded, data["x_train"][chosen], divide_by).astype(np.float32),
        "y_calibration": data["y_train"][chosen],
        "x_test": entering(folded, data["x_test"][: args.peer_samples], divide_by).astype(np.float32),
        "y_test": data["y_test"][: args.peer_samples],
    }
    pythons = {"nengo-dl": args.nengo_dl, "spikingjelly": args.spikingjelly}
    with tempfile.TemporaryDirectory() as folder:
        np.savez(Path(folder, "model.npz"), layers=json.dumps(layers), **arrays)
        for tool, python in pythons.items():
            if python:
                tools = ask(tool, python, Path(folder, "model.npz"), args.steps)
                yield {**head, "tools": tools}
                say(name, tools)


def say(name, tools):
    """Print what tools keep."""
    for tool, rows in tools.items():
        told = ", ".join(f"T={r['steps']} {r['accuracy']:.2f} %" for r in rows["runs"])
        print(f"{name:12s} {tool:40s} {told}", flush=True)


def ours_in_floats(graph, data, divide_by, args):
    """Run our conversion in floats."""
    from neurodeploy.ir.simulate import simulate
    from neurodeploy.scaleout.job import entering

    runs = []
    for steps in args.steps:
        spiking = ours(graph, data, divide_by, steps, SEEDS[0])
        x = entering(spiking, data["x_test"][: args.peer_samples], None)
        parts = [simulate(spiking, x[i : i + 64], steps=steps) for i in range(0, len(x), 64)]
        right = np.concatenate([p.predictions for p in parts]) == data["y_test"][: len(x)]
        spikes = np.concatenate([sum(p.spikes.values()) for p in parts])
        runs.append({"steps": steps, "accuracy": 100 * right.mean(), "spikes": float(spikes.mean())})
    return {"neurodeploy": {"setting": "defaults", "runs": runs}}


def toolbox_style(graph, data, divide_by, args):
    """Run what snn_toolbox does by default: percentiles of what is active, reset by subtraction, no delays.

    Samples enter as a constant current, every layer spikes in the step in which it is reached, and the sum of
    the last layer's input is read. Our own words for it; its releases do not run on a current Keras.
    """
    from neurodeploy.conversion import fold
    from neurodeploy.ir import ops
    from neurodeploy.ir.evaluate import apply, evaluate
    from neurodeploy.scaleout.job import entering

    folded, top = fold(graph), {}
    chosen = np.random.default_rng(SEEDS[0]).choice(len(data["x_train"]), CALIBRATION, replace=False)
    spiking = {n.name for n in folded if isinstance(n.op, ops.ReLU)}

    def watch(name, value):
        if name in spiking and (value > 0).any():
            top[name] = float(np.percentile(value[value > 0], PERCENTILE))

    evaluate(folded, entering(folded, data["x_train"][chosen], divide_by), watch=watch)
    x = entering(folded, data["x_test"][: args.peer_samples], divide_by)
    right, spikes = np.zeros(max(args.steps)), np.zeros(max(args.steps))
    for i in range(0, len(x), 200):
        membranes, total = dict.fromkeys(top, 0.0), 0.0
        for t in range(max(args.steps)):
            values = {}
            for node in folded:
                into = sum(values[s] for s in folded.sources(node.name)) if values else x[i : i + 200]
                if node.name not in top:
                    soft = isinstance(node.op, ops.Softmax)
                    values[node.name] = into if soft else apply(node.op, into, dt=folded.dt)
                    continue
                membranes[node.name] = membranes[node.name] + into / top[node.name]
                fired = membranes[node.name] >= 1
                membranes[node.name] = membranes[node.name] - fired
                values[node.name] = fired * top[node.name]
                spikes[t:] += fired.sum()
            total = total + values[folded.output.name]
            choice = total.reshape(len(total), -1).argmax(axis=1)
            right[t] += (choice == data["y_test"][i : i + len(total)]).sum()
    at = np.array(args.steps) - 1
    rows = zip(args.steps, 100 * right[at] / len(x), spikes[at] / len(x), strict=True)
    runs = [{"steps": t, "accuracy": a, "spikes": s} for t, a, s in rows]
    return {"as snn_toolbox, 99.9 %": {"setting": "percentile 99.9, reset by subtraction", "runs": runs}}


def as_chain(folded):
    """Write a folded chain as a list of layers and their arrays; a branch, or another op, is refused."""
    from neurodeploy.ir import ops

    layers, arrays = [], {}
    for i, node in enumerate(folded):
        if len(folded.sources(node.name)) > 1:
            raise ValueError(f"'{node.origin}' takes a sum; only chains are compared")
        op = node.op
        if isinstance(op, ops.Conv2d):
            how = {"stride": op.stride, "padding": op.padding, "dilation": op.dilation, "groups": op.groups}
            layers.append({"kind": "Conv2d", "at": i, **how})
        elif isinstance(op, ops.Affine):
            layers.append({"kind": "Affine", "at": i})
        elif isinstance(op, ops.AvgPool2d):
            layers.append({"kind": "AvgPool2d", "kernel": op.kernel_size, "stride": op.stride})
        elif isinstance(op, ops.ReLU | ops.Flatten):
            layers.append({"kind": op.kind, "shape": folded.shapes[folded.sources(node.name)[0]]})
        elif not isinstance(op, ops.Input | ops.Output | ops.Softmax):
            raise ValueError(f"'{node.origin}' is {op.kind}; it is not compared")
        if isinstance(op, ops.Conv2d | ops.Affine):
            arrays |= {f"weight{i}": op.weight.astype(np.float32), f"bias{i}": op.bias.astype(np.float32)}
    return layers, arrays


def ask(tool, python, model, steps):
    """Run this script in another environment."""
    command = [python, __file__, "--worker", tool, "--file", model, "--steps", ",".join(map(str, steps))]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{tool} failed in {python}:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def torch_model(layers, arrays):
    """Build the chain in PyTorch."""
    import torch

    made = []
    for layer in layers:
        if layer["kind"] in ("Conv2d", "Affine"):
            weight, bias = (torch.tensor(arrays[f"{k}{layer['at']}"]) for k in ("weight", "bias"))
            if layer["kind"] == "Affine":
                made.append(torch.nn.Linear(*weight.shape[::-1]))
            else:
                how = {k: layer[k] for k in ("stride", "padding", "dilation", "groups")}
                channels = weight.shape[1] * how["groups"]
                made.append(torch.nn.Conv2d(channels, len(weight), weight.shape[2:], **how))
            made[-1].weight.data, made[-1].bias.data = weight, bias
        elif layer["kind"] == "AvgPool2d":
            made.append(torch.nn.AvgPool2d(layer["kernel"], layer["stride"]))
        else:
            made.append(torch.nn.ReLU() if layer["kind"] == "ReLU" else torch.nn.Flatten())
    return torch.nn.Sequential(*made).eval()


def with_spikingjelly(layers, arrays, steps):
    """Convert with ann2snn, by the recipes its documentation offers for such networks."""
    from importlib.metadata import version

    import torch
    from spikingjelly.activation_based import ann2snn

    x, y = (torch.tensor(arrays[f"{k}_calibration"]) for k in "xy")
    calibration = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(x, y), batch_size=CALIBRATION)
    often = [(a, b) for _ in range(20) for a, b in zip(x.split(32), y.split(32), strict=True)]  # it iterates
    rate, half = ann2snn.RateCodingRecipe, {"channel_wise": True, "half_threshold": True}
    recipes = {
        "99.9 %": rate(calibration, mode="99.9%"),
        "99.9 % per channel, half threshold": rate(calibration, mode="99.9%", **half),
        "local threshold balancing": ann2snn.LocalThresholdBalancingRecipe(often),
    }
    result = {}
    for name, recipe in recipes.items():
        network = ann2snn.Converter(recipe).convert(torch_model(layers, arrays)).eval()
        runs = in_steps(network, torch.tensor(arrays["x_test"]), arrays["y_test"], steps)
        found = {"setting": name, "version": version("spikingjelly"), "runs": runs}
        result[f"spikingjelly, {name}"] = found
    return result


def in_steps(network, x, y, steps):
    """Run a network of spikingjelly; what it decides after each of the numbers of steps, and its spikes."""
    import torch
    from spikingjelly.activation_based import functional, neuron

    counted = []
    for module in network.modules():
        if isinstance(module, neuron.BaseNode):
            module.register_forward_hook(lambda m, i, o: counted.append(float((o != 0).sum())))
    right, spikes = np.zeros(max(steps)), np.zeros(max(steps))
    with torch.no_grad():
        for i in range(0, len(x), 500):
            functional.reset_net(network)
            total = 0
            for t in range(max(steps)):
                counted.clear()
                total = total + network(x[i : i + 500])
                spikes[t:] += sum(counted)
                right[t] += (total.argmax(1).numpy() == y[i : i + 500]).sum()
    rows = zip(steps, right[np.array(steps) - 1], spikes[np.array(steps) - 1], strict=True)
    return [{"steps": t, "accuracy": 100 * r / len(x), "spikes": s / len(x)} for t, r, s in rows]


def keras_model(layers, arrays, keras, shape):
    """Build the chain in Keras, channels last."""
    here = inputs = keras.Input(shape)
    before = None
    for layer in layers:
        weights = [arrays[f"{k}{layer['at']}"] for k in ("weight", "bias")] if "at" in layer else None
        if layer["kind"] == "Affine":
            weight, bias = weights
            if before:  # behind Flatten: from channels first to channels last
                weight = weight.reshape(len(weight), *before).transpose(0, 2, 3, 1).reshape(len(weight), -1)
            here = keras.layers.Dense(len(weight), weights=[weight.T, bias])(here)
        elif layer["kind"] == "Conv2d":
            weight, bias = weights
            if any(layer["padding"]):
                here = keras.layers.ZeroPadding2D(layer["padding"])(here)
            how = {"strides": layer["stride"], "weights": [weight.transpose(2, 3, 1, 0), bias]}
            here = keras.layers.Conv2D(len(weight), weight.shape[2:], **how)(here)
        elif layer["kind"] == "AvgPool2d":
            here = keras.layers.AveragePooling2D(layer["kernel"], layer["stride"])(here)
        else:
            here = (keras.layers.Flatten() if layer["kind"] == "Flatten" else keras.layers.ReLU())(here)
        before = layer["shape"] if layer["kind"] == "Flatten" else None
    return keras.Model(inputs, here)


def with_nengo_dl(layers, arrays, steps):
    """Convert with nengo-dl's Converter; scale of rates and filter are the best on training samples."""
    from neurodeploy.backends.adapter import nengo_dl_module, nengo_module

    nengo, nengo_dl = nengo_module(), nengo_dl_module()
    import tf_keras as keras

    x = {k: arrays[f"x_{k}"] for k in ("calibration", "test")}
    x = {k: np.moveaxis(v, 1, -1) if v.ndim == 4 else v for k, v in x.items()}
    model = keras_model(layers, arrays, keras, x["test"].shape[1:])
    spikes = nengo.SpikingRectifiedLinear()

    def run(scale, synapse, part, count, t):
        converter = nengo_dl.Converter(
            model, swap_activations={keras.layers.ReLU: spikes, nengo.RectifiedLinear(): spikes},
            scale_firing_rates=scale, synapse=synapse, inference_only=True,
        )  # fmt: skip
        out, batch = converter.outputs[model.output], 50
        right = 0
        with nengo_dl.Simulator(converter.net, minibatch_size=batch, progress_bar=False) as sim:
            for i in range(0, count, batch):
                given = x[part][i : i + batch].reshape(batch, 1, -1)
                got = sim.predict({converter.inputs[model.input]: np.tile(given, (1, t, 1))}, verbose=0)[out]
                choice = (got.mean(axis=1) if synapse is None else got[:, -1]).argmax(axis=1)
                right += int((choice == arrays[f"y_{part}"][i : i + batch]).sum())
        return 100 * right / count

    runs, count = [], len(x["test"]) // 50 * 50
    for t in steps:
        settings = [(scale, synapse) for scale in (500, 250, 100) for synapse in (None, 0.005)]
        scale, synapse = max(settings, key=lambda s: run(*s, "calibration", 50, t))  # of equals, more spikes
        accuracy = run(scale, synapse, "test", count, t)
        runs.append({"steps": t, "accuracy": accuracy, "scale_firing_rates": scale, "synapse": synapse})
    told = "scale_firing_rates and synapse: the best of six on 50 training samples"
    return {"nengo-dl Converter": {"setting": told, "version": nengo_dl.__version__, "runs": runs}}


WORKERS = {"spikingjelly": with_spikingjelly, "nengo-dl": with_nengo_dl}


def work(args):
    """Do one tool's part, in its own environment, and print it as the last line."""
    with np.load(args.file) as stored:
        arrays = {name: stored[name] for name in stored.files}
    print(json.dumps(WORKERS[args.worker](json.loads(str(arrays.pop("layers"))), arrays, args.steps)))


# --- results ------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def alone(folder):
    """Keep others who ask the same out while results are read and written."""
    import fcntl

    held = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield
    finally:
        os.close(held)


def keep(name, part, piece):
    """Put a measured piece into the results, beside what is there by now."""
    from neurodeploy.files import write_beside

    with alone(RESULTS.parent):
        results = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
        results["machine"] = f"{platform.machine()}, Python {platform.python_version()}"
        results["seeds"] = SEEDS
        entry = results.setdefault("models", {}).setdefault(name, {})
        entry[part] = merged(entry.get(part, {}), piece)
        text = json.dumps(results, indent=1) + "\n"
        write_beside(RESULTS, lambda path: path.write_text(text, encoding="utf-8"))


def order(key):
    """Sort rows by steps and balancing; most bits come first."""
    steps, balancing, bits = key
    return steps or 0, balancing or "", -(bits or 0)


def merged(before, piece):
    """Return rows and tools of both; those of before only if they hold for the same model and samples."""
    if any(before.get(k, v) != v for k, v in piece.items() if k not in ("runs", "tools")):
        return piece
    result = {**before, **piece}
    if "tools" in piece:
        result["tools"] = {**before.get("tools", {}), **piece["tools"]}
    if "runs" in piece:
        rows = {tuple(row.get(k) for k in ROW): row for row in (*before.get("runs", ()), *piece["runs"])}
        result["runs"] = [rows[key] for key in sorted(rows, key=order)]
    return result


PARTS = {
    "emulator": emulator_part, "peers": peers_part, "spikes": spikes_part, "tune": tune_part,
    "rounding": rounding_part,
}  # fmt: skip


def names(known):
    """Return what reads a list of known names."""

    def parse(text):
        found = text.split(",")
        if unknown := [name for name in found if name not in known]:
            raise argparse.ArgumentTypeError(f"no {', '.join(unknown)}; there are {', '.join(known)}")
        return found

    return parse


def main():
    """Measure what the command line names, and write it beside what was measured before."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("--models", type=names(OURS), help="some of ours, with commas between them")
    parser.add_argument(
        "--target", default="loihi1", help="of part emulator, for what takes more than a chip"
    )
    parser.add_argument("--balancings", type=names(BALANCINGS), help="some of part emulator")
    parser.add_argument("--mnist", type=Path, help="mnist.npz of Keras, if NEURODEPLOY_DATA has none")
    parser.add_argument("--model", type=Path, help="another trained model, in place of ours")
    parser.add_argument("--data", type=Path, help="its samples: .npz, or a .zip of images in class folders")
    parser.add_argument("--divide-by", type=float, default=255.0, help="what its samples are divided by")
    parser.add_argument("--only", choices=PARTS)
    parser.add_argument("--steps", type=lambda text: tuple(map(int, text.split(","))), default=STEPS)
    parser.add_argument(
        "--limit", type=int, help="test samples of parts emulator and rounding; all by default"
    )
    parser.add_argument("--seeds", type=lambda text: tuple(map(int, text.split(","))), default=SEEDS)
    parser.add_argument("--peer-samples", type=int, default=2000, help="test samples of part peers")
    parser.add_argument("--spikingjelly", help="Python of an environment with torch and spikingjelly")
    parser.add_argument("--nengo-dl", help="Python of an environment with TensorFlow and nengo-dl")
    parser.add_argument("--worker", choices=WORKERS, help=argparse.SUPPRESS)
    parser.add_argument("--file", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.worker:
        work(args)
        return
    for name, graph, data, divide_by in cases(args):
        for part, make in PARTS.items():
            if args.only == part or (args.only is None and part in ("emulator", "peers")):
                for piece in make(name, graph, data, divide_by, args):
                    keep(name, part, {"model": graph.digest()[:16], **piece})
    print(f"wrote {RESULTS.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
