"""Measure the compiler: cores against their lower bound, traffic, time and memory; nengo-loihi beside it.

    python tools/bench_compiler.py                 everything, results to tools/results/
    python tools/bench_compiler.py --only cores    one part: cores, exact, scale or nengo

Part `cores` compiles 20 networks and puts the cores they take next to a lower bound: the larger of what the
scarcest resource asks for and the number of blocks of which no two fit on one core. Part `exact` asks an
integer program (HiGHS, through SciPy) whether the same blocks fit fewer cores. Part `scale` compiles
10 million synapses. Part `nengo` builds 4 million synapses with nengo-loihi, cut by hand into the blocks that
ours found, and compiles the same network, in turns.
"""

import argparse
import dataclasses
import json
import platform
import resource
import statistics
import subprocess
import sys
import time
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from neurodeploy.compiler import compile, maps, packing, traffic  # noqa: E402
from neurodeploy.ir import ops  # noqa: E402
from neurodeploy.ir.graph import Graph, Node  # noqa: E402

RESULTS = ROOT / "tools" / "results" / "bench_compiler.json"
DT = 1e-3


# --- networks -----------------------------------------------------------------------------------------------


def network(shape, layers, name):
    """Make a spiking network with random weights: numbers are dense layers, tuples convolutions and pools."""
    rng = np.random.default_rng(0)
    spike = ops.IF(np.array(1 / DT), np.ones(()))
    encoder = ops.IF(np.array(1 / DT), np.ones(()), reset="subtract")
    nodes = [Node("input", ops.Input(shape)), Node("encoder", encoder, notes={"role": "encoder"})]
    here = shape
    for i, layer in enumerate(layers):
        op = make(rng, layer, here)
        if isinstance(op, ops.Affine) and len(here) > 1:
            nodes.append(Node(f"flat{i}", ops.Flatten()))
            here = (int(np.prod(here)),)
        nodes.append(Node(f"l{i}", op))
        here = op.out_shape(here)
        if not isinstance(op, ops.AvgPool2d):
            last = i == len(layers) - 1
            note = {"peak_drive": 1.0} if last else {"rate_mean": 0.1}
            nodes.append(Node(f"n{i}", ops.I(np.array(1 / DT)) if last else spike, notes=note))
    nodes.append(Node("output", ops.Output(here)))
    edges = tuple(pairwise(node.name for node in nodes))
    return Graph(tuple(nodes), edges, DT, name, {"steps": 100})


