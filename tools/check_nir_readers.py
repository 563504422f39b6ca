#!/usr/bin/env python3
"""Let other tools read what we write, through their own importers.

    python tools/check_nir_readers.py --json tools/results/nir_readers.json

Needs nir, snntorch, norse, sinabs and rockpool. Every network is written as it is, which NIR's reader must
take with all types checked, and once for every tool (`nir-write --written-for`): then the tool must give our
spikes, or ours must have said why it is not written.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import warnings
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import nir
import numpy as np
import torch

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from neurodeploy import store  # noqa: E402
from neurodeploy.errors import ConvertError  # noqa: E402
from neurodeploy.frontends.nir import save_nir  # noqa: E402
from neurodeploy.ir import ops  # noqa: E402
from neurodeploy.ir.graph import Graph, Node  # noqa: E402
from neurodeploy.ir.replay import replay  # noqa: E402

warnings.filterwarnings("ignore")
RNG = np.random.default_rng(3)
T, B, N = 40, 2, 6
ONE = np.ones(N)


def dense(into: int = N, out: int = N) -> ops.Op:
    """Draw a matrix with a bias."""
    return ops.Affine(RNG.normal(0.5 / into, 1.2 / into, (out, into)), np.full(out, 0.05))


def image(*layers: ops.Op) -> list[ops.Op]:
    """Put layers behind a convolution and flatten what they give."""
    conv = ops.Conv2d(RNG.normal(0.1, 0.4, (3, 2, 3, 3)), np.zeros(3), (1, 1), (1, 1))
    return [ops.Input((2, 6, 6)), conv, *layers, ops.Flatten()]


TAU, FAST, ZERO = 0.02 * ONE, 0.005 * ONE, 0 * ONE
WIDE, SMALL = np.ones((3, 6, 6)), np.ones((4, 4, 4))


def neurons(reset: str) -> dict[str, ops.Op]:
    """Return a population of every kind of spiking neuron."""
    return {
        f"IF, reset {reset}": ops.IF(ONE / 1e-3, ONE, reset=reset),
        f"LIF, reset {reset}": ops.LIF(TAU, 20 * ONE, ZERO, ONE, reset=reset),
        f"CubaLIF, reset {reset}": ops.CubaLIF(FAST, TAU, 20 * ONE, ZERO, ONE, ONE, reset=reset),
    }


def populations(reset: str) -> dict[str, Callable[[], list[ops.Op]]]:
    """Return networks of two layers of every kind."""

    def two(op: ops.Op) -> Callable[[], list[ops.Op]]:
        return lambda: [ops.Input((N,)), dense(), op, dense(), op]

    return {name: two(op) for name, op in neurons(reset).items()}


def images(reset: str) -> dict[str, Callable[[], list[ops.Op]]]:
    """Return networks over images and sequences."""
    last = ops.IF(ONE / 1e-3, ONE, reset=reset)
    return {
        f"Conv2d, SumPool2d, reset {reset}": lambda: [
            *image(ops.IF(1e3 * WIDE, WIDE, reset=reset), ops.SumPool2d((2, 2), (2, 2))),
            ops.Affine(RNG.normal(0.1, 0.3, (N, 27)), ZERO), last],
        f"Conv2d grouped, AvgPool2d, reset {reset}": lambda: [
            ops.Input((2, 6, 6)), ops.Conv2d(RNG.normal(0.3, 0.4, (4, 1, 3, 3)), np.zeros(4), groups=2),
            ops.IF(1e3 * SMALL, SMALL, reset=reset), ops.AvgPool2d((2, 2), (2, 2)), ops.Flatten(),
            dense(16), last],
        f"Conv1d, reset {reset}": lambda: [
            ops.Input((2, 9)), ops.Conv1d(RNG.normal(0.3, 0.4, (3, 2, 3)), np.zeros(3), 2), ops.Flatten(),
            dense(12), last],
    }  # fmt: skip


NETWORKS: dict[str, Callable[[], list[ops.Op]]] = {
    **populations("zero"),
    **populations("subtract"),
    **images("zero"),
    **images("subtract"),
    "LI": lambda: [ops.Input((N,)), dense(), ops.LI(TAU, ONE, ZERO)],
    "CubaLI": lambda: [ops.Input((N,)), dense(), ops.CubaLI(FAST, TAU, ONE, ZERO, ONE)],
    "I": lambda: [ops.Input((N,)), dense(), ops.I(ONE)],
    "Scale, Delay": lambda: [
        ops.Input((N,)), ops.Scale(0.5 * ONE), ops.Delay(2e-3 * ONE), dense(), ops.I(ONE)],
    "Conv2d not square": lambda: [
        ops.Input((2, 6, 6)), ops.Conv2d(RNG.normal(0.3, 0.4, (3, 2, 3, 1)), np.zeros(3)), ops.Flatten(),
        dense(72), ops.I(ONE)],
}  # fmt: skip


def network(name: str) -> Graph:
    """Make a graph of a chain of ops."""
    chain = NETWORKS[name]()
    chain.append(ops.Output((N,)))
    nodes = tuple(Node(f"n{i}", op) for i, op in enumerate(chain))
    return Graph(nodes, tuple(pairwise(node.name for node in nodes)), 1e-3, name)


# --- the tools --------------------------------------------------------------------------------------------


def norse(graph: Any, x: Any) -> Any:
    """Step a graph as Norse reads it."""
    import norse.torch

    net, state, out = norse.torch.from_nir(graph, dt=1e-3), None, []
    for sample in x:
        value, state = net(sample, state)
        out.append(value)
    return torch.stack(out)


def sinabs(graph: Any, x: Any) -> Any:
    """Run a graph as sinabs reads it."""
    import sinabs.nir

    net = sinabs.nir.from_nir(graph, batch_size=x.shape[1])
    value = net(x.swapaxes(0, 1).reshape(-1, *x.shape[2:]))
    value = value[0] if isinstance(value, tuple) else value
    return value.reshape(x.shape[1], x.shape[0], -1).swapaxes(0, 1)


def snntorch(graph: Any, x: Any) -> Any:
    """Step a graph as snnTorch reads it."""
    from snntorch.import_nir import import_from_nir

    net, state, out = import_from_nir(graph), None, []
    for sample in x:
        value = net(sample, state) if state is not None else net(sample)
        value, state = value if isinstance(value, tuple) else (value, None)
        out.append(value)
    return torch.stack(out)


def rockpool(graph: Any, x: Any) -> Any:
    """Run a graph as Rockpool reads it."""
    from rockpool.nn.modules.torch.nir import from_nir

    value = from_nir(graph)(x.swapaxes(0, 1))
    return (value[0] if isinstance(value, tuple) else value).swapaxes(0, 1)


TOOLS: dict[str, Callable[[Any, Any], Any]] = {
    "norse": norse, "rockpool": rockpool, "sinabs": sinabs, "snntorch": snntorch,
}  # fmt: skip


def tried(tool: str, graph: Graph, path: Path, x: Any, ours: Any) -> dict[str, Any]:
    """Write for one tool, let it read the file and run it; return what came of it."""
    try:
        save_nir(graph, path, written_for=tool)
    except ConvertError as error:
        return {"written": False, "why": str(error)}
    try:
        with torch.no_grad():
            theirs = TOOLS[tool](nir.read(path), torch.from_numpy(x).float()).numpy().reshape(ours.shape)
    except BaseException as error:
        return {"written": True, "runs": False, "why": f"{type(error).__name__}: {str(error).strip()[:160]}"}
    several = int((theirs > 1).sum())
    return {
        "written": True, "runs": True, "spikes": int(ours.sum()), "differing": int((theirs != ours).sum()),
        **({"several spikes in a step": several} if several else {}),
    }  # fmt: skip


def check(name: str, folder: Path) -> dict[str, Any]:
    """Write one network and let all tools read it."""
    graph = network(name)
    path = store.save(graph, folder / "n.nd")
    x = (RNG.random((T, B, *graph.shapes["n0"])) < 0.3).astype(np.float64)
    ours = replay(graph, x)[graph.output.name].reshape(T, B, -1)
    try:
        nir.read(path)
        result: dict[str, Any] = {"nir.read": "all types checked"}
    except (ValueError, AssertionError, KeyError) as error:
        result = {"nir.read": f"{type(error).__name__}: {error}"[:160]}
    return result | {tool: tried(tool, graph, folder / "n.nir", x, ours) for tool in TOOLS}


def main() -> None:
    """Check every network with every tool."""
    parser = argparse.ArgumentParser(description="Let other tools read what we write.")
    parser.add_argument("--json", type=Path)
    out = parser.parse_args().json
    with tempfile.TemporaryDirectory() as name:
        found = {network: check(network, Path(name)) for network in NETWORKS}
    versions = {tool: __import__("importlib.metadata").metadata.version(tool) for tool in ("nir", *TOOLS)}
    text = json.dumps({"versions": versions, "networks": found}, indent=2)
    print(text)
    if out:
        out.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
