"""Read `.keras` and `.h5` files of Keras 2 and 3 from their bytes: JSON and HDF5, no code, no Keras.

The content decides, not the suffix: Keras 2.12 writes HDF5 under `.keras` too.
"""

from __future__ import annotations

import contextlib
import dataclasses
import io
import json
import os
import re
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from neurodeploy.errors import LoadError
from neurodeploy.files import open_hdf5
from neurodeploy.frontends.keras.config import network_of
from neurodeploy.frontends.keras.source import CHAINS, Source
from neurodeploy.frontends.keras.weights import MAX_WEIGHT_BYTES, grouped, listed

if TYPE_CHECKING:
    import h5py

MAX_JSON_BYTES = 64 << 20
"""Largest configuration taken."""
CONFIG, WEIGHTS = "config.json", "model.weights.h5"
SAVE = "save the whole model with model.save('model.keras')"
DAMAGED = "damaged or truncated; copy it again"
_DAMAGE = (
    ArithmeticError, AttributeError, EOFError, KeyError, NotImplementedError, OSError, RuntimeError,
    TypeError, ValueError, zipfile.BadZipFile, zlib.error,
)  # fmt: skip


def read(path: str | os.PathLike[str]) -> Source:
    """Read a model file.

    Parameters
    ----------
    path : path-like
        A `.keras` file (zip, or HDF5 as Keras 2.12 writes it) or an `.h5` file with the whole model.

    Raises
    ------
    LoadError
        Saying what the file is instead, or what is wrong with it.
    """
    where = Path(path)
    try:
        head = _head(where)
    except OSError as error:
        raise LoadError(
            f"'{path}' cannot be read: {error.strerror}; check the path and its permissions"
        ) from error
    if head.startswith(b"\x89HDF\r\n\x1a\n"):
        return _read_h5(where)
    if head.startswith(b"PK"):
        return _read_zip(where)
    raise LoadError(f"'{path}' is {_what_else(head, where)}")


def _head(where: Path) -> bytes:
    if not where.exists():
        raise LoadError(f"'{where}' does not exist; name a .keras or .h5 file")
    if where.is_dir():
        kind = "a TensorFlow SavedModel folder" if (where / "saved_model.pb").exists() else "a folder"
        raise LoadError(f"'{where}' is {kind}, not a file; load it where it was written and {SAVE}")
    with where.open("rb") as file:
        head = file.read(64)
    if not head:
        raise LoadError(f"'{where}' is empty; {SAVE} again")
    return head


def _what_else(head: bytes, where: Path) -> str:
    """Name a format that is not ours, and the way out."""
    if (head[:1] == b"\x80" and head[1:2] in b"\x02\x03\x04\x05") or where.suffix in (
        ".pkl",
        ".pickle",
        ".joblib",
    ):
        return f"a pickle, which can run any code when opened and is therefore never opened; {SAVE}"
    if head.lstrip()[:1] in (b"{", b"["):
        return f"JSON: an architecture without weights; {SAVE}"
    if head.startswith(b"\x93NUMPY"):
        return f"a NumPy array, not a model; {SAVE}"
    return f"neither a zip nor an HDF5 file, so not a Keras model (or a damaged one); {SAVE}"


# --- zip --------------------------------------------------------------------------------------------------


def _read_zip(where: Path) -> Source:
    damaged = f"a damaged or truncated zip file; copy it again, or {SAVE} again"
    with _damage_named(where, damaged), zipfile.ZipFile(where) as archive:
        _check_members(archive, where)
        names = archive.namelist()
        config = _json(archive.read(CONFIG), f"{where}: {CONFIG}")
        meta = _json(archive.read("metadata.json"), str(where)) if "metadata.json" in names else {}
        weights = io.BytesIO(archive.read(WEIGHTS))
    source = _source(where, config, str(meta.get("keras_version", "")))
    with _damage_named(where, DAMAGED), open_hdf5(weights, label=f"{where}: {WEIGHTS}") as file:
        return dataclasses.replace(source, weights=grouped(file, network_of(source), where))


