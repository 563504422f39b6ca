"""The stages as commands: see where the results will go, call `stages`, print, return the exit code."""

from __future__ import annotations

import argparse
import contextlib
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from neurodeploy import stages
from neurodeploy.backends.base import backend as backend_named
from neurodeploy.bundle import ensure_replaceable
from neurodeploy.cli import DONE, FINDINGS, INTERRUPTED, ladders
from neurodeploy.cli.console import note, printable, progress, show_findings
from neurodeploy.cli.layout import compiled, refuse_layout
from neurodeploy.cli.nir import told
from neurodeploy.cli.outputs import Named, ensure_folder, ensure_outputs
from neurodeploy.data import Samples, open_samples, read_calibration
from neurodeploy.errors import DataError, FindingWarning, OptionError
from neurodeploy.files import is_stdout, is_stream, write_beside
from neurodeploy.frontends.dispatch import is_nir
from neurodeploy.ir.plausible import implausible
from neurodeploy.program import Program
from neurodeploy.reporting import REPORT_FILES, Report, read_report
from neurodeploy.runs import Interrupted
from neurodeploy.scaleout.shards import in_folder

if TYPE_CHECKING:
    from neurodeploy.ir.graph import Graph
    from neurodeploy.recording import Recording

_CONVERSION = ("calibration", "neuron", "output")


def convert(args: argparse.Namespace) -> int:
    """``neurodeploy convert``: a trained model becomes a spiking network in one file."""
    ensure_outputs({"-o": args.out}, {"MODEL": args.model, "--calibration": args.calibration})
    if Path(args.out).suffix != ".nd":
        raise OptionError(f"'{args.out}': a spiking network is written as .nd; name it so")
    given = told(args)
    graph = stages.load(args.model, **given)
    if graph.is_spiking and not is_nir(args.model):
        raise OptionError(f"'{args.model}' is a spiking network already; name the trained model")
    spiking, kept = (_adopted(graph, args), True) if graph.is_spiking else _converted(graph, args)
    stages.save(spiking, args.out)
    print(stages.report(spiking).layers())
    print(f"\n{args.out}: {spiking.name}, {len(spiking.neurons)} populations, digest {spiking.digest()[:16]}")
    return DONE if kept else FINDINGS


def _converted(graph: Graph, args: argparse.Namespace) -> tuple[Graph, bool]:
    """Convert as told, or as a search finds best; and say whether that keeps the accuracy."""
    if args.max_drop is not None:
        from neurodeploy.cli.searching import search

        found, kept = search(graph, args)
        return _rounded(found, args), kept
    if args.rounding == "adaptive" and not args.max_steps:
        return _rounded(convert_with(graph, args), args), True
    if idle := [f"--{name.replace('_', '-')}" for name in ("max_steps", "target") if getattr(args, name)]:
        raise OptionError(f"{', '.join(idle)} belongs to a search; say how much it may lose with --max-drop")
    return _rounded(convert_with(graph, args), args), True


def _rounded(graph: Graph, args: argparse.Namespace) -> Graph:
    """Keep how many bits weights shall have, and put them on the chip's codes if that is asked for."""
    if args.weight_bits is not None:
        graph = graph.with_meta(weight_bits=args.weight_bits)
    if args.rounding == "nearest":
        return graph
    if not args.calibration:
        raise OptionError("--rounding adaptive measures on training samples; give --calibration D.npz")
    from neurodeploy.accuracy import adapt_rounding

    return adapt_rounding(
        graph, read_calibration(args.calibration), target=args.target or "loihi1", seed=args.seed
    )


def _adopted(graph: Graph, args: argparse.Namespace) -> Graph:
    """Take a spiking network of another tool, and say how it was read."""
    names = (*_CONVERSION, "balancing", "percentile", "rate", "divide_by", "max_drop")
    if idle := [name for name in names if getattr(args, name)]:
        option = idle[0].replace("_", "-")
        raise OptionError(f"'{args.model}' is spiking already; --{option} is for trained models")
    how = [f"steps of {graph.dt:g} s"]
    how += [f"{name} {graph.meta[name]}" for name in ("reset", "decay") if graph.meta[name]]
    note(f"'{args.model}' is read with {', '.join(how)}, time in units of {graph.meta['time_unit']:g} s")
    show_findings(tuple(implausible(graph)))
    return stages.adopt(graph, steps=args.steps)


