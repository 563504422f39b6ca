"""Changes: what the compiler did so that a network fits, and what each of it costs, before and after.

Cutting populations into blocks, letting blocks share cores and placing them changes no number. Fewer weight
bits do: that shows in accuracy and spikes where samples are run through both programs.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from neurodeploy.compiler import packing
from neurodeploy.compiler.traffic import by_distance
from neurodeploy.program import Program
from neurodeploy.recording import Recording
from neurodeploy.rules.precision import WEIGHTS_NARROWED

Row = dict[str, Any]


def change_rows(program: Program) -> list[Row]:
    """Say what the layout changed: blocks, cores, and how far spikes travel.

    Returns
    -------
    list of dict
        ``what``, ``before`` and ``after``; empty where a network is not laid out. Before is one block for a
        population, a core for each block, and cores in the order of layers.
    """
    if not program.cores:
        return []
    laid = dataclasses.replace(program, cores=tuple(range(len(program.blocks))))
    rows = [
        _row("blocks", sum(p.on_chip for p in program.populations), len(program.blocks)),
        _row("cores", len(program.blocks), len(set(program.cores))),
    ]
    before, after = by_distance(laid), by_distance(program)
    for name in before:
        if name != "within a core" and (before[name] or after[name]):
            rows.append(_row(f"spikes per step {name}", round(before[name], 1), round(after[name], 1)))
    return [*rows, *_narrowed(program)]


def apart_line(program: Program) -> str:
    """Say why blocks that look small enough for one core lie on two; nothing where they do not."""
    if not program.cores or not program.options.get("share_cores", 1):
        return ""
    found = packing.kept_apart(program)
    if found is None:
        return ""
    one, other = (program.blocks[i].name for i in found[:2])
    return (
        f"kept apart: {one} and {other} differ in {found[2]}, which a core of {program.target.id} keeps once"
    )


def _narrowed(program: Program) -> list[Row]:
    rows = []
    for d in program.diagnostics:
        if d.code == WEIGHTS_NARROWED.code:
            rows.append(_row(f"weight bits of {d.place.layer}", d.facts["before"], d.facts["used"]))
            error = [f"{100 * float(d.facts[key]):.2f} %" for key in ("error_before", "error")]
            rows.append(_row(f"rounding error of {d.place.layer}", *error))
            rows.append(_row(f"blocks of {d.place.layer}", d.facts["blocks_before"], d.facts["blocks"]))
    return rows


def run_rows(recordings: Sequence[Recording], labels: npt.NDArray[np.int64] | None) -> list[Row]:
    """Say what a change costs on samples that both programs ran.

    Parameters
    ----------
    recordings : sequence of two Recording
        Before and after.
    labels : ndarray of int64, shape (B,), optional
    """
    before, after = recordings
    samples = len(before)
    rows = [_row("spikes per sample", round(before.spikes_per_sample, 1), round(after.spikes_per_sample, 1))]
    if labels is not None:
        told = [f"{100 * float(r.accuracy(labels)):.2f} %" for r in recordings]
        rows.append(_row(f"accuracy on {samples:,} samples", *told))
    same = float((before.predictions == after.predictions).mean())
    rows.append(_row(f"the same answer on {samples:,} samples", "", f"{100 * same:.2f} %"))
    return rows


def _row(what: str, before: Any, after: Any) -> Row:
    return {"what": what, "before": before, "after": after}
