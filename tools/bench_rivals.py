"""Float simulators of the networks of `tools/bench_emulator.py`, in samples per second and processor second.

Each gives what it does best: PyTorch in place and without gradients, at two batch sizes, sparse and dense
where the weights are sparse; snnTorch's own neurons; nengo-dl's prediction after a first one that compiles.
Refractory periods and the pairs of compartments of the chip are left out, so that they have less to do.
"""

import importlib
import time
import warnings
from importlib.util import find_spec

import numpy as np
from bench_networks import DT, STEPS

import neurodeploy as nd
from neurodeploy.backends.adapter import nengo_module
from neurodeploy.ir import ops
from neurodeploy.numerics.coding import rate_spikes

BATCHES = {
    "dense": (250, 1000),
    "conv": (50, 200),
    "deep": (25, 100),
    "recurrent": (32, 128),
    "PES": (100, 500),
}
"""Samples at once, by the first word of a network's name; the faster counts."""
NENGO_DL_BATCH = 32


def best(run, size, repeat=3):
    """Time some runs of `size` samples after one that does not count; return the best two rates.

    Returns
    -------
    float, float
        Samples per second, and per second of processor time, which other work on the machine cannot change.
    """
    run()
    times = []
    for _ in range(repeat):
        start, used = time.perf_counter(), time.process_time()
        run()
        times.append((time.perf_counter() - start, time.process_time() - used))
        if sum(wall for wall, _ in times) > 8:
            break
    wall, used = (min(column) for column in zip(*times, strict=True))
    return size / wall, size / used


def rivals_of(case, wanted):
    """Time all float simulators that are installed; rates as `best` returns them, by name.

    Parameters
    ----------
    case : Case
    wanted : sequence of str

    Returns
    -------
    dict
        Of pairs of numbers, or of the reason why there are none.
    """
    found = {}
    for name in wanted:
        missing = [m for m in NEEDS[name] if not find_spec(m)]
        if missing:
            found[name] = f"{missing[0]} is not installed"
            continue
        try:
            found[name] = RIVALS[name](case)
        except Exception as trouble:  # one that fails must not cost the others
            found[name] = f"{type(trouble).__name__}: {trouble}"[:200]
    return found


# --- PyTorch ------------------------------------------------------------------------------------------------


def torch_plain(case):
    """Time plain PyTorch: a product, in-place membranes and a threshold per layer and step."""
    return over_batches(case, {"spiking": plain_layers, "weights": plain_recurrent, "size": plain_pes})


def snntorch(case):
    """Time snnTorch: the same products with its neurons."""
    return over_batches(case, {"spiking": snn_layers, "weights": snn_recurrent})


def over_batches(case, makers):
    """Take the best batch size; `makers` go by what the network is described by."""
    torch = importlib.import_module("torch")
    kind = next(k for k in ("spiking", "weights", "size") if k in case.rival)
    if kind not in makers:
        return "has no such learning rule"
    rates, threads = [], torch.get_num_threads()
    try:
        with torch.no_grad():
            for size in BATCHES[case.name.split()[0]]:
                for run in makers[kind](torch, case.rival, size):
                    for count in {threads, 1}:  # one thread wastes no processor time on waiting
                        torch.set_num_threads(count)
                        rates.append(best(run, size))
    finally:
        torch.set_num_threads(threads)
    return tuple(max(column) for column in zip(*rates, strict=True))


def layers_of(torch, spiking):
    """List a spiking network's products as functions of a batch of spikes."""
    for node in spiking.nodes:
        if isinstance(node.op, ops.Affine | ops.Conv2d):
            weight, bias = (torch.from_numpy(a.astype(np.float32)) for a in (node.op.weight, node.op.bias))
            yield node.op, weight, bias


def product(torch, layer, spikes):
    """Weighted sum of a layer's input."""
    op, weight, bias = layer
    if isinstance(op, ops.Conv2d):
        return torch.nn.functional.conv2d(spikes, weight, bias, op.stride, op.padding)
    return torch.nn.functional.linear(spikes.flatten(1), weight, bias)


def train_of(torch, rival, size):
    """Input spikes of a batch, shape (T, B, ...)."""
    rates = np.resize(rival["rates"], (size, rival["rates"].shape[1]))
    shape = rival["spiking"].shapes[rival["spiking"].input.name]
    return torch.from_numpy(rate_spikes(rates, steps=STEPS).astype(np.float32)).reshape(STEPS, size, *shape)


def plain_layers(torch, rival, size):
    """Integrate and fire, reset to zero."""
    layers, train = list(layers_of(torch, rival["spiking"])), train_of(torch, rival, size)

    def run():
        membranes = [None] * len(layers)
        for spikes in train:
            here = spikes
            for i, layer in enumerate(layers):
                drive = product(torch, layer, here)
                membranes[i] = drive if membranes[i] is None else membranes[i].add_(drive)
                if i < len(layers) - 1:
                    fired = membranes[i] > 1
                    membranes[i].masked_fill_(fired, 0)
                    here = fired.float()

    return [run]


