"""What happens on a worker of Dask: a job is opened once, and runs one shard after the other."""

from __future__ import annotations

import asyncio
import os
import threading
from typing import Any

import numpy.typing as npt
from distributed import WorkerPlugin, get_worker

from neurodeploy import __version__
from neurodeploy.kernels.build import THREADS
from neurodeploy.recording import Recording
from neurodeploy.scaleout.job import Run, open_job
from neurodeploy.scaleout.wire import Parcel, pack, unpack


class Resident(WorkerPlugin):  # type: ignore[misc]  # Dask's is not typed
    """A job that lives on every worker: sent once to each, and again to one that takes a dead one's place.

    Parameters
    ----------
    name : str
        Of the plugin, one per run.
    parcel : Parcel
        The job.
    """

    def __init__(self, name: str, parcel: Parcel) -> None:
        self.name, self.parcel = name, parcel

    def setup(self, worker: Any) -> None:
        """Leave as many cores to the kernel as the worker was given; the job is opened when it is wanted."""
        os.environ.setdefault(THREADS, str(worker.state.nthreads))
        self._turn = threading.Lock()
        self._run: Run | None = None

    def open(self) -> Run:
        """Open the job, unless it is open."""
        with self._turn:
            if self._run is None:
                self._run = open_job(unpack(self.parcel))
            return self._run

    def run(self, x: npt.NDArray[Any], first: int) -> Recording:
        """Run samples; one shard at a time, which has all threads."""
        run = self.open()
        with self._turn:
            return run(x, first)


async def ready(name: str, dask_worker: Any) -> None:
    """Open the job of that name before its first shard; Dask passes the worker."""
    await asyncio.to_thread(dask_worker.plugins[name].open)


def run_shard(name: str, x: npt.NDArray[Any], first: int) -> Parcel:
    """Run samples through the job of that name; Dask calls this."""
    resident: Resident = get_worker().plugins[name]
    return pack(resident.run(x, first))


def version() -> str:
    """Return the version that is installed where this runs."""
    return __version__
