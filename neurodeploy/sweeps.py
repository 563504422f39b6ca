"""Sweeps: one network and one set of samples under every combination of some options."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from neurodeploy.arrays import Stored
from neurodeploy.errors import CompileError, OptionError
from neurodeploy.ir.graph import Graph
from neurodeploy.program import Program
from neurodeploy.recording import Recording
from neurodeploy.runs import Interrupted, Progress, load_partial, save_partial
from neurodeploy.scaleout.cluster import connect
from neurodeploy.scaleout.job import Job, make_job
from neurodeploy.scaleout.run import run_job
from neurodeploy.scaleout.shards import clear
from neurodeploy.stages import DEFAULT_BACKEND, DEFAULT_TARGET, laid_out

if TYPE_CHECKING:
    from distributed import Client

SWEPT = ("backend", "target", "input_coding", "steps", "seed", "divide_by")
"""Options that can be swept, as `stages.run` takes them."""


@dataclass(frozen=True, eq=False)
class Trial:
    """One combination and what it gave.

    Parameters
    ----------
    options : mapping of str to number or str
        The swept ones.
    model : Graph or Program, optional
        What was run; None if the network does not fit.
    recording : Recording, optional
    fault : str
        Why there is none.
    """

    options: Mapping[str, Any]
    model: Graph | Program | None = None
    recording: Recording | None = None
    fault: str = ""


def sweep(
    model: Graph,
    x: npt.ArrayLike | Stored,
    over: Mapping[str, Sequence[Any]],
    *,
    progress: Progress | None = None,
    partial: str | os.PathLike[str] | None = None,
    resume: bool = False,
    workers: int | None = None,
    dask: str | Client | None = None,
    **fixed: Any,
) -> tuple[Trial, ...]:
    """Run samples under every combination of some options.

    Parameters
    ----------
    model : Graph
    x : array_like or Stored, shape (B, ...)
        As `stages.run` takes them.
    over : mapping of str to sequence
        Values by option: backend, target, input_coding, steps, seed, divide_by.
    progress : callable of (int, int), optional
        Called with samples done and total, over all combinations.
    partial : path-like, optional
        Folder for what is done until the sweep is complete.
    resume : bool
        Go on from there.
    workers, dask
        As `stages.run` takes them; workers start once for all combinations.
    **fixed
        Options that stay the same.

    Returns
    -------
    tuple of Trial
        In the order of the values, the last option changing fastest. A combination that does not fit the
        target has no recording.

    Raises
    ------
    OptionError
        If an option cannot be swept, or combinations make no sense; before anything runs.
    Interrupted
        On Ctrl-C; what was done is kept in `partial`.
    """
    samples = x if isinstance(x, Stored) else np.asarray(x)
    jobs = [(options, *_job(model, {**fixed, **options})) for options in combinations(over)]
    done, total = 0, len(samples) * sum(job is not None for _, job, _ in jobs)
    trials = []
    with _workers(workers, dask) as client:
        run = _Keeping(None if partial is None else Path(partial), resume, client)
        for options, job, fault in jobs:
            if job is None:
                trials.append(Trial(options, fault=fault))
                continue
            try:
                recording = run(job, samples, _from(progress, done, total))
            except KeyboardInterrupt as stop:
                more = stop.done if isinstance(stop, Interrupted) else 0
                raise Interrupted(None, total, run.folder, done + more) from None
            done += len(samples)
            trials.append(Trial(options, job.model, recording))
    run.clear()
    return tuple(trials)


def combinations(over: Mapping[str, Sequence[Any]]) -> list[dict[str, Any]]:
    """List all combinations.

    Raises
    ------
    OptionError
        If an option cannot be swept or has no values.
    """
    for name, values in over.items():
        if name not in SWEPT:
            raise OptionError(f"'{name}' cannot be swept; these can: {', '.join(SWEPT)}")
        if not values:
            raise OptionError(f"a sweep over '{name}' has no values")
    return [dict(zip(over, values, strict=True)) for values in itertools.product(*over.values())]


def _job(model: Graph, options: Mapping[str, Any]) -> tuple[Job | None, str]:
    """Make a job, or say why the network does not fit."""
    chosen = {"backend": DEFAULT_BACKEND, "target": DEFAULT_TARGET, **options}
    try:
        job = make_job(model, **chosen)
    except CompileError as error:
        return None, str(error)
    if isinstance(job.model, Program):
        laid_out(job.model)
    return job, ""


def _from(progress: Progress | None, before: int, total: int) -> Progress | None:
    if progress is None:
        return None
    tell: Progress = progress
    return lambda done, _: tell(before + done, total)


@contextmanager
def _workers(workers: int | None, dask: str | Client | None) -> Iterator[Client | None]:
    if workers is None and dask is None:
        yield None
    else:
        with connect(workers=workers, dask=dask) as client:
            yield client


class _Keeping:
    """Runs jobs, and keeps those that are complete in a folder until all are."""

    def __init__(self, folder: Path | None, resume: bool, client: Client | None) -> None:
        self.folder, self._resume, self._client = folder, resume, client
        self._files: list[Path] = []

    def __call__(self, job: Job, x: npt.NDArray[Any] | Stored, progress: Progress | None) -> Recording:
        if self.folder is None:
            return run_job(job, x, dask=self._client, progress=progress)
        key = job.key(x)
        self.folder.mkdir(exist_ok=True)
        partial = self.folder / f"{key[:16]}.npz"
        complete = partial.with_suffix(".done.npz")
        self._files += [partial, complete]
        if self._resume and complete.exists():
            return load_partial(complete, key)
        recording = run_job(
            job, x, dask=self._client, progress=progress, partial=partial, resume=self._resume
        )
        save_partial(complete, key, recording)
        return recording

    def clear(self) -> None:
        """Remove what was kept; what else lies in the folder stays."""
        for path in self._files:
            clear(path)
        if self.folder is not None and self.folder.is_dir() and not any(self.folder.iterdir()):
            self.folder.rmdir()
