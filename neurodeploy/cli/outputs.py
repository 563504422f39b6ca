"""See, before long work, that results can be written and overwrite no input and no other result."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from neurodeploy.errors import OutputError
from neurodeploy.files import is_stream, place_of

Named = Mapping[str, str | os.PathLike[str] | None]
"""Paths by what the user calls them, as ``--json``; None where the user gave none."""


def ensure_outputs(outputs: Named, inputs: Named) -> None:
    """Make sure that files can be written, each in a place of its own; nothing is left behind.

    Parameters
    ----------
    outputs, inputs : mapping of str to path-like
        Inputs may be folders of Zarr; nothing may be written into them. Streams are not told apart: nothing
        is lost where two results go to ``/dev/null`` or to a terminal.

    Raises
    ------
    OutputError
        Naming the output, and what stands in its way.
    """
    taken = {name: os.path.realpath(path) for name, path in inputs.items() if path is not None}
    for name, path in outputs.items():
        if path is None or is_stream(path):
            continue
        place = place_of(path)
        _try_folder(place.parent, path)
        real = os.path.realpath(place)
        for other, there in taken.items():
            if _is_in(real, there):
                raise OutputError(
                    f"{name} would overwrite {other} ('{path}'); choose another place for the output"
                )
        taken[name] = real


def ensure_folder(path: str | os.PathLike[str], names: Iterable[str], inputs: Named) -> Path:
    """Make sure that a folder can be made, and files of these names written into it; nothing is left behind.

    Raises
    ------
    OutputError
        If a file stands in the folder's place, the nearest folder above it cannot be written, or a file in it
        is an input.
    """
    path = Path(path)
    there = next(p for p in (path, *path.absolute().parents) if p.exists() or p.is_symlink())
    if not there.is_dir():
        raise OutputError(f"cannot write folder '{path}': '{there}' is not a folder; choose another place")
    _try_folder(there, path)
    if there == path:
        ensure_outputs({name: path / name for name in names}, inputs)
    return path


def _is_in(path: str, there: str) -> bool:
    """Whether a path is the other one, also by another name, or lies in that folder of Zarr."""
    array = any(os.path.exists(os.path.join(there, name)) for name in ("zarr.json", ".zgroup", ".zarray"))
    if path == there or (array and path.startswith(os.path.join(there, ""))):
        return True
    return os.path.exists(path) and os.path.exists(there) and os.path.samefile(path, there)


def _try_folder(folder: Path, path: str | os.PathLike[str]) -> None:
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise OutputError(
            f"cannot write '{path}': {error.strerror}; choose another place for the output"
        ) from error
