#!/usr/bin/env python3
"""Write small NIR files with the tools that users have, and the spikes their own simulators give.

    python tools/make_nir_references.py tests/data/nir --interop ../shared/interop

Needs snntorch, norse, sinabs and rockpool. Every network gets seeded weights and input spikes; beside each
``.nir`` lie ``.npz`` files with ``x`` (bits of an array of ``shape``: T, B, ...), ``spikes`` (T, B, ...) of
its output, and ``told``: how the file has to be read. For the networks of the NIR paper in the interop folder
only the ``.npz`` is written.
"""

from __future__ import annotations

import argparse
import json
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import nir
import numpy as np
import torch
from torch import nn

warnings.filterwarnings("ignore")
T, B = 60, 3
Spikes = np.ndarray
Case = tuple[Any, Spikes, Spikes, dict[str, Any]]
"""A NIR graph (None where the file is there already), input, output, and how to read the file."""


def spikes(seed: int, *shape: int, rate: float = 0.3, steps: int = T) -> Spikes:
    """Draw input spikes, shape (T, B, *shape)."""
    return (np.random.default_rng(seed).random((steps, B, *shape)) < rate).astype(np.float32)


def seeded(seed: int, net: Any, gain: float, mean: float = 0.1) -> Any:
    """Give a network weights that make it spike."""
    torch.manual_seed(seed)
    with torch.no_grad():
        for name, value in net.named_parameters():
            if name.endswith(("weight", "recurrent.V")):
                value.normal_(mean, gain / value[0].numel() ** 0.5)
            if name.endswith("bias") and value.ndim == 1:
                value.uniform_(-0.05, 0.1)
    return net.eval()


# --- snnTorch ---------------------------------------------------------------------------------------------


def snntorch_run(layers: list[Any], x: Spikes) -> Spikes:
    """Step layers that are called with their state."""
    states: list[Any] = [None] * len(layers)
    out = []
    with torch.no_grad():
        for sample in torch.from_numpy(x):
            value = sample
            for i, layer in enumerate(layers):
                value, states[i] = snntorch_step(layer, value, states[i])
            out.append(value.numpy())
    return np.stack(out)


def snntorch_step(layer: Any, value: Any, state: Any) -> tuple[Any, Any]:
    """Call one layer; those without hidden state are plain PyTorch."""
    import snntorch as snn

    if isinstance(layer, snn.SpikingNeuron) and not layer.init_hidden:
        given = state if state is not None else snntorch_start(layer, value)
        spike, *held = layer(value, *given)
        keeps_spike = isinstance(layer, snn.RLeaky | snn.RSynaptic)
        return spike, (spike, *held) if keeps_spike else tuple(held)
    return layer(value), None


def snntorch_start(layer: Any, value: Any) -> tuple[Any, ...]:
    """Return the state at rest."""
    import snntorch as snn

    count = {snn.RSynaptic: 3, snn.RLeaky: 2, snn.Synaptic: 2}.get(type(layer), 1)
    return tuple(torch.zeros_like(value) for _ in range(count))


def snntorch_conv() -> Case:
    """Run a convolution, pooling, a leaky and a synaptic layer, reset by subtraction a step later."""
    import snntorch as snn
    from snntorch.export_nir import export_to_nir

    def make(hidden: bool) -> Any:
        leaky = snn.Leaky(beta=0.85 * torch.ones(3, 6, 6), init_hidden=hidden, threshold=torch.ones(3, 6, 6))
        last = snn.Synaptic(
            alpha=0.7 * torch.ones(4), beta=0.8 * torch.ones(4), init_hidden=hidden, threshold=torch.ones(4)
        )
        parts = (nn.Conv2d(2, 3, 3), leaky, nn.AvgPool2d(2), nn.Flatten(), nn.Linear(27, 4), last)
        return seeded(1, nn.Sequential(*parts), 0.6, 0.05)

    x = spikes(1, 2, 8, 8)
    graph = export_to_nir(make(True), torch.from_numpy(x[0]), ignore_dims=[0])
    return graph, x, snntorch_run(list(make(False)), x), {"written_by": "snntorch"}