@contextlib.contextmanager
def _damage_named(where: Path, what: str) -> Iterator[None]:
    """Turn what zip and HDF5 raise on damaged bytes into one message."""
    try:
        yield
    except LoadError:
        raise
    except _DAMAGE as error:
        told = " ".join(ascii(str(error))[1:-1].split())[:300]
        raise LoadError(f"'{where}' is {what} ({told})") from error


def _check_members(archive: zipfile.ZipFile, where: Path) -> None:
    """Refuse archives that are not Keras', or that are built to harm: odd paths, twins, bombs."""
    infos = archive.infolist()
    names = [info.filename for info in infos]
    odd = [n for n in names if n.startswith(("/", "\\")) or ".." in re.split(r"[\\/]", n) or ":" in n]
    odd += [n for n, count in Counter(names).items() if count > 1]
    if odd:
        raise LoadError(
            f"'{where}' holds a member '{odd[0]}' twice or with a path out of the archive; not opened"
        )
    if any(n.endswith(("data.pkl", ".pkl")) for n in names):
        raise LoadError(
            f"'{where}' is a PyTorch or joblib archive with a pickle inside, which can run any code when "
            "opened and is therefore never opened; export the model, or rebuild it in Keras"
        )
    if CONFIG not in names or WEIGHTS not in names:
        missing = " and ".join(n for n in (CONFIG, WEIGHTS) if n not in names)
        raise LoadError(f"'{where}' is a zip file without {missing}, so not a Keras model; {SAVE}")
    for info in infos:
        limit = MAX_WEIGHT_BYTES if info.filename == WEIGHTS else MAX_JSON_BYTES
        if info.filename in (CONFIG, WEIGHTS, "metadata.json") and info.file_size > limit:
            raise LoadError(
                f"'{where}': {info.filename} unpacks to {info.file_size} bytes; {limit} are taken"
            )


def _json(data: bytes | str, what: str) -> dict[str, Any]:
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise LoadError(f"'{what}' is not readable JSON ({error}); {SAVE} again") from error
    if not isinstance(value, dict):
        raise LoadError(f"'{what}' is JSON, but not a model's configuration; {SAVE} again")
    return value


# --- h5 ---------------------------------------------------------------------------------------------------


def _read_h5(where: Path) -> Source:
    with _damage_named(where, DAMAGED), open_hdf5(where) as file:
        text = file.attrs.get("model_config")
        if text is None:
            raise LoadError(f"'{where}' is {_what_h5(file)}")
        config = _json(text, f"{where}: model_config")
        source = _source(where, config, _text(file.attrs.get("keras_version", "")))
        return dataclasses.replace(source, weights=listed(file["model_weights"], network_of(source), where))


def _what_h5(file: h5py.File) -> str:
    if "layer_names" in file.attrs or any(g in file for g in ("layers", "_layer_checkpoint_dependencies")):
        return f"a file of weights without the architecture; {SAVE}"
    if "node" in file or "nodes" in file:
        return "a NIR graph, not a Keras model; use the suffix .nir or .nd"
    return f"HDF5, but not a Keras model (no model_config); {SAVE}"


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


# --- both -------------------------------------------------------------------------------------------------


def _source(where: Path, config: Mapping[str, Any], version: str) -> Source:
    if not isinstance(config.get("class_name"), str) or "config" not in config:
        raise LoadError(f"'{where}': the configuration names no model class; {SAVE} again")
    inner = config["config"]
    if isinstance(inner, list):  # Keras before 2.2.3
        inner = {"layers": inner}
    kind = config["class_name"]
    if kind in CHAINS and isinstance(inner, dict) and "build_input_shape" not in inner:
        inner = {**inner, "build_input_shape": (config.get("build_config") or {}).get("input_shape")}
    return Source(str(where), where.name, f"Keras {version}".strip(), kind, inner, {})
