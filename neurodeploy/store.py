"""Graphs in files: `.nd` is one HDF5 file that NIR's own reader opens too.

The group ``/node`` holds the graph as NIR 1.0 lays it out: every parameter in full shape, grouped
convolutions written out. What NIR has no word for (the order of nodes, the user's layer names, reset,
units, notes) is JSON text in ``/neurodeploy``, so a file holds numbers and text only. The rate network that
a spiking one came from lies in ``/neurodeploy/source``, in the same two parts, so that a file can be measured
against its source wherever it goes. The same graph gives the same bytes.
"""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from neurodeploy import files
from neurodeploy.errors import LoadError, VerifyError
from neurodeploy.ir import ops
from neurodeploy.ir.graph import Graph, Node
from neurodeploy.ir.ops import Op, Shape
from neurodeploy.ir.verify import verify

if TYPE_CHECKING:
    import h5py

Floats = npt.NDArray[np.float64]
Fields = dict[str, Any]

VERSION = 1
"""Of the layout of ``/neurodeploy``; a file of a later version is refused."""
NIR_VERSION = "1.0"
"""Of the layout of ``/node``."""
SOURCE = "neurodeploy/source"
"""Group of the rate network that a spiking one was converted from."""
FULL_SHAPE = ("r", "tau", "tau_syn", "tau_mem", "v_leak", "v_threshold", "v_reset", "w_in", "scale", "delay")
"""Parameters that NIR wants in the shape of the population."""
OURS = ("reset", "refractory", "v_init", "sample_shape", "axes", "groups")
"""Fields that NIR's primitives lack, or that are written out for it."""


# --- one op in NIR's fields --------------------------------------------------------------------------------


def to_nir(op: Op, shape: Shape) -> Fields:
    """Return the fields of an op, named and shaped as in NIR; arrays, integers and text.

    Parameters
    ----------
    op : Op
    shape : tuple of int
        Of the op's input.
    """
    fields: Fields = {"type": op.kind}
    for spec in dataclasses.fields(op):
        value = getattr(op, spec.name)
        if spec.name in FULL_SHAPE:
            value = np.broadcast_to(value, shape)
        if spec.name not in OURS:
            fields[spec.name] = np.array(value) if isinstance(value, tuple) else value
    if isinstance(op, ops.Conv1d | ops.Conv2d):
        spatial = np.array(shape[1:]) if isinstance(op, ops.Conv2d) else shape[1]
        fields |= {"weight": ungroup(op.weight, op.groups), "groups": 1, "input_shape": spatial}
    if isinstance(op, ops.Flatten):
        fields |= {"input_type": np.array(shape), "start_dim": 0, "end_dim": -1}
    return fields


def from_nir(fields: Mapping[str, Any]) -> Op:
    """Return the op that fields named as in NIR describe; fields that the op lacks are ignored.

    Raises
    ------
    ValueError
        If the type is unknown, or a field is missing or of another form.
    """
    kind = ops.OPS.get(str(fields["type"]))
    if kind is None:
        raise ValueError(f"'{fields['type']}' is not an op here; known are {', '.join(ops.OPS)}")
    given = {}
    for spec in dataclasses.fields(kind):
        if spec.name in fields:
            try:
                given[spec.name] = CASTS[str(spec.type)](fields[spec.name])
            except (TypeError, ValueError, IndexError) as error:
                raise ValueError(
                    f"field '{spec.name}' of {kind.__name__} is no {spec.type}: {error}"
                ) from error
        elif spec.default is dataclasses.MISSING and spec.default_factory is dataclasses.MISSING:
            raise ValueError(f"field '{spec.name}' of {kind.__name__} is missing")
    return kind(**given)


def _integers(value: Any) -> tuple[int, ...]:
    return tuple(int(v) for v in np.atleast_1d(value))


CASTS: Mapping[str, Callable[[Any], Any]] = {
    "Array": ops.frozen,
    "bool": bool,
    "int": int,
    "float": float,
    "str": str,
    "Shape": _integers,
    "tuple[int, ...]": _integers,
    "tuple[int, int]": ops.pair,
    "tuple[tuple[int, int], ...]": lambda rows: tuple(ops.pair(row) for row in rows),
}
"""How a field's declared type is made from what a file holds."""


