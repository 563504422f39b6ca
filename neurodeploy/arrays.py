"""Arrays in files, read some rows at a time: npz, HDF5 and Zarr; never a pickle, never more than asked for.

A data set may be larger than memory, so an array of a file is only a name, a shape and a way to read rows;
what reads it from first to last (a run does) goes through a compressed file once.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import math
import os
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from neurodeploy.errors import DataError, LoadError, MissingExtra
from neurodeploy.files import MAX_ARRAY_BYTES, open_hdf5

if TYPE_CHECKING:
    import h5py

Array = npt.NDArray[Any]

BLOCK_BYTES = 4 << 20
"""About as much is read at a time by what goes through all rows."""
HDF5_SUFFIXES = (".h5", ".hdf5")
_HDF5_MAGIC, _NPY_MAGIC = b"\x89HDF\r\n\x1a\n", b"\x93NUMPY"
_UNREADABLE = (
    ValueError, OSError, EOFError, KeyError, zipfile.BadZipFile, zlib.error, NotImplementedError,
    RuntimeError,
)  # fmt: skip


class Rows(Protocol):
    """Samples along the first axis: an ndarray, or an array in a file."""

    @property
    def shape(self) -> tuple[int, ...]: ...  # noqa: D102

    @property
    def dtype(self) -> np.dtype[Any]: ...  # noqa: D102

    def __len__(self) -> int: ...

    def __getitem__(self, rows: slice, /) -> Array: ...

    def __array__(self) -> Array: ...


@dataclass(frozen=True, eq=False)
class Stored:
    """One array of an open file; a slice of it is an ndarray.

    Parameters
    ----------
    name : str
        File and key, for messages.
    shape : tuple of int
    dtype : dtype
    read : callable of (int, int)
        Reads the rows from the first up to the second.
    """

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    read: Callable[[int, int], Array]

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: slice, /) -> Array:
        start, stop, step = rows.indices(len(self))
        return self.read(start, max(start, stop))[::step] if step > 0 else np.asarray(self)[rows]

    def __array__(self, dtype: npt.DTypeLike = None, copy: bool | None = None) -> Array:
        whole = self.read(0, len(self)) if self.shape else self.read(0, 1).reshape(())
        return whole.astype(dtype) if dtype is not None else whole

    @property
    def nbytes(self) -> int:
        """Bytes of the whole array."""
        return math.prod(self.shape) * self.dtype.itemsize

    @functools.cached_property
    def survey(self) -> tuple[int | None, str]:
        """First sample that is not finite, and digest; the file is read once for both."""
        hasher = hashlib.sha256()
        return _survey(self, hasher), hasher.hexdigest()

    def first(self, count: int | None) -> Stored:
        """Return the first rows, or all."""
        if count is None or not self.shape or count >= len(self):
            return self
        return Stored(self.name, (count, *self.shape[1:]), self.dtype, self.read)


def not_finite(x: Rows) -> int | None:
    """Find the first sample that holds NaN or infinity."""
    return x.survey[0] if isinstance(x, Stored) else _survey(x, None)


def digest(x: Rows) -> str:
    """SHA-256 of shape, type and values."""
    if isinstance(x, Stored):
        return x.survey[1]
    hasher = hashlib.sha256()
    _survey(x, hasher)
    return hasher.hexdigest()


def _survey(x: Rows, hasher: Any) -> int | None:
    """Go through all samples once: feed them to a hash, find the first that is not finite."""
    bad: int | None = None
    if hasher is not None:
        hasher.update(f"{x.dtype.str} {tuple(x.shape)}".encode())
    for first, part in blocks(x):
        if hasher is not None:
            hasher.update(np.ascontiguousarray(part).data)
        if bad is None and x.dtype.kind == "f" and not np.isfinite(part).all():
            bad = first + int(np.flatnonzero(~np.isfinite(part.reshape(len(part), -1)).all(axis=1))[0])
    return bad


def blocks(x: Rows) -> Iterator[tuple[int, Array]]:
    """Yield all rows, some megabytes at a time, each with the index of the first."""
    size = max(1, BLOCK_BYTES // max(1, math.prod(x.shape[1:]) * x.dtype.itemsize))
    for start in range(0, len(x), size):
        yield start, x[start : start + size]


@dataclass(frozen=True, eq=False)
class Arrays:
    """The arrays of one open file: names at once, shapes and values when asked for."""

    path: str
    names: tuple[str, ...]
    open: Callable[[str], Stored]

    def __contains__(self, key: str) -> bool:
        return key in self.names

    def __getitem__(self, key: str) -> Stored:
        with _readable(self.path, key):
            return self.open(key)


@contextlib.contextmanager
def open_arrays(path: str | os.PathLike[str]) -> Iterator[Arrays]:
    """Open a file of arrays: ``.npz``, HDF5 (arrays at its top), or a Zarr group (a folder).

    Raises
    ------
    DataError
        If it is not there or is none of these; later, where an array cannot be read.
    MissingExtra
        If it is a Zarr group and the package is not installed.
    """
    where = Path(path)
    if not where.exists():
        raise DataError(f"'{path}' does not exist; name an .npz file")
    if where.is_dir():
        if not any((where / name).is_file() for name in ("zarr.json", ".zgroup")):
            raise DataError(f"'{path}' is a folder; name an .npz file")
        with _open_zarr(where) as arrays:
            yield arrays
        return
    with where.open("rb") as file:
        magic = file.read(8)
    is_hdf5 = magic == _HDF5_MAGIC or where.suffix.lower() in HDF5_SUFFIXES
    with (_open_hdf5 if is_hdf5 else _open_npz)(where) as arrays:
        yield arrays


@contextlib.contextmanager
def _readable(path: str, key: str) -> Iterator[None]:
    """Turn whatever a damaged file throws into one message."""
    try:
        yield
    except DataError:
        raise
    except _UNREADABLE as error:
        raise DataError(f"'{path}': '{key}' cannot be read, the file is damaged: {error}") from None


def _reader(path: str, key: str, read: Callable[[int, int], Any]) -> Callable[[int, int], Array]:
    def rows(start: int, stop: int) -> Array:
        with _readable(path, key):
            return np.asarray(read(start, stop))

    return rows


# --- npz --------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def _open_npz(path: Path) -> Iterator[Arrays]:
    with contextlib.ExitStack() as stack:
        file = stack.enter_context(path.open("rb"))
        try:
            archive = stack.enter_context(zipfile.ZipFile(file))
        except _UNREADABLE as error:
            file.seek(0)
            magic = file.read(6)
            if magic == _NPY_MAGIC:
                raise DataError(f"'{path}' is a single array; save it as numpy.savez(path, x=...)") from None
            raise DataError(
                f"'{path}' is not a readable .npz file: {_why(magic, error)}; write it with numpy.savez"
            ) from None
        names = tuple(name.removesuffix(".npy") for name in archive.namelist())
        yield Arrays(str(path), names, functools.partial(_member, archive, stack, str(path)))


def _why(magic: bytes, error: Exception) -> str:
    if not magic:
        return "it is empty"
    if not magic.startswith(b"PK"):
        return "it is a pickle or no NumPy file at all, and pickles are never read"
    return f"it is damaged or truncated ({error})"


def _member(archive: zipfile.ZipFile, stack: contextlib.ExitStack, path: str, key: str) -> Stored:
    """Open one array; its stream stays open and goes forward, so that nothing is unpacked twice."""
    if f"{key}.npy" not in archive.namelist():
        raise DataError(f"'{path}': '{key}' is not an array")
    stream = stack.enter_context(archive.open(f"{key}.npy"))
    shape, by_column, dtype = _header(stream)
    if dtype.hasobject:
        raise DataError(f"'{path}': '{key}' holds pickled objects, which are never read; save plain numbers")
    start, size = stream.tell(), math.prod(shape) * dtype.itemsize
    if start + size != archive.getinfo(f"{key}.npy").file_size:
        raise DataError(f"'{path}': '{key}' is damaged: shape {shape} of {dtype} does not fill it")
    if by_column and len(shape) > 1:
        return _by_column(stream, f"'{path}' {key}", shape, dtype)
    row = math.prod(shape[1:]) * dtype.itemsize

    def read(low: int, high: int) -> Array:
        stream.seek(start + low * row)
        data = _take(stream, (high - low) * row)
        return np.frombuffer(data, dtype, count=-1 if row else 0).reshape(high - low, *shape[1:])

    return Stored(f"'{path}' {key}", shape, dtype, _reader(path, key, read))


def _header(stream: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    form: Any = np.lib.format
    version = form.read_magic(stream)
    if version not in ((1, 0), (2, 0)):
        raise ValueError(f"format {version} of NumPy, which plain numbers do not need")
    read = form.read_array_header_1_0 if version == (1, 0) else form.read_array_header_2_0
    shape, by_column, dtype = read(stream)
    return shape, by_column, dtype


def _take(stream: IO[bytes], size: int) -> bytearray:
    data = bytearray(size)
    view, done = memoryview(data), 0
    while done < size:
        part = stream.read(min(size - done, BLOCK_BYTES))
        if not part:
            raise EOFError("it ends too soon")
        view[done : done + len(part)] = part
        done += len(part)
    return data


def _by_column(stream: IO[bytes], name: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Stored:
    """Read an array whose samples lie scattered over the file; that takes all of it."""
    size = math.prod(shape) * dtype.itemsize
    if size > MAX_ARRAY_BYTES:
        raise DataError(
            f"{name}: {size} bytes in Fortran order cannot be read sample by sample; "
            "save numpy.ascontiguousarray of it"
        )
    whole = np.frombuffer(_take(stream, size), dtype).reshape(shape[::-1]).T
    return Stored(name, shape, dtype, lambda low, high: np.ascontiguousarray(whole[low:high]))


# --- HDF5 and Zarr ----------------------------------------------------------------------------------------


@contextlib.contextmanager
def _open_hdf5(path: Path) -> Iterator[Arrays]:
    with contextlib.ExitStack() as stack:
        try:
            file = stack.enter_context(open_hdf5(path, most=None))
        except LoadError as error:
            raise DataError(str(error)) from None
        yield Arrays(str(path), tuple(file), functools.partial(_dataset, file, str(path)))


def _dataset(file: h5py.File, path: str, key: str) -> Stored:
    import h5py

    item = file[key]
    if not isinstance(item, h5py.Dataset) or item.shape is None:
        raise DataError(f"'{path}': '{key}' is not an array")
    return _sliced(item, path, key)


def _sliced(item: Any, path: str, key: str) -> Stored:
    def read(low: int, high: int) -> Any:
        return item[low:high] if item.shape else item[()]

    return Stored(f"'{path}' {key}", tuple(item.shape), np.dtype(item.dtype), _reader(path, key, read))


_CODECS = frozenset({
    "bytes", "transpose", "sharding_indexed", "crc32c", "blosc", "gzip", "zlib", "zstd", "lz4", "bz2", "lzma",
    "shuffle", "delta",
})  # fmt: skip
"""What may unpack a Zarr array; others, `pickle` among them, could run code that lies in the file."""


@contextlib.contextmanager
def _open_zarr(path: Path) -> Iterator[Arrays]:
    try:
        import zarr
    except ModuleNotFoundError:
        raise MissingExtra(
            f"'{path}' is a Zarr group, and zarr is not installed; "
            "add it with: pip install 'neurodeploy[zarr]'"
        ) from None
    with _readable(str(path), "zarr.json"):
        group = zarr.open_group(str(path), mode="r")
        names = tuple(sorted(group.array_keys()))
    yield Arrays(str(path), names, functools.partial(_zarr_array, group, str(path)))


def _zarr_array(group: Any, path: str, key: str) -> Stored:
    item = group[key]
    odd = sorted(set(_codec_names(item.metadata.to_dict())) - _CODECS)
    if odd:
        raise DataError(f"'{path}': '{key}' is packed by '{odd[0]}', which is not read; save plain numbers")
    return _sliced(item, path, key)


def _codec_names(description: Mapping[str, Any]) -> Iterator[str]:
    """Yield the names of all codecs of a Zarr array, those inside others included."""
    for key in ("codecs", "index_codecs", "filters", "compressor"):
        found = description.get(key) or ()
        for codec in found if isinstance(found, list | tuple) else (found,):
            yield str(codec.get("name", codec.get("id"))).removeprefix("numcodecs.")
            yield from _codec_names(codec.get("configuration") or {})
