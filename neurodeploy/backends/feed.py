"""What the backends that run a compiled program share: how samples enter, and whom a spike reaches."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from neurodeploy.errors import OptionError
from neurodeploy.ir import paths
from neurodeploy.ir.evaluate import apply
from neurodeploy.ir.simulate import encoder_train
from neurodeploy.program import Program

Floats = npt.NDArray[np.float64]
Longs = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


def check_coding(program: Program, input_coding: str) -> None:
    """Refuse to run a program with an input coding it was not compiled for.

    Raises
    ------
    OptionError
        If spikes are to be sent to a program whose first population is on the chip, or biases to one on the
        host.
    """
    entry = program.populations[0]
    if entry.on_chip != (input_coding == "bias"):
        there = "on the chip" if entry.on_chip else "on the host"
        raise OptionError(
            f"input coding '{input_coding}' does not fit a program compiled with '{entry.name}' {there}; "
            f"compile it with input_coding='{input_coding}'"
        )


def encoder_rates(program: Program, x: Floats) -> Floats:
    """Constant input of a program's first population in thresholds per step, shape (B, N)."""
    name = program.populations[0].name
    rates = apply(program.graph[name].op, paths.drive(program.graph, name, x), dt=program.graph.dt)
    return rates.reshape(len(x), -1)


def host_train(program: Program, x: Floats, *, steps: int, input_coding: str, seed: int, first: int) -> Bools:
    """Spikes of the host population, shape (B, steps, N).

    Parameters
    ----------
    program : Program
    x : ndarray of float64, shape (B, *input shape)
    steps : int
    input_coding : {"rate", "poisson"}
    seed : int
    first : int
        Index of the first sample in the whole run.
    """
    graph, name = program.graph, program.populations[0].name
    train = encoder_train(
        graph[name], paths.drive(graph, name, x), graph.dt,
        steps=steps, input_coding=input_coding, seed=seed, first=first,
    )  # fmt: skip
    return np.ascontiguousarray(train.reshape(steps, len(x), -1).swapaxes(0, 1))


def fan_out(program: Program) -> dict[tuple[str, str], Longs]:
    """Count the synapses of every neuron of a placed program.

    Returns
    -------
    dict of (source, target) to ndarray of int64, shape (N_source,)
        How many synapses of the target each neuron of the source reaches; a stored weight of zero counts.
    """
    reach: dict[tuple[str, str], Longs] = {}
    for block in program.blocks:
        for s in block.synapses:
            wired = s.axon >= 0
            row = s.first_row[s.axon[wired]] + s.atom[wired]
            count = reach.setdefault((s.source, block.population), np.zeros(len(s.axon), np.int64))
            count[wired] += s.row_start[row + 1] - s.row_start[row]
    return reach