def run(args: argparse.Namespace) -> int:
    """``neurodeploy run``: samples through a backend; figures to stdout and into files."""
    partial = partial_beside(args.json)
    outputs = {"--json": args.json, "--outputs": args.outputs, "the partial recording of --json": partial}
    ensure_outputs(outputs, read_by(args))
    stages.target(args.target)  # an unknown name is an error, also where the backend needs no chip
    if args.sweep:
        refuse_layout(args, "a sweep runs combinations of other options")
    elif backend_named(args.backend).takes != "program":
        refuse_layout(args, f"backend '{args.backend}' takes networks that are not compiled")
    if args.resume:
        _find_what_to_resume(args, partial)
    graph = stages.with_nef(_runnable(args), args.nef)
    with open_samples(args.data, limit=args.limit) as data:
        checked(args, graph, data)
        ladders.check(args, graph)
        if args.sweep:
            from neurodeploy.cli.sweep import sweep

            return sweep(args, graph, data)
        return _run(args, graph, data)


def _run(args: argparse.Namespace, graph: Graph, data: Samples) -> int:
    _say_if_unlike(args, graph)
    model: Graph | Program = graph
    if backend_named(args.backend).takes == "program":
        program = compiled(args, graph)
        show_findings(program.diagnostics if not program.errors else ())
        model = stages.laid_out(program.raise_for_errors())
    try:
        with progress(f"{graph.name} on {args.backend}") as advance, warnings.catch_warnings():
            warnings.simplefilter("ignore", FindingWarning)  # they are shown as findings below
            recording = stages.run(
                model,
                data.x,
                backend=args.backend,
                steps=args.steps,
                seed=args.seed,
                input_coding=args.input_coding,
                divide_by=args.divide_by,
                progress=advance,
                partial=partial_beside(args.json),
                resume=args.resume,
                workers=args.workers,
                dask=args.dask,
            )
    except Interrupted as stop:
        return _leave_partial(args, model, data, stop)
    show_findings(recording.diagnostics)
    report = ladders.with_ladder(args, _run_report(model, recording, data), model, data)
    _write_run(args, report, recording)
    # Who has the figures as JSON on standard output wants nothing else there.
    with contextlib.redirect_stdout(sys.stderr if args.json and is_stdout(args.json) else sys.stdout):
        print(report)
        _print_predictions(recording, data)
    return DONE


def _say_if_unlike(args: argparse.Namespace, graph: Graph) -> None:
    """Say that a run is of another length than a conversion whose neurons lose charge was balanced for."""
    meant = int(graph.meta.get("steps", 0))
    keeps = graph.meta.get("neuron") == "if-soft"  # then any length will do
    if args.steps is not None and meant and args.steps != meant and not keeps:
        note(
            f"'{graph.name}' was converted for {meant} steps and its biases are balanced for these; "
            f"{args.steps} steps can lose much accuracy. Next: neurodeploy convert ... --steps {args.steps}"
        )


def deploy(args: argparse.Namespace) -> int:
    """``neurodeploy deploy``: the bundle for the board's host, and the board itself if it is there."""
    ensure_replaceable(ensure_folder(args.out, (), {}))
    graph = load_spiking(args)
    program = compiled(args, graph)
    stages.laid_out(program.raise_for_errors())
    stages.check_board(program, args.board)
    bundle = stages.emit(program).write(args.out)
    print(f"{args.out}: {len(bundle.files)} files, digest {bundle.digest()[:16]}")
    if args.board:
        print(stages.deploy(bundle, args.board))
    return DONE


def report(args: argparse.Namespace) -> int:
    """``neurodeploy report``: the figures of a run, printed and drawn."""
    if args.out:
        ensure_folder(args.out, REPORT_FILES, {"RUN.json": args.run_json})
    found = read_report(args.run_json)
    if args.out:  # first, as whoever reads what is printed may go away
        for path in found.save(args.out):
            note(f"wrote {path}")
    print(printable(str(found)))
    return DONE


# --- shared by the commands -----------------------------------------------------------------------------


def convert_with(graph: Graph, args: argparse.Namespace) -> Graph:
    """Convert as the options say; what was not said is left to the conversion."""
    x = read_calibration(args.calibration) if args.calibration else None
    if x is None:
        note(
            "no --calibration: thresholds are set by random samples between 0 and 1, enough to check a "
            "layout, and no ground to trust an accuracy"
        )
    elif args.divide_by is None and x.dtype == np.uint8:
        note(f"samples go up to {x.max()} and are not divided; --divide-by 255 if the model was trained so")
    names = ("neuron", "balancing", "percentile", "rate", "steps", "divide_by", "output", "equalize", "seed")
    told = {name: getattr(args, name, None) for name in names}
    given = {k: v for k, v in told.items() if v is not None}
    with progress(f"calibration of {graph.name}", "steps of all populations") as advance:
        return stages.convert(graph, calibration=x, progress=advance, **given)


