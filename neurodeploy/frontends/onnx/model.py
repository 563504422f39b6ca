"""An ONNX file as plain values: nodes, constants, one input and one output."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import numpy.typing as npt

from neurodeploy.errors import LoadError
from neurodeploy.frontends.onnx.proto import MODEL, Message, decode
from neurodeploy.ir.ops import Shape

Array = npt.NDArray[Any]

MAX_FILE_BYTES = 2 << 30
"""Largest file, as protocol buffers themselves have it."""
MAX_WEIGHT_BYTES = 1 << 30
"""Largest sum of weights taken; far above any model that fits a neuromorphic board."""
MIN_OPSET = 11
"""Oldest version of ONNX's operators that is read."""
TYPES: dict[int, str] = {
    1: "<f4", 2: "u1", 3: "i1", 4: "<u2", 5: "<i2", 6: "<i4", 7: "<i8", 9: "?", 10: "<f2", 11: "<f8",
    12: "<u4", 13: "<u8", 16: "<u2",
}  # fmt: skip
"""NumPy's names of ONNX's element types; bfloat16 (16) is widened afterwards."""
BFLOAT16 = 16


@dataclass(frozen=True, eq=False)
class OnnxNode:
    """One operator of the file."""

    kind: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class OnnxModel:
    """What the file says.

    Parameters
    ----------
    label : str
        What messages call it: the path as the user named it.
    producer : str
        As ``pytorch 2.13.0``.
    opset : int
    nodes : tuple of OnnxNode
        In execution order.
    constants : mapping of str to ndarray
    input, output : str
    shape : tuple of int
        Of one sample, without the batch axis.
    """

    label: str
    producer: str
    opset: int
    nodes: tuple[OnnxNode, ...]
    constants: Mapping[str, Array]
    input: str
    output: str
    shape: Shape


def read(path: str | os.PathLike[str]) -> OnnxModel:
    """Read an ONNX file; weights in side files are looked for beside it and nowhere else.

    Raises
    ------
    LoadError
        Saying what the file is instead, or what is wrong with it.
    """
    where = Path(path)
    try:
        if where.stat().st_size > MAX_FILE_BYTES:
            raise LoadError(f"'{path}' has {where.stat().st_size} bytes; {MAX_FILE_BYTES} are taken")
        data = where.read_bytes()
    except OSError as error:
        raise LoadError(
            f"'{path}' cannot be read: {error.strerror}; check the path and its permissions"
        ) from error
    try:
        message = decode(memoryview(data), MODEL)
    except ValueError as error:
        raise LoadError(
            f"'{path}' is not a readable ONNX file (truncated or another format): {error}"
        ) from error
    if not message.get("graph", {}).get("node"):
        raise LoadError(f"'{path}' holds no ONNX graph (empty, truncated or another format)")
    try:
        return _model(message, where)
    except (KeyError, TypeError, ValueError) as error:
        if isinstance(error, LoadError):
            raise
        why = f"lacks {error}" if isinstance(error, KeyError) else str(error)
        raise LoadError(f"'{path}' is a damaged ONNX file: {why}; export the model again") from error


def _model(message: Message, where: Path) -> OnnxModel:
    graph = message["graph"]
    _check_domains(message, where)
    if graph["sparse_initializer"]:
        raise LoadError(f"'{where}' holds sparse weights; export it with dense ones")
    claimed = sum(_claimed(tensor) for tensor in graph["initializer"])
    if claimed > MAX_WEIGHT_BYTES:
        raise LoadError(f"'{where}' claims {claimed} bytes of weights; {MAX_WEIGHT_BYTES} are taken")
    constants = {str(t["name"]): array_of(t, where) for t in graph["initializer"]}
    for name, array in constants.items():
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            bad = int((~np.isfinite(array)).sum())
            raise LoadError(f"'{where}': {bad} of {array.size} values of weight '{name}' are NaN or infinite")
    entries = [entry for entry in graph["input"] if entry["name"] not in constants]
    if len(entries) != 1 or len(graph["output"]) != 1:
        raise LoadError(
            f"'{where}' has {len(entries)} inputs and {len(graph['output'])} outputs; models with one "
            "of each are taken"
        )
    producer = " ".join(filter(None, (message.get("producer_name"), message.get("producer_version"))))
    return OnnxModel(
        label=str(where),
        producer=producer or "unknown producer",
        opset=_opset(message, where),
        nodes=tuple(_nodes(graph, where)),
        constants=constants,
        input=entries[0]["name"],
        output=graph["output"][0]["name"],
        shape=_sample_shape(entries[0], where),
    )


def _check_domains(message: Message, where: Path) -> None:
    foreign = sorted({n.get("domain", "") for n in message["graph"]["node"]} - {"", "ai.onnx"})
    if foreign:
        raise LoadError(
            f"'{where}' uses operators outside ONNX itself ({', '.join(foreign)}); export it without custom "
            "operators and functions"
        )


