"""Our frozen values as one text and some arrays, and back: how a program gets to other processes.

A mapping that cannot be changed cannot be pickled either; and what arrives here can name nothing but our own
dataclasses, so it runs no code that we did not write.
"""

from __future__ import annotations

import dataclasses
import enum
import importlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from neurodeploy.errors import VerifyError

Array = npt.NDArray[Any]
Parcel = tuple[str, list[Array]]
"""A value on its way: its structure as JSON, and its arrays."""


def pack(value: Any) -> Parcel:
    """Take a value of ours apart.

    Parameters
    ----------
    value : dataclass, mapping, sequence, array, enum, text or number
        Dataclasses and enums are ours; they may hold one another to any depth.

    Raises
    ------
    VerifyError
        If there is anything else in it.
    """
    arrays: list[Array] = []
    return json.dumps(_plain(value, arrays)), arrays


def unpack(parcel: Parcel) -> Any:
    """Put a value together again; its arrays are read-only."""
    text, arrays = parcel
    return _value(json.loads(text), [_fixed(array) for array in arrays])


def _plain(value: Any, arrays: list[Array]) -> Any:
    if isinstance(value, np.ndarray):
        arrays.append(value)
        return {"array": len(arrays) - 1}
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, enum.Enum):
        return {"enum": [_name(type(value)), value.name]}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {f.name: _plain(getattr(value, f.name), arrays) for f in dataclasses.fields(value) if f.init}
        return {"type": _name(type(value)), "fields": fields}
    if isinstance(value, Mapping):
        return {"map": [[_plain(k, arrays), _plain(v, arrays)] for k, v in value.items()]}
    if isinstance(value, tuple):
        return {"tuple": [_plain(item, arrays) for item in value]}
    if isinstance(value, list):
        return [_plain(item, arrays) for item in value]
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise VerifyError(f"a {type(value).__name__} cannot be sent to another process")


def _value(plain: Any, arrays: Sequence[Array]) -> Any:
    if isinstance(plain, list):
        return [_value(item, arrays) for item in plain]
    if not isinstance(plain, dict):
        return plain
    if "array" in plain:
        return arrays[plain["array"]]
    if "tuple" in plain:
        return tuple(_value(item, arrays) for item in plain["tuple"])
    if "map" in plain:
        return {_value(k, arrays): _value(v, arrays) for k, v in plain["map"]}
    if "enum" in plain:
        return _found(plain["enum"][0], enum.Enum)[plain["enum"][1]]
    fields = {name: _value(item, arrays) for name, item in plain["fields"].items()}
    return _found(plain["type"], None)(**fields)


def _name(kind: type) -> str:
    return f"{kind.__module__}:{kind.__qualname__}"


def _found(name: str, base: type | None) -> Any:
    """Find one of our dataclasses or enums; nothing else has a name here."""
    module, _, kind = name.partition(":")
    if module.split(".")[0] != "neurodeploy":
        raise VerifyError(f"'{name}' is no type of ours")
    found = getattr(importlib.import_module(module), kind)
    if not (dataclasses.is_dataclass(found) if base is None else issubclass(found, base)):
        raise VerifyError(f"'{name}' is neither a dataclass nor an enum")
    return found


def _fixed(array: Array) -> Array:
    array = np.asarray(array).view()
    array.flags.writeable = False
    return array
