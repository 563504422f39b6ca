"""The accuracy ladder as text, picture and file."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from neurodeploy.files import write_beside
from neurodeploy.reporting.picture import COLOURS, GRID, INK, QUIET, heading, plain
from neurodeploy.reporting.text import percent, table

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Figures = Mapping[str, Any]

FORMAT = "neurodeploy ladder 1"
"""First entry of the figures."""


@dataclass(frozen=True, eq=False)
class LadderReport:
    """A ladder that prints itself and writes itself.

    Parameters
    ----------
    figures : mapping
        As `accuracy.ladder` makes them; plain JSON values.
    """

    figures: Figures

    def __post_init__(self) -> None:
        object.__setattr__(self, "figures", MappingProxyType(dict(self.figures)))

    def __str__(self) -> str:
        return ladder_text(self.figures)

    def to_json(self) -> str:
        """Return all figures as JSON text, one to a line."""
        lines = [f"{json.dumps(k)}: {json.dumps(v, allow_nan=False)}" for k, v in self.figures.items()]
        return "{\n" + ",\n".join(lines) + "\n}\n"

    def save(self, folder: Path) -> tuple[Path, ...]:
        """Write ``ladder.png``, ``ladder.json`` and ``ladder.txt`` into a folder, made if need be."""
        folder.mkdir(parents=True, exist_ok=True)
        return (
            draw_ladder(self.figures, folder / "ladder.png"),
            write_beside(folder / "ladder.json", lambda p: p.write_text(self.to_json(), encoding="utf-8")),
            write_beside(folder / "ladder.txt", lambda p: p.write_text(f"{self}\n", encoding="utf-8")),
        )


def ladder_text(figures: Figures) -> str:
    """Write a ladder: what every rung keeps, the error of every layer, and the cause of the largest drop."""
    rungs = figures["rungs"]
    what = "accuracy" if figures["labelled"] else "agreement with the source"
    head = f"accuracy ladder of {figures['model']} for {figures['target']}: {figures['samples']:,} samples, "
    rows = [_row(rung, before) for before, rung in zip([None, *rungs], rungs, strict=False)]
    columns = ("rung", what, "points lost", "against the source", "read-out's error", "spikes/sample")
    return "\n\n".join(
        [f"{head}{figures['steps']} steps", table(columns, rows), layer_errors(figures), conclusion(figures)]
    )


def _row(rung: Figures, before: Figures | None) -> list[Any]:
    lost, flips = "-", "-"
    if before is not None:
        lost = f"{100 * (before['accuracy'] - rung['accuracy']):.2f}"
        flips = f"{rung['right_to_wrong']} lost, {rung['wrong_to_right']} won"
    head = [rung["rung"], percent(rung["accuracy"]), lost, flips]
    return [*head, percent(rung["output_error"]), rung["spikes_per_sample"]]


def layer_errors(figures: Figures) -> str:
    """One row per layer, one column per rung: the relative error of its activity."""
    rungs = figures["rungs"][1:]
    rows = []
    for name, layer in figures["layers"].items():
        rows.append([layer, *(percent(rung["errors"].get(name)) for rung in rungs)])
    return table(["error of layer", *(rung["rung"] for rung in rungs)], rows)


def conclusion(figures: Figures) -> str:
    """Say why most of what was lost went, or that nothing was."""
    drop, cause = figures["drop"], figures["cause"]
    if drop["points"] <= 0:
        return "nothing is lost on any rung"
    lines = [f"largest drop: {drop['points']:.2f} points, from {drop['from']} to {drop['to']}"]
    if not drop["significant"]:
        return f"{lines[0]}; no more than chance makes"
    found = f"{cause['severity']}[{cause['code']}] {cause['message']} ({cause['name']})"
    lines += [f"  {cause['place']['layer']}: {found}", f"  help: {cause['remedy']}"]
    others = [t for t in figures["tried"] if t["code"] != cause["code"]]
    if others:
        told = ", ".join(f"{t['cause'].removeprefix('lost-to-')} {t['points']:.2f}" for t in others)
        lines.append(f"  also tried, with the points each explains: {told}")
    return "\n".join(lines)


# --- picture ------------------------------------------------------------------------------------------------


def draw_ladder(figures: Figures, path: Path) -> Path:
    """Draw accuracy over the rungs, and the error of every layer on every rung, into a PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12.8, 4.6), dpi=130, layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2)
    for axes in (left, right):
        plain(axes)
    title = f"{figures['model']} for {figures['target']}: where accuracy goes"
    figure.suptitle(title, x=0.012, ha="left", fontsize=12, color=INK, fontweight="bold")
    accuracy_panel(left, figures)
    errors_panel(right, figures)
    figure.text(0.012, -0.005, conclusion(figures), fontsize=7.5, color=QUIET, va="top", wrap=True)
    return write_beside(path, lambda beside: figure.savefig(beside, format="png", bbox_inches="tight"))


def accuracy_panel(axes: Axes, figures: Figures) -> None:
    """Accuracy from rung to rung, the largest drop marked."""
    rungs = figures["rungs"]
    shares = [100 * rung["accuracy"] for rung in rungs]
    axes.plot(range(len(rungs)), shares, color=COLOURS[0], marker="o", lw=1.8)
    for i, share in enumerate(shares):
        axes.annotate(f"{share:.2f}", (i, share), (0, 8), textcoords="offset points", ha="center", fontsize=8)
    names = [rung["rung"] for rung in rungs]
    if figures["drop"]["significant"]:
        at = names.index(figures["drop"]["to"])
        axes.plot([at - 1, at], shares[at - 1 : at + 1], color=COLOURS[1], lw=3)
    _rungs_below(axes, names)
    low, high = min(shares), max(shares)
    axes.set(ylabel="accuracy / %", ylim=(low - 0.2 * (high - low) - 0.5, high + 0.2 * (high - low) + 0.5))
    axes.set_title(f"Accuracy, {figures['samples']:,} samples", **heading())


def errors_panel(axes: Axes, figures: Figures) -> None:
    """Relative error of every layer's activity, and of the read-out."""
    rungs: Sequence[Figures] = figures["rungs"]
    for (name, layer), colour in zip(figures["layers"].items(), itertools.cycle(COLOURS), strict=False):
        known = [(i, 100 * r["errors"][name]) for i, r in enumerate(rungs) if name in r["errors"]]
        axes.plot(*zip(*known, strict=True), color=colour, marker="o", ms=4, lw=1.4, label=layer)
    read_out = [100 * rung["output_error"] for rung in rungs]
    look: dict[str, Any] = {"color": INK, "marker": "s", "ms": 4, "lw": 1.4, "ls": (0, (4, 2))}
    axes.plot(range(len(rungs)), read_out, label="read-out", **look)
    _rungs_below(axes, [rung["rung"] for rung in rungs])
    axes.set(ylabel="relative error / %")
    axes.set_title("Error of every layer against the source", **heading())
    columns = 1 + len(figures["layers"]) // 8
    axes.legend(frameon=False, fontsize=8, loc="upper left", labelcolor=INK, ncols=columns)
    axes.grid(visible=True, color=GRID, lw=0.7)


def _rungs_below(axes: Axes, names: Sequence[str]) -> None:
    axes.set_xticks(range(len(names)), [name.replace(" ", "\n") for name in names], fontsize=8)