def snn_layers(torch, rival, size):
    """As `plain_layers`, with snnTorch's neurons."""
    snn = importlib.import_module("snntorch")
    layers, train = list(layers_of(torch, rival["spiking"])), train_of(torch, rival, size)
    neurons = [snn.Leaky(beta=1.0, threshold=1.0, reset_mechanism="zero") for _ in layers]

    def run():
        states = [neuron.init_leaky() for neuron in neurons]
        for spikes in train:
            here = spikes
            for i, layer in enumerate(layers):
                here, states[i] = neurons[i](product(torch, layer, here), states[i])

    return [run]


def plain_recurrent(torch, rival, size):
    """Filter spikes into leaky membranes, by a sparse and by a dense product."""
    dense = torch.from_numpy(rival["weights"].toarray().astype(np.float32))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a beta state of sparse tensors
        sparse = dense.to_sparse_csr()
    bias = torch.from_numpy(rival["bias"].astype(np.float32))[:, None]
    leak, keep = float(np.exp(-DT / 0.02)), float(np.exp(-DT / 0.01))

    def runs(weight):
        def run():
            spikes, current, v = (torch.zeros(len(bias), size) for _ in range(3))
            for _ in range(STEPS):
                current.mul_(keep).add_(weight @ spikes, alpha=(1 - keep) / DT)
                v.mul_(leak).add_(current + bias, alpha=1 - leak)
                fired = v > 1
                v.masked_fill_(fired, 0)
                spikes = fired.float()

        return run

    return [runs(sparse), runs(dense)]


def snn_recurrent(torch, rival, size):
    """As `plain_recurrent`, with snnTorch's neurons and the sparse product."""
    snn = importlib.import_module("snntorch")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        weight = torch.from_numpy(rival["weights"].toarray().astype(np.float32)).to_sparse_csr()
    bias = torch.from_numpy(rival["bias"].astype(np.float32))
    leak, keep = float(np.exp(-DT / 0.02)), float(np.exp(-DT / 0.01))
    neuron = snn.Leaky(beta=leak, threshold=1.0, reset_mechanism="zero")

    def run():
        spikes, current = torch.zeros(size, len(bias)), torch.zeros(size, len(bias))
        state = neuron.init_leaky()
        for _ in range(STEPS):
            current.mul_(keep).add_((weight @ spikes.T).T, alpha=(1 - keep) / DT)
            spikes, state = neuron((1 - leak) * (current + bias), state)

    return [run]


def plain_pes(torch, rival, size):
    """Traces of leaky neurons, decoders of each sample, changed every step by trace times error."""
    n, d = rival["size"], rival["dimensions"]
    bias = torch.from_numpy(np.random.default_rng(0).uniform(-1.0, 3.0, n).astype(np.float32))
    error, leak, keep = torch.linspace(-0.5, 0.5, d), float(np.exp(-DT / 0.02)), float(np.exp(-DT / 0.005))

    def run():
        v, trace = torch.zeros(size, n), torch.zeros(size, n)
        weight, out = torch.zeros(size, d, n), torch.zeros(size, d)
        for _ in range(STEPS):
            v.mul_(leak).add_(bias, alpha=1 - leak)
            fired = v > 1
            v.masked_fill_(fired, 0)
            spikes = fired.float()
            out = torch.bmm(weight, spikes[:, :, None])[:, :, 0]
            trace.mul_(keep).add_(spikes, alpha=1 - keep)
            weight.sub_(error[None, :, None] * trace[:, None, :], alpha=1e-4 / n)
        return out

    return [run]


# --- Nengo --------------------------------------------------------------------------------------------------


def nengo_core(case):
    """Time Nengo's own simulator, one sample at a time."""
    nengo = nengo_module()
    if "spiking" in case.rival:
        return best(lambda: nd.run(case.rival["spiking"], case.rival["x"][:2], backend="nengo"), 2, repeat=1)
    with nengo.Simulator(case.rival["network"], dt=DT, progress_bar=False) as sim:
        return best(lambda: sim.run_steps(STEPS, progress_bar=False), 1)


def nengo_dl(case):
    """Time nengo-dl, batched."""
    if "spiking" in case.rival:
        from neurodeploy.backends.base import BACKENDS

        spiking, x = case.rival["spiking"], case.rival["x"]
        session = BACKENDS["nengo-dl"].open(spiking, steps=STEPS, seed=0, input_coding="rate", raster=False)
        batch = importlib.import_module("neurodeploy.backends.nengo_dl").MINIBATCH
        return best(lambda: session(x[:batch], 0), min(batch, len(x)), repeat=2)
    from neurodeploy.backends.adapter import nengo_dl_module

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        simulator = nengo_dl_module().Simulator(
            case.rival["network"], dt=DT, minibatch_size=NENGO_DL_BATCH, progress_bar=False
        )
        with simulator as sim:
            return best(lambda: sim.run_steps(STEPS, progress_bar=False), NENGO_DL_BATCH, repeat=2)


RIVALS = {"torch": torch_plain, "snntorch": snntorch, "nengo": nengo_core, "nengo-dl": nengo_dl}
NEEDS = {"torch": ["torch"], "snntorch": ["torch", "snntorch"], "nengo": [], "nengo-dl": ["nengo_dl"]}
