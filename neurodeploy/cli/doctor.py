"""``neurodeploy doctor``: what is installed, which backends run here, which boards can be reached."""

from __future__ import annotations

import argparse
import platform
import sys
import time
from importlib import metadata
from importlib.util import find_spec
from itertools import pairwise

import numpy as np

from neurodeploy import __version__, stages
from neurodeploy.backends.base import BACKENDS
from neurodeploy.backends.loihi import boards as boards_with
from neurodeploy.cli import DONE, FINDINGS
from neurodeploy.cli.console import note
from neurodeploy.errors import MissingExtra
from neurodeploy.ir import ops
from neurodeploy.ir.graph import Graph, Node
from neurodeploy.reporting.text import table

PACKAGES = (
    "numpy", "scipy", "h5py", "nir", "nengo", "nengo-loihi", "numba", "matplotlib", "scikit-learn", "rich",
    "tensorflow", "tf-keras", "keras", "nengo-dl", "nengo-extras", "dask", "zarr",
)  # fmt: skip


def doctor(args: argparse.Namespace) -> int:
    """Print Python, packages, backends and boards; exit 1 if a backend that should run does not."""
    print(f"neurodeploy {__version__}, Python {platform.python_version()}, {platform.platform()}")
    print(f"installed in {sys.prefix}\n")
    print(table(["package", "version"], [[name, _version(name)] for name in PACKAGES]))
    print()
    print(
        "Backends, each tried on a network of two neurons; nengo's packages come through our import adapter."
    )
    rows = [_backend_row(name) for name in BACKENDS]
    print(table(["backend", "state", "seconds", "what to do"], rows))
    print()
    print(_board_text())
    return FINDINGS if any(row[1] == "fails" for row in rows) else DONE


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "not installed"


def _backend_row(name: str) -> list[str | float | None]:
    """Run a network of a few neurons on a backend: the only proof that it runs here."""
    note(f"trying backend {name}")
    start = time.perf_counter()
    try:
        recording = stages.run(_two_neurons(), np.array([[0.8, 0.2]]), backend=name, steps=20)
        right = recording.predictions.tolist() == [0]
    except MissingExtra as error:
        return [name, "missing", None, str(error)]
    except Exception as error:  # whatever a foreign package throws is what we want to show
        return [name, "fails", None, f"{type(error).__name__}: {error}"]
    return [name, "runs" if right else "fails", time.perf_counter() - start, "" if right else "wrong result"]


def _two_neurons() -> Graph:
    """Build a network whose larger input wins."""
    one, dt = np.ones(2), 1e-3
    nodes = (
        Node("input", ops.Input((2,))),
        Node("encoder", ops.IF(one / dt, one, reset="subtract"), notes={"role": "encoder"}),
        Node("swap", ops.Affine(np.eye(2), np.zeros(2))),
        Node("neurons", ops.IF(one / dt, one)),
        Node("output", ops.Output((2,))),
    )
    names = [node.name for node in nodes]
    return Graph(nodes, tuple(pairwise(names)), dt, "doctor", {"steps": 20})


def _board_text() -> str:
    boards = ", ".join(board.id for board in boards_with(stages.DEFAULT_TARGET))
    if find_spec("nxsdk") is None:
        return (
            f"boards ({boards}): NxSDK is not installed, so none can be reached from here;\n"
            "neurodeploy deploy writes the bundle that a host with NxSDK runs"
        )
    return f"boards ({boards}): NxSDK {_version('nxsdk')} is installed"
