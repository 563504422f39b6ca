"""The whole pipeline on one page: load, convert, compile, check, run, learn, emit, deploy, report.

Every function takes values and returns a value; only `save`, `deploy` and `Report.save` touch the world. The
command line calls these and nothing else, so what it does can be done from Python in the same words.
"""

from __future__ import annotations

import dataclasses
import os
import warnings
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from neurodeploy import targets as target_files
from neurodeploy.arrays import Stored
from neurodeploy.data import as_labels, check_samples, draw
from neurodeploy.diagnostics import Diagnostic, Rule, in_order, render
from neurodeploy.errors import FindingWarning, OptionError
from neurodeploy.ir.graph import Graph
from neurodeploy.program import Program
from neurodeploy.recording import Recording
from neurodeploy.reporting import Report
from neurodeploy.reporting.catalogue import find_rule
from neurodeploy.reporting.figures import model_figures, run_figures
from neurodeploy.runs import Progress
from neurodeploy.scaleout.job import entering, make_job
from neurodeploy.scaleout.run import run_job

if TYPE_CHECKING:
    import nengo
    from distributed import Client

    from neurodeploy.bundle import Bundle
    from neurodeploy.ir.compare import Comparison
    from neurodeploy.targets import Target

DEFAULT_BACKEND = "loihi-emulator"
DEFAULT_TARGET = "loihi1"
CALIBRATION_SAMPLES = 256


def load(source: Any, *, name: str | None = None, sample: npt.ArrayLike | None = None, **told: Any) -> Graph:
    """Read a network.

    Parameters
    ----------
    source : path-like or live model
        A trained model (``.keras``, ``.h5``, ``.onnx``, ``.pt2``), a spiking network (``.nd``, ``.nir``),
        or a live model of Keras or PyTorch.
    name : str, optional
        For reports; the file's stem by default.
    sample : array_like, optional
        One sample, without the batch axis, for a live PyTorch module, which does not know its input's shape.
    **told
        What a NIR file leaves open: ``dt``, ``reset``, ``decay``, ``time_unit`` or ``written_by``, as
        `frontends.nir.reading` has them.

    Raises
    ------
    LoadError
        If the file cannot be read; `UnsupportedLayer` names the layer that stands in the way.
    """
    from neurodeploy.frontends import dispatch

    return dispatch.load(source, name, sample=sample, **told)


def save(graph: Graph, path: str | os.PathLike[str]) -> Path:
    """Write a network to one ``.nd`` file, which `nir.read` opens too."""
    from neurodeploy import store

    return store.save(graph, path)


def convert(
    graph: Graph,
    *,
    calibration: npt.ArrayLike | None = None,
    divide_by: float = 1.0,
    samples: int = CALIBRATION_SAMPLES,
    seed: int = 0,
    **options: Any,
) -> Graph:
    """Turn a trained network into a spiking one.

    Parameters
    ----------
    graph : Graph
        In rate form.
    calibration : array_like, shape (B, ...)
        Training samples in the user's layout, undivided; they set the thresholds. Without them, random ones
        between 0 and 1 take their place: enough to lay a network out, not to trust its accuracy.
    divide_by : float
        What samples are divided by on their way in; kept with the network.
    samples : int
        How many of `calibration` are drawn.
    seed : int
        Draws them.
    **options
        `neuron`, `balancing`, `percentile`, `rate`, `steps`, `output`, `equalize`, `progress`, as
        `conversion.convert` takes them.

    Raises
    ------
    ConvertError
        If a layer has no spiking form; it names the layer.
    """
    from neurodeploy.conversion.spiking import convert as convert_graph

    if calibration is None:
        shape = (samples, *graph.shapes[graph.input.name])
        x, origin = np.random.default_rng(seed).random(shape), "random samples between 0 and 1"
    else:
        given = np.asarray(calibration)
        check_samples(given, "calibration")
        x, origin = graph.prepare(draw(given, count=samples, seed=seed)) / divide_by, "samples"
    spiking = convert_graph(graph, x, seed=seed, **options)
    told = spiking.with_meta(
        divide_by=float(divide_by), calibration=origin,
        calibration_min=float(np.min(x)), calibration_max=float(np.max(x)),
    )  # fmt: skip
    return dataclasses.replace(told, source=graph)


