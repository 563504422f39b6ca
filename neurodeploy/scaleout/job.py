"""Job: everything but the samples that decides the result of a run, as one value."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from neurodeploy.arrays import Rows
from neurodeploy.backends.base import backend as backend_named
from neurodeploy.backends.base import check_steps
from neurodeploy.compiler.pipeline import compile
from neurodeploy.compiler.scales import run_length
from neurodeploy.errors import DataError, OptionError
from neurodeploy.ir.graph import Graph
from neurodeploy.program import Program
from neurodeploy.recording import Recording, concatenate
from neurodeploy.runs import key_of
from neurodeploy.targets import Target

Run = Callable[[npt.NDArray[Any], int], Recording]
"""Runs samples in the user's layout, undivided; the second value is the first one's index in the run."""


@dataclass(frozen=True, eq=False)
class Job:
    """What is run, and how.

    Parameters
    ----------
    model : Graph or Program
        As the backend takes it.
    backend : str
    steps, seed : int
    input_coding : str
    divide_by : float, optional
        What samples are divided by; as the conversion was told where absent.
    """

    model: Graph | Program
    backend: str
    steps: int
    seed: int = 0
    input_coding: str = "rate"
    divide_by: float | None = None

    @property
    def graph(self) -> Graph:
        """The network."""
        return self.model.graph if isinstance(self.model, Program) else self.model

    @property
    def chunk(self) -> int:
        """Samples per call of the backend."""
        return backend_named(self.backend).chunk

    def key(self, x: Rows) -> str:
        """Digest of the job and its samples; what was kept of a run with another key is not resumed."""
        return key_of(
            x, model=self.model.digest(), divide_by=self.divide_by, backend=self.backend, steps=self.steps,
            seed=self.seed, coding=self.input_coding,
        )  # fmt: skip


def make_job(
    model: Graph | Program,
    *,
    backend: str,
    target: str | Target,
    steps: int | None = None,
    seed: int = 0,
    input_coding: str | None = None,
    divide_by: float | None = None,
) -> Job:
    """Give a backend what it takes, and settle what was left open; `stages.run` says what it means.

    Raises
    ------
    OptionError
        If options, model and backend do not fit each other.
    CompileError
        If the program has error findings.
    """
    takes = backend_named(backend).takes
    model = _without_source(model)
    graph = model.graph if isinstance(model, Program) else model
    if not graph.is_spiking and backend != "rate":
        raise OptionError(
            f"'{graph.name}' is a rate network, and backend '{backend}' runs spikes; convert it"
        )
    if steps is None:
        steps = run_length(model) if isinstance(model, Program) else int(graph.meta.get("steps", 100))
    steps = 1 if backend == "rate" else steps
    check_steps(steps)
    if takes == "graph":
        return Job(graph, backend, steps, seed, input_coding or "rate", divide_by)
    if isinstance(model, Graph):
        model = compile(model, target, input_coding=input_coding or "rate", steps=steps)
    compiled_for = str(model.options["input_coding"])
    if input_coding not in (None, compiled_for):
        raise OptionError(f"input coding is '{input_coding}', the program was compiled for '{compiled_for}'")
    return Job(model.raise_for_errors(), backend, steps, seed, compiled_for, divide_by)


def _without_source(model: Graph | Program) -> Graph | Program:
    """Leave the network's source at home: no worker needs it."""
    if isinstance(model, Program):
        return dataclasses.replace(model, graph=dataclasses.replace(model.graph, source=None))
    return dataclasses.replace(model, source=None)


def open_job(job: Job) -> Run:
    """Open the backend; what comes back runs any number of samples.

    Samples are cut into the backend's chunks, so as long as calls begin at multiples of a chunk, results do
    not depend on how a run was shared out.
    """
    session = backend_named(job.backend).open(
        job.model, steps=job.steps, seed=job.seed, input_coding=job.input_coding, raster=True
    )

    def run(x: npt.NDArray[Any], first: int) -> Recording:
        size = job.chunk
        lows = range(0, len(x), size)
        parts = [session(entering(job.graph, x[i : i + size], job.divide_by), first + i) for i in lows]
        return concatenate(parts)

    return run


def entering(graph: Graph, x: npt.NDArray[Any], divide_by: float | None) -> npt.NDArray[np.float64]:
    """Bring samples into our layout, divided as told or as the conversion was told."""
    divisor = float(graph.meta.get("divide_by", 1.0)) if divide_by is None else divide_by
    with np.errstate(over="ignore"):
        divided = graph.prepare(x) / divisor
    if not np.isfinite(divided).all():
        raise DataError(f"samples divided by {divisor:g} are not finite; divide by what training divided by")
    return divided
