"""Where data sets lie that are not in the repository: one folder, for tools and tests alike.

Environment variable NEURODEPLOY_DATA names it: the folder of ``mnist.npz`` and ``cifar10_jpeg.zip``. Without
it, ``../shared/data`` beside the checkout. Models that other tools wrote lie beside it, in ``../interop``.
"""

from __future__ import annotations

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def folder() -> Path:
    """Return the folder of data sets, whether or not it is there."""
    return Path(os.environ.get("NEURODEPLOY_DATA") or ROOT.parent / "shared" / "data")


def find(name: str) -> Path | None:
    """Return the file of a data set, or None where there is none."""
    path = folder() / name
    return path if path.is_file() else None


def interop() -> Path:
    """Return the folder of models that other tools wrote."""
    return folder().parent / "interop"


MISSING = "{name} is neither in the folder NEURODEPLOY_DATA nor in ../shared/data"
"""Why something is left out."""