def snntorch_dense(reset: str, **options: Any) -> Case:
    """Two leaky layers, with one of the resets that snnTorch has and does not write down."""
    import snntorch as snn
    from snntorch.export_nir import export_to_nir

    def make(hidden: bool) -> Any:
        first = snn.Leaky(torch.linspace(0.5, 0.95, 8), torch.ones(8), init_hidden=hidden, **options)
        last = snn.Leaky(torch.full((3,), 0.9), torch.ones(3), init_hidden=hidden, **options)
        return seeded(11, nn.Sequential(nn.Linear(6, 8), first, nn.Linear(8, 3), last), 0.4, 0.05)

    x = spikes(11, 6)
    graph = export_to_nir(make(True), torch.from_numpy(x[0]), ignore_dims=[0])
    return graph, x, snntorch_run(list(make(False)), x), {"written_by": "snntorch", "reset": reset}


def snntorch_recurrent() -> Case:
    """Run a recurrent leaky layer and a recurrent synaptic one."""
    import snntorch as snn
    from snntorch.export_nir import export_to_nir

    def make(hidden: bool) -> Any:
        first = snn.RLeaky(beta=0.9, all_to_all=True, linear_features=7, init_hidden=hidden)
        last = snn.RSynaptic(alpha=0.6, beta=0.8, all_to_all=False, V=torch.ones(3), init_hidden=hidden)
        return seeded(3, nn.Sequential(nn.Linear(5, 7), first, nn.Linear(7, 3), last), 1.5)

    x = spikes(2, 5)
    graph = export_to_nir(make(True), torch.from_numpy(x[0]), ignore_dims=[0])
    return graph, x, snntorch_run(list(make(False)), x), {"written_by": "snntorch"}


def snntorch_braille(interop: Path) -> Case:
    """Run the Braille network of the NIR paper, with snnTorch's default reset.

    It was trained without the delay of the reset; RSynaptic of snnTorch 1.0 fails without it.
    """
    import snntorch as snn

    graph = nir.read(interop / "nirpaper_braille_noDelay_noBias_subtract.nir", type_check=False)
    parts: list[Any] = []
    for name, features in (("lif1.lif", 40), ("lif2", 7)):
        node, dense = graph.nodes[name], graph.nodes["fc1" if features == 40 else "fc2"]
        linear = nn.Linear(*dense.weight.shape[::-1], bias=False)
        linear.weight.data = torch.from_numpy(dense.weight)
        kept = {"alpha": 1 - 1e-4 / node.tau_syn[0], "beta": 1 - 1e-4 / node.tau_mem[0]}
        if features == 40:
            layer = snn.RSynaptic(linear_features=40, **kept)
            layer.recurrent.weight.data = torch.from_numpy(graph.nodes["lif1.w_rec"].weight)
            layer.recurrent.bias.data.zero_()
        else:
            layer = snn.Synaptic(**kept)
        parts += [linear, layer]
    x = spikes(3, 12, rate=0.2, steps=100)
    return None, x, snntorch_run(parts, x), {"written_by": "snntorch"}


# --- Norse ------------------------------------------------------------------------------------------------


def norse_run(graph: Any, x: Spikes, dt: float) -> Spikes:
    """Step a graph as Norse reads it."""
    import norse.torch

    net, state, out = norse.torch.from_nir(graph, dt=dt), None, []
    with torch.no_grad():
        for sample in torch.from_numpy(x):
            value, state = net(sample, state)
            out.append(value.numpy())
    return np.stack(out)


def norse_lif(interop: Path) -> Case:
    """Run the single neuron of the NIR paper."""
    graph = nir.read(interop / "nirpaper_lif_norse.nir", type_check=False)
    x = spikes(4, 1, steps=200)
    return None, x, norse_run(graph, x, 1e-4), {"written_by": "norse", "dt": 1e-4}


def norse_dense() -> Case:
    """Two layers, as Norse exports them."""
    import norse.torch as norse

    box = norse.LIFBoxParameters
    first = norse.LIFBoxCell(
        box(tau_mem_inv=torch.linspace(50, 300, 8), v_th=torch.full((8,), 0.1), v_leak=torch.zeros(8))
    )
    last = norse.LIFBoxCell(
        box(tau_mem_inv=torch.full((3,), 80.0), v_th=torch.full((3,), 0.1), v_leak=torch.zeros(3))
    )
    net = seeded(5, norse.SequentialState(nn.Linear(6, 8), first, nn.Linear(8, 3), last), 2.0)
    x = spikes(5, 6)
    graph = norse.to_nir(net, torch.from_numpy(x[0, 0]))
    state, out = None, []
    with torch.no_grad():
        for sample in torch.from_numpy(x):
            value, state = net(sample, state)
            out.append(value.numpy())
    # Norse 1.1 writes dt * tau where NIR has tau
    return graph, x, np.stack(out), {"written_by": "norse", "time_unit": 1000.0}


