"""The cheapest conversion that keeps the accuracy: balancing, rate, steps and bits, one after the other.

Only training samples are looked at, and those that measure a trial are not those that balanced it. The search
begins with the defaults of `convert` and a short run, which grows only while too much is lost. From there it
walks one axis at a time: rates, percentiles, balancing, ever shorter runs, where local balancing or a higher
rate may do, then fewer bits where they save cores.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from neurodeploy.compiler.registers import registers
from neurodeploy.conversion import convert as convert_graph
from neurodeploy.conversion.spiking import default_rate
from neurodeploy.conversion.thresholds import BALANCINGS, LOCAL
from neurodeploy.data import as_labels, check_samples
from neurodeploy.errors import DataError, OptionError
from neurodeploy.ir.evaluate import evaluate
from neurodeploy.ir.graph import Graph
from neurodeploy.ir.simulate import simulate
from neurodeploy.program import Program
from neurodeploy.reporting.text import counted, table
from neurodeploy.runs import Progress
from neurodeploy.scaleout.job import entering
from neurodeploy.stages import DEFAULT_TARGET, compile, convert, run
from neurodeploy.stages import target as find_target
from neurodeploy.targets import Target

Floats = npt.NDArray[np.float64]
Longs = npt.NDArray[np.int64]

RATES = (0.25, 0.5, 1.0)
PERCENTILES = (99.0, 99.9, 99.99)
TRIED: Mapping[str, tuple[Any, ...]] = {"rate": RATES, "percentile": PERCENTILES, "balancing": BALANCINGS}
MOST_BITS, BITS = 8, (6, 4)
"""Values of each axis; a search starts from what `convert` does by default, and with all bits."""
LEAST_STEPS, START = 4, 16
"""Steps of the shortest run, and of the first one."""
CALIBRATION, HELD_OUT = 256, 1000
"""Most samples that balance a trial, and that measure it."""
AXES = ("balancing", "rate", "percentile", "steps", "weight_bits")


@dataclass(frozen=True, eq=False)
class Trial:
    """One conversion and what it gave on the held-out samples.

    Parameters
    ----------
    options : mapping of str to number or str
        balancing, rate, percentile, steps, weight_bits, and whatever was fixed.
    graph : Graph
    drop : float
        Points of accuracy that it has less than the source.
    spikes, synops : float
        Per sample.
    cores : int
    fits : bool
        Whether it compiles without errors.
    """

    options: Mapping[str, Any]
    graph: Graph
    drop: float
    spikes: float
    synops: float | None
    cores: int
    fits: bool

    @property
    def cost(self) -> tuple[float, ...]:
        """What is to be small: steps, then cores, then spikes; bits are not given up for nothing."""
        return self.options["steps"], self.cores, -self.options["weight_bits"], self.spikes


@dataclass(frozen=True, eq=False)
class Found:
    """What a search came to.

    Parameters
    ----------
    chosen : Trial
        The cheapest that keeps the accuracy, else the one that loses least.
    trials : tuple of Trial
        In the order they were made.
    max_drop : float
        Points that might be lost.
    source : float
        Accuracy of the source on the held-out samples, 0 to 1.
    held_out, calibration : int
        Samples that measured, and that balanced.
    """

    chosen: Trial
    trials: tuple[Trial, ...]
    max_drop: float
    source: float
    held_out: int
    calibration: int

    @property
    def kept(self) -> bool:
        """Whether the chosen conversion loses no more than it might."""
        return self.chosen.fits and self.chosen.drop <= self.max_drop


def autotune(
    graph: Graph,
    x: npt.ArrayLike,
    y: npt.ArrayLike,
    *,
    max_drop: float = 0.5,
    max_steps: int = 64,
    target: str | Target = DEFAULT_TARGET,
    divide_by: float = 1.0,
    input_coding: str = "rate",
    seed: int = 0,
    progress: Progress | None = None,
    **fixed: Any,
) -> Found:
    """Search the conversion that costs least and loses at most so many points.

    Parameters
    ----------
    graph : Graph
        In rate form.
    x, y : array_like, shape (B, ...) and (B,)
        Training samples in the user's layout, undivided, with labels; never test data.
    max_drop : float
        Points of accuracy.
    max_steps : int
        Longest run.
    target : str or Target
        A conversion that does not fit it is not chosen.
    divide_by, input_coding, seed
        As `convert` and `compile` take them; the seed also draws which samples measure.
    progress : callable of (int, int), optional
        Called with trials done and planned.
    **fixed
        Options of `convert` that are not searched, as ``rate=0.5`` or ``neuron="lif"``; ``weight_bits`` too.

    Raises
    ------
    OptionError, DataError
        If a limit makes no sense, or there are fewer than 20 samples.
    """
    if max_drop < 0:
        raise OptionError(f"a drop of at most {max_drop:g} points cannot be searched for; the least is 0")
    if max_steps < LEAST_STEPS:
        raise OptionError(f"{max_steps} steps at most; a search needs {LEAST_STEPS} or more")
    samples, labels = np.asarray(x), as_labels(y, np.shape(x)[0])
    check_samples(samples, "calibration")
    balance, measure = split(len(samples), seed)
    chip = find_target(target) if isinstance(target, str) else target
    bench = _Bench(
        graph, chip, samples[balance], samples[measure], labels[measure], divide_by, input_coding, seed
    )
    trials: list[Trial] = []
    for trial in _search(bench, max_drop, max_steps, fixed):
        trials.append(trial)
        if progress is not None:
            progress(len(trials), max(len(trials), _planned(bench, max_steps, fixed)))
    good = [t for t in trials if t.fits and t.drop <= max_drop]
    least = min(trials, key=lambda t: (not t.fits, t.drop, t.cost))
    chosen = min(good, key=lambda t: t.cost) if good else least
    return Found(chosen, tuple(trials), max_drop, bench.source, len(measure), len(balance))


def split(count: int, seed: int) -> tuple[Longs, Longs]:
    """Draw which samples balance and which measure; none does both."""
    if count < 20:
        raise DataError(f"{count} samples are too few to balance on some and measure on others; give 20")
    order = np.random.default_rng(seed).permutation(count)
    cut = min(CALIBRATION, count // 2)
    return np.sort(order[:cut]), np.sort(order[cut : cut + HELD_OUT])


def _planned(bench: _Bench, max_steps: int, fixed: Mapping[str, Any]) -> int:
    """Count the trials that a search makes at most."""
    lengths = 0 if "steps" in fixed else int(np.log2(max_steps / LEAST_STEPS)) + len(RATES) + 1
    bits = len(BITS) if bench.rounds and "weight_bits" not in fixed else 0
    return 1 + lengths + bits + sum(len(v) - 1 for k, v in TRIED.items() if k not in fixed)


_Walk = Generator[Trial, None, Trial]
"""Trials as they are made, and the best of them in the end."""


def _search(bench: _Bench, max_drop: float, max_steps: int, fixed: Mapping[str, Any]) -> Iterator[Trial]:
    """Make the trials, each from what was best before it."""
    start = {**defaults(fixed.get("neuron")), "steps": min(START, max_steps), "weight_bits": MOST_BITS}
    best = yield from _long_enough(bench, {**start, **fixed}, max_drop, max_steps, fixed)
    best = yield from _fewer_spikes(bench, best, max_drop, fixed)
    if "steps" not in fixed:
        best = yield from _shorter(bench, best, max_drop, fixed)
    if bench.rounds and "weight_bits" not in fixed:
        yield from _narrower(bench, best, max_drop)


def _long_enough(
    bench: _Bench, options: Mapping[str, Any], max_drop: float, max_steps: int, fixed: Mapping[str, Any]
) -> _Walk:
    """Double the run until little enough is lost, or it is as long as it may be."""
    best = trial = bench.trial(options)
    yield trial
    longest = options["steps"] if "steps" in fixed else max_steps
    while trial.fits and trial.drop > max_drop and (steps := trial.options["steps"]) < longest:
        trial = bench.trial({**options, "steps": min(2 * steps, longest)})
        yield trial
        best = min(best, trial, key=lambda t: (not t.fits, t.drop))
    return best


def _fewer_spikes(bench: _Bench, best: Trial, max_drop: float, fixed: Mapping[str, Any]) -> _Walk:
    """Try other rates, percentiles, balancings: what loses less, or spikes less where little is lost."""
    start = best.options
    for axis, values in TRIED.items():
        for value in (v for v in values if axis not in fixed and v != start[axis]):
            trial = bench.trial({**best.options, axis: value})
            yield trial
            best = min(best, trial, key=lambda t: (not t.fits, max(t.drop, max_drop), t.spikes))
    return best


def _shorter(bench: _Bench, best: Trial, max_drop: float, fixed: Mapping[str, Any]) -> _Walk:
    """Halve the run while little enough is lost; else local balancing or a higher rate may do."""
    shorter = True
    while shorter and best.options["steps"] // 2 >= LEAST_STEPS:
        shorter = False
        steps, rate, local = best.options["steps"] // 2, best.options["rate"], best.options["balancing"]
        changes: list[dict[str, Any]] = [{}]
        changes += [{"balancing": LOCAL}] if "balancing" not in fixed and local != LOCAL else []
        changes += [{"rate": r} for r in sorted(RATES) if r > rate and "rate" not in fixed]
        for change in changes:
            trial = bench.trial({**best.options, "steps": steps, **change})
            yield trial
            if trial.fits and trial.drop <= max_drop:
                best, shorter = trial, True
                break
    return best


def _narrower(bench: _Bench, best: Trial, max_drop: float) -> Iterator[Trial]:
    """Take bits off the weights as long as that saves cores and loses little enough."""
    for bits in BITS:
        trial = bench.trial({**best.options, "weight_bits": bits})
        yield trial
        if trial.drop > max_drop or trial.cores >= best.cores:
            return
        best = trial


def defaults(neuron: str | None = None) -> dict[str, Any]:
    """Return what `convert` takes on the axes of a search where it is not told."""
    known = inspect.signature(convert_graph).parameters
    rate = default_rate(str(known["neuron"].default if neuron is None else neuron))
    return {"rate": rate, **{axis: known[axis].default for axis in ("percentile", "balancing")}}


@dataclass(frozen=True, eq=False)
class _Bench:
    """What every trial is made from."""

    graph: Graph
    target: Target
    balance: npt.NDArray[Any]
    measure: npt.NDArray[Any]
    labels: Longs
    divide_by: float
    input_coding: str
    seed: int

    @functools.cached_property
    def source(self) -> float:
        """Accuracy of the source on the samples that measure."""
        outputs = evaluate(self.graph, entering(self.graph, self.measure, self.divide_by), logits=True)
        return float(np.mean(outputs.reshape(len(outputs), -1).argmax(axis=1) == self.labels))

    @functools.cached_property
    def rounds(self) -> bool:
        """Whether the target has registers that round, and so an emulator."""
        return registers(self.target) is not None

    @functools.cached_property
    def _converted(self) -> dict[str, Graph]:
        return {}

    def trial(self, options: Mapping[str, Any]) -> Trial:
        """Convert, compile and run."""
        told = {k: v for k, v in options.items() if k != "weight_bits"}
        key = repr(sorted(told.items()))
        if key not in self._converted:
            self._converted[key] = convert(
                self.graph, calibration=self.balance, divide_by=self.divide_by, seed=self.seed, **told
            )
        graph = self._converted[key].with_meta(weight_bits=int(options["weight_bits"]))
        program = compile(graph, self.target, input_coding=self.input_coding)
        if program.errors:
            return Trial(options, graph, np.inf, np.inf, None, len(set(program.cores)), fits=False)
        right, spikes, synops = self._run(program)
        drop = 100 * (self.source - right)
        return Trial(options, graph, drop, spikes, synops, len(set(program.cores)), fits=True)

    def _run(self, program: Program) -> tuple[float, float, float | None]:
        """Return accuracy, spikes and synaptic operations: on the emulator, or in floats without one."""
        if self.rounds:
            recording = run(program, self.measure, seed=self.seed)
            return recording.accuracy(self.labels), recording.spikes_per_sample, recording.synops_per_sample
        graph = program.graph
        got = simulate(
            graph, entering(graph, self.measure, None), steps=int(graph.meta["steps"]),
            input_coding=self.input_coding, seed=self.seed,
        )  # fmt: skip
        spikes = sum(float(n.mean()) for n in got.spikes.values())
        return float(np.mean(got.predictions == self.labels)), spikes, None


def search_text(found: Found) -> str:
    """Write what was tried, what was chosen and what it costs."""
    rows = [
        [
            "chosen" if trial is found.chosen else "", *(_told(trial.options[axis]) for axis in AXES),
            f"{trial.drop:.2f}" if trial.fits else "does not fit",
            trial.spikes if trial.fits else None, trial.synops, trial.cores or None,
        ]
        for trial in found.trials
    ]  # fmt: skip
    head = ["", *(axis.replace("_", " ") for axis in AXES), "points lost"]
    return f"{table([*head, 'spikes/sample', 'synops/sample', 'cores'], rows)}\n\n{verdict(found)}"


def _told(value: Any) -> str:
    return value if isinstance(value, str) else f"{value:g}"


def verdict(found: Found) -> str:
    """Say in one sentence what was chosen, and how sure that is."""
    t, n = found.chosen, found.held_out
    if not t.fits:
        return f"no conversion fits; {len(found.trials)} were tried"
    told = ", ".join(f"{axis.replace('_', ' ')} {_told(t.options[axis])}" for axis in AXES)
    error = 100 * float(np.sqrt(max(found.source * (1 - found.source), 1 / n) / n))
    lost = f"loses {t.drop:.2f} points" if t.drop > 0 else "loses nothing"
    aim = "" if found.kept else f", more than the {found.max_drop:g} that might be lost; no trial loses less"
    return (
        f"chosen: {told}; {lost} on {n:,} held-out training samples (standard error {error:.2f}){aim}, "
        f"for {t.spikes:,.0f} spikes per sample on {counted(t.cores, 'core')}"
    )
