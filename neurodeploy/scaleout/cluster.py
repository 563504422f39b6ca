"""Shards on Dask's workers: processes of this machine, or a cluster that is there already.

Dask places shards, watches workers and repeats what a dead one was doing. What is ours: samples are read
here, in order, and no more shards are on their way than keep the workers busy, so memory stays small
everywhere; the model is sent once to each worker; nothing is kept on workers' disks.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import logging
import os
import queue
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from neurodeploy import __version__
from neurodeploy.errors import ClusterError, MissingExtra, OptionError
from neurodeploy.kernels.build import THREADS, cores
from neurodeploy.recording import Recording
from neurodeploy.scaleout.job import Job
from neurodeploy.scaleout.shards import Engine, Shard, Task
from neurodeploy.scaleout.wire import pack, unpack

if TYPE_CHECKING:
    from distributed import Client, Future

CONNECT, START = 10.0, 120.0
"""Seconds to wait for a scheduler's answer, and for the first worker."""
PATIENCE = 60.0
"""Seconds without any worker after which a run gives up."""
AHEAD = 2
"""Shards on their way for every worker: the one it runs and the next."""


@contextlib.contextmanager
def connect(*, workers: int | None = None, dask: str | Client | None = None) -> Iterator[Client]:
    """Start workers on this machine, or connect to a cluster.

    Parameters
    ----------
    workers : int, optional
        Processes to start here; they end when this does.
    dask : str or distributed.Client, optional
        Address of a scheduler, or a client of it, whose workers have the same neurodeploy installed.

    Raises
    ------
    OptionError
        If both or none is given, or `workers` is below 1.
    MissingExtra
        If Dask is not installed.
    ClusterError
        If no scheduler or no worker answers, or workers have another neurodeploy.
    """
    if (workers is None) == (dask is None):
        raise OptionError("workers are either started here or those of a cluster; give one of the two")
    if workers is not None and workers < 1:
        raise OptionError(f"workers is {workers}; a run takes at least 1")
    try:
        import distributed
    except ModuleNotFoundError as error:
        raise MissingExtra(
            f"running on workers needs {error.name}, which is not installed; "
            "add it with: pip install 'neurodeploy[dask]'"
        ) from None
    if isinstance(dask, distributed.Client):
        yield dask
    elif dask is not None:
        with _scheduler(str(dask)) as client:
            yield client
    else:
        assert workers is not None
        with _local(workers) as client:
            yield client


@contextlib.contextmanager
def resident(client: Client, job: Job) -> Iterator[Engine]:
    """Send a job to a client's workers, once to each, and have it opened there; it is gone afterwards."""
    from neurodeploy.scaleout.worker import Resident, ready

    name = f"neurodeploy-{uuid.uuid4().hex}"
    waiting: dict[str, tuple[Shard, Future]] = {}
    client.register_plugin(Resident(name, pack(job)), name=name)
    try:
        client.run(ready, name, on_error="ignore")  # the first shard tells what is wrong
        yield functools.partial(_in_flight, client, name, waiting)
    finally:
        with contextlib.suppress(Exception):  # of a cluster that is lost; what went wrong is raised already
            client.cancel([future for _, future in waiting.values()], force=True)
            client.unregister_worker_plugin(name)


def _in_flight(
    client: Client, name: str, waiting: dict[str, tuple[Shard, Future]], tasks: Iterator[Task]
) -> Iterator[tuple[Shard, Recording]]:
    """Keep every worker busy, and hand out what is done."""
    from neurodeploy.scaleout.worker import run_shard

    done: queue.SimpleQueue[str] = queue.SimpleQueue()
    while True:
        room = AHEAD * max(1, len(client.nthreads())) - len(waiting)
        for shard, x in itertools.islice(tasks, max(0, room)):
            key = f"{name}-{shard.start:012d}"
            future = client.submit(run_shard, name, x, shard.start, key=key, pure=False)
            waiting[key] = shard, future
            future.add_done_callback(lambda future: done.put(future.key))
        if not waiting:
            return
        shard, future = waiting.pop(_next(client, done))
        yield shard, _result(shard, future)


def _next(client: Client, done: queue.SimpleQueue[str]) -> str:
    """Wait for a shard; give up if there has been no worker for long."""
    seen = time.monotonic()
    while True:
        with contextlib.suppress(queue.Empty):
            return done.get(timeout=1.0)
        try:
            alone = not client.nthreads()
        except Exception as error:
            raise ClusterError(f"Dask's scheduler does not answer any more ({error}); {_GO_ON}") from None
        if not alone:
            seen = time.monotonic()
        if time.monotonic() - seen > PATIENCE:
            raise ClusterError(f"there has been no worker for {PATIENCE:.0f} s; {_GO_ON}")


_GO_ON = "what is done is kept where results go to a file, and --resume goes on"


