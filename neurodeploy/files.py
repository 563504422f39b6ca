"""Reading files nobody has vetted and writing files nobody will see half done."""

from __future__ import annotations

import contextlib
import os
import signal
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from neurodeploy.errors import LoadError, OutputError

if TYPE_CHECKING:
    from types import FrameType

    import h5py

MAX_ARRAY_BYTES = 4 << 30
"""Largest single array taken from a file; far above any model that fits a neuromorphic board."""


@contextlib.contextmanager
def uninterrupted() -> Iterator[None]:
    """Hold Ctrl-C back until a file is whole; then it takes effect.

    Libraries that write files are not made to be stopped at any instruction: they leave half-open archives,
    which complain, or lose the interrupt, when they are collected. What stands in the block has to be short.
    Outside the main thread, and where Ctrl-C is ignored or handled outside Python, there is nothing to hold.
    """
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(before):
        yield
        return
    held: list[FrameType | None] = []
    signal.signal(signal.SIGINT, lambda _, frame: held.append(frame))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        if held:
            before(signal.SIGINT, held[0])


def write_beside(path: str | os.PathLike[str], write: Callable[[Path], Any]) -> Path:
    """Write a file under a temporary name in the same folder, then rename it into place.

    Parameters
    ----------
    path : path-like
        Where the file shall be.
    write : callable of Path
        Writes the whole content to the path it is given.

    Raises
    ------
    OutputError
        If the folder does not exist or cannot be written; nothing is left behind.
    """
    path = Path(path)
    if path.is_dir():
        raise OutputError(f"cannot write '{path}': it is a folder; name a file")
    with uninterrupted():
        return _write_and_rename(path, write)


def _write_and_rename(path: Path, write: Callable[[Path], Any]) -> Path:
    try:
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=path.suffix, dir=path.parent)
        os.close(handle)
    except OSError as error:
        raise OutputError(
            f"cannot write '{path}': {error.strerror}; choose another place for the output"
        ) from error
    beside = Path(name)
    try:
        write(beside)
        umask = os.umask(0)
        os.umask(umask)
        beside.chmod(0o666 & ~umask)
        beside.replace(path)
    except OSError as error:
        if isinstance(error, OutputError):
            raise
        raise OutputError(f"cannot write '{path}': {error}") from error
    finally:
        beside.unlink(missing_ok=True)
    return path


def ensure_writable(path: str | os.PathLike[str]) -> Path:
    """Make sure, before long work, that a file can be written; nothing is left behind.

    Raises
    ------
    OutputError
        If the folder does not exist or cannot be written, or a folder stands in the file's place.
    """
    path = Path(path)
    if path.is_dir():
        raise OutputError(f"cannot write '{path}': it is a folder; name a file")
    _try_folder(path.parent, path)
    return path


def ensure_folder_writable(path: str | os.PathLike[str]) -> Path:
    """Make sure, before long work, that a folder can be made and written; nothing is left behind.

    Raises
    ------
    OutputError
        If a file stands in its place, or the nearest folder above it cannot be written.
    """
    path = Path(path)
    there = next(p for p in (path, *path.absolute().parents) if p.exists() or p.is_symlink())
    if not there.is_dir():
        raise OutputError(f"cannot write folder '{path}': '{there}' is not a folder; choose another place")
    _try_folder(there, path)
    return path


def _try_folder(folder: Path, path: Path) -> None:
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise OutputError(
            f"cannot write '{path}': {error.strerror}; choose another place for the output"
        ) from error


@contextlib.contextmanager
def open_hdf5(
    path: str | os.PathLike[str] | BinaryIO, *, label: str | None = None, most: int | None = MAX_ARRAY_BYTES
) -> Iterator[h5py.File]:
    """Open an HDF5 file read-only, refusing links that lead out of it or round in it.

    Parameters
    ----------
    path : path-like or binary file
    label : str, optional
        What messages call it; the path where none is given.
    most : int, optional
        Largest array there may be, in bytes; None where arrays are read slice by slice.

    Raises
    ------
    LoadError
        If the file is not HDF5, is truncated, or holds soft or external links.
    """
    import h5py

    label = str(path) if label is None else label
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        raise LoadError(
            f"'{label}' is not a readable HDF5 file (truncated or another format): {error}"
        ) from error
    with file:
        try:
            _refuse_links(file, label, most)
        except LoadError:
            raise
        except (KeyError, OSError, RuntimeError, TypeError, ValueError) as error:
            raise LoadError(f"'{label}' is a damaged HDF5 file: {error}") from error
        yield file


def _refuse_links(group: h5py.Group, path: str, most: int | None) -> None:
    import h5py

    seen: set[Any] = set()
    stack = [group]
    while stack:
        here = stack.pop()
        for name in here:
            link = here.get(name, getlink=True)
            if not isinstance(link, h5py.HardLink):
                raise LoadError(
                    f"'{path}': '{here.name}/{name}' is a {type(link).__name__}, which is not followed"
                )
            item = here[name]
            if isinstance(item, h5py.Group):
                key = h5py.h5o.get_info(item.id).addr
                if key in seen:
                    raise LoadError(f"'{path}': group '{item.name}' is linked twice")
                seen.add(key)
                stack.append(item)
            elif isinstance(item, h5py.Dataset):
                _refuse_odd_dataset(item, path, most)


def _refuse_odd_dataset(dataset: h5py.Dataset, path: str, most: int | None) -> None:
    import h5py

    plain = dataset.dtype.kind in "biufSU" or h5py.check_string_dtype(dataset.dtype) is not None
    if not plain:
        raise LoadError(f"'{path}': '{dataset.name}' holds {dataset.dtype}; only numbers and text are read")
    if dataset.external or dataset.is_virtual:
        raise LoadError(f"'{path}': '{dataset.name}' keeps its data in another file, which is not followed")
    if most is not None and dataset.size is not None and dataset.size * dataset.dtype.itemsize > most:
        raise LoadError(f"'{path}': '{dataset.name}' claims {dataset.shape} values, more than any model here")