def norse_cuba() -> Case:
    """Current-based neurons, from NIR's own package, as Norse steps them."""
    rng = np.random.default_rng(6)
    full = np.ones(5, np.float32)
    graph = nir.NIRGraph.from_list(
        nir.Affine(rng.normal(0.2, 0.5, (5, 6)).astype(np.float32), (0.1 * full)),
        nir.CubaLIF(0.004 * full, 0.01 * full, full, 0 * full, 0.1 * full, w_in=2 * full),
    )
    x = spikes(6, 6)
    return graph, x, norse_run(graph, x, 1e-3), {"written_by": "norse"}


# --- sinabs -----------------------------------------------------------------------------------------------


def sinabs_run(net: Any, x: Spikes) -> Spikes:
    """Run a network whose neurons emit at most one spike a step and have no floor."""
    from sinabs.activation import SingleSpike

    for layer in net.modules():
        if hasattr(layer, "spike_fn") and layer.spike_fn is not None:
            layer.spike_fn, layer.min_v_mem = SingleSpike, None
    with torch.no_grad():
        flat = torch.from_numpy(x.swapaxes(0, 1).reshape(-1, *x.shape[2:]).copy())
        value = net(flat)
        value = value[0] if isinstance(value, tuple) else value
    return value.reshape(x.shape[1], x.shape[0], *value.shape[1:]).numpy().swapaxes(0, 1).copy()


def sinabs_cnn(interop: Path) -> Case:
    """Run the N-MNIST network of the NIR paper."""
    import sinabs.nir

    graph = nir.read(interop / "nirpaper_cnn_sinabs.nir", type_check=False)
    x = spikes(7, 2, 34, 34, rate=0.02, steps=40)
    return None, x, sinabs_run(sinabs.nir.from_nir(graph, batch_size=B), x), {"written_by": "sinabs"}


def sinabs_mixed() -> Case:
    """Integrators and leaky neurons around a sum over windows."""
    import sinabs.layers as sl
    import sinabs.nir

    parts = (
        nn.Conv2d(1, 2, 3, padding=1, bias=False), sl.IAFSqueeze(batch_size=B), sl.SumPool2d(2),
        nn.Flatten(), nn.Linear(18, 4),
        sl.LIFSqueeze(
            tau_mem=8.0 * torch.ones(4), spike_threshold=torch.full((4,), 1.5), batch_size=B, norm_input=False
        ),
    )  # fmt: skip
    net = seeded(8, nn.Sequential(*parts), 0.8)
    x = spikes(8, 1, 6, 6)
    y = sinabs_run(net, x)
    graph = numpy_only(sinabs.nir.to_nir(net, torch.zeros(B * 2, 1, 6, 6)))
    graph.infer_types()  # the shape before Flatten, without which it cannot be written
    return graph, x, y, {"written_by": "sinabs"}


# --- Rockpool ---------------------------------------------------------------------------------------------


def rockpool_run(net: Any, x: Spikes) -> Spikes:
    """Run a network whose neurons emit at most one spike a step."""
    with torch.no_grad():
        value, _, _ = net(torch.from_numpy(x.swapaxes(0, 1).copy()))
    return value.numpy().swapaxes(0, 1).copy()


def rockpool_lif(interop: Path) -> Case:
    """Run the single neuron of the NIR paper."""
    from rockpool.nn.combinators import Sequential
    from rockpool.nn.modules import LIFNeuronTorch, LinearTorch

    graph = nir.read(interop / "nirpaper_lif_rockpool.nir", type_check=False)
    node = graph.nodes["1_LIFNeuronTorch"]
    weight = torch.from_numpy(graph.nodes["0_LinearTorch"].weight)
    tau, limit = torch.from_numpy(node.tau), torch.from_numpy(node.v_threshold)
    neuron = LIFNeuronTorch(1, tau_mem=tau, threshold=limit, dt=1e-4)
    net = Sequential(LinearTorch((1, 1), weight=weight.T, has_bias=False), neuron)
    x = spikes(9, 1, steps=200)
    return None, x, rockpool_run(net, x), {"written_by": "rockpool", "dt": 1e-4}


