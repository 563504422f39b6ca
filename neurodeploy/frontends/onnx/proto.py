"""Protocol buffers as far as ONNX files need them: bytes to nested dictionaries, by tables of field numbers.

A file is data here: nothing is imported or generated for it, and every length in it is checked before it is
followed. The numbers are those of onnx.proto, which may never change them.

References
----------
.. [1] Protocol Buffers, Encoding: https://protobuf.dev/programming-guides/encoding
.. [2] onnx/onnx.proto of ONNX 1.22: https://github.com/onnx/onnx
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

Message = dict[str, Any]
VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
"""Wire types; groups (3 and 4) are not used since proto2."""
MAX_DEPTH = 24
"""Deepest nesting taken: a model, its graph, a node, an attribute, a tensor are five."""


class Field(NamedTuple):
    """One field: its name, what is in it, and whether there may be several."""

    name: str
    kind: str | Mapping[int, Field]
    many: bool = False


def _one(name: str, kind: str | Mapping[int, Field]) -> Field:
    return Field(name, kind)


def _many(name: str, kind: str | Mapping[int, Field]) -> Field:
    return Field(name, kind, many=True)


ENTRY = {1: _one("key", "text"), 2: _one("value", "text")}
TENSOR: dict[int, Field] = {
    1: _many("dims", "int"), 2: _one("data_type", "int"), 4: _many("float_data", "float"),
    5: _many("int32_data", "int"), 7: _many("int64_data", "int"), 8: _one("name", "text"),
    9: _one("raw_data", "bytes"), 10: _many("double_data", "double"), 11: _many("uint64_data", "int"),
    13: _many("external_data", ENTRY), 14: _one("data_location", "int"),
}  # fmt: skip
ATTRIBUTE: dict[int, Field] = {
    1: _one("name", "text"), 2: _one("f", "float"), 3: _one("i", "int"), 4: _one("s", "bytes"),
    5: _one("t", TENSOR), 6: _one("g", "bytes"), 7: _many("floats", "float"), 8: _many("ints", "int"),
    9: _many("strings", "bytes"), 20: _one("type", "int"),
}  # fmt: skip
NODE: dict[int, Field] = {
    1: _many("input", "text"), 2: _many("output", "text"), 3: _one("name", "text"),
    4: _one("op_type", "text"), 5: _many("attribute", ATTRIBUTE), 7: _one("domain", "text"),
}  # fmt: skip
DIMENSION = {1: _one("dim_value", "int"), 2: _one("dim_param", "text")}
SHAPE = {1: _many("dim", DIMENSION)}
TENSOR_TYPE = {1: _one("elem_type", "int"), 2: _one("shape", SHAPE)}
TYPE = {1: _one("tensor_type", TENSOR_TYPE)}
VALUE_INFO = {1: _one("name", "text"), 2: _one("type", TYPE)}
GRAPH: dict[int, Field] = {
    1: _many("node", NODE), 2: _one("name", "text"), 5: _many("initializer", TENSOR),
    11: _many("input", VALUE_INFO), 12: _many("output", VALUE_INFO), 15: _many("sparse_initializer", "bytes"),
}  # fmt: skip
OPSET = {1: _one("domain", "text"), 2: _one("version", "int")}
MODEL: dict[int, Field] = {
    1: _one("ir_version", "int"), 2: _one("producer_name", "text"), 3: _one("producer_version", "text"),
    7: _one("graph", GRAPH), 8: _many("opset_import", OPSET),
}  # fmt: skip


def decode(data: memoryview, fields: Mapping[int, Field], *, depth: int = 0) -> Message:
    """Read one message.

    Parameters
    ----------
    data : memoryview of bytes
    fields : mapping of int to Field
        What to take; other fields are passed over.

    Returns
    -------
    dict
        Fields that may repeat are always there, as lists; numbers in packed form as arrays in such a list.

    Raises
    ------
    ValueError
        If the bytes are no such message.
    """
    if depth > MAX_DEPTH:
        raise ValueError(f"messages nested more than {MAX_DEPTH} deep")
    found: Message = {field.name: [] for field in fields.values() if field.many}
    for number, wire, value in _entries(data):
        field = fields.get(number)
        if field is None:
            continue
        if isinstance(field.kind, str):
            taken = _numbers(value, wire, field.kind) if field.many else [_single(value, wire, field.kind)]
        else:
            taken = [decode(_bytes(value, wire), field.kind, depth=depth + 1)]
        if field.many:
            found[field.name] += taken
        else:
            found[field.name] = taken[-1]
    return found


def _entries(data: memoryview) -> Iterator[tuple[int, int, Any]]:
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        number, wire = key >> 3, key & 7
        value: Any
        if wire == VARINT:
            value, at = _varint(data, at)
        elif wire in (BYTES, FIXED64, FIXED32):
            if wire == BYTES:
                size, at = _varint(data, at)
            else:
                size = 8 if wire == FIXED64 else 4
            value, at = data[at : at + size], at + size
            if at > len(data):
                raise ValueError("a field is longer than the file")
        else:
            raise ValueError(f"wire type {wire}")
        yield number, wire, value


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    value = 0
    for i in range(10):
        if at + i >= len(data):
            break
        byte = data[at + i]
        value |= (byte & 0x7F) << (7 * i)
        if byte < 0x80:
            return value & 0xFFFF_FFFF_FFFF_FFFF, at + i + 1
    raise ValueError("a number does not end")


def _signed(value: int) -> int:
    return value - (1 << 64) if value >= 1 << 63 else value


def _bytes(value: Any, wire: int) -> memoryview:
    if wire != BYTES:
        raise ValueError(f"wire type {wire} where bytes belong")
    return memoryview(value)


def _single(value: Any, wire: int, kind: str) -> Any:
    if kind == "int" and wire == VARINT:
        return _signed(value)
    if kind == "float" and wire == FIXED32:
        return struct.unpack("<f", value)[0]
    if kind == "double" and wire == FIXED64:
        return struct.unpack("<d", value)[0]
    if kind == "bytes":
        return _bytes(value, wire)
    if kind == "text":
        return bytes(_bytes(value, wire)).decode("utf-8")
    raise ValueError(f"wire type {wire} where {kind} belongs")


def _numbers(value: Any, wire: int, kind: str) -> list[Any]:
    """Take one of a repeated field's values, or several packed into one."""
    if wire != BYTES or kind in ("bytes", "text"):
        return [_single(value, wire, kind)]
    if kind in ("float", "double"):
        return list(np.frombuffer(value, "<f4" if kind == "float" else "<f8").tolist())
    numbers, at = [], 0
    while at < len(value):
        number, at = _varint(value, at)
        numbers.append(_signed(number))
    return numbers
