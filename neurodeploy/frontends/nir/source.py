"""NIR files as named nodes and edges: read from HDF5, nothing executed, subgraphs flattened."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from neurodeploy import files
from neurodeploy.errors import LoadError
from neurodeploy.frontends.builder import MAX_NODES

if TYPE_CHECKING:
    import h5py

Edge = tuple[str, str]
Fields = dict[str, Any]

MAX_DEPTH = 16
"""Deepest nesting of subgraphs."""
ROOM, PACKED = 64 << 20, 200
"""A file may unpack to this many bytes, and to so many times its own size; weights pack far less."""
PORTS = ("Input", "Output")


@dataclass
class Source:
    """What a file holds.

    Parameters
    ----------
    nodes : dict of str to Fields
        Fields of every node, its ``type`` among them; a node of a subgraph is called ``subgraph.node``.
    edges : list of (str, str)
    version : str
        Of NIR, as the file says.
    """

    nodes: dict[str, Fields] = field(default_factory=dict)
    edges: list[Edge] = field(default_factory=list)
    version: str = ""


def read(path: Path) -> Source:
    """Read a file.

    Raises
    ------
    LoadError
        If it is not NIR, or damaged; it names the node.
    """
    with files.open_hdf5(path) as file:
        try:
            _check_size(file, path)
            source = Source(version=_text(_value(file, "version")) if "version" in file else "unknown")
            if "node" not in file:
                raise LoadError(f"'{path}' lacks the group /node, so it is no NIR file")
            _collect(file["node"], "", source, 0)
        except (OSError, LookupError, TypeError, ValueError, RuntimeError, AttributeError) as error:
            if isinstance(error, LoadError):
                named = str(path) in str(error)
                raise LoadError(str(error) if named else f"'{path}': {error}") from error
            raise LoadError(f"'{path}' is a damaged NIR file: {error}") from error
    return source


def _check_size(file: h5py.File, path: Path) -> None:
    total = sum(_sizes(file))
    most = ROOM + PACKED * path.stat().st_size
    if total > most:
        raise LoadError(f"'{path}' unpacks to {total:,} bytes; up to {most:,} are taken of a file this size")


def _sizes(group: h5py.Group) -> Iterator[int]:
    import h5py

    stack = [group]
    while stack:
        for item in stack.pop().values():
            if isinstance(item, h5py.Group):
                stack.append(item)
            else:
                yield int(item.size or 0) * item.dtype.itemsize


def _collect(group: h5py.Group, prefix: str, source: Source, depth: int) -> None:
    """Add the nodes and edges of a graph, those of its subgraphs included."""
    kind = _text(_value(group, "type"))
    if kind != "NIRGraph":
        raise LoadError(f"the graph '{prefix or 'node'}' is of type '{kind}', not NIRGraph")
    if depth > MAX_DEPTH:
        raise LoadError(f"subgraphs are nested more than {MAX_DEPTH} deep")
    entry, leave = {}, {}
    for name, node in group["nodes"].items():
        full = f"{prefix}{name}"
        kind = _text(_value(node, "type"))
        if kind == "NIRGraph":
            _collect(node, f"{full}.", source, depth + 1)
            entry[name], leave[name] = _ports(node, full)
            continue
        if full in source.nodes:
            raise LoadError(f"two nodes are called '{full}'")
        if len(source.nodes) >= MAX_NODES:
            raise LoadError(f"it has more than {MAX_NODES} nodes")
        if depth and kind in PORTS:
            kind = "Port"
        source.nodes[full] = {**_fields(node, full), "type": kind}
        entry[name] = leave[name] = full
    for start, end in _edges(group, entry):
        source.edges.append((leave[start], entry[end]))


def _edges(group: h5py.Group, known: dict[str, str]) -> Iterator[Edge]:
    rows = np.asarray(group["edges"][()])
    if rows.size and (rows.ndim != 2 or rows.shape[1] != 2):
        raise LoadError(f"edges have shape {rows.shape}; pairs are taken")
    seen: set[Edge] = set()
    for row in rows.reshape(-1, 2):
        edge = (_text(row[0]), _text(row[1]))
        for end in edge:
            if end not in known:
                raise LoadError(f"edge {edge[0]} -> {edge[1]} names '{end}', which is not there")
        if edge in seen:
            raise LoadError(f"edge {edge[0]} -> {edge[1]} is there twice")
        seen.add(edge)
        yield edge


def _ports(group: h5py.Group, name: str) -> Edge:
    """Return where edges into a subgraph lead, and where those out of it come from."""
    ports = []
    for kind in PORTS:
        found = [n for n, node in group["nodes"].items() if _text(_value(node, "type")) == kind]
        if len(found) != 1:
            raise LoadError(f"subgraph '{name}' has {len(found)} {kind} nodes; one is taken")
        ports.append(f"{name}.{found[0]}")
    return ports[0], ports[1]


def _fields(node: h5py.Group, name: str) -> Fields:
    import h5py

    fields: Fields = {}
    for key, item in node.items():
        if isinstance(item, h5py.Dataset):
            value = item[()]
            fields[key] = _text(value) if isinstance(value, bytes | str) else value
        elif key != "metadata":  # free text of the author's
            raise LoadError(f"node '{name}' holds a group '{key}', which NIR does not have there")
    return fields


def _value(group: h5py.Group, name: str) -> Any:
    import h5py

    item = group.get(name) if isinstance(group, h5py.Group) else None
    if not isinstance(item, h5py.Dataset) or item.shape != ():
        raise LoadError(f"'{getattr(group, 'name', name)}' lacks '{name}'")
    return item[()]


def _text(value: Any) -> str:
    return value.decode("utf-8") if isinstance(value, bytes) else str(value)


def without_ports(source: Source) -> list[Edge]:
    """Lead edges past the ports of subgraphs, and drop these from the nodes."""
    edges = list(source.edges)
    for name in [n for n, fields in source.nodes.items() if fields["type"] == "Port"]:
        into = [src for src, dst in edges if dst == name and src != name]
        out = [dst for src, dst in edges if src == name and dst != name]
        edges = [edge for edge in edges if name not in edge]
        edges += [(src, dst) for src in into for dst in out]
        del source.nodes[name]
        if len(edges) > MAX_NODES * 4:
            raise LoadError(f"subgraphs make more than {MAX_NODES * 4} edges")
    return edges
