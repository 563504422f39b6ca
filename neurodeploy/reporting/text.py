"""Figures as aligned text."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from neurodeploy.diagnostics import Place
from neurodeploy.ir.text import array_digest
from neurodeploy.reporting.energy import energy_line

if TYPE_CHECKING:
    from neurodeploy.program import Program


def table(head: Sequence[str], rows: Iterable[Sequence[Any]], *, markdown: bool = False) -> str:
    """Align columns; numbers to the right.

    Parameters
    ----------
    head : sequence of str
        A heading may have several lines.
    rows : iterable of sequence
        Strings, numbers or None (shown as ``-``).
    markdown : bool
        Write it as README shows tables.
    """
    body = list(rows)
    columns = range(len(head))
    right = [bool(body) and all(isinstance(row[i], int | float | None) for row in body) for i in columns]
    tall = max(text.count("\n") for text in head) + 1
    tops = [[""] * (tall - 1 - text.count("\n")) + text.split("\n") for text in head]
    lines = [[tops[i][k] for i in columns] for k in range(tall)] + [[cell(v) for v in row] for row in body]
    if markdown:
        lines = [[text.replace("<", "\\<").replace("|", "\\|") for text in line] for line in lines]
    width = [max(len(line[i]) for line in lines) for i in columns]

    def write(line: Sequence[str]) -> str:
        parts = [text.rjust(w) if r else text.ljust(w) for text, w, r in zip(line, width, right, strict=True)]
        return f"| {' | '.join(parts)} |" if markdown else "  ".join(parts).rstrip()

    rule = ["-" * (w - 1) + (":" if r and markdown else "-") for w, r in zip(width, right, strict=True)]
    return "\n".join(map(write, [*lines[:tall], rule, *lines[tall:]]))


def cell(value: Any) -> str:
    """Write one value as short text: counts whole, fractions to three places."""
    if value is None:
        return "-"
    if isinstance(value, float):
        if value == 0 or abs(value) >= 1000:
            return f"{value:,.0f}"
        return f"{value:.3g}" if abs(value) < 1 else f"{value:.1f}"
    if isinstance(value, int):
        return f"{value:,}"
    return str(value)


def percent(share: float | None) -> str:
    """Write a share of 1 as per cent with two places."""
    return "-" if share is None else f"{100 * share:.2f} %"


def counted(number: int, word: str) -> str:
    """Write a number with its noun: 1 core, 2 cores."""
    return f"{number:,} {word}" if number == 1 else f"{number:,} {word}s"


def run_text(figures: Mapping[str, Any]) -> str:
    """Write a run: the result, a table per layer, how full the cores are, what it may cost, the run card."""
    parts = [headline(figures)]
    if figures["layers"]:
        parts.append(layer_table(figures["layers"]))
    if figures.get("cores"):
        parts.append(fullest(figures["cores"]))
    if figures.get("energy"):
        parts.append(energy_line(figures["energy"]))
    if any(figures.get("overflowed_samples", {}).values()):
        parts.append(overflow_line(figures))
    of_the_run = str(figures["card"].get("findings_of_the_run", ""))
    parts += [finding_line(f) for f in figures.get("findings", ()) if f["code"] in of_the_run]
    parts.append(card_text(figures["card"]))
    return "\n\n".join(parts)


def overflow_line(figures: Mapping[str, Any]) -> str:
    """Say in how many samples a register wrapped around, which spoils what they put out."""
    told = [f"{name} in {hit:,}" for name, hit in figures["overflowed_samples"].items() if hit]
    return (
        f"registers overflowed: {', '.join(told)} of {counted(figures['samples'], 'sample')}; what these put "
        f"out is wrong. Compile for {figures['steps']:,} steps, and calibrate with samples like these"
    )


def model_text(figures: Mapping[str, Any], layers: str) -> str:
    """Write a network or a program that has not run: its layers, as written, cores, findings, what it is."""
    cores, found = figures.get("cores", ()), figures.get("findings", ())
    parts = [model_headline(figures)]
    if layers:
        parts.append(layers)
    if cores:
        parts.append(fullest(cores))
    if found:
        parts.append("\n".join(map(finding_line, found)))
    parts.append(card_text(figures["card"]))
    return "\n\n".join(parts)


def model_headline(figures: Mapping[str, Any]) -> str:
    """Say in one line what has not run."""
    card = figures["card"]
    where = f" for {card['target']}" if "target" in card else ""
    return f"{card['model']}{where}: {counted(len(figures['layers']), 'population')}, not run"


def finding_line(finding: Mapping[str, Any]) -> str:
    """Write a finding that was read from a file, in the form of `diagnostics.render`."""
    f = finding
    return f"{Place(**f['place'])}: {f['severity']}[{f['code']}] {f['message']} ({f['name']})"


def headline(figures: Mapping[str, Any]) -> str:
    """Say in one line what ran where, and how well."""
    f = figures
    where = f["backend"] + (f" for {f['target']}" if f["target"] else "")
    count = counted(f["samples"], "sample")
    if not f["complete"]:
        count += f" (interrupted, of {f['samples_asked']:,})"
    result = "no labels, no accuracy" if f["accuracy"] is None else f"accuracy {percent(f['accuracy'])}"
    steps = f", {f['steps']} steps each" if f["steps"] > 1 else ""
    return f"{f['card']['model']} on {where}: {result}; {count}{steps}, {f['seconds']:.2f} s"


def layer_table(layers: Sequence[Mapping[str, Any]]) -> str:
    """One row per layer; a column is left out where no row has a value."""
    columns = {
        "layer": "layer", "neuron": "neuron", "neurons": "neurons", "synapses": "synapses", "cores": "cores",
        "spikes_per_sample": "spikes/sample", "mean_rate": "spikes/neuron/step",
        "synops_per_sample": "synops/sample",
    }  # fmt: skip
    kept = [key for key in columns if any(row.get(key) is not None for row in layers)]
    return table([columns[key] for key in kept], [[row.get(key) for key in kept] for row in layers])


def fullest(cores: Sequence[Mapping[str, Any]]) -> str:
    """Say how many cores are in use, and where each resource is used most."""
    most: dict[str, tuple[float, Mapping[str, Any], Mapping[str, Any]]] = {}
    for core in cores:
        for use in core["use"]:
            share = use["used"] / use["limit"] if use["limit"] else 0.0
            if share > most.get(use["resource"], (0.0,))[0]:
                most[use["resource"]] = (share, use, core)
    ranked = sorted(most.values(), key=lambda entry: -entry[0])[:2]
    told = [
        f"{use['resource']} {use['used']:,} of {use['limit']:,} on core {core['core']} ({core['layer']})"
        for _, use, core in ranked
    ]
    return f"{counted(len(cores), 'core')} in use; fullest: " + "; ".join(told)


def core_table(cores: Sequence[Mapping[str, Any]]) -> str:
    """Show used and limit of every resource of every core; a limit that all share stands in the heading."""
    limits: dict[str, set[Any]] = {}
    for use in (use for core in cores for use in core["use"]):
        limits.setdefault(use["resource"], set()).add(use["limit"])
    alike = {name: len(found) == 1 for name, found in limits.items()}
    ends = {name: [f"of {cell(*limits[name])}"] if alike[name] else [] for name in limits}
    heads = ["\n".join([*name.split(" "), *ends[name]]) for name in limits]
    rows = []
    for core in cores:
        told = {
            u["resource"]: u["used"] if alike[u["resource"]] else f"{cell(u['used'])} of {cell(u['limit'])}"
            for u in core["use"]
        }
        rows.append([core["core"], core["layer"], core["block"], *(told.get(name) for name in limits)])
    return table(["core", "layer", "block", *heads], rows)


def whole_table(rows: Iterable[Mapping[str, Any]]) -> str:
    """Show used and limit of what a network takes as a whole."""
    body = [[row["resource"], row["used"], row["limit"]] for row in rows]
    return table(["whole network", "used", "limit"], body)


def change_table(rows: Iterable[Mapping[str, Any]]) -> str:
    """Show what the compiler changed, before and after."""
    body = [[row["what"], cell(row["before"]), cell(row["after"])] for row in rows]
    return table(["changed", "before", "after"], body)


def card_text(card: Mapping[str, Any]) -> str:
    """Write the card of a run, or of a network that has not run.

    What a run does not show about silicon comes last and always.
    """
    last = "not_verified_on_silicon"
    rows = [(k, cell_of_card(k, v)) for k, v in card.items() if v is not None and k != last]
    rows += [("" if i else last, value) for i, value in enumerate(card.get(last, ()))]
    width = max(len(key) for key, _ in rows)
    lines = [f"  {key.replace('_', ' ').ljust(width)}  {value}" for key, value in rows]
    return "\n".join(["run card" if last in card else "card", *lines])


def cell_of_card(key: str, value: Any) -> str:
    """Write one value of the run card; a digest by its first digits."""
    if key.endswith("digest"):
        return str(value)[:16]
    return f"{value:g}" if isinstance(value, float) else str(value)


def program_text(program: Program) -> str:
    """Write a program as it stands between two passes: populations, projections, blocks."""
    lines = [f"program {program.graph.name} for {program.target.id}"]
    for p in program.populations:
        where = "chip" if p.on_chip else "host"
        shape = "x".join(map(str, p.shape))
        lines.append(f"  population {p.name} [{shape}] on the {where}, {p.weight_scale:g} units per weight")
    for q in program.projections:
        kind, shape = type(q.map).__name__, "x".join(map(str, q.map.weight.shape))
        formats = (
            f"{q.weight_bits} bits, exponent {q.weight_exp}" if q.map.weight.dtype.kind == "i" else "float"
        )
        content = array_digest(q.map.weight)[:8]
        lines.append(f"  projection {q.source} -> {q.target}: {kind} {shape}, {formats}, weights {content}")
    for i, block in enumerate(program.blocks):
        core = f", core {program.cores[i]}" if program.cores else ""
        synapses = sum(len(s.weight) for s in block.synapses)
        axons = sum(s.n_axons for s in block.synapses)
        lines.append(
            f"  block {block.name}: {len(block.neurons)} neurons, {axons} axons, {synapses} weights{core}"
        )
    return "\n".join(lines)
