"""``neurodeploy convert --max-drop``: search the cheapest conversion that keeps the accuracy."""

from __future__ import annotations

import argparse

import numpy as np

from neurodeploy.accuracy.search import autotune, search_text
from neurodeploy.cli.console import progress
from neurodeploy.data import read_labelled_calibration
from neurodeploy.errors import OptionError
from neurodeploy.ir.graph import Graph


def search(graph: Graph, args: argparse.Namespace) -> tuple[Graph, bool]:
    """Search as the options say, print what was tried, and return the choice and whether it loses little."""
    if not args.calibration:
        raise OptionError("--max-drop measures on labelled training samples; give --calibration D.npz")
    data = read_labelled_calibration(args.calibration)
    names = ("neuron", "balancing", "percentile", "rate", "steps", "output", "equalize", "weight_bits")
    fixed = {name: getattr(args, name) for name in names if getattr(args, name) is not None}
    told = {"max_steps": args.max_steps, "target": args.target, "divide_by": args.divide_by}
    with progress(f"conversions of {graph.name}", "trials") as advance:
        found = autotune(
            graph,
            np.asarray(data.x),
            data.y if data.y is not None else (),
            max_drop=args.max_drop,
            seed=args.seed,
            progress=advance,
            **{k: v for k, v in told.items() if v is not None},
            **fixed,
        )
    print(f"{search_text(found)}\n")
    return found.chosen.graph, found.kept
