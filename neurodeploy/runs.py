"""One run over many samples: in chunks, with progress, interruptible, resumable; the same for every backend.

Chunks always begin at the same samples, so a run that was interrupted and resumed makes the same calls as one
that was not, and its recording is the same to the last bit.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from neurodeploy.arrays import Rows, digest
from neurodeploy.errors import DataError
from neurodeploy.files import uninterrupted, write_beside
from neurodeploy.recording import Recording, concatenate

Session = Callable[[npt.NDArray[np.float64], int], Recording]
Progress = Callable[[int, int], None]
"""Called with the samples done and their total, after every chunk."""

SAVE_EVERY = 10.0
"""Seconds between two writes of the partial recording; a killed run loses no more than this."""
GROUPS = ("spikes", "synops", "raster", "overflows")
"""Fields of a recording that hold one array per name."""
_FORMAT = "neurodeploy partial recording 1"
_SCALARS = ("backend", "target", "steps", "dt", "seed", "seconds")


class Interrupted(KeyboardInterrupt):
    """Ctrl-C during a run.

    `recording` holds the samples that were done, up to the first that was not (None if that is sample 0);
    `done` counts them all, and all are kept in `partial`, if it was given.
    """

    def __init__(
        self, recording: Recording | None, total: int, partial: Path | None, done: int | None = None
    ) -> None:
        self.done = done if done is not None else len(recording) if recording else 0
        super().__init__(f"interrupted after {self.done} of {total} samples")
        self.recording, self.total, self.partial = recording, total, partial


class DamagedPartial(DataError):
    """A partial recording that cannot be read."""


@dataclass(frozen=True)
class Partial:
    """Where an unfinished run is kept.

    Parameters
    ----------
    path : Path
        An ``.npz``; removed when the run is complete.
    key : str
        Digest of all that decides the result; a file with another key is not resumed.
    resume : bool
        Whether to go on from the file, if it is there.
    """

    path: Path
    key: str
    resume: bool = False


def run_in_chunks(
    session: Session,
    x: Rows,
    *,
    prepare: Callable[[npt.NDArray[Any]], npt.NDArray[np.float64]],
    size: int,
    progress: Progress | None = None,
    partial: Partial | None = None,
) -> Recording:
    """Run all samples through a session.

    Parameters
    ----------
    session : callable of (ndarray, int)
        As a backend opens it.
    x : ndarray or Stored, shape (B, ...)
        In the user's layout.
    prepare : callable of ndarray
        Brings a chunk of `x` into the session's layout.
    size : int
        Samples per chunk.
    progress : callable of (int, int), optional
    partial : Partial, optional
        Keep what is done in this file while the run is going on.

    Raises
    ------
    Interrupted
        On Ctrl-C, after the partial recording is written.
    DataError
        If the run to be resumed is another one.
    """
    parts: list[Recording] = []
    if partial is not None and partial.resume and partial.path.exists():
        parts.append(load_partial(partial.path, partial.key))
    done = sum(len(part) for part in parts)
    saved = time.monotonic()
    try:
        while done < len(x):
            if progress is not None:
                progress(done, len(x))
            parts.append(session(prepare(x[done : done + size]), done))
            done += len(parts[-1])
            if partial is not None and time.monotonic() - saved > SAVE_EVERY and done < len(x):
                save_partial(partial.path, partial.key, concatenate(parts))
                saved = time.monotonic()
        if progress is not None:
            progress(len(x), len(x))
    except KeyboardInterrupt:
        with uninterrupted():  # one Ctrl-C is enough; a second one must not lose what the first has stopped
            recording = concatenate(parts) if parts else None
            if partial is not None and recording is not None:
                save_partial(partial.path, partial.key, recording)
        raise Interrupted(recording, len(x), partial.path if partial else None) from None
    if partial is not None:
        partial.path.unlink(missing_ok=True)
    return concatenate(parts)


def key_of(x: Rows, **facts: str | float | int | None) -> str:
    """Digest of the samples and of everything else that decides a run's result."""
    return hashlib.sha256(json.dumps([digest(x), sorted(facts.items())]).encode()).hexdigest()


def save_partial(path: str | os.PathLike[str], key: str, recording: Recording) -> None:
    """Write what is done so far, beside the old file and then in its place."""
    scalars = {name: getattr(recording, name) for name in _SCALARS}
    arrays: dict[str, npt.NDArray[Any]] = {"outputs": recording.outputs, "decisions": recording.decisions}
    for group in GROUPS:
        arrays |= {f"{group}/{name}": value for name, value in getattr(recording, group).items()}
    head = np.array(json.dumps({"format": _FORMAT, "key": key, **scalars}))

    def write(beside: Path) -> None:
        with beside.open("wb") as file:
            np.savez(file, head=head, **arrays)

    write_beside(path, write)


def load_partial(path: str | os.PathLike[str], key: str) -> Recording:
    """Read what an interrupted run left.

    Raises
    ------
    DamagedPartial
        If the file is damaged or something else.
    DataError
        If it belongs to another run.
    """
    try:
        # Opened here, because NumPy leaves a damaged file open.
        with Path(path).open("rb") as file, np.load(file, allow_pickle=False) as npz:
            head = json.loads(str(npz["head"]))
            arrays = {name: npz[name] for name in npz.files if name != "head"}
    except (ValueError, OSError, EOFError, KeyError, zipfile.BadZipFile) as error:
        raise DamagedPartial(
            f"'{path}' cannot be resumed, it is damaged; run without --resume: {error}"
        ) from None
    if not isinstance(head, dict) or head.pop("format", None) != _FORMAT:
        raise DamagedPartial(f"'{path}' is not a partial recording; run without --resume")
    if head.pop("key") != key:
        raise DataError(
            f"'{path}' is left from another run (model, data or options differ); run without --resume"
        )
    groups: dict[str, Any] = {group: {} for group in GROUPS}
    for name, value in arrays.items():
        group, _, population = name.partition("/")
        if population:
            groups[group][population] = value
    return Recording(arrays["outputs"], arrays["decisions"], **groups, **head)
