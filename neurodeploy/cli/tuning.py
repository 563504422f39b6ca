"""``neurodeploy tune``: parameters adapt to the chip's rounding and to the noise of spikes."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from neurodeploy import stages
from neurodeploy.cli import DONE, INTERRUPTED
from neurodeploy.cli.commands import convert_first
from neurodeploy.cli.console import note, progress
from neurodeploy.cli.outputs import ensure_outputs
from neurodeploy.data import read_labelled_calibration
from neurodeploy.errors import OptionError
from neurodeploy.finetune.loop import Epoch
from neurodeploy.finetune.loop import tune as adapt
from neurodeploy.reporting.text import counted, percent, table


def tune(args: argparse.Namespace) -> int:
    """Train, print what every epoch gave on the emulator, write the best one."""
    ensure_outputs({"-o": args.out}, {"FILE.nd": args.file, "--data": args.data})
    graph = stages.load(args.file)
    if not graph.is_spiking:
        raise OptionError(convert_first(args))
    data = read_labelled_calibration(args.data)
    graph.prepare(data.x[:1])
    labels = data.y if data.y is not None else np.zeros(0)
    checkpoint = Path(f"{args.out}.tuning.npz")
    names = ("epochs", "batch", "learning_rate", "rate_penalty")
    told = {name: getattr(args, name) for name in names if getattr(args, name) is not None}
    try:
        with progress(f"{graph.name} is tuned") as advance:
            tuned = adapt(
                graph,
                np.asarray(data.x)[: args.limit],
                labels[: args.limit],
                target=args.target,
                seed=args.seed,
                checkpoint=checkpoint,
                resume=args.resume,
                progress=advance,
                after=_say,
                **told,
            )
    except KeyboardInterrupt:
        kept = f"{checkpoint} keeps the last whole epoch, and the same command with --resume goes on"
        note(f"interrupted; {kept if checkpoint.exists() else 'no epoch was whole, nothing is kept'}")
        return INTERRUPTED
    stages.save(tuned.graph, args.out)
    head = ["epoch", "loss", "accuracy", "spikes/sample", ""]
    print(table(head, [_row(e, tuned.best) for e in tuned.epochs]))
    print(
        f"\nbest on {counted(tuned.held_out, 'held-out training sample')}, on the emulator of {args.target}: "
        + ("the network as it was" if tuned.best == 0 else f"epoch {tuned.best}")
    )
    print(f"{args.out}: {tuned.graph.name}, digest {tuned.graph.digest()[:16]}")
    return DONE


def _say(epoch: Epoch) -> None:
    note(f"epoch {epoch.number}: {percent(epoch.accuracy)} on held-out samples, loss {epoch.loss:.4f}")


def _row(epoch: Epoch, best: int) -> list[object]:
    name = "before" if epoch.number == 0 else str(epoch.number)
    loss = "-" if epoch.loss is None else f"{epoch.loss:.4f}"
    return [name, loss, percent(epoch.accuracy), epoch.spikes, "best" if epoch.number == best else ""]