def partial_beside(path: str | None) -> Path | None:
    """Name of the partial recording of a run that writes this JSON file; a stream has nothing beside it."""
    return None if path is None or is_stream(path) else Path(f"{path}.partial.npz")


def read_by(args: argparse.Namespace) -> Named:
    """Collect the files that a command reads, by the names of its arguments."""
    read = {"FILE": args.file, "--data": args.data}
    read |= {f"--{name}": getattr(args, name, None) for name in ("calibration", "source")}
    return read | ({"--target": args.target} if args.target.endswith(".toml") else {})


def _find_what_to_resume(args: argparse.Namespace, partial: Path | None) -> None:
    """Say so where a run that is to go on has left nothing."""
    if partial is None:
        raise OptionError("--resume goes on from the file beside --json; give both, and --json as a file")
    if not (partial.exists() or in_folder(partial) or Path(f"{args.json}.partial").is_dir()):
        note(f"there is nothing to resume beside '{args.json}'; the run begins with its first sample")


def _runnable(args: argparse.Namespace) -> Graph:
    """Load what will be run: a spiking network, or the trained model where its rates are all that is run."""
    backend_named(args.backend)
    if args.backend == "rate" and not args.calibration and not args.sweep:
        return stages.load(args.file)
    return spiking(args)


def spiking(args: argparse.Namespace, *, guess: bool = False) -> Graph:
    """Load a spiking network, or convert a trained model; uncalibrated only where a guess will do."""
    graph = stages.load(args.file)
    if not graph.is_spiking:
        if not args.calibration and not guess:
            raise OptionError(f"{convert_first(args)} (or give --calibration here, or use --backend rate)")
        return convert_with(graph, args)
    told = [f"--{name}" for name in _CONVERSION if getattr(args, name)]
    if told:
        raise OptionError(f"'{args.file}' is converted already; {', '.join(told)} belongs to convert")
    return graph


def checked(args: argparse.Namespace, graph: Graph, data: Samples) -> Samples:
    """See that samples and labels fit the network before anything long begins."""
    graph.prepare(data.x[:1])
    classes = graph.size(graph.output.name)
    if data.y is not None and data.y.max() >= classes:
        raise DataError(
            f"'{args.data}' has label {data.y.max()}; the model has {classes} outputs, 0 to {classes - 1}"
        )
    return data


def load_spiking(args: argparse.Namespace) -> Graph:
    """Read a spiking network; refuse a trained model."""
    graph = stages.load(args.file)
    if not graph.is_spiking:
        raise OptionError(convert_first(args))
    return graph


def convert_first(args: argparse.Namespace) -> str:
    """Say that a trained model has to be converted before, and how."""
    return (
        f"'{args.file}' is a trained model, not a spiking network; convert it: "
        f"neurodeploy convert {args.file} -o {Path(args.file).stem}.nd --calibration D.npz"
    )


def _run_report(
    model: Graph | Program, recording: Recording, data: Samples, total: int | None = None
) -> Report:
    labels = None if data.y is None else data.y[: len(recording)]
    return stages.report(model, recording, labels, total=total, facts={"data": data.source})


def _write_run(args: argparse.Namespace, report: Report, recording: Recording) -> None:
    if args.json:
        write_beside(args.json, lambda path: path.write_text(report.to_json(), encoding="utf-8"))
    if args.outputs:
        write_beside(args.outputs, lambda path: _save_outputs(path, recording))


def _save_outputs(path: Path, recording: Recording) -> None:
    with path.open("wb") as file:  # by handle: numpy would add a suffix to a name
        np.savez(file, outputs=recording.outputs)


def _leave_partial(args: argparse.Namespace, model: Graph | Program, data: Samples, stop: Interrupted) -> int:
    """Write what an interrupted run has, and say how to go on."""
    if not stop.done or not args.json:
        note(f"{stop}; nothing is kept" + ("" if args.json else " (a run with --json can be resumed)"))
        return INTERRUPTED
    done = "they are kept"
    if stop.recording is not None:
        _write_run(args, _run_report(model, stop.recording, data, stop.total), stop.recording)
        whose = "their figures" if len(stop.recording) == stop.done else f"figures of {len(stop.recording)}"
        done = f"{args.json} has {whose}"
    note(f"{stop}; {done}, and the same command with --resume goes on")
    return INTERRUPTED


def _print_predictions(recording: Recording, data: Samples) -> None:
    if data.y is None:
        print("\npredictions " + " ".join(map(str, recording.predictions.tolist())))