def ungroup(weight: Floats, groups: int) -> Floats:
    """Write a grouped kernel (O, I/groups, ...) out as an ordinary one (O, I, ...), zeros between groups.

    It computes the same, also in readers that take the number of input channels from the kernel alone.
    """
    out, per_group = weight.shape[:2]
    full = np.zeros((groups, out // groups, groups, per_group, *weight.shape[2:]))
    for g in range(groups):
        full[g, :, g] = weight[g * (out // groups) : (g + 1) * (out // groups)]
    return full.reshape(out, groups * per_group, *weight.shape[2:])


def regroup(weight: Floats, groups: int) -> Floats:
    """Undo `ungroup`."""
    out, into = weight.shape[:2]
    parts = weight.reshape(groups, out // groups, groups, into // groups, *weight.shape[2:])
    return np.concatenate([parts[g, :, g] for g in range(groups)])


# --- writing -----------------------------------------------------------------------------------------------


def save(graph: Graph, path: str | os.PathLike[str]) -> Path:
    """Write a graph to one `.nd` file, atomically.

    Parameters
    ----------
    graph : Graph
        In spiking form for a file that NIR's readers open; a rate graph is kept in the same layout, under our
        op names.
    path : path-like

    Raises
    ------
    OutputError
        If the file cannot be written; nothing is left behind.
    """
    return files.write_beside(path, lambda beside: _write(graph, beside))


def save_plain(graph: Graph, path: str | os.PathLike[str]) -> Path:
    """Write NIR alone, without what ours adds; fails as `save` does."""
    return files.write_beside(path, lambda beside: _write_plain(graph, beside))


def _write_plain(graph: Graph, path: Path) -> None:
    with files.new_hdf5(path) as file:
        _put(file, "version", NIR_VERSION)
        _write_nodes(file, graph)


def _write(graph: Graph, path: Path) -> None:
    with files.new_hdf5(path) as file:
        _put(file, "version", NIR_VERSION)
        _write_graph(file, files.new_group(file, "neurodeploy"), graph)
        _put(file["neurodeploy"], "version", VERSION)
        if graph.source is not None:
            part = files.new_group(file["neurodeploy"], "source")
            _write_graph(part, part, graph.source)


def _write_graph(place: h5py.Group, ours: h5py.Group, graph: Graph) -> None:
    """Write ``node``, NIR's part, into one group, and ``graph``, ours, into another."""
    _write_nodes(place, graph)
    _put(ours, "graph", json.dumps(_extras(graph), sort_keys=True, ensure_ascii=False))


def _write_nodes(place: h5py.Group, graph: Graph) -> None:
    node = files.new_group(place, "node")
    _put(node, "type", "NIRGraph")
    edges = [[_key(src), _key(dst)] for src, dst in graph.edges]
    _put(node, "edges", np.char.encode(np.array(edges).reshape(-1, 2), "utf-8"))
    nodes = files.new_group(node, "nodes")
    for item in graph:
        group = files.new_group(nodes, _key(item.name))
        before = graph.sources(item.name)
        shape = graph.shapes[before[0]] if before else ()
        for name, value in to_nir(item.op, shape).items():
            _put(group, name, value)


def _put(group: h5py.Group, name: str, value: Any) -> None:
    """Write one number, text or array, without time stamps."""
    import h5py

    if isinstance(value, str):
        data = value.encode("utf-8")
        dtype = h5py.string_dtype("utf-8", max(len(data), 1))
        group.create_dataset(name, data=np.array(data, dtype), dtype=dtype, track_times=False)
        return
    array = np.asarray(value)
    if array.dtype.kind == "S":
        array = array.astype(h5py.string_dtype("utf-8", max(array.dtype.itemsize, 1)))
    packed = {"compression": "gzip", "shuffle": True} if array.size >= 64 else {}
    group.create_dataset(name, data=array, track_times=False, **packed)


def _key(name: str) -> str:
    """Return a node's name as HDF5 can hold it: a slash would make a group, a dot is the group itself."""
    safe = name.replace("%", "%25").replace("/", "%2F")
    return safe.replace(".", "%2E") if set(safe) == {"."} else safe


def _extras(graph: Graph) -> dict[str, Any]:
    """Return everything NIR's layout does not hold, as JSON values."""
    nodes = []
    for node in graph:
        fields = {f.name: getattr(node.op, f.name) for f in dataclasses.fields(node.op)}
        nodes.append(
            {
                "name": node.name, "origin": node.origin, "layer": node.layer,
                "unit": _plain(node.unit),
                "notes": dict(node.notes),
                "shapes": {
                    k: v.shape for k, v in fields.items() if isinstance(v, np.ndarray) and k not in OURS
                },
                "fields": {k: _plain(v) for k, v in fields.items() if _is_ours(k, v)},
            }
        )  # fmt: skip
    return {"name": graph.name, "dt": graph.dt, "meta": dict(graph.meta), "nodes": nodes}


_DAMAGE = (
    ArithmeticError, AttributeError, LookupError, OSError, RuntimeError, TypeError, ValueError
)  # fmt: skip
"""What reading a file leads to that holds something else than what we write."""


def _is_ours(name: str, value: Any) -> bool:
    """Whether a field stands in the JSON text; a start from rest needs no words."""
    if isinstance(value, np.ndarray):
        return name in OURS and bool(value.any())
    return True


def _plain(value: Any) -> Any:
    return value.tolist() if isinstance(value, np.ndarray) else value


# --- reading -----------------------------------------------------------------------------------------------


def load(path: str | os.PathLike[str]) -> Graph:
    """Read a graph from a `.nd` file.

    Raises
    ------
    LoadError
        If the file is not there, is not ours, is of a later version, or is damaged; it names what is missing.
    """
    if not Path(path).is_file():
        raise LoadError(f"there is no file '{path}'")
    with files.open_hdf5(path) as file:
        try:
            graph = _read(file, str(path))
        except _DAMAGE as error:
            if isinstance(error, LoadError):
                raise
            raise LoadError(
                f"'{path}' is damaged: {type(error).__name__} {error}; convert the model again"
            ) from error
    try:
        if graph.source is not None:
            verify(graph.source, form="rate")
        return verify(graph)
    except VerifyError as error:
        told = str(error).partition(": ")[2]
        raise LoadError(f"'{path}' holds no legal graph: {told}; convert the model again") from error


def _read(file: h5py.File, path: str) -> Graph:
    if "neurodeploy" not in file:
        hint = "; it is a NIR file: give it the suffix .nir" if "node" in file else ""
        raise LoadError(f"'{path}' lacks the group /neurodeploy, so it is no .nd file{hint}")
    version = int(_take(file, "neurodeploy/version", path))
    if version > VERSION:
        raise LoadError(
            f"'{path}' has layout version {version}; this neurodeploy reads up to {VERSION}: "
            "install a later one"
        )
    graph = _read_graph(file, "", "neurodeploy/", path)
    if SOURCE not in file:
        return graph
    source = _read_graph(file, f"{SOURCE}/", f"{SOURCE}/", path)
    return dataclasses.replace(graph, source=source)


def _read_graph(file: h5py.File, place: str, ours: str, path: str) -> Graph:
    extras = _typed(json.loads(_take(file, f"{ours}graph", path)), GRAPH, "the graph")
    nodes = tuple(_read_node(file, place, extra, path) for extra in extras["nodes"])
    names = {_key(node.name): node.name for node in nodes}
    edges = tuple((names[_text(a)], names[_text(b)]) for a, b in _take(file, f"{place}node/edges", path))
    return Graph(nodes, edges, float(extras["dt"]), extras["name"], extras["meta"])


def _read_node(file: h5py.File, place: str, extra: Mapping[str, Any], path: str) -> Node:
    _typed(extra, NODE, "a node")
    where = f"{place}node/nodes/{_key(extra['name'])}"
    fields: Fields = {"type": _take(file, f"{where}/type", path), **extra["fields"]}
    for name, shape in extra["shapes"].items():
        array = np.asarray(_take(file, f"{where}/{name}", path))
        if name == "weight" and fields.get("groups", 1) > 1:
            array = regroup(array, fields["groups"])
        fields[name] = _shrink(array, tuple(shape))
    try:
        op = from_nir(fields)
    except ValueError as error:
        raise LoadError(f"'{path}', node '{extra['name']}': {error}") from error
    return Node(extra["name"], op, extra["origin"], extra["layer"], _unit(extra["unit"]), extra["notes"])


def _unit(value: Any) -> float | Floats:
    return np.asarray(value, np.float64) if isinstance(value, list) else float(value)


_Kinds = Mapping[str, type | tuple[type, ...]]
GRAPH: _Kinds = {"name": str, "dt": (int, float), "meta": dict, "nodes": list}
NODE: _Kinds = {
    "name": str, "origin": str, "layer": str, "unit": (int, float, list), "notes": dict, "shapes": dict,
    "fields": dict,
}  # fmt: skip
"""Entries of the JSON text, and their types."""


def _typed(value: Any, kinds: _Kinds, what: str) -> dict[str, Any]:
    """Return an object of JSON that has all entries in their types."""
    if not isinstance(value, dict):
        raise ValueError(f"{what} is no object with entries")
    for name, kind in kinds.items():
        if not isinstance(value.get(name), kind):
            raise ValueError(f"entry '{name}' of {what} is missing or of another type")
    return value


def _shrink(array: npt.NDArray[Any], shape: Shape) -> npt.NDArray[Any]:
    """Undo a broadcast."""
    array = array[(0,) * max(array.ndim - len(shape), 0)]
    kept = tuple(slice(0, 1) if want == 1 else slice(None) for want in shape)
    if array[kept].shape != shape:
        raise ValueError(f"an array of shape {array.shape} was to have shape {shape}")
    return array[kept]


def _take(file: h5py.File, name: str, path: str) -> Any:
    """Read one dataset; text comes back as str."""
    import h5py

    item = file.get(name)
    if not isinstance(item, h5py.Dataset):
        raise LoadError(f"'{path}' is damaged: /{name} is missing; convert the model again")
    value = item[()]
    return _text(value) if isinstance(value, bytes) else value


def _text(value: bytes) -> str:
    return value.decode("utf-8")
