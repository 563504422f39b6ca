"""Which reader a model goes to: by what it is where that can be seen, else by its file's suffix."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from neurodeploy.errors import LoadError
from neurodeploy.ir.graph import Graph

Reader = Callable[[Path, str | None], Graph]

SUFFIXES: dict[str, str] = {
    ".keras": "keras",
    ".h5": "keras",
    ".hdf5": "keras",
    ".onnx": "onnx",
    ".nd": "nd",
}
"""Files that are read, by suffix, and the reader they go to."""
PICKLES = (".pkl", ".pickle", ".pt", ".pth", ".joblib")
HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"


def load(source: Any, name: str | None = None) -> Graph:
    """Read a network from a file or a live model.

    Parameters
    ----------
    source : path-like or live model
    name : str, optional
        Of the graph; the file's stem or the model's own name by default.

    Raises
    ------
    LoadError
        If it cannot be read; `UnsupportedLayer` names the layer that stands in the way.
    """
    if not isinstance(source, str | os.PathLike):
        from neurodeploy.frontends import keras

        return keras.from_keras(source, name)
    path = Path(source)
    listed = ", ".join(SUFFIXES)
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "does not exist"
        raise LoadError(f"'{path}' {what}; name a model file ({listed})")
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        why = "a pickle, which is never read" if suffix in PICKLES else "no kind of model file that is read"
        raise LoadError(f"'{path}' is {why}; {listed} are")
    return READERS[_kind_of(path, SUFFIXES[suffix])](path, name)


def _kind_of(path: Path, by_suffix: str) -> str:
    """Look into files whose suffix does not say it: a NIR file or one of ours may be called .h5."""
    with path.open("rb") as file:
        if file.read(8) != HDF5_MAGIC:
            return by_suffix
    import h5py

    try:
        with h5py.File(path, "r") as file:
            return "nd" if "neurodeploy" in file else by_suffix
    except OSError:
        return by_suffix  # damaged: its reader says so


def _keras(path: Path, name: str | None) -> Graph:
    from neurodeploy.frontends.keras import load_keras

    return load_keras(path, name)


def _onnx(path: Path, name: str | None) -> Graph:
    from neurodeploy.frontends.onnx import load_onnx

    return load_onnx(path, name)


def _nd(path: Path, name: str | None) -> Graph:
    from neurodeploy import store

    return store.load(path)


READERS: dict[str, Reader] = {"keras": _keras, "onnx": _onnx, "nd": _nd}
