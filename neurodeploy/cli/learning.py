"""``neurodeploy learn``: a network goes on learning in the chip's integers; its curve as text and picture."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from neurodeploy import stages
from neurodeploy.cli import DONE, INTERRUPTED
from neurodeploy.cli.commands import checked, load_spiking, read_by
from neurodeploy.cli.console import note, progress, show_findings
from neurodeploy.cli.outputs import ensure_outputs
from neurodeploy.data import read_training
from neurodeploy.errors import OptionError
from neurodeploy.files import write_beside
from neurodeploy.reporting.text import percent

if TYPE_CHECKING:
    from neurodeploy.backends.learn import LearningCurve
    from neurodeploy.ir.graph import Graph

POINTS = 50
"""Most points of a curve."""


def learn(args: argparse.Namespace) -> int:
    """``neurodeploy learn``: the chip's learning adapts the network to labelled samples."""
    kept = Path(f"{args.out}.learning.npz")
    outputs = {"-o": args.out, "--json": args.json, "--picture": args.picture, "the state of learning": kept}
    ensure_outputs(outputs, read_by(args))
    _check(args, kept)
    graph = load_spiking(args)
    data = checked(args, graph, read_training(args.data, limit=args.limit))
    curves: list[LearningCurve] = []
    try:
        with progress(f"{graph.name} learns by {args.rule}") as advance:
            learned = stages.learn(
                graph, np.asarray(data.x), np.asarray(data.y), rule=args.rule, target=args.target,
                input_coding=args.input_coding, steps=args.steps, seed=args.seed, progress=advance,
                curve=curves.append, **_told(args, kept),
            )  # fmt: skip
    except KeyboardInterrupt:
        if not kept.is_file():
            raise
        note(f"interrupted; {kept} has the state, and the same command with --resume goes on")
        return INTERRUPTED
    stages.save(learned, args.out)
    kept.unlink(missing_ok=True)
    show_findings(curves[0].diagnostics)
    for cores in curves[0].layout:
        print(cores.text)
    _write(args, learned, curves[0])
    quarters = np.array_split(curves[0].right, min(4, len(curves[0].right)))
    shares = ", ".join(percent(float(part.mean())) for part in quarters)
    print(f"right before learning from a sample, quarter by quarter: {shares}")
    print(f"{args.out}: {learned.name} after {len(data)} samples, digest {learned.digest()[:16]}")
    return DONE


def _check(args: argparse.Namespace, kept: Path) -> None:
    """Refuse what does not fit together before anything is read."""
    if Path(args.out).suffix != ".nd":
        raise OptionError(f"'{args.out}': a spiking network is written as .nd; name it so")
    alone = [f"--{k}" for k in ("layers", "anew", "resume") if getattr(args, k)]
    if args.rule == "pes" and alone:
        raise OptionError(f"{', '.join(alone)} is for deep rules; pes changes the last layer, in one go")
    if args.rule != "pes" and args.rate is not None:
        raise OptionError(f"--rate is for pes; '{args.rule}' learns at rates that are powers of two")
    if args.resume and not kept.is_file():
        raise OptionError(f"there is no '{kept}' to go on from; leave out --resume")


def _told(args: argparse.Namespace, kept: Path) -> dict[str, Any]:
    """Return what was said; the rest is left to the rule."""
    told = {k: v for k in ("rate", "passes", "divide_by") if (v := getattr(args, k)) is not None}
    if args.rule != "pes":
        layers = tuple(filter(None, (args.layers or "").split(",")))
        told |= {"layers": layers, "anew": args.anew, "checkpoint": kept, "resume": args.resume}
    return told


def _write(args: argparse.Namespace, learned: Graph, how: LearningCurve) -> None:
    points = curve_of(how.right)
    if args.json:
        facts = {k: v for k, v in learned.meta.items() if k.startswith("learn_")}
        found = {"network": learned.name, **facts, "curve": points, "per_sample": how.per_sample,
                 "cores": [c.as_dict() for c in how.layout]}  # fmt: skip
        text = json.dumps(found, indent=1) + "\n"
        write_beside(args.json, lambda path: path.write_text(text, encoding="utf-8"))
    if args.picture:
        from neurodeploy.reporting.picture import draw_curve

        draw_curve({f"{learned.name} by {args.rule}": points}, Path(args.picture))


def curve_of(right: Any) -> list[list[float]]:
    """Return samples shown, and the share right among the last of them, at up to `POINTS` points."""
    parts = np.array_split(np.asarray(right, float), min(POINTS, len(right)))
    ends = np.cumsum([len(part) for part in parts])
    return [[int(end), float(part.mean())] for end, part in zip(ends, parts, strict=True)]
