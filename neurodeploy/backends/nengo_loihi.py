"""Run a compiled program on nengo-loihi's Loihi emulator, sample by sample.

The second opinion on `loihi-emulator`: the same integers in somebody else's code, slower. Each sample begins
with an emulator at rest, so results do not depend on how samples are cut into chunks.
"""

from __future__ import annotations

import dataclasses
import time
from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from neurodeploy.backends import run_on_host
from neurodeploy.backends.base import Session, record
from neurodeploy.backends.board import image_of, model_of
from neurodeploy.backends.feed import check_coding, encoder_rates, fan_out, host_train
from neurodeploy.program import Program
from neurodeploy.recording import Recording

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int32]
Bools = npt.NDArray[np.bool_]

OVERFLOWS = {"input": "Overflow in q0", "current": "Overflow in current", "drive": "Overflow in u2"}
"""What nengo-loihi says where an accumulator wraps, by register."""


@dataclass(frozen=True, eq=False)
class Trace:
    """One sample on the emulator.

    Parameters
    ----------
    spiked : ndarray of bool, shape (T, N)
        Of all compartments, in the order of the blocks.
    read_out : ndarray, shape (T, classes)
        The model's probe: spikes or membranes of the output population.
    complaints : Counter of str
        Messages of nengo-loihi, and in how many steps each came up.
    """

    spiked: Bools
    read_out: npt.NDArray[Any]
    complaints: Counter[str]


def open_session(program: Program, *, steps: int, seed: int, input_coding: str, raster: bool) -> Session:
    """Open a session that runs a program on nengo-loihi's emulator.

    Parameters
    ----------
    program : Program
        Placed, and compiled for the same `input_coding`.
    steps, seed, input_coding, raster
        As `backends.base.Listed.open` takes them.

    Raises
    ------
    OptionError
        If the program has no cores yet, or was compiled for another input coding.
    """
    check_coding(program, input_coding)
    image = image_of(program)
    model, reach = model_of(image), fan_out(program)

    def run(x: Floats, first: int) -> Recording:
        start = time.perf_counter()
        traces, trains = [], {}
        if input_coding == "bias":
            for current in encoder_rates(program, x):
                run_on_host.load_bias(image, model, current)
                traces.append(trace(model, steps))
        else:
            host = host_train(program, x, steps=steps, input_coding=input_coding, seed=seed, first=first)
            trains[program.populations[0].name] = host
            for train in host:
                run_on_host.load_train(model, train)
                traces.append(trace(model, steps))
        trains |= by_population(program, traces)
        seconds = time.perf_counter() - start
        recording = record(
            program.graph,
            trains,
            fan_out=reach,
            backend="nengo-loihi",
            seed=seed,
            seconds=seconds,
            raster=raster,
        )
        overflows = {
            name: np.array([text in t.complaints for t in traces]) for name, text in OVERFLOWS.items()
        }
        return dataclasses.replace(recording, overflows=overflows, target=program.target.id)

    return run


def trace(model: Any, steps: int) -> Trace:
    """Run the sample that was put into a model, from rest."""
    complaints: Counter[str] = Counter()
    with run_on_host.open_emulator(model) as emulator:
        emulator.compartment.error = lambda message: complaints.update([message])
        spiked = np.empty((steps, emulator.block_info.n_compartments), bool)
        for t in range(steps):
            emulator.step()
            spiked[t] = emulator.compartment.spiked
        return Trace(spiked, emulator.collect_probe_output(model.probes[0]), complaints)


def by_population(program: Program, traces: list[Trace]) -> dict[str, npt.NDArray[Any]]:
    """Sort what compartments did into populations, (B, T, N) each; membranes of an integrator in floats."""
    spiked = np.stack([t.spiked for t in traces])
    ends = np.cumsum([len(block.neurons) for block in program.blocks])
    trains: dict[str, npt.NDArray[Any]] = {
        p.name: np.zeros((*spiked.shape[:2], p.size), bool) for p in program.populations if p.on_chip
    }
    for block, end in zip(program.blocks, ends, strict=True):
        trains[block.population][:, :, block.neurons] = spiked[:, :, end - len(block.neurons) : end]
    out = program.output
    if not program.graph[out.name].op.spiking:
        trains[out.name] = np.stack([t.read_out for t in traces]) / out.weight_scale
    return trains
