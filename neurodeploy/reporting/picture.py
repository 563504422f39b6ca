"""One picture of a run: accuracy over steps, a raster of the first sample, spikes per layer, cores in use."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from neurodeploy.files import write_beside
from neurodeploy.reporting.text import model_headline

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Figures = Mapping[str, Any]

INK, QUIET, GRID = "#22272e", "#6b7480", "#e3e6ea"
COLOURS = ("#1f6fb4", "#d9731a", "#2a9461", "#b5338a", "#7a5fc0", "#a3812b")
"""One per run, and one per population; told apart by colour-blind readers too."""


def draw(runs: Sequence[Figures], path: Path) -> Path:
    """Draw runs of one model into a PNG; the last run gives raster, layers and cores.

    Parameters
    ----------
    runs : sequence of mapping
        As `figures.run_figures` makes them.
    path : Path

    Raises
    ------
    OutputError
        If the file cannot be written.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    main = runs[-1]
    panels = _panels(runs)
    columns = 1 if len(panels) == 1 else 2
    rows = -(-len(panels) // columns)
    figure = Figure(
        figsize=(6.4 * columns, 3.7 * rows + 0.9), dpi=130, layout="constrained", facecolor="white"
    )
    FigureCanvasAgg(figure)
    figure.suptitle(_title(main), x=0.012, ha="left", fontsize=12, color=INK, fontweight="bold")
    grid = figure.add_gridspec(rows, columns)
    for i, panel in enumerate(panels):
        last_alone = i == len(panels) - 1 and len(panels) % columns
        axes = figure.add_subplot(grid[i // columns, :] if last_alone else grid[i // columns, i % columns])
        plain(axes)
        panel(axes)
    footer = textwrap.fill(_footer(main), width=92 * columns)
    figure.text(0.012, -0.005, footer, fontsize=7.5, color=QUIET, va="top")
    return write_beside(path, lambda beside: figure.savefig(beside, format="png", bbox_inches="tight"))


def _panels(runs: Sequence[Figures]) -> list[Callable[[Axes], None]]:
    main = runs[-1]
    panels: list[Callable[[Axes], None]] = []
    if any(run.get("accuracy") is not None for run in runs):
        panels.append(lambda axes: accuracy_panel(axes, runs))
    if any(row["spikes"] for row in main.get("raster", [])):
        panels.append(lambda axes: raster_panel(axes, main))
    if any(row.get("spikes_per_sample") is not None for row in main["layers"]):
        panels.append(lambda axes: layers_panel(axes, main))
    if main.get("cores"):
        panels.append(lambda axes: cores_panel(axes, main))
    return panels or [lambda axes: nothing_panel(axes)]


def accuracy_panel(axes: Axes, runs: Sequence[Figures]) -> None:
    """Accuracy after every step; a run without time is a level line."""
    lowest = 100.0
    for run, colour in zip(runs, COLOURS, strict=False):
        if run["accuracy"] is None:
            continue
        name = f"{run['backend']}  {100 * run['accuracy']:.2f} %"
        over_steps = run["accuracy_over_steps"]
        if over_steps is None:
            axes.axhline(100 * run["accuracy"], color=colour, lw=1.4, ls=(0, (5, 3)), label=name)
        else:
            values = 100 * np.asarray(over_steps)
            axes.plot(np.arange(1, len(values) + 1), values, color=colour, lw=1.8, label=name)
            lowest = min(lowest, float(values.min()))
    axes.set(xlabel="step", ylabel="accuracy / %", ylim=(min(lowest, 95) - 3, 101.5))
    axes.set_title(f"Accuracy over steps, {runs[-1]['samples']} samples", **heading())
    axes.legend(frameon=False, fontsize=8, loc="lower right", labelcolor=INK)


def raster_panel(axes: Axes, run: Figures) -> None:
    """Spikes of the first sample, populations above each other in equal bands."""
    rows = run["raster"]
    for band, row in enumerate(rows):
        spikes = np.asarray(row["spikes"], dtype=float).reshape(-1, 2)
        top = len(rows) - band
        height = top - 0.06 - 0.88 * (spikes[:, 1] + 0.5) / row["neurons"]
        size = float(np.clip(4000 / max(len(spikes), 1), 0.9, 9))
        axes.scatter(spikes[:, 0] + 1, height, s=size, color=COLOURS[band % len(COLOURS)], lw=0)
        if band:
            axes.axhline(top, color=GRID, lw=0.8)
    axes.set_yticks(
        [len(rows) - band - 0.5 for band in range(len(rows))],
        [f"{row['layer']}\n{row['neurons']:,} neurons" for row in rows],
        fontsize=8,
    )
    axes.set(xlabel="step", xlim=(0, run["steps"] + 1), ylim=(0, len(rows)))
    axes.grid(visible=False, axis="y")
    axes.tick_params(axis="y", length=0)
    axes.set_title("Spikes of the first sample", **heading())


def layers_panel(axes: Axes, run: Figures) -> None:
    """Spikes out of, and synaptic operations into, every layer; dots, as the axis has no zero."""
    rows = run["layers"]
    at = np.arange(len(rows), dtype=float)[::-1]
    dots = (("spikes sent", "spikes_per_sample", 0.14), ("synaptic operations", "synops_per_sample", -0.14))
    for (label, key, shift), colour in zip(dots, COLOURS, strict=False):
        known = [(y + shift, row[key]) for y, row in zip(at, rows, strict=True) if row.get(key)]
        axes.scatter([v for _, v in known], [y for y, _ in known], s=46, color=colour, label=label, zorder=3)
        for y, value in known:
            axes.annotate(
                f"{value:,.0f}", (value, y), (7, 0), textcoords="offset points", va="center", fontsize=8
            )
    axes.set_xscale("log")
    low, high = axes.get_xlim()
    axes.set(xlim=(low / 2, high * 4), ylim=(-0.6, len(rows) - 0.4), xlabel="per sample")
    axes.set_yticks(at, [row["layer"] for row in rows], fontsize=8)
    axes.tick_params(axis="y", length=0)
    axes.set_title("Activity per layer", **heading())
    axes.legend(frameon=False, fontsize=8, loc="lower right", labelcolor=INK)


def cores_panel(axes: Axes, run: Figures) -> None:
    """Share of every limited resource in use, core by core."""
    cores = run["cores"]
    names = list(dict.fromkeys(use["resource"] for core in cores for use in core["use"]))
    share = np.full((len(names), len(cores)), np.nan)
    for column, core in enumerate(cores):
        for use in core["use"]:
            if use["limit"]:
                share[names.index(use["resource"]), column] = 100 * use["used"] / use["limit"]
    image = axes.imshow(share, cmap="YlGnBu", vmin=0, vmax=100, aspect="auto", interpolation="nearest")
    if len(cores) <= 14:
        for (y, x), value in np.ndenumerate(share):
            if np.isfinite(value):
                colour = "white" if value > 55 else INK
                axes.text(x, y, f"{value:.0f}", ha="center", va="center", fontsize=7.5, color=colour)
    axes.set_yticks(range(len(names)), names, fontsize=8)
    step = -(-len(cores) // 14)
    labels = [f"{core['core']}\n{core['layer']}" if step == 1 else str(core["core"]) for core in cores]
    axes.set_xticks(range(0, len(cores), step), labels[::step], fontsize=7.5)
    axes.tick_params(length=0)
    axes.grid(visible=False)
    axes.set_xlabel("core")
    axes.set_title(f"Cores in use: {len(cores)}, share of each limit / %", **heading())
    bar = axes.figure.colorbar(image, ax=axes, pad=0.015, fraction=0.05)
    bar.outline.set_visible(False)
    bar.ax.tick_params(labelsize=7.5, length=0)


def nothing_panel(axes: Axes) -> None:
    """Say that there is nothing to draw."""
    axes.set_axis_off()
    axes.text(0.5, 0.5, "no labels, no spikes, no cores: nothing to draw", ha="center", color=QUIET)


def plain(axes: Axes) -> None:
    """Give axes the look that all of our pictures have."""
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(QUIET)
    axes.grid(visible=True, color=GRID, lw=0.7)
    axes.set_axisbelow(True)
    axes.tick_params(labelsize=8, colors=INK)
    axes.xaxis.label.set(fontsize=9, color=INK)
    axes.yaxis.label.set(fontsize=9, color=INK)


def heading() -> dict[str, Any]:
    """Return how a panel's title looks."""
    return {"loc": "left", "fontsize": 10, "color": INK}


def _title(run: Figures) -> str:
    if "backend" not in run:
        return model_headline(run)
    where = f" on {run['target']}" if run["target"] else ""
    share = "" if run["accuracy"] is None else f": {100 * run['accuracy']:.2f} %"
    partial = "" if run["complete"] else f" (partial: {run['samples']} of {run['samples_asked']} samples)"
    return f"{run['card']['model']}, {run['backend']}{where}{share}{partial}"


def _footer(run: Figures) -> str:
    card = run["card"]
    if "backend" not in run:
        return f"Not run; model {card['model_digest'][:12]}."
    return (
        f"{card['arithmetic']}; {run['steps']} steps, seed {run['seed']}, model {card['model_digest'][:12]}. "
        f"Not verified on silicon: {'; '.join(card['not_verified_on_silicon'])}."
    )


def draw_curve(curves: Mapping[str, Sequence[Sequence[float]]], path: Path) -> Path:
    """Draw learning curves into a PNG.

    Parameters
    ----------
    curves : mapping of str to sequence of (samples, share)
        By name.
    path : Path

    Raises
    ------
    OutputError
        If the file cannot be written.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 3.9), dpi=130, layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for (name, points), colour in zip(curves.items(), COLOURS, strict=False):
        axes.plot([p[0] for p in points], [100 * p[1] for p in points], color=colour, label=name)
    axes.set_xlabel("samples learned from")
    axes.set_ylabel("right before learning from them, %")
    axes.set_ylim(0, 100)
    axes.grid(color=GRID)
    axes.legend(frameon=False, loc="lower right")
    return write_beside(path, lambda beside: figure.savefig(beside, format="png"))
