"""What the command line says while it works: findings and progress, to stderr."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from neurodeploy.diagnostics import Diagnostic, render_all

EVERY = 10.0
"""Seconds between two lines of progress where there is no terminal to draw a bar on."""


def printable(text: str) -> str:
    """Escape whatever a terminal would obey; text may come from files that somebody else wrote."""
    return "".join(c if c.isprintable() or c in "\n\t" else ascii(c)[1:-1] for c in text)


def note(message: str) -> None:
    """Print one line about a choice that was made for the user."""
    print(printable(f"neurodeploy: {message}"), file=sys.stderr)


def show_findings(diagnostics: Sequence[Diagnostic]) -> None:
    """Print findings, what blocks most first."""
    if diagnostics:
        print(render_all(diagnostics), file=sys.stderr)


@contextmanager
def progress(what: str, unit: str = "samples") -> Iterator[Callable[[int, int], None]]:
    """Give a function of (done, total) that draws a bar, or prints a line now and then.

    Parameters
    ----------
    what : str
        Stands before the bar.
    unit : str
        What is counted.
    """
    if sys.stderr.isatty():
        with _bar(what, unit) as advance:
            yield advance
    else:
        yield _lines(what, unit)


@contextmanager
def _bar(what: str, unit: str) -> Iterator[Callable[[int, int], None]]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn(unit),
        TimeElapsedColumn(), TextColumn("{task.fields[pace]}"),
    )  # fmt: skip
    pace = _Pace()
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=None, pace="")
        yield lambda done, total: bar.update(task, completed=done, total=total, pace=pace(done, total))


def _lines(what: str, unit: str) -> Callable[[int, int], None]:
    pace = _Pace()
    last: float | None = None

    def advance(done: int, total: int) -> None:
        nonlocal last
        told, now = pace(done, total), time.monotonic()
        last = now if last is None else last
        if now - last < EVERY or done >= total:
            return
        last = now
        print(f"neurodeploy: {what}: {done} of {total} {unit}{told and ', '}{told}", file=sys.stderr)

    return advance


class _Pace:
    """Rate and remaining time, from what was done since the first call."""

    def __init__(self) -> None:
        self._first: tuple[int, float] | None = None

    def __call__(self, done: int, total: int) -> str:
        now = time.monotonic()
        before, start = self._first = self._first or (done, now)
        if done == before or now == start:
            return ""
        rate = (done - before) / (now - start)
        return f"{rate:.3g}/s, {(total - done) / rate:.0f} s left"
