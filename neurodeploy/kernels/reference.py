"""The oracle: a compiled program, stepped literally as its docstrings say, one spike at a time.

Nothing here is fast, and the fast kernel shares none of it.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt

from neurodeploy.kernels.state import State, Trace
from neurodeploy.numerics.neurons import compartment_step
from neurodeploy.program import Block, Program

Ints = npt.NDArray[np.int32]
Longs = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


def spans(program: Program) -> dict[str, slice]:
    """Where every population lies among the program's neurons."""
    ends = np.cumsum([p.size for p in program.populations]).tolist()
    return {p.name: slice(end - p.size, end) for p, end in zip(program.populations, ends, strict=True)}


def run(
    program: Program,
    train: Bools | None = None,
    *,
    steps: int,
    batch: int,
    bias: Ints | None = None,
    state: State | None = None,
) -> tuple[Trace, State]:
    """Run a placed program.

    Parameters
    ----------
    program : Program
    train : ndarray of bool, shape (B, T, N_input), optional
        Spikes of the first population, if it is on the host; those of step t arrive in step t + 1.
    steps, batch : int
    bias : ndarray of int32, shape (B, N_input), optional
        Per-sample bias of the first population, if it is on the chip.
    state : State, optional
        Where to go on; at rest where absent.

    Returns
    -------
    trace : Trace
    state : State
    """
    where = spans(program)
    total = sum(p.size for p in program.populations)
    state = state or State.rest(batch, total, delay=longest_delay(program))
    u, v, wait = state.u.copy(), state.v.copy(), state.wait.copy()
    past = list(state.spiked.swapaxes(0, 1) > 0)
    synops = np.zeros((batch, len(program.populations)), np.int64)
    names = [p.name for p in program.populations]
    history = []
    for t in range(steps):
        spiked = np.zeros((batch, total), bool)
        for block in program.blocks:
            here = where[block.population].start + block.neurons
            q, operations = accumulate(block, past, where)
            synops[:, names.index(block.population)] += operations
            compartments = block.compartments
            if bias is not None and block.population == names[0]:
                compartments = dataclasses.replace(compartments, bias=bias[:, block.neurons])
            u[:, here], v[:, here], spiked[:, here], wait[:, here] = compartment_step(
                compartments, q, u[:, here], v[:, here], wait[:, here]
            )
        if train is not None:
            spiked[:, where[names[0]]] = train[:, t]
        past = [*past[1:], spiked]
        history.append((u.copy(), v.copy(), wait.copy(), spiked))
    u_, v_, wait_, spiked_ = (np.stack(column, axis=1) for column in zip(*history, strict=True))
    arriving = np.stack(past, axis=1).astype(np.int32)
    end = dataclasses.replace(state, step=state.step + steps, u=u, v=v, wait=wait, spiked=arriving)
    return Trace(u_, v_, wait_, spiked_, synops), end


def longest_delay(program: Program) -> int:
    """Most steps that a spike is on its way."""
    return max((s.delay for block in program.blocks for s in block.synapses), default=1)


def accumulate(block: Block, past: list[Bools], where: dict[str, slice]) -> tuple[Ints, Longs]:
    """Add up the weights of all spikes that arrive at a block, and count them.

    Parameters
    ----------
    past : list of ndarray of bool, shape (B, N)
        Spikes of the steps before, the newest last.

    Returns
    -------
    q : ndarray of int32, shape (B, n)
    operations : ndarray of int64, shape (B,)
    """
    q = np.zeros((len(past[0]), len(block.neurons)), np.int32)
    operations = np.zeros(len(q), np.int64)
    for synapses in block.synapses:
        arrived = past[-synapses.delay][:, where[synapses.source]]
        for sample, neuron in np.argwhere(arrived):
            axon = synapses.axon[neuron]
            if axon < 0:
                continue
            row = synapses.first_row[axon] + synapses.atom[neuron]
            k = slice(synapses.row_start[row], synapses.row_start[row + 1])
            np.add.at(q[sample], synapses.base[axon] + synapses.index[k], synapses.weight[k])
            operations[sample] += len(synapses.index[k])
    return q, operations
