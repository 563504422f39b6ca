"""Samples and labels from ``.npz`` files, read without pickle.

The keys of a file say what its samples are for, so that test data never tunes a model: calibration takes
``x_train`` or ``x``, a run takes ``x`` and ``y`` or ``x_test`` and ``y_test``, as in Keras' ``mnist.npz``.
"""

from __future__ import annotations

import contextlib
import os
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from neurodeploy.errors import DataError, OptionError
from neurodeploy.files import MAX_ARRAY_BYTES

Array = npt.NDArray[Any]
Longs = npt.NDArray[np.int64]

CALIBRATION_KEYS = ("x_train", "x")
TEST_KEYS = (("x", "y"), ("x_test", "y_test"))
TRAINING_KEYS = (("x", "y"), ("x_train", "y_train"), ("x_test", "y_test"))
_UNREADABLE = (ValueError, OSError, EOFError, zipfile.BadZipFile, NotImplementedError, RuntimeError)


@dataclass(frozen=True, eq=False)
class Samples:
    """Samples with their labels, if the file has any.

    Parameters
    ----------
    x : ndarray, shape (B, ...)
        As stored.
    y : ndarray of int64, shape (B,), optional
    source : str
        File name, for messages and run cards.
    """

    x: Array
    y: Longs | None
    source: str

    def __len__(self) -> int:
        return len(self.x)


def read_calibration(path: str | os.PathLike[str]) -> Array:
    """Read the samples of a conversion.

    Parameters
    ----------
    path : path-like
        An ``.npz`` with ``x_train`` or ``x``.

    Returns
    -------
    ndarray, shape (B, ...)
        As stored.

    Raises
    ------
    DataError
        If the file cannot be read or has neither key (a lone ``x_test`` is refused by name).
    """
    with _open(path) as arrays:
        key = next((k for k in CALIBRATION_KEYS if k in arrays), None)
        if key is None:
            why = "; x_test is for measuring, not for tuning" if "x_test" in arrays else ""
            raise DataError(f"'{path}' holds {_names(arrays)}; calibration takes x or x_train{why}")
        x = arrays[key]
    check_samples(x, f"'{path}' {key}")
    return x


def draw(x: Array, *, count: int, seed: int) -> Array:
    """Draw samples without replacement, in their own order; all of them where there are fewer."""
    if count >= len(x):
        return x
    return x[np.sort(np.random.default_rng(seed).choice(len(x), count, replace=False))]


def read_test(path: str | os.PathLike[str], *, limit: int | None = None) -> Samples:
    """Read the samples of a run and, where there are any, their labels.

    Parameters
    ----------
    path : path-like
        An ``.npz`` with ``x`` and, for accuracy, ``y``; or ``x_test`` and ``y_test``.
    limit : int, optional
        Take only the first samples.

    Raises
    ------
    DataError
        If the file cannot be read, lacks the keys, or labels do not fit the samples.
    OptionError
        If `limit` is not positive.
    """
    return _read(path, TEST_KEYS, "a run", limit)


def read_training(path: str | os.PathLike[str], *, limit: int | None = None) -> Samples:
    """Read labelled samples to learn from: ``x`` and ``y``, ``x_train`` and ``y_train``, else the test ones.

    Raises
    ------
    DataError, OptionError
        As `read_test`; also if there are no labels.
    """
    samples = _read(path, TRAINING_KEYS, "learning", limit)
    if samples.y is None:
        raise DataError(f"'{path}' has no labels; learning takes y with one label per sample")
    return samples


def _read(
    path: str | os.PathLike[str], pairs: Sequence[tuple[str, str]], what: str, limit: int | None
) -> Samples:
    if limit is not None and limit < 1:
        raise OptionError(f"a limit of {limit} leaves no samples; the smallest is 1")
    with _open(path) as arrays:
        keys = next((pair for pair in pairs if pair[0] in arrays), None)
        if keys is None:
            wanted = ", or ".join(" and ".join(pair) for pair in pairs)
            raise DataError(f"'{path}' holds {_names(arrays)}; {what} takes {wanted}")
        x = arrays[keys[0]]
        y = arrays[keys[1]] if keys[1] in arrays else None  # noqa: SIM401 - not a dict
    check_samples(x, f"'{path}' {keys[0]}")
    labels = None if y is None else as_labels(y, len(x), f"'{path}' {keys[1]}")[:limit]
    return Samples(x[:limit], labels, Path(path).name)


