"""The embedded 8x8 digits, split once for the training script, the demo and the tests."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

HELD_OUT = 360
"""Digits kept for testing, of 1797."""


@dataclass(frozen=True, eq=False)
class Split:
    """Samples and labels, for training and held out.

    Parameters
    ----------
    x_train, x_test : ndarray of float64, shape (B, 8, 8)
        Grey values, 0 to 1.
    y_train, y_test : ndarray of int64, shape (B,)
    """

    x_train: npt.NDArray[np.float64]
    y_train: npt.NDArray[np.int64]
    x_test: npt.NDArray[np.float64]
    y_test: npt.NDArray[np.int64]


def digits(*, seed: int = 0) -> Split:
    """Return scikit-learn's digits, grey values 0 to 16 divided by 16, with 360 drawn for testing.

    Nothing is downloaded: the set is part of scikit-learn. With the same seed the split is always the same,
    so a model trained by ``tools/train_models.py`` has never seen the digits that the demo runs.

    References
    ----------
    .. [1] E. Alpaydin, C. Kaynak (1998), Optical Recognition of Handwritten Digits, UCI Machine Learning
       Repository, https://doi.org/10.24432/C50P49; the test part, as scikit-learn ships it.
    """
    from sklearn.datasets import load_digits

    bunch: Any = load_digits()
    images = np.asarray(bunch.images, dtype=np.float64) / 16.0
    labels = np.asarray(bunch.target, dtype=np.int64)
    order = np.random.default_rng(seed).permutation(len(labels))
    test, train = order[:HELD_OUT], order[HELD_OUT:]
    return Split(images[train], labels[train], images[test], labels[test])
