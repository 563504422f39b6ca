"""Reading files nobody has vetted and writing files nobody will see half done."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import stat
import sys
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

    A link is followed, so that it stays one. A stream (`is_stream`) takes the finished content.

    Parameters
    ----------
    path : path-like
        Where the file shall be.
    write : callable of Path
        Writes the whole content to the path it is given.

    Raises
    ------
    OutputError
        If the folder does not exist or cannot be written, or what is there is no file or is write-protected;
        nothing is left behind.
    """
    try:
        if is_stream(path):
            _pour(path, write)
        else:
            with uninterrupted():
                _write_and_rename(place_of(path), write)
    except (OutputError, BrokenPipeError):
        raise
    except OSError as error:
        raise OutputError(
            f"cannot write '{path}': {error.strerror or error}; choose another place for the output"
        ) from error
    return Path(path)


def _write_and_rename(place: Path, write: Callable[[Path], Any]) -> None:
    # The start of the name is enough to know the file by; with all of it, a long name would get too long.
    handle, name = tempfile.mkstemp(prefix=f".{place.stem[:40]}.", suffix=place.suffix[:40], dir=place.parent)
    os.close(handle)
    beside = Path(name)
    try:
        write(beside)
        beside.chmod(_mode(place))
        beside.replace(place)
    finally:
        beside.unlink(missing_ok=True)


def _mode(place: Path) -> int:
    """Permissions of the file that is replaced, or those of a new one."""
    if place.exists():
        return stat.S_IMODE(place.stat().st_mode)
    umask = os.umask(0)
    os.umask(umask)
    return 0o666 & ~umask


def place_of(path: str | os.PathLike[str]) -> Path:
    """Return where an ordinary file is to be written, links followed.

    Raises
    ------
    OutputError
        If a folder, a disk or a socket is there, which is never replaced, or a file that is write-protected.
    """
    path = Path(path)
    place = Path(os.path.realpath(path)) if path.is_symlink() else path
    why = ""
    if place.is_dir():
        why = "it is a folder; name a file"
    elif place.is_symlink():
        why = "it is a link that leads back to itself; name a file"
    elif place.exists() and not place.is_file():
        why = "it is neither a file nor a stream; name a file"
    elif place.exists() and not os.access(place, os.W_OK):
        why = "it is write-protected; name another file"
    if why:
        raise OutputError(f"cannot write '{path}': {why}")
    return place


def is_stream(path: str | os.PathLike[str]) -> bool:
    """Whether a path is written into and never replaced.

    Streams are terminals, devices as ``/dev/null``, pipes, and what this process's own output goes to, as
    ``/dev/stdout``.
    """
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return False
    return stat.S_ISCHR(found.st_mode) or stat.S_ISFIFO(found.st_mode) or _own(found) is not None


def is_stdout(path: str | os.PathLike[str]) -> bool:
    """Whether a path leads to this process's standard output, and that leads somewhere."""
    with contextlib.suppress(OSError, ValueError):
        return os.path.samestat(os.stat(path), os.fstat(1)) and not os.path.samefile(path, os.devnull)
    return False


def _own(found: os.stat_result) -> int | None:
    """Descriptor of this process's output that is the same file."""
    for number in (1, 2):
        with contextlib.suppress(OSError):
            if os.path.samestat(found, os.fstat(number)):
                return number
    return None


def _pour(path: str | os.PathLike[str], write: Callable[[Path], Any]) -> None:
    """Write a temporary file, and its content into a stream; libraries want to seek, which streams cannot."""
    with tempfile.TemporaryDirectory(prefix="neurodeploy-") as folder:
        whole = Path(folder) / "content"
        with uninterrupted():
            write(whole)
        # What is open already is not opened again: a file would be written from its start.
        sys.stdout.flush()
        own = _own(os.stat(path))
        with whole.open("rb") as content, open(path if own is None else os.dup(own), "wb") as stream:
            shutil.copyfileobj(content, stream)


HEAP = b"GCOL\x01\x00\x00\x00"
MAX_TEXTS = 1 << 20
"""Most texts in a model file; names of nodes and layers, and edges."""


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
    if most is not None:
        _refuse_broken_heaps(path, label)
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