def rockpool_dense() -> Case:
    """Run a synaptic layer and a plain one, as Rockpool exports them."""
    from rockpool.nn.combinators import Sequential
    from rockpool.nn.modules import LIFNeuronTorch, LIFTorch, LinearTorch
    from rockpool.nn.modules.torch.nir import to_nir

    one = torch.tensor(1.0)
    rng = np.random.default_rng(10)
    weights = [torch.tensor(rng.normal(0.05, 0.3, shape), dtype=torch.float32) for shape in ((6, 8), (8, 3))]
    net = Sequential(
        LinearTorch((6, 8), weight=weights[0], bias=torch.full((8,), 0.02), has_bias=True),
        LIFTorch(
            8, tau_mem=torch.linspace(0.004, 0.03, 8), tau_syn=torch.linspace(0.002, 0.01, 8), dt=1e-3,
            bias=torch.zeros(8), max_spikes_per_dt=one,
        ),
        LinearTorch((8, 3), weight=weights[1], has_bias=False),
        LIFNeuronTorch(3, tau_mem=torch.full((3,), 0.01), dt=1e-3, max_spikes_per_dt=one),
    )  # fmt: skip
    x = spikes(10, 6)
    y = rockpool_run(net, x)
    return to_nir(net, torch.zeros(1, 1, 6)), x, y, {"written_by": "rockpool"}


OWN: dict[str, Callable[[], Case]] = {
    "snntorch_conv": snntorch_conv,
    "snntorch_dense-late": lambda: snntorch_dense("subtract-late"),
    "snntorch_dense-subtract": lambda: snntorch_dense("subtract", reset_delay=False),
    "snntorch_dense-zero": lambda: snntorch_dense("zero", reset_mechanism="zero"),
    "snntorch_recurrent": snntorch_recurrent,
    "norse_dense": norse_dense,
    "norse_cuba": norse_cuba,
    "sinabs_mixed": sinabs_mixed,
    "rockpool_dense": rockpool_dense,
}
"""Networks by name; what follows a dash is another way to run the same file."""
PAPER: dict[str, Callable[[Path], Case]] = {
    "nirpaper_braille_noDelay_noBias_subtract": snntorch_braille,
    "nirpaper_cnn_sinabs": sinabs_cnn,
    "nirpaper_lif_norse": norse_lif,
    "nirpaper_lif_rockpool": rockpool_lif,
}


def cases(interop: Path | None) -> Iterator[tuple[str, Case]]:
    """Run every network."""
    for name, make in OWN.items():
        yield name, make()
    for name, run in PAPER.items() if interop else ():
        yield name, run(interop)


def numpy_only(graph: Any) -> Any:
    """Make tensors into arrays, which is what NIR's writer takes."""
    for node in graph.nodes.values():
        if isinstance(node, nir.NIRGraph):
            numpy_only(node)
            continue
        for key, value in vars(node).items():
            if isinstance(value, torch.Tensor):
                setattr(node, key, value.detach().numpy())
    return graph


def main() -> None:
    """Write all files."""
    parser = argparse.ArgumentParser(description="Write NIR files of other tools and what they compute.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--interop", type=Path, help="folder of the NIR paper's networks")
    args = parser.parse_args()
    args.folder.mkdir(parents=True, exist_ok=True)
    for name, (graph, x, y, told) in cases(args.interop):
        if graph is not None:
            graph = numpy_only(graph)
            nir.write(args.folder / f"{name.partition('-')[0]}.nir", graph, compression=None)
        np.savez_compressed(
            args.folder / f"{name}.npz", x=np.packbits(x.astype(bool), axis=None), shape=x.shape,
            spikes=y.astype(np.uint8), told=json.dumps(told),
        )  # fmt: skip
        print(f"{name}: {int(x.sum())} spikes in, {int(y.sum())} out, at most {int(y.max())} a step")


if __name__ == "__main__":
    main()
