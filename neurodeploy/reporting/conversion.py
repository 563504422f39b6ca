"""What a conversion did to a network: layers folded and left out, and what it costs each population.

All of it stands in the graph: `Graph.meta` and `Node.notes` are written by `conversion`, and kept in files.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import Any

import numpy as np

from neurodeploy.ir.graph import Graph, Node
from neurodeploy.reporting.text import percent, table

WIDTH = 100
"""Columns of the lists below the table."""
CHANGED = ("learn_rule", "tuned_epochs")
"""Entries of `Graph.meta` that say that weights are no longer those of the conversion."""


def conversion_figures(graph: Graph) -> dict[str, Any] | None:
    """Collect what the conversion noted, or None for a network that was not converted.

    Returns
    -------
    dict
        ``populations``: one row each, with the range of its thresholds and of what one spike stands for, both
        in activations of the source, its mean rate in spikes per step, and the relative error (RMS) of its
        mean activation over `steps`, against the source on `samples` calibration samples. ``folded``: pairs
        of a layer and the one that does its work; ``dropped``: layers left out.
    """
    rows = [_population(node) for node in graph.neurons if "relative_error" in node.notes]
    if not rows or "steps" not in graph.meta:
        return None
    return {
        "steps": graph.meta["steps"],
        "samples": graph.meta.get("calibration_samples"),
        "calibration": graph.meta.get("calibration", "samples"),
        "changed": any(key in graph.meta for key in CHANGED),
        "populations": rows,
        "folded": [
            {"layer": layer, "into": "the input" if node.name == graph.input.name else node.origin}
            for node in graph
            for layer in _listed(node.notes.get("folded"))
        ],
        "dropped": _listed(graph.meta.get("dropped")),
    }


def _listed(told: object) -> list[str]:
    return str(told).split("; ") if told else []


def _population(node: Node) -> dict[str, Any]:
    notes, unit = node.notes, np.asarray(node.unit)
    threshold = [notes["threshold_min"], notes["threshold_max"]] if "threshold_min" in notes else None
    return {
        "population": node.name,
        "threshold": threshold,
        "unit": [float(unit.min()), float(unit.max())] if node.op.spiking else None,
        "rate": notes.get("rate_mean") if node.op.spiking else None,
        "relative_error": notes["relative_error"],
    }


def conversion_text(layers: list[Mapping[str, Any]], found: Mapping[str, Any]) -> str:
    """Write the table of populations, then what was folded and left out, in at most `WIDTH` columns.

    Parameters
    ----------
    layers : list of mapping
        As `figures.layer_figures` makes them.
    found : mapping
        As `conversion_figures` makes it.
    """
    rows = {row["population"]: row for row in found["populations"]}
    both = any(row["threshold"] and row["threshold"] != row["unit"] for row in rows.values())
    body = []
    for layer in layers:
        row = rows.get(layer["population"], {})
        error = row.get("relative_error")
        threshold = [_range(row.get("threshold"))] if both else []
        spike = (_range(row.get("unit")), row.get("rate"), "-" if error is None else percent(error))
        body.append([layer["layer"], layer["neuron"], layer["neurons"], *threshold, *spike])
    head = [
        "layer", "neuron", "neurons", *(["threshold"] if both else []),
        "one spike\nstands for" if both else "threshold =\none spike", "spikes\nper step", "relative\nerror",
    ]  # fmt: skip
    return "\n".join([table(head, body), "", *_lists(found)])


def _range(ends: list[float] | None) -> str:
    """Write smallest and largest of a population; one number where they look the same."""
    low, high = ("-", "-") if ends is None else (f"{end:.3g}" for end in ends)
    return low if low == high else f"{low} to {high}"


def _lists(found: Mapping[str, Any]) -> list[str]:
    folded = [f"{pair['layer']} into {pair['into']}" for pair in found["folded"]]
    random = str(found["calibration"]).startswith("random")
    over = "random samples, not of the data" if random else "calibration samples"
    count = "" if found["samples"] is None else f"{found['samples']:,} "
    errors = f"of the activations, against the source, over {found['steps']} steps of {count}{over}"
    if found["changed"]:
        errors += "; weights have changed since"
    told = {"folded": "; ".join(folded), "left out": "; ".join(found["dropped"]), "errors": errors}
    return [_wrapped(f"{key}: {value}") for key, value in told.items() if value]


def _wrapped(text: str) -> str:
    """Break a text into lines, but not between a layer and its kind."""
    held = text.replace(" (", "\N{NO-BREAK SPACE}(").replace(" into ", "\N{NO-BREAK SPACE}into ")
    lines = textwrap.wrap(held, WIDTH, subsequent_indent="  ", break_on_hyphens=False, break_long_words=False)
    return "\n".join(lines).replace("\N{NO-BREAK SPACE}", " ")