def _result(shard: Shard, future: Future) -> Recording:
    from concurrent.futures import CancelledError

    from distributed import KilledWorker

    try:
        recording: Recording = unpack(future.result())
        return recording
    except KilledWorker as error:
        times = error.allowed_failures + 1
        raise ClusterError(
            f"samples {shard.start} to {shard.stop - 1} were given to {times} workers, and all of them died, "
            f"most likely for want of memory; give fewer workers, or a larger machine; {_GO_ON}"
        ) from None
    except CancelledError:
        raise ClusterError(f"Dask's scheduler is lost; {_GO_ON}") from None


# --- where workers come from ------------------------------------------------------------------------------


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Tell Dask that samples in a task are meant, and that its log is not for our user."""
    import dask
    import distributed  # noqa: F401  (it gives some of its loggers levels of their own)

    names = [name for name in logging.root.manager.loggerDict if f"{name}.".startswith("distributed.")]
    before = {log: log.level for log in map(logging.getLogger, names)}
    for log in before:
        log.setLevel(logging.CRITICAL + 1)
    try:
        with dask.config.set({"distributed.admin.large-graph-warning-threshold": "1 GiB"}):
            yield
    finally:
        for log, level in before.items():
            log.setLevel(level)


@contextlib.contextmanager
def _scheduler(address: str) -> Iterator[Client]:
    from distributed import Client

    with _quiet(), contextlib.ExitStack() as stack:
        try:
            client = stack.enter_context(Client(address, timeout=CONNECT, set_as_default=False))
        except (OSError, ValueError, TypeError) as error:
            raise ClusterError(
                f"no Dask scheduler answers at '{address}': {error}; start one with: dask scheduler"
            ) from None
        _check_workers(client, address)
        yield client


def _check_workers(client: Client, address: str) -> None:
    """See that there are workers and that they run the same code."""
    from neurodeploy.scaleout.worker import version

    try:
        client.wait_for_workers(1, timeout=CONNECT)
    except TimeoutError:
        raise ClusterError(
            f"the cluster at '{address}' has no workers; start some with: dask worker {address}"
        ) from None
    try:
        there: dict[str, Any] = client.run(version)
    except Exception as error:
        raise ClusterError(
            f"workers of '{address}' cannot run neurodeploy ({type(error).__name__}: {error}); "
            f"install neurodeploy {__version__} there"
        ) from None
    for worker, found in there.items():
        if found != __version__:
            raise ClusterError(
                f"worker {worker} has neurodeploy {found}, here it is {__version__}; install one"
            )


_HERE = "127.0.0.1"
"""Nobody else on the network reaches what is started here."""


@contextlib.contextmanager
def _local(count: int) -> Iterator[Client]:
    """Run a scheduler in this process, and workers in others that a nanny starts again when they die."""
    from distributed import Client, LocalCluster

    with (
        _quiet(),
        tempfile.TemporaryDirectory(prefix="neurodeploy-", ignore_cleanup_errors=True) as scratch,
        LocalCluster(
            n_workers=0,
            host=_HERE,
            dashboard_address=f"{_HERE}:0",
            scheduler_kwargs={"dashboard": False},
            silence_logs=logging.CRITICAL,
        ) as cluster,  # fmt: skip
        Client(cluster, set_as_default=False) as client,
        _nannies(cluster.scheduler_address, count, Path(scratch)) as process,
    ):
        _wait_for_first(client, process, Path(scratch) / "log")
        yield client


@contextlib.contextmanager
def _nannies(address: str, count: int, scratch: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Start workers in a session of their own, where Ctrl-C at our terminal does not reach them.

    Dask's own way of starting them from Python would run the user's script once more in each.
    """
    command = [
        sys.executable, "-P", "-m", "distributed.cli.dask_worker", address, "--nworkers", str(count),
        "--nthreads", "1", "--host", _HERE, "--dashboard-address", f"{_HERE}:0", "--no-dashboard",
        "--memory-limit", "0", "--local-directory", str(scratch), "--death-timeout", "60",
    ]  # fmt: skip
    with (scratch / "log").open("wb") as log:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=_environment(count),
            start_new_session=True,
        )  # fmt: skip
    try:
        yield process
    finally:  # workers hold nothing that is not here already
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _environment(count: int) -> dict[str, str]:
    """Give every worker its share of the cores."""
    share = str(max(1, cores() // count))
    threads = (
        THREADS, "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS",
        "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS",
    )  # fmt: skip
    path = os.pathsep.join(part or os.getcwd() for part in sys.path)
    return {**os.environ, "PYTHONPATH": path, **dict.fromkeys(threads, share)}


def _wait_for_first(client: Client, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + START
    while not client.nthreads():
        if process.poll() is not None or time.monotonic() > end:
            said = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
            raise ClusterError(f"no worker has started; the last it said: {said[-1] if said else 'nothing'}")
        time.sleep(0.02)
