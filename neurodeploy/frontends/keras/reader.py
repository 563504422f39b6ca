"""Read `.keras` and `.h5` files of Keras 2 and 3 from their bytes: JSON and HDF5, no code, no Keras.

The content decides, not the suffix: Keras 2.12 writes HDF5 under `.keras` too.
"""

from __future__ import annotations

import contextlib
import dataclasses
import io
import itertools
import json
import os
import re
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from neurodeploy.errors import LoadError
from neurodeploy.files import open_hdf5
from neurodeploy.frontends.keras.source import CHAINS, Source, Variable, layers_of, tail

if TYPE_CHECKING:
    import h5py

MAX_JSON_BYTES = 64 << 20
"""Largest configuration taken."""
MAX_WEIGHT_BYTES = 1 << 30
"""Largest sum of weights taken, uncompressed; far above any model that fits a neuromorphic board."""
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
        return dataclasses.replace(source, weights=_grouped_weights(file, source, where))


@contextlib.contextmanager
def _damage_named(where: Path, what: str) -> Iterator[None]:
    """Turn what zip and HDF5 raise on damaged bytes into one message."""
    try:
        yield
    except LoadError:
        raise
    except _DAMAGE as error:
        raise LoadError(f"'{where}' is {what} ({' '.join(str(error).split())})") from error


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


def _grouped_weights(file: h5py.File, source: Source, where: Path) -> dict[str, list[Variable]]:
    """Find each layer's group in the weights of a zip.

    A group holds `vars` with datasets 0, 1, ... in Keras' order. Newer Keras 3 writes the layer's name on
    `vars`; before that the group is named after the class, with numbers that rise along the layers of that
    class (not always by one: Keras 2.12 counts each layer with weights twice).
    """
    groups = _variable_groups(file)
    named = {str(v.attrs["name"]): v for _, v in groups if "name" in v.attrs}
    if named:
        return {name: _take(_by_number(group), where) for name, group in named.items()}
    layers = layers_of(source)
    weights: dict[str, list[Variable]] = {}
    for kind in dict.fromkeys(layer.kind for layer in layers):
        pattern = re.compile(rf"{re.escape(_snake(kind))}(?:_(\d+))?")
        matches = [(pattern.fullmatch(name), group) for name, group in groups if len(group)]
        numbered = sorted((int(m[1] or 0), i) for i, (m, _) in enumerate(matches) if m)
        same = [layer.name for layer in layers if layer.kind == kind]
        if len(numbered) == len(same):
            for name, (_, i) in zip(same, numbered, strict=True):
                weights[name] = _take(_by_number(matches[i][1]), where)
    return weights


def _variable_groups(file: h5py.File) -> list[tuple[str, h5py.Group]]:
    """Find groups `layers/<name>/vars`.

    Keras 2.12 has another first part, and Windows may have written backslashes.
    """
    import h5py

    found: list[tuple[str, h5py.Group]] = []

    def visit(name: str, item: Any) -> None:
        parts = re.split(r"[\\/]", name)
        if (
            isinstance(item, h5py.Group)
            and len(parts) == 3
            and parts[2] == "vars"
            and parts[0] != "optimizer"
        ):
            found.append((parts[1], item))

    file.visititems(visit)
    return found


def _by_number(group: h5py.Group) -> Iterator[tuple[str, Any]]:
    for key in sorted((k for k in group if k.isdigit()), key=int):
        yield "", group[key]


def _snake(name: str) -> str:
    """Spell a class name as Keras names groups: ``BatchNormalization`` is ``batch_normalization``."""
    name = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", re.sub(r"\W+", "", name))
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()


# --- h5 ---------------------------------------------------------------------------------------------------


def _read_h5(where: Path) -> Source:
    with _damage_named(where, DAMAGED), open_hdf5(where) as file:
        text = file.attrs.get("model_config")
        if text is None:
            raise LoadError(f"'{where}' is {_what_h5(file)}")
        config = _json(text, f"{where}: model_config")
        source = _source(where, config, _text(file.attrs.get("keras_version", "")))
        return dataclasses.replace(source, weights=_listed_weights(file, source, where))


def _what_h5(file: h5py.File) -> str:
    if "layer_names" in file.attrs or any(g in file for g in ("layers", "_layer_checkpoint_dependencies")):
        return f"a file of weights without the architecture; {SAVE}"
    if "node" in file or "nodes" in file:
        return "a NIR graph, not a Keras model; use the suffix .nir or .nd"
    return f"HDF5, but not a Keras model (no model_config); {SAVE}"


def _listed_weights(file: h5py.File, source: Source, where: Path) -> dict[str, list[Variable]]:
    groups = file["model_weights"]
    weights: dict[str, list[Variable]] = {}
    for layer in layers_of(source):
        if layer.name in groups:
            group = groups[layer.name]
            names = list(_weight_names(group))
            weights[layer.name] = _take(((tail(name), group[name]) for name in names), where)
    return weights


def _weight_names(group: h5py.Group) -> Iterator[str]:
    """Names in Keras' order; long lists are split over attributes weight_names0, weight_names1, ..."""
    if "weight_names" in group.attrs:
        yield from (_text(name) for name in group.attrs["weight_names"])
        return
    for part in itertools.count():
        if f"weight_names{part}" not in group.attrs:
            return
        yield from (_text(name) for name in group.attrs[f"weight_names{part}"])


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


def _take(datasets: Iterator[tuple[str, Any]], where: Path) -> list[Variable]:
    """Read variables; sizes are looked at before values."""
    listed = list(datasets)
    claimed = sum(int(d.size or 0) * d.dtype.itemsize for _, d in listed)
    if claimed > MAX_WEIGHT_BYTES:
        raise LoadError(f"'{where}': a layer claims {claimed} bytes of weights; {MAX_WEIGHT_BYTES} are taken")
    return [(name, np.asarray(d[()])) for name, d in listed]
