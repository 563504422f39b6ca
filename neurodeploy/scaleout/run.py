"""A job over all samples: in one piece where that will do, in shards on workers where they are asked for."""

from __future__ import annotations

import dataclasses
import functools
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from neurodeploy.arrays import Rows, Stored
from neurodeploy.data import check_samples
from neurodeploy.recording import Recording
from neurodeploy.runs import Interrupted, Partial, Progress, run_in_chunks
from neurodeploy.scaleout.cluster import connect, resident
from neurodeploy.scaleout.job import Job, Run, entering, open_job
from neurodeploy.scaleout.premises import broken_premises
from neurodeploy.scaleout.shards import Shard, Task, clear, in_folder, run_in_shards, shard_size

if TYPE_CHECKING:
    from distributed import Client


def run_job(
    job: Job,
    x: Rows,
    *,
    workers: int | None = None,
    dask: str | Client | None = None,
    progress: Progress | None = None,
    partial: str | os.PathLike[str] | None = None,
    resume: bool = False,
) -> Recording:
    """Run all samples; the recording is the same wherever they run.

    Parameters
    ----------
    job : Job
    x : ndarray or Stored, shape (B, ...)
        In the user's layout, undivided.
    workers, dask
        As `connect` takes them; with neither the run stays in this process.
    progress : callable of (int, int), optional
    partial : path-like, optional
        Where an unfinished run is kept: this file, or the folder of shards beside it.
    resume : bool
        Go on from there, whichever of the two it is.

    Raises
    ------
    DataError
        If samples do not fit the network, or are not finite; an array in a file is gone through for that.
    """
    check_samples(x, x.name if isinstance(x, Stored) else "samples")
    entering(job.graph, x[:1], job.divide_by)
    found = broken_premises(job, x)
    kept = None if partial is None else Partial(Path(partial), job.key(x), resume)
    try:
        recording = _run(job, x, kept, workers=workers, dask=dask, progress=progress)
    except Interrupted as stop:
        if stop.recording is not None:
            stop.recording = dataclasses.replace(stop.recording, diagnostics=found)
        raise
    return dataclasses.replace(recording, diagnostics=found)


def _run(
    job: Job,
    x: Rows,
    kept: Partial | None,
    *,
    workers: int | None,
    dask: str | Client | None,
    progress: Progress | None,
) -> Recording:
    if workers is not None or dask is not None:
        with connect(workers=workers, dask=dask) as client:
            size = shard_size(x, chunk=job.chunk, workers=workers or len(client.nthreads()))
            with resident(client, job) as engine:
                return run_in_shards(engine, x, size=size, progress=progress, partial=kept)
    if kept is not None and in_folder(kept.path):
        if kept.resume:
            engine = functools.partial(_here, open_job(job))
            size = shard_size(x, chunk=job.chunk, workers=1)
            return run_in_shards(engine, x, size=size, progress=progress, partial=kept)
        clear(kept.path)
    run = open_job(job)
    return run_in_chunks(run, x, prepare=np.asarray, size=job.chunk, progress=progress, partial=kept)


def _here(run: Run, tasks: Iterator[Task]) -> Iterator[tuple[Shard, Recording]]:
    """Run shards in this process, one after the other."""
    for shard, x in tasks:
        yield shard, run(x, shard.start)
