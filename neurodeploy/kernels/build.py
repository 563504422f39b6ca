"""Compiling the kernel once, and spreading its calls over threads.

Machine code is kept between processes, in a folder of its own whose name changes with the sources; Numba
alone would miss a change in any file but the outermost function's, and could not write beside an installed
package.
"""

from __future__ import annotations

import functools
import hashlib
import importlib
import os
import tempfile
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")
SOURCES = (
    "rows.py",
    "layout.py",
    "lanes.py",
    "intrinsics.py",
    "tiles.py",
    "matrix.py",
    "columns.py",
    "deliver.py",
    "chance.py",
    "loops.py",
    "build.py",
)
ONLINE_SOURCES = (
    "lanes.py",
    "rows.py",
    "online_tables.py",
    "online_changes.py",
    "online_engine.py",
    "online_loops.py",
    "online.py",
    "../learning/circuit.py",
    "../numerics/draws.py",
)
"""Files whose constants stand in machine code: where one changes, what was kept of it is not taken again."""
THREADS = "NEURODEPLOY_THREADS"
"""Environment variable: threads the kernel takes; the workers of one machine share its cores by it."""
PORTION = 64
"""Most samples a thread takes at a time."""


def once(make: Callable[[], T]) -> Callable[[], T]:
    """Let a function without arguments be called once, whichever threads ask for its result."""
    lock, made = threading.Lock(), list[T]()

    @functools.wraps(make)
    def get() -> T:
        with lock:
            if not made:
                made.append(make())
            return made[0]

    return get


@once
def kernel() -> Callable[..., None]:
    """Wrap the kernel; it is compiled at its first call, or taken from the last time."""
    from neurodeploy.kernels.loops import run_samples

    return cached(run_samples, SOURCES, _nrt=False)


def cached(function: Callable[..., None], files: tuple[str, ...], **options: Any) -> Callable[..., None]:
    """Wrap a function for the compiler, its machine code kept in `cache_folder`.

    Numba's own setting of a folder is one for the whole process and read twice as a function is wrapped, so
    that it cannot be changed for one function while other threads wrap theirs. The folder is told to this
    function's cache alone instead.

    Parameters
    ----------
    function : callable
    files : tuple of str
        Sources it is made from, as seen from this folder.
    **options
        As for ``numba.njit``.

    Returns
    -------
    callable
    """
    numba: Any = importlib.import_module("numba")
    caching: Any = importlib.import_module("numba.core.caching")
    place = cache_folder(numba.__version__, files)

    class Locator(caching.UserProvidedCacheLocator):  # type: ignore[misc]
        """Finds the folder, whatever the process's setting is."""

        def __init__(self, py_func: Any, py_file: str) -> None:
            self._py_file, self._lineno = py_file, py_func.__code__.co_firstlineno
            self._cache_path = str(place / self.get_suitable_cache_subpath(py_file))

        @classmethod
        def from_function(cls, py_func: Any, py_file: str) -> Any:
            return cls(py_func, py_file)

    class Results(caching.CompileResultCacheImpl):  # type: ignore[misc]
        """Asks that locator only."""

        _locator_classes = (Locator,)

    class Cache(caching.FunctionCache):  # type: ignore[misc]
        """Keeps results where that locator says."""

        _impl_class = Results

    wrapped: Any = numba.njit(nogil=True, **options)(function)
    wrapped._cache = Cache(function)  # as `cache=True` does with a cache of Numba's
    return wrapped  # type: ignore[no-any-return]


def cache_folder(version: str, files: tuple[str, ...] = SOURCES) -> Path:
    """Find a folder for machine code that can be written, and whose name changes with what it is made from.

    Parameters
    ----------
    version : str
        Of the compiler.
    files : tuple of str
        Sources, as seen from this folder.

    Returns
    -------
    Path
        In ``NEURODEPLOY_CACHE``, the user's cache folder, or the temporary one: the first that can be
        written.
    """
    sources = b"".join((Path(__file__).parent / name).read_bytes() for name in files)
    name = hashlib.sha256(version.encode() + sources).hexdigest()[:16]
    home = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    places = (os.environ.get("NEURODEPLOY_CACHE"), str(Path(home) / "neurodeploy"), tempfile.gettempdir())
    for place in filter(None, places):
        folder = Path(place) / f"kernel-{name}"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder):
                return folder
        except OSError:
            continue
    return Path(tempfile.mkdtemp(prefix="neurodeploy-"))


def cores() -> int:
    """Count the cores this process may use; `THREADS` overrules it."""
    told = os.environ.get(THREADS, "")
    if told.isdecimal() and int(told) > 0:
        return int(told)
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def spread(part: Callable[[int, int], None], size: int, threads: int) -> None:
    """Share samples among threads, in portions small enough to even out."""
    if threads == 1 or size == 1:
        part(0, size)
        return
    portion = max(1, min(PORTION, size // (4 * threads)))
    cuts = range(0, size, portion)
    list(_pool(threads).map(lambda low: part(low, min(low + portion, size)), cuts))


@functools.cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="neurodeploy")


if hasattr(os, "register_at_fork"):  # a forked process has the pools, but not their threads
    os.register_at_fork(after_in_child=_pool.cache_clear)
