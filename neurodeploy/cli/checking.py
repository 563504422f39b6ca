"""``neurodeploy check``: compile for a target, say everything that is wrong and what is used."""

from __future__ import annotations

import argparse
import dataclasses
import sys
import time
from collections.abc import Mapping
from typing import Any, TextIO

import numpy as np
import numpy.typing as npt

from neurodeploy import stages
from neurodeploy.cli import DONE, FINDINGS
from neurodeploy.cli.commands import spiking
from neurodeploy.cli.console import note
from neurodeploy.cli.layout import compiled
from neurodeploy.compiler.pipeline import PASSES
from neurodeploy.data import read_samples
from neurodeploy.diagnostics import render_all
from neurodeploy.errors import OptionError
from neurodeploy.program import Program
from neurodeploy.reporting import Report
from neurodeploy.reporting.changes import apart_line, run_rows
from neurodeploy.reporting.fits import verdict_line
from neurodeploy.reporting.sarif import to_sarif
from neurodeploy.reporting.text import change_table, core_table, program_text, whole_table
from neurodeploy.rules.precision import WEIGHTS_NARROWED


def check(args: argparse.Namespace) -> int:
    """Print every finding, and used and limit of every resource of every core; 1 if there are errors."""
    watch = Watch(args.print_after, to=sys.stdout if args.format == "text" else sys.stderr)
    if args.data and args.min_weight_bits is None:
        raise OptionError("--data shows what taking bits from weights costs; give --min-weight-bits too")
    graph = spiking(args, guess=True)
    watch.restart()
    program = stages.weigh(
        compiled(args, graph, after=watch),
        error=args.error, allow=args.allow, waivers=args.waivers,
    )  # fmt: skip
    if args.time_passes:
        note(f"time of every pass\n{watch.table()}")
    report = stages.report(program)
    report = Report({**report.figures, "changes": [*report.figures["changes"], *_cost(args, program)]})
    if args.format == "json":
        print(report.to_json(), end="")
    elif args.format == "sarif":
        print(to_sarif(program), end="")
    else:
        print(_text(program, report.figures))
    return FINDINGS if program.errors else DONE


def _cost(args: argparse.Namespace, program: Program) -> list[dict[str, Any]]:
    """Run samples through the network before and after bits were taken from its weights, if any were."""
    path = args.data or args.calibration
    if not path or all(d.code != WEIGHTS_NARROWED.code for d in program.diagnostics):
        return []
    data = read_samples(path, limit=stages.CALIBRATION_SAMPLES)
    before = compiled(args, program.graph, min_weight_bits=None)
    return cost_of_change(before, program, np.asarray(data.x), data.y)


def cost_of_change(
    before: Program, after: Program, x: npt.NDArray[Any], y: npt.NDArray[np.int64] | None = None
) -> list[dict[str, Any]]:
    """Run samples on the emulator through two programs of one graph, whether they fit the chip or not."""
    unjudged = [dataclasses.replace(program, diagnostics=()) for program in (before, after)]
    return run_rows([stages.run(program, x) for program in unjudged], y)


def _text(program: Program, figures: Mapping[str, Any]) -> str:
    parts = []
    if figures["cores"]:
        parts.append(core_table(figures["cores"]))
    if rows := [row for row in figures["whole"] if row["limit"] is not None]:
        parts.append(whole_table(rows))
    if figures["changes"]:
        parts.append(change_table(figures["changes"]))
    if apart := apart_line(program):
        parts.append(apart)
    found = stages.check(program)
    if found:
        parts.append(render_all(found))
    return "\n\n".join([*parts, verdict_line(program, len(found))])


class Watch:
    """Sees every pass: times it, and prints the program after the one that was asked for."""

    def __init__(self, print_after: str | None, *, to: TextIO) -> None:
        self.names = [step.__name__ for step in PASSES]
        if print_after and print_after not in self.names:
            raise OptionError(f"there is no pass '{print_after}'; the passes are {', '.join(self.names)}")
        self.print_after, self.to = print_after, to
        self.seconds = dict.fromkeys(self.names, 0.0)
        self.restart()

    def restart(self) -> None:
        """Start the clock anew."""
        self.last = time.perf_counter()

    def __call__(self, name: str, program: Program) -> None:
        """Take note of a pass and its result."""
        now = time.perf_counter()
        self.seconds[name] += now - self.last
        if name == self.print_after:
            print(f"{program_text(program)}\n", file=self.to)
        self.restart()

    def table(self) -> str:
        """Write seconds and share of every pass."""
        total = sum(self.seconds.values()) or 1.0
        width = max(map(len, self.names))
        return "\n".join(f"{n:{width}s} {s:8.3f} s {s / total:5.0%}" for n, s in self.seconds.items())
