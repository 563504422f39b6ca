"""Every figure of a program and of a run, as plain JSON values: the one source of text, picture and file.

Names follow NeuroBench where it has one. The run card (what was run, where, in which arithmetic, and what
none of it proves about silicon) is part of the figures, so no output can lose it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from neurodeploy.compiler.resources import core_rows, whole_rows
from neurodeploy.compiler.scales import run_length
from neurodeploy.compiler.widths import wanted_bits
from neurodeploy.diagnostics import Diagnostic, in_order
from neurodeploy.ir.graph import Graph
from neurodeploy.program import ConvMap, Map, Program, SparseMap
from neurodeploy.recording import Recording
from neurodeploy.reporting.changes import change_rows
from neurodeploy.reporting.conversion import conversion_figures
from neurodeploy.reporting.energy import energy_figures
from neurodeploy.reporting.fits import core_count

FORMAT = "neurodeploy run 1"
"""First entry of every file of figures."""

MODEL_FORMAT = "neurodeploy model 1"
"""The same for figures of a network that has not run."""

RASTER_SPIKES = 20_000
"""Spikes of one population kept for the raster; above this, every k-th neuron is kept."""

ARITHMETIC: Mapping[str, str] = {
    "loihi-emulator": "integers of the chip: {bits}-bit weights, saturating membranes, truncated decays",
    "nengo-loihi": "integers of the chip: {bits}-bit weights, nengo-loihi's own emulator",
    "nengo": "float64, spikes, neurons of Nengo",
    "nengo-dl": "float32, spikes, neurons of nengo-dl",
    "rate": "float64, rates in place of spikes, no time",
}
"""What each backend computes with."""

_ALWAYS_OPEN = ("energy, power and latency",)
_EMULATED = (
    "the integers were compared with nengo-loihi's emulator, not with a chip",
    "spikes between host, chips and cores are taken to arrive in time",
    *_ALWAYS_OPEN,
)
_FLOAT = ("the accuracy: this backend computes in floats, not in the chip's integers", *_ALWAYS_OPEN)
NOT_ON_SILICON: Mapping[str, Sequence[str]] = {
    "loihi-emulator": _EMULATED,
    "nengo-loihi": _EMULATED,
    "nengo": _FLOAT,
    "nengo-dl": _FLOAT,
    "rate": _FLOAT,
}
"""What a run on each backend does not show about a chip."""


def run_figures(
    model: Graph | Program,
    recording: Recording,
    labels: npt.NDArray[np.int64] | None = None,
    *,
    total: int | None = None,
    facts: Mapping[str, str | float | None] | None = None,
) -> dict[str, Any]:
    """Collect what a run gave.

    Parameters
    ----------
    model : Graph or Program
        What was run.
    recording : Recording
    labels : ndarray of int64, shape (B,), optional
        Without them there is no accuracy, and the predictions are listed instead.
    total : int, optional
        Samples that were asked for, if the run was interrupted.
    facts : mapping, optional
        More lines for the run card, as the data file's name.

    Returns
    -------
    dict
        Plain JSON values.
    """
    r = recording
    known = labels is not None
    over_steps = r.accuracy_over_steps(labels) if labels is not None and r.steps > 1 else None
    return {
        "format": FORMAT,
        "complete": total is None or len(r) == total,
        "accuracy": r.accuracy(labels) if labels is not None else None,
        "samples": len(r),
        "samples_asked": total if total is not None else len(r),
        "steps": r.steps,
        "backend": r.backend,
        "target": model.target.id if isinstance(model, Program) else None,
        "seed": r.seed,
        "seconds": r.seconds,
        "samples_per_second": len(r) / r.seconds if r.seconds > 0 else None,
        "spikes_per_sample": r.spikes_per_sample,
        "synops_per_sample": r.synops_per_sample,
        "overflowed_samples": {name: int(hit.sum()) for name, hit in r.overflows.items()},
        "card": run_card(model, r, facts or {}),
        "accuracy_over_steps": None if over_steps is None else [round(float(a), 6) for a in over_steps],
        "predictions": None if known else r.predictions.tolist(),
        "layers": layer_figures(model, r),
        "raster": raster_figures(model, r),
        **(program_figures(model) if isinstance(model, Program) else {}),
        "energy": energy_figures(model, r) if isinstance(model, Program) else None,
        "findings": finding_figures((*_found(model), *r.diagnostics)),
    }


def _found(model: Graph | Program) -> tuple[Diagnostic, ...]:
    return model.diagnostics if isinstance(model, Program) else ()


def model_figures(
    model: Graph | Program, *, facts: Mapping[str, str | float | None] | None = None
) -> dict[str, Any]:
    """Collect what is known of a network before it runs: layers, and cores and findings of a program."""
    converted = conversion_figures(model.graph if isinstance(model, Program) else model)
    return {
        "format": MODEL_FORMAT,
        "card": model_card(model) | dict(facts or {}),
        "layers": layer_figures(model),
        **({"conversion": converted} if converted else {}),
        **(program_figures(model) if isinstance(model, Program) else {}),
    }


def model_card(model: Graph | Program) -> dict[str, Any]:
    """Say what network this is and, for a program, how it was compiled."""
    from neurodeploy import __version__

    graph = model.graph if isinstance(model, Program) else model
    card: dict[str, Any] = {
        "model": graph.name, "model_digest": graph.digest(), "source": graph.meta.get("source"),
        "neurodeploy": __version__,
    }  # fmt: skip
    if str(graph.meta.get("calibration", "")).startswith("random"):
        card["calibration"] = f"none: {graph.meta['calibration']}; no accuracy is to be trusted"
    if isinstance(model, Program):
        card |= {
            "target": model.target.id,
            "program_digest": model.digest(),
            "cores": core_count(model),
            "input_coding": model.options.get("input_coding"),
        }
    return card


def run_card(
    model: Graph | Program, recording: Recording, facts: Mapping[str, str | float | None]
) -> dict[str, Any]:
    """Say what was run, and how, and what that does not show."""
    bits = _bits(model) if isinstance(model, Program) else "8"
    card = model_card(model) | {
        "backend": recording.backend,
        "arithmetic": ARITHMETIC[recording.backend].format(bits=bits),
        "steps": recording.steps,
        "dt": recording.dt,
        "seed": recording.seed,
    }
    if isinstance(model, Program) and run_length(model) != recording.steps:
        card["compiled_for_steps"] = run_length(model)
    if recording.diagnostics:
        card["findings_of_the_run"] = ", ".join(f"{d.code} {d.name}" for d in recording.diagnostics)
    return card | dict(facts) | {"not_verified_on_silicon": list(NOT_ON_SILICON[recording.backend])}


def _bits(program: Program) -> str:
    """Say how many bits weights have; where layers differ, from fewest to most."""
    found = {wanted_bits(program, p.origin, 8) for p in program.projections if not p.widest} or {8}
    return str(min(found)) if len(found) == 1 else f"{min(found)} to {max(found)}"


def layer_figures(model: Graph | Program, recording: Recording | None = None) -> list[dict[str, Any]]:
    """One row per population, in execution order, under the user's own layer names."""
    graph = model.graph if isinstance(model, Program) else model
    return [_layer(model, graph, node.name, recording) for node in graph.neurons]


