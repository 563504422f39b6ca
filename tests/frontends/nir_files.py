"""NIR files written by hand, as any tool might, and one example of every primitive."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import h5py
import numpy as np

Fields = Mapping[str, Any]
ONES = np.ones(4)
EDGES: tuple[tuple[str, str], ...] = ()


def write(path: Path, nodes: Mapping[str, Fields], edges: Sequence[tuple[str, str]] | None = None) -> Path:
    """Write a graph; without edges, a chain of its nodes. A node with ``nodes`` is a subgraph."""
    with h5py.File(path, "w") as file:
        file["version"] = "1.0.8"
        _put(file.create_group("node"), nodes, edges)
    return path


def _put(group: Any, nodes: Mapping[str, Fields], edges: Sequence[tuple[str, str]] | None) -> None:
    group["type"] = "NIRGraph"
    rows = list(pairwise(nodes)) if edges is None else list(edges)
    group.create_dataset("edges", data=np.array(rows, dtype=object).reshape(-1, 2), dtype=h5py.string_dtype())
    inner = group.create_group("nodes")
    for name, fields in nodes.items():
        node = inner.create_group(name)
        if "nodes" in fields:
            _put(node, fields["nodes"], fields.get("edges"))
            continue
        for key, value in fields.items():
            node[key] = value


def ends(shape: Sequence[int], out: Sequence[int]) -> tuple[Fields, Fields]:
    """Make an Input and an Output."""
    return (
        {"type": "Input", "shape": np.array(shape)},
        {"type": "Output", "shape": np.array(out)},
    )


def chain(path: Path, shape: Sequence[int], out: Sequence[int], *nodes: Fields) -> Path:
    """Write nodes one after the other, called ``n0``, ``n1``, ..."""
    entry, leave = ends(shape, out)
    return write(path, {"input": entry, **{f"n{i}": n for i, n in enumerate(nodes)}, "output": leave})


def node(kind: str, **fields: Any) -> Fields:
    """Make a node."""
    return {"type": kind, **fields}


def lif(
    tau: float = 0.01, r: float = 1.0, v_leak: float = 0.0, v_threshold: float = 0.5, **more: Any
) -> Fields:
    """Make four LIF neurons."""
    values = {"tau": tau, "r": r, "v_leak": v_leak, "v_threshold": v_threshold, **more}
    return node("LIF", **{key: value * ONES for key, value in values.items()})


RNG = np.random.default_rng(5)
KERNEL, SEQUENCE = RNG.normal(size=(3, 2, 3, 3)), RNG.normal(size=(3, 1, 3))
CONV = {"bias": np.ones(3), "groups": 1}
CUBA = {"tau_syn": 0.004 * ONES, "tau_mem": 0.01 * ONES, "r": 9 * ONES, "v_leak": 0 * ONES, "w_in": ONES}
SPIKE = {"v_threshold": 0.7 * ONES, "v_reset": 0 * ONES}
POOL = {"kernel_size": [2, 2], "stride": [2, 2], "padding": [0, 0]}
INNER = {
    "nodes": {
        "in": node("Input", shape=[4]), "lif": lif(), "w": node("Linear", weight=np.eye(4)),
        "out": node("Output", shape=[4]),
    },
    "edges": [("in", "lif"), ("lif", "w"), ("w", "lif"), ("lif", "out")],
}  # fmt: skip

EXAMPLES: dict[str, tuple[tuple[int, ...], tuple[int, ...], Fields]] = {
    "Input": ((4,), (4,), lif()),
    "Output": ((4,), (4,), lif()),
    "NIRGraph": ((4,), (4,), INNER),
    "Affine": ((4,), (3,), node("Affine", weight=RNG.normal(size=(3, 4)), bias=np.ones(3))),
    "Linear": ((4,), (3,), node("Linear", weight=RNG.normal(size=(3, 4)))),
    "Scale": ((4,), (4,), node("Scale", scale=2 * ONES)),
    "Conv1d": (
        (2, 9), (3, 5),
        node("Conv1d", weight=np.concatenate([SEQUENCE] * 2, 1), stride=2, padding=1, dilation=1, **CONV),
    ),
    "Conv2d": (
        (2, 8, 6), (3, 8, 6),
        node("Conv2d", weight=KERNEL, stride=[1, 1], padding="same", dilation=[1, 1], **CONV),
    ),
    "SumPool2d": ((2, 4, 6), (2, 2, 3), node("SumPool2d", **POOL)),
    "AvgPool2d": ((2, 4, 6), (2, 2, 3), node("AvgPool2d", **POOL)),
    "Flatten": ((2, 4, 6), (8, 6), node("Flatten", start_dim=0, end_dim=1, input_type=[2, 4, 6])),
    "I": ((4,), (4,), node("I", r=1000 * ONES)),
    "IF": ((4,), (4,), node("IF", r=1000 * ONES, v_threshold=2.5 * ONES)),
    "LI": ((4,), (4,), node("LI", tau=0.01 * ONES, r=ONES, v_leak=0 * ONES)),
    "LIF": ((4,), (4,), lif()),
    "CubaLI": ((4,), (4,), node("CubaLI", **CUBA)),
    "CubaLIF": ((4,), (4,), node("CubaLIF", **CUBA, **SPIKE)),
    "Threshold": ((4,), (4,), node("Threshold", threshold=0.5 * ONES)),
    "Delay": ((4,), (4,), node("Delay", delay=[0, 0.001, 0.002, 0.005])),
}  # fmt: skip
"""Shape in, shape out and the node, for every row of the table."""