def as_labels(y: npt.ArrayLike, samples: int, name: str = "labels") -> Longs:
    """Bring labels into one class index per sample.

    Parameters
    ----------
    y : array_like, shape (B,), (B, 1) or one-hot (B, classes)
    samples : int
        B.
    name : str
        For messages.

    Raises
    ------
    DataError
        If their number is another, or they are not class indices.
    """
    array = np.asarray(y)
    if array.dtype.kind not in "biuf":
        raise DataError(f"{name}: labels are {array.dtype}, not class indices")
    if array.ndim == 0 or len(array) != samples:
        have = len(array) if array.ndim else 1
        raise DataError(f"{name}: {have} labels for {samples} samples")
    if array.ndim == 2 and array.shape[1] > 1:
        if not ((array == 0) | (array == 1)).all() or not (array.sum(axis=1) == 1).all():
            raise DataError(f"{name}: labels of shape {array.shape} are neither class indices nor one-hot")
        array = array.argmax(axis=1)
    array = array.reshape(len(array), -1)
    if array.shape[1] != 1:
        raise DataError(f"{name}: labels of shape {np.shape(y)} are neither class indices nor one-hot")
    if not np.isfinite(array).all() or (array != np.floor(array)).any() or array.min() < 0:
        raise DataError(f"{name}: labels are not whole numbers from 0")
    return array[:, 0].astype(np.int64)


class _Arrays:
    """The arrays of one open file: names at once, values when asked for."""

    def __init__(self, path: str, npz: Any) -> None:
        self._path, self._npz = path, npz

    def __contains__(self, key: str) -> bool:
        return key in self._npz.files

    @property
    def names(self) -> Sequence[str]:
        return tuple(self._npz.files)

    def __getitem__(self, key: str) -> Array:
        try:
            size = self._npz.zip.getinfo(f"{key}.npy").file_size
            if size > MAX_ARRAY_BYTES:
                raise DataError(f"'{self._path}': '{key}' claims {size} bytes, more than is read at once")
            return np.asarray(self._npz[key])
        except DataError:
            raise
        except KeyError:
            raise DataError(f"'{self._path}': '{key}' is not an array") from None
        except _UNREADABLE as error:
            if "allow_pickle" in str(error):
                raise DataError(
                    f"'{self._path}': '{key}' holds pickled objects, which are never read; save plain numbers"
                ) from None
            raise DataError(f"'{self._path}': '{key}' cannot be read, the file is damaged: {error}") from None


@contextlib.contextmanager
def _open(path: str | os.PathLike[str]) -> Iterator[_Arrays]:
    where = Path(path)
    if not where.exists():
        raise DataError(f"'{path}' does not exist; name an .npz file")
    if where.is_dir():
        raise DataError(f"'{path}' is a folder; name an .npz file")
    with where.open("rb") as file:  # opened here, because NumPy leaves a damaged file open
        try:
            npz = np.load(file, allow_pickle=False)
        except _UNREADABLE as error:
            raise DataError(
                f"'{path}' is not a readable .npz file: {_why(where, error)}; write it with numpy.savez"
            ) from None
        if isinstance(npz, np.ndarray):
            raise DataError(f"'{path}' is a single array; save it as numpy.savez(path, x=...)")
        with npz:
            yield _Arrays(str(path), npz)


def _why(where: Path, error: Exception) -> str:
    if where.stat().st_size == 0:
        return "it is empty"
    if "pickle" in str(error):
        return "it is a pickle or no NumPy file at all, and pickles are never read"
    return f"it is damaged or truncated ({error})"


def check_samples(x: Array, name: str = "samples") -> None:
    """Refuse what is not a batch of finite numbers.

    Raises
    ------
    DataError
        Naming the first bad sample.
    """
    if x.dtype.kind not in "biuf":
        raise DataError(f"{name}: samples are {x.dtype}, not numbers")
    if x.ndim == 0 or x.size == 0:
        raise DataError(f"{name}: there are no samples (shape {x.shape})")
    if x.dtype.kind == "f" and not np.isfinite(x).all():
        bad = int(np.flatnonzero(~np.isfinite(x.reshape(len(x), -1)).all(axis=1))[0])
        raise DataError(f"{name}: sample {bad} holds values that are not finite (NaN or infinity)")


def _names(arrays: _Arrays) -> str:
    return ", ".join(arrays.names) or "nothing"