def make(rng, layer, here):
    """Make the op of one entry: N, ("conv", channels, kernel, stride, padding, groups) or ("pool", size)."""
    if isinstance(layer, int):
        size = int(np.prod(here))
        return ops.Affine(rng.normal(size=(layer, size)) * size**-0.5, np.zeros(layer))
    if layer[0] == "pool":
        return ops.AvgPool2d((layer[1],) * 2, (layer[1],) * 2)
    _, channels, kernel, stride, padding, groups = (*layer, *(1, 1, 0, 1)[len(layer) - 2 :])
    weight = rng.normal(size=(channels, here[0] // groups, kernel, kernel)) / kernel
    return ops.Conv2d(weight, np.zeros(channels), (stride,) * 2, (padding,) * 2, groups=groups)


def conv(channels, kernel=3, stride=1, padding=1, groups=1):
    """Name a convolution."""
    return ("conv", channels, kernel, stride, padding, groups)


POOL = ("pool", 2)
NETWORKS = {
    "8x8 mlp": ((64,), [64, 32, 10]),
    "8x8 cnn": ((1, 8, 8), [conv(16), conv(32), POOL, 10]),
    "28x28 mlp": ((784,), [256, 128, 10]),
    "28x28 cnn": ((1, 28, 28), [conv(16, 3, 2), conv(32, 3, 2), conv(64, 3, 2, 0), 10]),
    "784-800-10": ((784,), [800, 10]),
    "784-900-900-10": ((784,), [900, 900, 10]),
    "784-1024-512-10": ((784,), [1024, 512, 10]),
    "two chips": ((3, 64, 64), [conv(24), conv(48, 3, 2), POOL, conv(64), POOL, 10]),
    "784-2048-1024-512-10": ((784,), [2048, 1024, 512, 10]),
    "256-256-256-256-256-10": ((256,), [256, 256, 256, 256, 10]),
    "28x28 cnn, pooled": ((1, 28, 28), [conv(16), POOL, conv(32), POOL, 128, 10]),
    "lenet": ((1, 28, 28), [conv(6, 5, 1, 2), POOL, conv(16, 5, 1, 0), POOL, 120, 84, 10]),
    "cifar small": ((3, 32, 32), [conv(16), POOL, conv(32), POOL, conv(64), POOL, 10]),
    "cifar wide": ((3, 32, 32), [conv(32), conv(64, 3, 2), conv(64), POOL, conv(128), POOL, 128, 10]),
    "cifar strided": ((3, 32, 32), [conv(32, 3, 2), conv(64, 3, 2), conv(128, 3, 2), 10]),
    "depthwise": ((3, 32, 32), [conv(32, 3, 2), conv(32, 3, 1, 1, 32), conv(64, 1, 1, 0), POOL, 10]),
    "keywords": ((1, 49, 10), [conv(64, 4, 2, 1), conv(64), conv(64), ("pool", 4), 12]),
    "gestures": ((2, 32, 32), [conv(8, 5, 2, 2), conv(16, 3, 2), conv(32, 3, 2), 64, 11]),
    "autoencoder": ((784,), [256, 64, 16, 64, 256, 784]),
    "wide and shallow": ((200,), [4000, 10]),
}

BOARDS = {"two chips": "kapoho-bay"}
"""Targets of the networks that one chip does not hold."""


# --- parts --------------------------------------------------------------------------------------------------


def cores():
    """Compile every network and compare."""
    rows = {}
    for name, (shape, layers) in NETWORKS.items():
        graph = network(shape, layers, name)
        start = time.perf_counter()
        program = compile(graph, BOARDS.get(name, "loihi1"))
        seconds = time.perf_counter() - start
        in_order = dataclasses.replace(program, cores=tuple(range(len(program.blocks))))
        used, bound = len(set(program.cores)), packing.lower_bound(program)
        rows[name] = {
            "neurons": sum(p.size for p in program.populations if p.on_chip),
            "synapses": sum(maps.synapse_count(p.map) for p in program.projections),
            "blocks": len(program.blocks),
            "cores": used,
            "lower_bound": bound,
            "over_bound": round(used / bound - 1, 3),
            "errors": sorted({d.code for d in program.errors}),
            "spikes_per_step_in_order": {k: round(v, 1) for k, v in traffic.by_distance(in_order).items()},
            "spikes_per_step_placed": {k: round(v, 1) for k, v in traffic.by_distance(program).items()},
            "seconds": round(seconds, 3),
        }
        print(f"{name:24s} {used:4d} cores, bound {bound:4d} ({used / bound - 1:+.1%}), {seconds:.2f} s")
    return rows


def exact(seconds):
    """Ask an exact solver to pack the blocks of every network onto one core less than the heuristic takes."""
    rows = {}
    for name, (shape, layers) in NETWORKS.items():
        program = compile(network(shape, layers, name), BOARDS.get(name, "loihi1"))
        used, start = len(set(program.cores)), time.perf_counter()
        verdict = fewer_cores(program, used - 1, seconds)
        took = time.perf_counter() - start
        start = time.perf_counter()
        packing.pack(program)
        rows[name] = {
            "blocks": len(program.blocks),
            "cores": used,
            "one_core_less": verdict,
            "by_bound": used - 1 < packing.lower_bound(program),
            "solver_seconds": round(took, 2),
            "heuristic_seconds": round(time.perf_counter() - start, 3),
        }
        print(f"{name:24s} {used:4d} cores; one less: {verdict} ({took:.1f} s)")
    verdicts = [row["one_core_less"] for row in rows.values()]
    return {
        "seconds_each": seconds,
        "verdicts": {v: verdicts.count(v) for v in ("impossible", "possible", "open")},
        "networks": rows,
    }


def fewer_cores(program, cores, seconds):
    """Say whether the blocks of a program fit so many cores: ``impossible``, ``possible``, or ``open``.

    Notes
    -----
    Binary variables: block i lies on core c; core c holds element e of a set (profiles, thresholds, formats).
    Every block lies once, the shares of a core add up to 1 at most, elements to the room there is, blocks
    of unlike registers exclude each other. Large blocks that exclude each other are laid down first, which
    breaks the symmetry of cores.
    """
    from scipy import sparse
    from scipy.optimize import Bounds, LinearConstraint, milp

    if cores < packing.lower_bound(program):
        return "impossible"
    found, room = packing.items(program)
    matrix, bounds = one_core(found, room)
    n, width = len(found), matrix.shape[1]
    on_cores = LinearConstraint(sparse.kron(sparse.identity(cores), matrix), ub=np.tile(bounds, cores))
    once = sparse.hstack([sparse.identity(n), sparse.csr_array((n, width - n))])
    placed = LinearConstraint(sparse.kron(np.ones((1, cores)), once), lb=1, ub=1)
    low = np.zeros(width * cores)
    low[[core * width + block for core, block in enumerate(apart(found)[:cores])]] = 1
    result = milp(
        np.zeros(width * cores), integrality=np.ones(width * cores), bounds=Bounds(low, 1),
        constraints=[on_cores, placed], options={"time_limit": seconds},
    )  # fmt: skip
    return {0: "possible", 2: "impossible"}.get(result.status, "open")


def one_core(found, room):
    """Write what one core holds as rows over its blocks and elements: a sparse matrix and upper bounds."""
    from scipy import sparse

    pairs = {(k, e) for item in found for k, kinds in enumerate(item.sets) for e in kinds}
    column = {pair: len(found) + number for number, pair in enumerate(sorted(pairs, key=repr))}
    rows = [
        ({i: item.share[k] for i, item in enumerate(found)}, 1 + 1e-9) for k in range(len(found[0].share))
    ]
    for k, limit in enumerate(room):
        if np.isfinite(limit):
            rows.append(({at: 1 for pair, at in column.items() if pair[0] == k}, limit))
    for i, item in enumerate(found):
        rows += [({i: 1, column[k, e]: -1}, 0) for k, kinds in enumerate(item.sets) for e in kinds]
        rows += [({i: 1, j: 1}, 1) for j in range(i) if found[j].registers != item.registers]
    row = np.repeat(np.arange(len(rows)), [len(entries) for entries, _ in rows])
    at = [c for entries, _ in rows for c in entries]
    value = [v for entries, _ in rows for v in entries.values()]
    shape = (len(rows), len(found) + len(column))
    return sparse.csr_array((value, (row, at)), shape=shape), np.array([bound for _, bound in rows])


def apart(found):
    """Name blocks of which no two fit on one core, the largest first."""
    chosen = []
    for i in sorted(range(len(found)), key=lambda i: -found[i].share.max()):
        if all((found[i].share + found[j].share).max() > 1 + 1e-9 for j in chosen):
            chosen.append(i)
    return chosen


def scale():
    """Compile 10 million synapses in a process of its own, for its memory."""
    code = """
import json, resource, sys, time
sys.path[:0] = [sys.argv[1], sys.argv[1] + "/tools"]
import bench_compiler as bench
graph = bench.network((784,), [4096, 1700, 10], "ten million")
start = time.perf_counter()
program = bench.compile(graph)
print(json.dumps({
    "synapses": sum(p.map.weight.size for p in program.projections),
    "cores": len(set(program.cores)),
    "seconds": round(time.perf_counter() - start, 2),
    "peak_gib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2),
}))
"""
    done = subprocess.run([sys.executable, "-c", code, str(ROOT)], capture_output=True, text=True, check=True)
    row = json.loads(done.stdout)
    print(row)
    return row


def nengo(repeat):
    """Build 4 million synapses with nengo-loihi and with ours, in turns."""
    rows = []
    for _ in range(repeat):
        start = time.perf_counter()
        program = compile(network((1024,), [2048, 1024, 10], "four million"), share_cores=False)
        ours = time.perf_counter() - start
        rows.append((ours, build_with_nengo_loihi(program)))
        print(f"ours {rows[-1][0]:.2f} s, nengo-loihi {rows[-1][1]:.2f} s")
    return {
        "synapses": sum(p.map.weight.size for p in program.projections),
        "ours_seconds": [round(a, 3) for a, _ in rows],
        "nengo_loihi_seconds": [round(b, 3) for _, b in rows],
        "ratio_median": round(statistics.median(a / b for a, b in rows), 4),
    }


def build_with_nengo_loihi(program):
    """Time nengo-loihi's build of the same dense layers, each cut into as many blocks as ours."""
    import warnings

    from neurodeploy.backends.adapter import nengo_loihi_module, nengo_module

    nengo_, loihi = nengo_module(), nengo_loihi_module()
    warnings.simplefilter("ignore")
    with nengo_.Network(seed=0) as net:
        loihi.add_params(net)
        options = {"neuron_type": loihi.LoihiSpikingRectifiedLinear(), "gain": nengo_.dists.Choice([1.0]),
                   "bias": nengo_.dists.Choice([0.0])}  # fmt: skip
        before = nengo_.Ensemble(1024, 1, neuron_type=nengo_.SpikingRectifiedLinear(),
                                 gain=options["gain"], bias=options["bias"])  # fmt: skip
        net.config[before].on_chip = False
        graph = program.graph
        for population in [p for p in program.populations if p.on_chip]:
            after = nengo_.Ensemble(population.size, 1, **options)
            parts = len(program.blocks_of(population.name))
            size = -(-population.size // parts)
            net.config[after].block_shape = loihi.BlockShape((size,), (population.size,))
            weight = graph[graph.sources(population.name)[0]].op.weight
            nengo_.Connection(before.neurons, after.neurons, transform=weight * DT, synapse=None)
            before = after
    start = time.perf_counter()
    loihi.builder.Model(dt=DT).build(net)
    return time.perf_counter() - start


def main():
    """Run the parts that were asked for and write what they gave."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", choices=("cores", "exact", "scale", "nengo"))
    parser.add_argument("--repeat", type=int, default=3, help="turns of part nengo (default %(default)s)")
    parser.add_argument(
        "--seconds", type=float, default=20, help="of part exact, per network (default %(default)s)"
    )
    args = parser.parse_args()
    found = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    found["machine"] = {"python": platform.python_version(), "numpy": version("numpy"),
                        "machine": platform.machine()}  # fmt: skip
    for part, run in (
        ("cores", cores),
        ("exact", lambda: exact(args.seconds)),
        ("scale", scale),
        ("nengo", lambda: nengo(args.repeat)),
    ):
        if args.only in (None, part):
            found[part] = run()
    found["peak_gib_of_this_run"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2)
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
