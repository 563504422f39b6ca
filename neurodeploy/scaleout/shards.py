"""A run cut into shards: done in any order, kept one file each, joined at the end.

Shards begin at multiples of the backend's chunk, so results do not depend on their size, nor on who runs them
and when. A shard's file is whole or not there, and says which run it belongs to; so a run may stop at any
moment, in any way, and loses what was being computed, nothing else.
"""

from __future__ import annotations

import dataclasses
import re
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from neurodeploy.arrays import Rows
from neurodeploy.errors import OutputError
from neurodeploy.files import uninterrupted
from neurodeploy.recording import Recording, concatenate
from neurodeploy.runs import DamagedPartial, Interrupted, Partial, Progress, load_partial, save_partial

CHUNKS = 8
"""Most chunks to a shard: seconds of work, so that little is lost and the last worker is not long alone."""
BYTES = 4 << 20
"""Most bytes of samples to a shard, if that is not less than one chunk."""
PER_WORKER = 4
"""Fewest shards for every worker, if there are as many chunks."""

_NAME = re.compile(r"(\d{12})-(\d{12})\.npz")


@dataclass(frozen=True, order=True)
class Shard:
    """Samples from `start` up to `stop`."""

    start: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.start

    @property
    def name(self) -> str:
        """File name."""
        return f"{self.start:012d}-{self.stop:012d}.npz"


Task = tuple[Shard, npt.NDArray[Any]]
Engine = Callable[[Iterator[Task]], Iterator[tuple[Shard, Recording]]]
"""Takes tasks as it has room for them, and gives recordings as they are done, in any order."""


def shard_size(x: Rows, *, chunk: int, workers: int) -> int:
    """Choose how many samples a shard has: a multiple of `chunk`, small enough to share out and to hold."""
    row = max(1, int(np.prod(x.shape[1:], dtype=np.int64)) * x.dtype.itemsize)
    fair = -(-len(x) // (PER_WORKER * max(1, workers) * chunk))
    return chunk * max(1, min(CHUNKS, fair, BYTES // (row * chunk)))


def missing(done: Iterable[Shard], total: int, size: int) -> Iterator[Shard]:
    """Yield shards for all samples that are not done; they end at multiples of `size` where they can."""
    at = 0
    for shard in [*sorted(done), Shard(total, total)]:
        while at < shard.start:
            stop = min(shard.start, (at // size + 1) * size)
            yield Shard(at, stop)
            at = stop
        at = max(at, shard.stop)


def run_in_shards(
    engine: Engine,
    x: Rows,
    *,
    size: int,
    progress: Progress | None = None,
    partial: Partial | None = None,
) -> Recording:
    """Run all samples through an engine.

    Parameters
    ----------
    engine : callable
    x : ndarray or Stored, shape (B, ...)
        Read shard by shard, in order.
    size : int
        Samples per shard, a multiple of the backend's chunk.
    progress : callable of (int, int), optional
        Called with the samples done and their total, at the start and after every shard.
    partial : Partial, optional
        Where shards are kept, in a folder beside its path; without it, in memory.

    Returns
    -------
    Recording
        As of a run in one piece; its seconds are the wall time of all that was done, without the pauses.

    Raises
    ------
    Interrupted
        On Ctrl-C; all shards that were done are kept.
    DataError
        If the run to be resumed is another one.
    """
    kept = Kept(partial)
    done = sum(map(len, kept.shards))
    last = time.monotonic()
    tasks = ((shard, x[shard.start : shard.stop]) for shard in list(missing(kept.shards, len(x), size)))
    try:
        if progress is not None:
            progress(done, len(x))
        for shard, recording in engine(tasks):
            now = time.monotonic()
            kept.put(shard, dataclasses.replace(recording, seconds=now - last))
            done, last = done + len(shard), now
            if progress is not None:
                progress(done, len(x))
        whole = kept.join()
    except KeyboardInterrupt:
        done = sum(map(len, kept.shards))
        raise Interrupted(kept.beginning(), len(x), partial.path if partial else None, done) from None
    kept.clear()
    return whole


class Kept:
    """The shards of one run that are done: in files, or in memory where there is no place for files.

    Parameters
    ----------
    partial : Partial, optional
        Says where, under which key, and whether to go on from what is there; otherwise that is removed.
    """

    def __init__(self, partial: Partial | None) -> None:
        self._partial = partial
        self._here: dict[Shard, Recording | None] = {}
        if partial is None:
            return
        if not partial.resume:
            clear(partial.path)
        self._adopt(partial)
        for shard in in_folder(partial.path):
            self._check(partial, shard)

    def _adopt(self, partial: Partial) -> None:
        """Make a shard of what a run without shards has left."""
        if partial.path.exists():
            recording = load_partial(partial.path, partial.key)
            self.put(Shard(0, len(recording)), recording)
            partial.path.unlink()

    def _check(self, partial: Partial, shard: Shard) -> None:
        """Count a shard as done, unless its file is damaged or its samples are done already."""
        path = folder_of(partial.path) / shard.name
        if any(shard.start < other.stop and other.start < shard.stop for other in self._here):
            return
        try:
            if len(load_partial(path, partial.key)) == len(shard):
                self._here[shard] = None
        except DamagedPartial:
            path.unlink()

    @property
    def shards(self) -> Sequence[Shard]:
        """What is done, in order of samples."""
        return sorted(self._here)

    def put(self, shard: Shard, recording: Recording) -> None:
        """Keep a shard; single spikes are those of the run's first sample."""
        recording = recording if shard.start == 0 else dataclasses.replace(recording, raster={})
        if self._partial is None:
            self._here[shard] = recording
            return
        folder = folder_of(self._partial.path)
        try:
            folder.mkdir(exist_ok=True)
        except OSError as error:
            raise OutputError(f"cannot write '{folder}': {error.strerror}") from error
        with uninterrupted():  # what is in a file is counted as done
            save_partial(folder / shard.name, self._partial.key, recording)
            self._here[shard] = None

    def join(self) -> Recording:
        """Put all shards together."""
        return concatenate([self._get(shard) for shard in self.shards])

    def beginning(self) -> Recording | None:
        """Put together the shards up to the first gap."""
        at, parts = 0, []
        for shard in self.shards:
            if shard.start != at:
                break
            at = shard.stop
            parts.append(self._get(shard))
        return concatenate(parts) if parts else None

    def _get(self, shard: Shard) -> Recording:
        recording = self._here[shard]
        if recording is not None:
            return recording
        assert self._partial is not None
        return load_partial(folder_of(self._partial.path) / shard.name, self._partial.key)

    def clear(self) -> None:
        """Remove the files."""
        if self._partial is not None:
            clear(self._partial.path)


def folder_of(partial: Path) -> Path:
    """Name of the folder of shards beside a partial recording."""
    return partial.with_suffix(".shards")


def in_folder(partial: Path) -> Sequence[Shard]:
    """List the shards kept beside a partial recording, in order of samples."""
    folder = folder_of(partial)
    names = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
    return [Shard(int(m[1]), int(m[2])) for m in map(_NAME.fullmatch, names) if m]


def clear(partial: Path) -> None:
    """Remove a partial recording and the shards beside it; what else lies in their folder stays."""
    partial.unlink(missing_ok=True)
    for shard in in_folder(partial):
        (folder_of(partial) / shard.name).unlink(missing_ok=True)
    folder = folder_of(partial)
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()
