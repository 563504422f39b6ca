"""Samples and labels from ``.npz``, HDF5 and Zarr, read without pickle; those of a run a slice at a time.

The keys of a file say what its samples are for, so that test data never tunes a model: calibration takes
``x_train`` or ``x``, a run takes ``x`` and ``y`` or ``x_test`` and ``y_test``, as in Keras' ``mnist.npz``.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from neurodeploy.arrays import Arrays, Rows, Stored, not_finite, open_arrays
from neurodeploy.errors import DataError, OptionError
from neurodeploy.files import MAX_ARRAY_BYTES

Array = npt.NDArray[Any]
Longs = npt.NDArray[np.int64]

CALIBRATION_KEYS = ("x_train", "x")
TEST_KEYS = (("x", "y"), ("x_test", "y_test"))
TRAINING_KEYS = (("x", "y"), ("x_train", "y_train"), ("x_test", "y_test"))


@dataclass(frozen=True, eq=False)
class Samples:
    """Samples with their labels, if the file has any.

    Parameters
    ----------
    x : ndarray or Stored, shape (B, ...)
        As stored; still in the file if it was opened and not read.
    y : ndarray of int64, shape (B,), optional
    source : str
        File name, for messages and run cards.
    """

    x: Rows
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
    with open_arrays(path) as arrays:
        key = next((k for k in CALIBRATION_KEYS if k in arrays), None)
        if key is None:
            why = "; x_test is for measuring, not for tuning" if "x_test" in arrays else ""
            raise DataError(f"'{path}' holds {_names(arrays)}; calibration takes x or x_train{why}")
        x = _whole(arrays[key])
    check_samples(x, f"'{path}' {key}")
    return x


def read_labelled_calibration(path: str | os.PathLike[str]) -> Samples:
    """Read the samples of a conversion with labels: ``x_train`` and ``y_train``, or ``x`` and ``y``.

    Raises
    ------
    DataError
        As `read_calibration`; also if there are no labels.
    """
    x = read_calibration(path)
    with open_arrays(path) as arrays:
        name = "y_train" if "x_train" in arrays else "y"
        if name not in arrays:
            raise DataError(f"'{path}' has no {name}; a search measures accuracy and takes labels")
        return Samples(x, as_labels(_whole(arrays[name]), len(x), f"'{path}' {name}"), Path(path).name)


def draw(x: Array, *, count: int, seed: int) -> Array:
    """Draw samples without replacement, in their own order; all of them where there are fewer."""
    if count >= len(x):
        return x
    return x[np.sort(np.random.default_rng(seed).choice(len(x), count, replace=False))]


@contextlib.contextmanager
def open_samples(path: str | os.PathLike[str], *, limit: int | None = None) -> Iterator[Samples]:
    """Open the samples of a run and, where there are any, their labels.

    Samples stay in the file and are read a slice at a time, so they may be more than fits into memory; labels
    are read at once.

    Parameters
    ----------
    path : path-like
        An ``.npz``, an HDF5 file or a Zarr group with ``x`` and, for accuracy, ``y``; or ``x_test`` and
        ``y_test``.
    limit : int, optional
        Take only the first samples.

    Raises
    ------
    DataError
        If the file cannot be read, lacks the keys, or labels do not fit the samples.
    OptionError
        If `limit` is not positive.
    """
    with _open(path, TEST_KEYS, "a run", limit) as samples:
        yield samples


def read_test(path: str | os.PathLike[str], *, limit: int | None = None) -> Samples:
    """Read what `open_samples` opens."""
    return _read(path, TEST_KEYS, "a run", limit)


def read_samples(path: str | os.PathLike[str], *, limit: int | None = None) -> Samples:
    """Read samples a network was calibrated on, with labels where there are any: keys as `read_training`."""
    return _read(path, TRAINING_KEYS, "calibration", limit)


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
    with _open(path, pairs, what, limit) as samples:
        assert isinstance(samples.x, Stored)
        x = _whole(samples.x)
        check_samples(x, samples.x.name)
        return Samples(x, samples.y, samples.source)


@contextlib.contextmanager
def _open(
    path: str | os.PathLike[str], pairs: Sequence[tuple[str, str]], what: str, limit: int | None
) -> Iterator[Samples]:
    if limit is not None and limit < 1:
        raise OptionError(f"a limit of {limit} leaves no samples; the smallest is 1")
    with open_arrays(path) as arrays:
        keys = _keys(path, arrays, pairs, what)
        x = arrays[keys[0]]
        _check_kind(x, x.name)
        y = arrays[keys[1]] if keys[1] in arrays else None  # noqa: SIM401 - not a dict
        labels = None if y is None else as_labels(_whole(y), len(x), y.name)[:limit]
        yield Samples(x.first(limit), labels, Path(path).name)


def _keys(
    path: str | os.PathLike[str], arrays: Arrays, pairs: Sequence[tuple[str, str]], what: str
) -> tuple[str, str]:
    """Choose samples and labels; samples alone only where no labels lie about that could be theirs."""
    chosen = next((pair for pair in pairs if pair[0] in arrays), None)
    if chosen is None:
        wanted = ", or ".join(" and ".join(pair) for pair in pairs)
        raise DataError(f"'{path}' holds {_names(arrays)}; {what} takes {wanted}")
    x, y = chosen
    astray = [label for sample, label in TRAINING_KEYS if label in arrays and sample not in arrays]
    if y not in arrays and astray:
        raise DataError(f"'{path}' holds {_names(arrays)}; labels of {x} are called {y}: rename {astray[0]}")
    return chosen


def _whole(stored: Stored) -> Array:
    """Read an array that has to be in memory."""
    if stored.nbytes > MAX_ARRAY_BYTES:
        raise DataError(f"{stored.name} has {stored.nbytes} bytes, more than is read at once")
    return np.asarray(stored)


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


def check_samples(x: Rows, name: str = "samples") -> None:
    """Refuse what is not a batch of finite numbers; an array in a file is gone through once.

    Raises
    ------
    DataError
        Naming the first bad sample.
    """
    _check_kind(x, name)
    bad = not_finite(x)
    if bad is not None:
        raise DataError(f"{name}: sample {bad} holds values that are not finite (NaN or infinity)")


def _check_kind(x: Rows, name: str) -> None:
    if x.dtype.kind not in "biuf":
        raise DataError(f"{name}: samples are {x.dtype}, not numbers")
    if not x.shape or not all(x.shape):
        raise DataError(f"{name}: there are no samples (shape {x.shape})")


def _names(arrays: Arrays) -> str:
    return ", ".join(arrays.names) or "nothing"