def adopt(graph: Graph, *, steps: int | None = None) -> Graph:
    """Make a spiking network of another tool ready for samples, as `conversion.adopt` does."""
    from neurodeploy.conversion.adopt import adopt as adopt_graph

    return adopt_graph(graph, steps=steps)


def compare(a: Graph, b: Graph, **options: Any) -> Comparison:
    """Step two networks under the same input and say where they part, as `ir.compare` does."""
    from neurodeploy.ir.compare import compare as compare_graphs

    return compare_graphs(a, b, **options)


def target(name: str) -> Target:
    """Return a chip or board by its id, or from a ``.toml`` file."""
    return target_files.target(name)


def target_names() -> tuple[str, ...]:
    """List the ids of all targets."""
    return target_files.names()


def compile(
    graph: Graph,
    target: str | Target = DEFAULT_TARGET,
    *,
    input_coding: str = "rate",
    weight_bits: int | None = None,
    steps: int | None = None,
    after: Callable[[str, Program], object] | None = None,
    **options: Any,
) -> Program:
    """Quantise, partition, place and check a spiking network; `Program.raise_for_errors` stops if it must.

    Parameters
    ----------
    graph : Graph
        In spiking form.
    target : str or Target
    input_coding : {"rate", "poisson", "bias"}
    weight_bits : int, optional
        Most bits of a weight, the sign included; by default what a search left with the graph, else 8.
    steps : int, optional
        Length of the runs that membranes have to hold; the conversion's by default.
    after : callable of (str, Program), optional
        Called with the name and the result of every pass.
    **options
        ``layer_bits``, ``min_weight_bits``, ``match``, ``share_cores``, ``clip_delays``, as
        `compiler.pipeline.compile` takes them.
    """
    from neurodeploy.compiler.pipeline import compile as compile_graph

    told = {"input_coding": input_coding, "weight_bits": weight_bits, "steps": steps, "after": after}
    return compile_graph(graph, target, **{**told, **options})


def check(program: Program) -> tuple[Diagnostic, ...]:
    """Return every finding about a program, what blocks most first."""
    return tuple(in_order(program.diagnostics))


def weigh(
    program: Program,
    *,
    error: Iterable[str] = (),
    allow: Iterable[str] = (),
    waivers: str | os.PathLike[str] | None = None,
) -> Program:
    """Let findings weigh as a project wants: codes as errors, codes as notes, and a file of waivers.

    What the checks report as an error stays one, as `reporting.policy` says.
    """
    from neurodeploy.reporting.policy import read_waivers, with_policy

    held = read_waivers(Path(waivers)) if waivers else ()
    return with_policy(program, error=error, allow=allow, waivers=held)


def laid_out(program: Program) -> Program:
    """Return a program whose integers lie on cores; refuse one for a target that can only be checked."""
    if not program.blocks and not program.errors:
        raise OptionError(
            f"networks for '{program.target.id}' can be checked, not run: the compiler does not write its "
            "number formats; it does for loihi1 and its boards"
        )
    return program


def to_nengo(
    graph: Graph, *, sample: npt.ArrayLike | None = None, nef: Iterable[str] = (), seed: int = 0
) -> nengo.Network:
    """Build an ordinary `nengo.Network` that can be probed and extended, for steps of ``dt=graph.dt``.

    Parameters
    ----------
    graph : Graph
        In spiking form.
    sample : array_like, optional
        What enters, in the user's layout and undivided; zeros otherwise.
    nef : iterable of str
        Layers to build as NEF ensembles.
    seed : int
    """
    from neurodeploy.backends.nengo import to_nengo as build

    x = None if sample is None else entering(graph, np.asarray(sample)[None], None)[0]
    return build(with_nef(graph, nef), input=x, seed=seed)


def with_nef(graph: Graph, layers: Iterable[str]) -> Graph:
    """Mark layers to be built as NEF ensembles where a network goes to Nengo."""
    from neurodeploy.backends.nef import with_nef as mark

    return mark(graph, layers)


