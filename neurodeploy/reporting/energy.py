"""Energy of a run, as far as the target's file prices what happened in it: an estimate, no measurement."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from neurodeploy.compiler.counts.totals import on_chip
from neurodeploy.program import Program
from neurodeploy.recording import Recording
from neurodeploy.targets import Limit, Target

TERMS = "energy.terms"


def energy_figures(program: Program, recording: Recording) -> dict[str, Any] | None:
    """Estimate what a sample costs on the chip.

    Parameters
    ----------
    program : Program
        What was run.
    recording : Recording

    Returns
    -------
    dict or None
        ``terms``: what was counted per sample, its price in pJ with source and grade, and its energy in uJ;
        ``low`` and ``high``: their sum, in uJ per sample; ``not_in_it``: what nobody priced, or what the run
        does not tell. None where the target's file prices no synaptic operation.

    Notes
    -----
    A neuron update costs one amount where the neuron is active and another where it is not; which ones are is
    not recorded, so all of them at either price are the two ends.
    """
    target = program.target
    if not target.limit(f"{TERMS}.synop_pj").known:
        return None
    terms = list(_terms(program, recording))
    return {
        "unit": "uJ per sample",
        "low": sum(term["low"] for term in terms),
        "high": sum(term["high"] for term in terms),
        "basis": _text(target.limit("energy.basis")),
        "terms": terms,
        "not_in_it": _not_in_it(target),
    }


def _terms(program: Program, recording: Recording) -> Iterator[dict[str, Any]]:
    target, there = program.target, {p.name: p for p in on_chip(program)}
    synops = target.limit(f"{TERMS}.synop_pj")
    yield _term(target, "synaptic operations", recording.synops_per_sample, synops, synops)
    if target.limit("energy.scope").value == "all_in":
        return  # updates and spikes are in the price of an operation
    active = target.limit(f"{TERMS}.neuron_update_active_pj")
    idle = target.limit(f"{TERMS}.neuron_update_inactive_pj")
    if active.known:
        updates = float(sum(p.size for p in there.values()) * recording.steps)
        yield _term(target, "neuron updates", updates, idle if idle.known else active, active)
    spike = target.limit(f"{TERMS}.spike_in_tile_pj")
    if spike.known:
        sent = sum(float(n.mean()) for name, n in recording.spikes.items() if name in there)
        yield _term(target, "spikes within a tile", sent, spike, spike)


def _term(target: Target, what: str, count: float, low: Limit, high: Limit) -> dict[str, Any]:
    key, _, place = high.src.partition(":")
    return {
        "what": what,
        "count": count,
        "pj": sorted({float(low.value), float(high.value)}),
        "low": count * float(low.value) * 1e-6,
        "high": count * float(high.value) * 1e-6,
        "source": f"{target.sources.get(key, {}).get('title', key)}, {place}",
        "grade": high.grade,
    }


def _not_in_it(target: Target) -> list[str]:
    left_out = [str(part) for part in target.words("energy.unpriced")]
    if target.limit("energy.scope").value == "all_in":
        return left_out
    left_out.append("spikes beyond a tile")
    static = target.limit(f"{TERMS}.static_per_chip_mw")
    power = f" ({static.value:g} mW per chip, {static.grade})" if static.known else ""
    return [*left_out, f"static power{power}"]


def _text(limit: Limit) -> str:
    return str(limit.value) if limit.known else "not known"


def energy_line(energy: Mapping[str, Any]) -> str:
    """Write an estimate in one sentence, and what is not in it in another."""
    parts = [
        f"{t['what']} {_range(t['low'], t['high'])} at {_range(t['pj'][0], t['pj'][-1])} pJ ({t['grade']})"
        for t in energy["terms"]
    ]
    total = _range(energy["low"], energy["high"])
    told = f"energy, estimated from {energy['basis']} prices: {total} uJ per sample"
    return f"{told}: {', '.join(parts)}; not in it: {', '.join(energy['not_in_it']) or 'not told'}"


def _range(low: float, high: float) -> str:
    return f"{low:.3g}" if low == high else f"{low:.3g} to {high:.3g}"