def _opset(message: Message, where: Path) -> int:
    versions = [
        int(o.get("version", 0)) for o in message["opset_import"] if o.get("domain", "") in ("", "ai.onnx")
    ]
    if not versions or max(versions) < MIN_OPSET:
        raise LoadError(
            f"'{where}' uses version {max(versions, default=0)} of ONNX's operators; {MIN_OPSET} and later "
            f"are read: export it with opset_version={MIN_OPSET} or more"
        )
    return max(versions)


def _sample_shape(entry: Message, where: Path) -> Shape:
    dims = [d.get("dim_value", 0) for d in entry["type"]["tensor_type"]["shape"]["dim"]]
    if len(dims) < 2 or any(d < 1 for d in dims[1:]):
        raise LoadError(
            f"'{where}': input '{entry['name']}' has shape {dims} (0 is open); all axes but the batch must "
            "be fixed: export the model with a fixed input size"
        )
    return tuple(dims[1:])


def _nodes(graph: Message, where: Path) -> list[OnnxNode]:
    nodes = []
    for node in graph["node"]:
        attributes = {a["name"]: _attribute(a, where) for a in node["attribute"]}
        nodes.append(
            OnnxNode(
                node["op_type"], node.get("name", ""), tuple(node["input"]), tuple(node["output"]), attributes
            )
        )
    return nodes


def _attribute(a: Message, where: Path) -> Any:
    """Return an attribute's value by its type: float, int, text, tensor, or lists of the first three."""
    kind = a.get("type", 0)
    if kind == 1:
        return float(a.get("f", 0.0))
    if kind == 2:
        return int(a.get("i", 0))
    if kind == 3:
        return bytes(a.get("s", b"")).decode("utf-8", "replace")
    if kind == 4:
        return array_of(a["t"], where)
    if kind == 8:
        return [bytes(s).decode("utf-8", "replace") for s in a["strings"]]
    if kind in (6, 7):
        return list(a["floats"] if kind == 6 else a["ints"])
    return None  # a graph, as in If and Loop, whose operators are refused


# --- tensors ----------------------------------------------------------------------------------------------


def _claimed(tensor: Message) -> int:
    dims = [int(d) for d in tensor["dims"]]
    if any(d < 0 for d in dims):
        raise ValueError(f"tensor '{tensor.get('name', '')}' has shape {dims}")
    return math.prod(dims) * np.dtype(TYPES.get(tensor.get("data_type", 0), "<f8")).itemsize


def array_of(tensor: Message, where: Path) -> Array:
    """Return a tensor's values.

    Raises
    ------
    ValueError, LoadError
        If the type is no kind of number, the sizes do not fit, or the values lie in a file that is not beside
        the model's.
    """
    kind, name = tensor.get("data_type", 0), tensor.get("name", "")
    if kind not in TYPES:
        raise ValueError(f"tensor '{name}' has element type {kind}, which is no number")
    dims, dtype = tuple(int(d) for d in tensor["dims"]), np.dtype(TYPES[kind])
    if _claimed(tensor) > MAX_WEIGHT_BYTES:
        raise ValueError(f"tensor '{name}' claims shape {dims}")
    if tensor.get("data_location", 0) == 1:
        flat = np.frombuffer(_beside(tensor, where, _claimed(tensor)), dtype)
    elif "raw_data" in tensor:
        flat = np.frombuffer(tensor["raw_data"], dtype)
    else:
        flat = _listed(tensor, dtype)
    if flat.size != math.prod(dims):
        raise ValueError(f"tensor '{name}' of shape {dims} holds {flat.size} values")
    if kind == BFLOAT16:
        flat = (flat.astype(np.uint32) << 16).view(np.float32)
    return flat.reshape(dims)


def _listed(tensor: Message, dtype: np.dtype[Any]) -> Array:
    """Read values that stand as numbers: small types travel as int32, halves as their bits."""
    fields = ("float_data", "int32_data", "int64_data", "double_data", "uint64_data")
    found: list[float] = next((tensor[name] for name in fields if tensor[name]), [])
    if dtype.itemsize == 2 and dtype.kind in "fu":
        return np.array(found, np.uint16).view(dtype)
    return np.array(found).astype(dtype)


def _beside(tensor: Message, where: Path, size: int) -> bytes:
    """Read values from a file in the model's own folder."""
    facts = {entry["key"]: entry.get("value", "") for entry in tensor["external_data"]}
    location = facts.get("location", "")
    pure = PurePosixPath(location.replace("\\", "/"))
    path = where.parent / pure
    inside = not pure.is_absolute() and ".." not in pure.parts and ":" not in location
    if not inside or where.parent.resolve() not in path.resolve().parents:
        raise LoadError(
            f"'{where}' names weights outside its own folder ('{location}'), which is not followed"
        )
    offset, length = int(facts.get("offset", 0)), int(facts.get("length", size))
    if offset < 0 or length != size:
        raise ValueError(f"tensor '{tensor.get('name', '')}' lies at {offset}, {length} bytes, not {size}")
    try:
        with path.open("rb") as file:
            file.seek(offset)
            return file.read(size)
    except OSError as error:
        raise LoadError(
            f"'{where}' keeps weights in '{location}' beside it, which cannot be read: {error.strerror}"
        ) from error