def _layer(model: Graph | Program, graph: Graph, name: str, recording: Recording | None) -> dict[str, Any]:
    node, neurons = graph[name], neurons_of(graph, name)
    row: dict[str, Any] = {
        "layer": "(input)" if node.notes.get("role") == "encoder" else node.origin,
        "population": name,
        "neuron": "LIF (NEF)" if "nef" in node.notes else node.op.kind,
        "neurons": neurons,
    }
    if isinstance(model, Program) and any(p.name == name and p.on_chip for p in model.populations):
        blocks = model.blocks_of(name)
        row["synapses"] = sum(synapses(p.map) for p in model.projections if p.target == name)
        if blocks:
            row["blocks"] = len(blocks)
            row["cores"] = len({model.cores[i] for i in blocks}) if model.cores else 0
    if recording is not None:
        spikes = recording.spikes.get(name)
        synops = recording.synops.get(name)
        count = None if spikes is None else float(spikes.mean())
        row["spikes_per_sample"] = count
        row["mean_rate"] = None if count is None else count / neurons / recording.steps
        row["synops_per_sample"] = None if synops is None else float(synops.mean())
    return row


def neurons_of(graph: Graph, name: str) -> int:
    """Count the neurons of a population; a NEF ensemble has many for each unit."""
    return graph.size(name) * int(graph[name].notes.get("nef", 1))


def synapses(projection: Map) -> int:
    """Count the synapses of a projection, as the connections they make."""
    if isinstance(projection, SparseMap):
        return len(projection.column)
    if isinstance(projection, ConvMap):
        return _conv_synapses(projection)
    return int(np.size(projection.weight))


def _conv_synapses(conv: ConvMap) -> int:
    reach = 1
    for axis in (0, 1):
        size, kernel = conv.source_shape[1 + axis], conv.weight.shape[2 + axis]
        start = np.arange(conv.target_shape[1 + axis]) * conv.stride[axis] - conv.padding[axis]
        at = start[:, None] + np.arange(kernel)[None, :] * conv.dilation[axis]
        reach *= int(((at >= 0) & (at < size)).sum())
    return reach * conv.weight.shape[0] * conv.weight.shape[1]


def raster_figures(model: Graph | Program, recording: Recording) -> list[dict[str, Any]]:
    """Spikes of the first sample as (step, neuron), per population in execution order."""
    graph = model.graph if isinstance(model, Program) else model
    rows = []
    for node in graph.neurons:
        spikes = recording.raster.get(node.name)
        if spikes is None:
            continue
        every = max(1, -(-len(spikes) // RASTER_SPIKES))
        kept = spikes[spikes[:, 1] % every == 0]
        rows.append(
            {
                "layer": "(input)" if node.notes.get("role") == "encoder" else node.origin,
                "population": node.name,
                "neurons": neurons_of(graph, node.name),
                "every": every,
                "spikes": kept.tolist(),
            }
        )
    return rows


def program_figures(program: Program) -> dict[str, Any]:
    """Return used and limit of every resource, what the layout changed, and the findings."""
    return {
        "cores": core_rows(program),
        "whole": whole_rows(program),
        "changes": change_rows(program),
        "findings": finding_figures(program.diagnostics),
    }


def finding_figures(diagnostics: Iterable[Diagnostic]) -> list[dict[str, Any]]:
    """Return findings as plain JSON values, what blocks most first."""
    return [d.as_dict() for d in in_order(diagnostics)]
