"""Which reader a model goes to: by what it is where that can be seen, else by its file's suffix."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from neurodeploy.errors import LoadError, OptionError
from neurodeploy.ir.graph import Graph

Reader = Callable[..., Graph]

SUFFIXES: dict[str, str] = {
    ".keras": "keras",
    ".h5": "keras",
    ".hdf5": "keras",
    ".onnx": "onnx",
    ".pt2": "torch",
    ".nir": "nir",
    ".nd": "nd",
}
"""Files that are read, by suffix, and the reader they go to."""
PICKLES = (".pkl", ".pickle", ".joblib")
CHECKPOINTS = (".pt", ".pth", ".ckpt")
"""PyTorch's suffixes; what is inside decides, and a pickle is refused with the way out."""
HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"


def load(source: Any, name: str | None = None, *, sample: Any = None, **told: Any) -> Graph:
    """Read a network from a file or a live model.

    Parameters
    ----------
    source : path-like or live model
    name : str, optional
        Of the graph; the file's stem or the model's own name by default.
    sample : array_like, optional
        One sample, without the batch axis, for a live PyTorch module, which does not know its input's shape.
    **told
        What a NIR file leaves open, as `frontends.nir.load_nir` takes it.

    Raises
    ------
    LoadError
        If it cannot be read; `UnsupportedLayer` names the layer that stands in the way.
    OptionError
        If something was told of a source that is no NIR file.
    """
    told = {key: value for key, value in told.items() if value is not None}
    if not isinstance(source, str | os.PathLike):
        _refuse_told(told, "a live model")
        return _from_live(source, name, sample)
    path = Path(source)
    listed = ", ".join(SUFFIXES)
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "does not exist"
        raise LoadError(f"'{path}' {what}; name a model file ({listed})")
    suffix = path.suffix.lower()
    if suffix in CHECKPOINTS:
        return _torch(path, name)
    if suffix not in SUFFIXES:
        why = "a pickle, which is never read" if suffix in PICKLES else "no kind of model file that is read"
        raise LoadError(f"'{path}' is {why}; {listed} are")
    kind = _kind_of(path, SUFFIXES[suffix])
    if kind == "nir":
        return _nir(path, name, **told)
    _refuse_told(told, f"'{path}'")
    return READERS[kind](path, name)


def is_nir(path: str | os.PathLike[str]) -> bool:
    """Whether a file is NIR of another tool, which leaves open what ours say."""
    place = Path(path)
    return place.is_file() and _kind_of(place, SUFFIXES.get(place.suffix.lower(), "")) == "nir"


def _refuse_told(told: dict[str, Any], what: str) -> None:
    if told:
        raise OptionError(f"{what} is no NIR file of another tool: {', '.join(told)} would change nothing")


def _kind_of(path: Path, by_suffix: str) -> str:
    """Look into files whose suffix does not say it: a NIR file or one of ours may be called .h5."""
    with path.open("rb") as file:
        if file.read(8) != HDF5_MAGIC:
            return by_suffix
    import h5py

    try:
        with h5py.File(path, "r") as file:
            if "neurodeploy" in file:
                return "nd"
            return "nir" if by_suffix != "nd" and "node/nodes" in file else by_suffix
    except (OSError, LookupError, RuntimeError, TypeError, ValueError):
        return by_suffix  # damaged: its reader says so


def _from_live(source: Any, name: str | None, sample: Any) -> Graph:
    from neurodeploy.frontends import keras, torch

    if torch.is_live(source):
        return torch.from_torch(source, name, sample=sample)
    return keras.from_keras(source, name)


def _keras(path: Path, name: str | None) -> Graph:
    from neurodeploy.frontends.keras import load_keras

    return load_keras(path, name)


def _onnx(path: Path, name: str | None) -> Graph:
    from neurodeploy.frontends.onnx import load_onnx

    return load_onnx(path, name)


def _torch(path: Path, name: str | None) -> Graph:
    from neurodeploy.frontends.torch import load_pt2

    return load_pt2(path, name)


def _nir(path: Path, name: str | None, **told: Any) -> Graph:
    from neurodeploy.frontends.nir import load_nir

    return load_nir(path, name, **told)


def _nd(path: Path, name: str | None) -> Graph:
    from neurodeploy import store

    return store.load(path)


READERS: dict[str, Reader] = {"keras": _keras, "onnx": _onnx, "torch": _torch, "nir": _nir, "nd": _nd}