def run(
    model: Graph | Program,
    x: npt.ArrayLike | Stored,
    *,
    backend: str = DEFAULT_BACKEND,
    target: str | Target = DEFAULT_TARGET,
    steps: int | None = None,
    seed: int = 0,
    input_coding: str | None = None,
    divide_by: float | None = None,
    progress: Progress | None = None,
    partial: str | os.PathLike[str] | None = None,
    resume: bool = False,
    workers: int | None = None,
    dask: str | Client | None = None,
) -> Recording:
    """Run samples on a backend.

    Parameters
    ----------
    model : Graph or Program
        A graph is compiled for `target` where the backend takes programs.
    x : array_like or Stored, shape (B, ...)
        In the user's layout, undivided; `open_samples` leaves them in their file, where they may be many.
    backend : str
    target : str or Target
    steps : int, optional
        Per sample; by default what a program was compiled for, or the conversion chose. A graph is compiled
        for them; a program is run as it is.
    seed : int
        Of Poisson input.
    input_coding : {"rate", "poisson", "bias"}, optional
        That of the program by default.
    divide_by : float, optional
        What the conversion was told by default.
    progress : callable of (int, int), optional
        Called with samples done and total.
    partial : path-like, optional
        Where an interrupted run leaves what it has.
    resume : bool
        Go on from there.
    workers, dask : int; str or distributed.Client, optional
        Run in so many processes of this machine, or on a Dask cluster's workers; the result is the same.

    Returns
    -------
    Recording
        Its `diagnostics` say where samples have another scale than the calibration's, or a program runs for
        other steps than it was compiled for and that can hurt; a `FindingWarning` says so too.

    Raises
    ------
    OptionError, DataError
        If options, model, backend and samples do not fit each other.
    CompileError
        If the program has error findings.
    ClusterError
        If there are no workers, or they die again and again.
    """
    job = make_job(
        model, backend=backend, target=target, steps=steps, seed=seed, input_coding=input_coding,
        divide_by=divide_by,
    )  # fmt: skip
    if isinstance(job.model, Program):
        laid_out(job.model)
    samples = x if isinstance(x, Stored) else np.asarray(x)
    recording = run_job(
        job, samples, progress=progress, partial=partial, resume=resume, workers=workers, dask=dask
    )
    for found in recording.diagnostics:
        warnings.warn(render(found), FindingWarning, stacklevel=2)
    return recording


def learn(graph: Graph, x: npt.ArrayLike, y: npt.ArrayLike, *, rule: str = "pes", **options: Any) -> Graph:
    """Let the chip's emulator adapt the weights of a spiking network to labelled samples.

    Parameters
    ----------
    graph : Graph
        In spiking form.
    x, y : array_like, shape (B, ...) and (B,)
        In the user's layout, undivided; class indices, or one-hot.
    rule : str
    """
    from neurodeploy.backends.learn import learn as adapt

    samples = np.asarray(x)
    check_samples(samples)
    return adapt(graph, samples, as_labels(y, len(samples)), rule=rule, **options)


def emit(program: Program) -> Bundle:
    """Make the files that a board's host needs; the same program gives the same bytes."""
    from neurodeploy.backends.loihi import emit as emit_bundle

    return emit_bundle(program.raise_for_errors())


def check_board(program: Program, board: str | None) -> None:
    """Refuse a board that does not carry the program's chip; None is no board, which is fine."""
    from neurodeploy.backends.loihi import boards

    there = [b.id for b in boards(program.target.chip)]
    if board is not None and board not in there:
        known = ", ".join(there) or "none are known"
        raise OptionError(f"'{board}' is no board with chip {program.target.chip}; those are: {known}")


def deploy(bundle: Bundle, board: str) -> str:
    """Boot a bundle, as written to a folder, on a board.

    Raises
    ------
    DeployError
        If the board or its software is not there; the message says what to run on the board's host.
    """
    from neurodeploy.backends.loihi import deploy as deploy_bundle

    return deploy_bundle(bundle, board)


def report(
    model: Graph | Program,
    recording: Recording | None = None,
    labels: npt.ArrayLike | None = None,
    *,
    total: int | None = None,
    facts: Mapping[str, str | float | None] | None = None,
) -> Report:
    """Collect the figures of a network, a program or a run.

    Parameters
    ----------
    model : Graph or Program
        What was run; a program also shows its cores and findings.
    recording : Recording, optional
    labels : array_like, shape (B,), optional
        One for each sample of the recording, or a `DataError`; without them there is no accuracy.
    total : int, optional
        Samples that were asked for, if fewer were run.
    facts : mapping, optional
        More lines for the run card.
    """
    if recording is None:
        return Report(model_figures(model, facts=facts))
    known = None if labels is None else as_labels(labels, len(recording))
    return Report(run_figures(model, recording, known, total=total, facts=facts))


def explain(code: str) -> Rule:
    """Return the catalogue entry of a finding, by code or by name."""
    return find_rule(code)
