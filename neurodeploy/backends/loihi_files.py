"""The state of a LoihiSimulator as a file: numbers, texts and arrays in HDF5, of which nothing is unpickled.

A text in JSON holds the tree of the state; its arrays lie in one dataset per type, end to end, and the tree
says where. Lists of equal arrays, as probes keep, are one entry.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from neurodeploy.errors import LoadError, OptionError
from neurodeploy.files import new_hdf5, open_hdf5, write_beside

if TYPE_CHECKING:
    import h5py

FORMAT = "neurodeploy LoihiSimulator state 1"
TREE = "tree"
KINDS = "biufc"
"""Kinds of arrays there may be: truth values and numbers."""
DEPTH = 60
"""Most levels of a tree."""

Array = npt.NDArray[Any]


def write(state: dict[str, Any], path: str | os.PathLike[str]) -> Path:
    """Write a state, beside the place and then renamed.

    Raises
    ------
    OutputError
        If the file cannot be written.
    OptionError
        If a process keeps what is no number, text or array.
    """
    pool = _Pool()
    text = json.dumps(pool.put(state), separators=(",", ":"))

    def fill(beside: Path) -> None:
        with new_hdf5(beside) as file:
            file.attrs["format"] = FORMAT
            packed = {"compression": "gzip", "shuffle": True, "track_times": False}
            file.create_dataset(TREE, data=np.frombuffer(text.encode(), np.uint8), **packed)
            for name, values in pool.arrays().items():
                file.create_dataset(name, data=values, **(packed if values.size else {"track_times": False}))

    return write_beside(path, fill)


def read(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read what `write` wrote.

    Raises
    ------
    LoadError
        If it is no such file, or a damaged one.
    """
    with open_hdf5(path) as file:
        try:
            if str(file.attrs.get("format", "")) != FORMAT or TREE not in file:
                raise LoadError(
                    f"'{path}' holds no state of a LoihiSimulator; give a file that save_state wrote"
                )
            state = _Reader(file).take(json.loads(file[TREE][:].tobytes()))
        except LoadError:
            raise
        except (AttributeError, KeyError, IndexError, OSError, OverflowError, RecursionError, TypeError,
                ValueError) as error:  # fmt: skip
            raise LoadError(f"'{path}' is a damaged state of a LoihiSimulator: {error}") from error
    if not isinstance(state, dict):
        raise LoadError(f"'{path}' is a damaged state of a LoihiSimulator: it is no dict")
    return state


class _Pool:
    """Arrays put end to end, by type, and the tree that says where each is."""

    def __init__(self) -> None:
        self.parts: dict[str, list[Array]] = {}
        self.sizes: dict[str, int] = {}

    def arrays(self) -> dict[str, Array]:
        """Return one array per type."""
        return {name: np.concatenate(parts) for name, parts in self.parts.items()}

    def put(self, x: Any) -> Any:
        """Return a value as JSON has it: itself, or a list of what it is and what is in it."""
        if x is None or type(x) in (bool, int, float, str):
            return x
        if isinstance(x, np.ndarray):
            return ["array", *self._array(x)]
        if isinstance(x, np.generic):
            return ["number", *self._array(np.asarray(x))]
        if isinstance(x, np.dtype):
            return ["dtype", x.str]
        for name, (kind, form) in self._forms().items():
            if type(x) is kind:
                return [name, *form(x)]
        if hasattr(x, "tocsr"):  # weights of the network, which no run changes
            return None
        raise OptionError(
            f"the state holds an object of type '{type(x).__name__}', which no file can hold; keep numbers, "
            "texts and arrays in processes"
        )

    def _forms(self) -> dict[str, tuple[type, Callable[[Any], list[Any]]]]:
        return {
            "list": (list, self._list),
            "tuple": (tuple, lambda x: [self.put(y) for y in x]),
            "dict": (dict, lambda x: [[self.put(k), self.put(v)] for k, v in x.items()]),
            "complex": (complex, lambda x: [x.real, x.imag]),
            "bytes": (bytes, lambda x: [x.hex()]),
        }

    def _list(self, x: list[Any]) -> list[Any]:
        forms = {(y.dtype, y.shape) if isinstance(y, np.ndarray) else None for y in x}
        if len(x) > 1 and len(forms) == 1 and None not in forms:
            return [{"rows": self._array(np.stack(x))}]
        return [self.put(y) for y in x]

    def _array(self, x: Array) -> list[Any]:
        """Append an array; return type, place and shape."""
        if x.dtype.kind not in KINDS:
            raise OptionError(f"the state holds an array of {x.dtype}, which no file can hold; keep numbers")
        name = x.dtype.newbyteorder("<").str[1:]
        first = self.sizes.get(name, 0)
        self.parts.setdefault(name, []).append(np.ascontiguousarray(x, x.dtype.newbyteorder("=")).ravel())
        self.sizes[name] = first + x.size
        return [name, first, list(x.shape)]


class _Reader:
    """The way back; whatever does not fit raises one of the errors that `read` expects."""

    def __init__(self, file: h5py.File) -> None:
        self.arrays = {name: file[name][:] for name in file if name != TREE}
        for name, values in self.arrays.items():
            if values.dtype != np.dtype(name) or values.ndim != 1 or values.dtype.kind not in KINDS:
                raise ValueError(f"'{name}' holds {values.dtype}")

    def take(self, x: Any, depth: int = 0) -> Any:
        """Return the value of which this is the form."""
        if x is None or isinstance(x, (bool, int, float, str)):
            return x
        if depth > DEPTH or not isinstance(x, list):
            raise ValueError("its tree is none")
        kind, *rest = x
        if kind in ("array", "number"):
            array = self._array(*rest)
            return array if kind == "array" else array[()]
        if kind == "complex":
            return complex(*rest)
        if kind in ("bytes", "dtype"):
            return bytes.fromhex(*rest) if kind == "bytes" else np.dtype(*rest)
        return self._several(kind, rest, depth + 1)

    def _several(self, kind: Any, rest: list[Any], depth: int) -> Any:
        if kind == "list" and len(rest) == 1 and isinstance(rest[0], dict):
            return [row.copy() for row in self._array(*rest[0]["rows"])]
        if kind == "dict":
            return {self.take(k, depth): self.take(v, depth) for k, v in rest}
        if kind not in ("list", "tuple"):
            raise ValueError(f"its tree holds '{kind}'")
        values = [self.take(y, depth) for y in rest]
        return values if kind == "list" else tuple(values)

    def _array(self, name: str, first: int, shape: list[int]) -> Array:
        size, values = int(np.prod(shape, dtype=object)), self.arrays[name]
        if first < 0 or min(shape, default=0) < 0 or first + size > len(values):
            raise ValueError(f"an array ends behind '{name}'")
        return np.asarray(values[first : first + size].reshape(shape).copy())