def _refuse_broken_heaps(path: str | os.PathLike[str] | BinaryIO, label: str) -> None:
    """Refuse a file whose heap of texts has an object without an end, on which the HDF5 library never ends.

    A collection is ``GCOL``, version 1, three zeros and its size; its objects are index, count, four bytes
    and size, each padded to 8 bytes, and the one of index 0 is the free rest (HDF5 File Format, III.E).
    """
    if not isinstance(path, str | os.PathLike):
        path.seek(0)
        data = path.read()
        path.seek(0)
    elif Path(path).is_file():
        data = Path(path).read_bytes()
    else:
        return  # opening it says why
    start, seen = data.find(HEAP), 0
    while start >= 0:
        end = start + int.from_bytes(data[start + 8 : start + 16], "little")
        if end > len(data):  # the library would take as much memory as it says
            raise LoadError(
                f"'{label}' is a truncated or damaged HDF5 file: its heap of texts ends behind the file"
            )
        at = start + 16
        while at + 16 <= end:
            index, size = (int.from_bytes(data[at + i : at + j], "little") for i, j in ((0, 2), (8, 16)))
            seen += 1
            if (index == 0 and size < 16) or seen > MAX_TEXTS:
                raise LoadError(f"'{label}' is a damaged HDF5 file: its heap of texts never ends")
            at += size if index == 0 else 16 + (size + 7) // 8 * 8
        start = data.find(HEAP, start + 4)


@contextlib.contextmanager
def new_hdf5(path: str | os.PathLike[str]) -> Iterator[h5py.File]:
    """Make an HDF5 file without time stamps, so that the same content is the same bytes.

    h5py before 3.15 writes the time of creation into every group and has no option against it; hence the
    property lists, here and in `new_group`.
    """
    import h5py

    plain = h5py.h5p.create(h5py.h5p.FILE_CREATE)
    plain.set_obj_track_times(False)
    access = h5py.h5p.create(h5py.h5p.FILE_ACCESS)
    access.set_libver_bounds(h5py.h5f.LIBVER_V110, h5py.h5f.LIBVER_V110)
    with h5py.File(h5py.h5f.create(os.fsencode(path), h5py.h5f.ACC_TRUNC, plain, access)) as file:
        yield file


def new_group(parent: h5py.Group, name: str) -> h5py.Group:
    """Make a group without time stamps, in an HDF5 file."""
    import h5py

    plain = h5py.h5p.create(h5py.h5p.GROUP_CREATE)
    plain.set_obj_track_times(False)
    return h5py.Group(h5py.h5g.create(parent.id, name.encode(), gcpl=plain))


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
    if h5py.check_string_dtype(dataset.dtype) is not None and dataset.dtype.kind == "O":
        _refuse_long_texts(dataset, path)
    if most is not None and dataset.size is not None and dataset.size * dataset.dtype.itemsize > most:
        raise LoadError(f"'{path}': '{dataset.name}' claims {dataset.shape} values, more than any model here")
    _refuse_unfilled(dataset, path, most)


PACKED = 2000
"""No array that was written is smaller in its file by more than this; gzip's most is 1032."""
FILLED_BYTES = 1 << 26
"""Arrays up to this size may also be left to their fill value."""


def _refuse_unfilled(dataset: h5py.Dataset, path: str, most: int | None) -> None:
    """Refuse a small file that unpacks to all memory there is."""
    if most is None or dataset.size is None:
        return
    claimed = dataset.size * dataset.dtype.itemsize
    if claimed > max(FILLED_BYTES, PACKED * dataset.id.get_storage_size()):
        raise LoadError(f"'{path}': '{dataset.name}' claims {claimed} bytes, and the file does not hold them")


def _refuse_long_texts(dataset: h5py.Dataset, path: str) -> None:
    """Refuse texts that claim to be longer than the file: the library would take that much memory first."""
    place, name = dataset.id.get_offset(), Path(os.fsdecode(dataset.file.filename))
    if place is None or not dataset.size or not name.is_file():
        return  # in chunks, which are unpacked first, or not a file on disk
    with name.open("rb") as file:
        file.seek(place)
        data = file.read(16 * min(dataset.size, MAX_TEXTS))
    longest = max((int.from_bytes(data[i : i + 4], "little") for i in range(0, len(data), 16)), default=0)
    if longest > name.stat().st_size:
        told = f"'{dataset.name}' claims a text of {longest:,} bytes"
        raise LoadError(f"'{path}' is a damaged HDF5 file: {told}")
