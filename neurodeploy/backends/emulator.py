"""Run a compiled program on our own emulator: the chip's integers, event by event, many samples at once.

The default backend. It executes the placed blocks as they are, and `nengo_loihi` gives the same spikes from
the same blocks in other code.
"""

from __future__ import annotations

import time
import weakref
from typing import Any, TypedDict, cast

import numpy as np
import numpy.typing as npt

from neurodeploy.backends.base import Session, outputs_of, raster_of
from neurodeploy.backends.feed import check_coding, encoder_rates, host_train
from neurodeploy.compiler.registers import registers
from neurodeploy.errors import OptionError
from neurodeploy.kernels import arguments, compiled
from neurodeploy.kernels.circuit import circuit_of
from neurodeploy.kernels.layout import Layout, lay_out
from neurodeploy.numerics import formats
from neurodeploy.program import Program
from neurodeploy.recording import Recording

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int32]

_LAYOUTS: weakref.WeakKeyDictionary[Program, Layout] = weakref.WeakKeyDictionary()
"""Tables of the programs that have run, for as long as those are there; a Program does not change."""
OVERFLOWS = {"input": 1, "current": 2, "drive": 4}
"""Flags of the kernel by the register that wrapped."""


class Entering(TypedDict, total=False):
    """What enters the first population, in one of three forms."""

    rates: Floats
    train: npt.NDArray[np.bool_]
    bias: npt.NDArray[np.int32]


def open_session(program: Program, *, steps: int, seed: int, input_coding: str, raster: bool) -> Session:
    """Open a session that runs a program on our emulator.

    Parameters
    ----------
    program : Program
        Placed, and compiled for the same `input_coding`.
    steps, seed, input_coding, raster
        As `backends.base.Listed.open` takes them.

    Raises
    ------
    OptionError
        If the program has no blocks yet, or was compiled for another input coding.
    """
    check_coding(program, input_coding)
    if not program.blocks:
        raise OptionError(f"'{program.graph.name}' has no blocks to run; compile it first")
    layout = _layout_of(program)
    compiled.make_ready(layout)

    def run(x: Floats, first: int) -> Recording:
        start = time.perf_counter()
        given = _given(program, x, steps=steps, input_coding=input_coding, seed=seed, first=first)
        figures, final = compiled.from_rest(layout, len(x), steps=steps, readout=_readout(program), **given)
        return _record(
            program, layout, final, figures,
            raster=_raster(program, layout, given, steps) if raster else {},
            steps=steps, seed=seed, seconds=time.perf_counter() - start,
        )  # fmt: skip

    return run


def _layout_of(program: Program) -> Layout:
    """Arrange a program for the kernel once; its synapses cannot be written any more then."""
    found = _LAYOUTS.get(program)
    if found is None:
        for synapses in (s for block in program.blocks for s in block.synapses):
            for values in vars(synapses).values():
                if isinstance(values, np.ndarray):
                    values.setflags(write=False)
        found = _LAYOUTS[program] = lay_out(circuit_of(program))
    return found


def _given(program: Program, x: Floats, *, input_coding: str, **options: int) -> Entering:
    """Turn samples into what enters the first population."""
    if input_coding == "poisson":
        return {"train": host_train(program, x, input_coding=input_coding, **options)}
    rates = encoder_rates(program, x)
    if input_coding == "rate":
        return {"rates": np.clip(rates, 0.0, 1.0)}
    regs = registers(program.target)
    if regs is None:
        raise OptionError(f"target '{program.target.id}' has no bias registers that samples could enter by")
    bias, _ = formats.bias_code(
        rates * program.populations[0].weight_scale,
        mantissa_bits=regs.bias_bits,
        exponent_max=regs.bias_exponent_max,
    )
    return {"bias": bias}


def _readout(program: Program) -> arguments.Readout:
    output = program.output
    spiking = program.graph[output.name].op.spiking
    return arguments.Readout(program.populations.index(output), "spikes" if spiking else "membrane")


def trains(
    program: Program, x: Floats, *, steps: int, input_coding: str, seed: int, first: int = 0
) -> dict[str, npt.NDArray[np.bool_]]:
    """Return the spikes of every spiking population, shape (B, T, N)."""
    given = _given(program, x, steps=steps, input_coding=input_coding, seed=seed, first=first)
    return _spikes(program, _layout_of(program), given, steps, len(x))


def _raster(
    program: Program, layout: Layout, given: Entering, steps: int
) -> dict[str, npt.NDArray[np.int32]]:
    """Run the first sample once more and keep its single spikes."""
    alone = cast(Entering, {name: values[:1] for name, values in cast(dict[str, Any], given).items()})
    return {name: raster_of(train[0]) for name, train in _spikes(program, layout, alone, steps, 1).items()}


def _spikes(
    program: Program, layout: Layout, given: Entering, steps: int, size: int
) -> dict[str, npt.NDArray[np.bool_]]:
    figures = compiled.advance(layout, compiled.at_rest(layout, size), steps=steps, keep="spikes", **given)
    return {
        p.name: figures.spiked[:, :, layout.span(i)]
        for i, p in enumerate(program.populations)
        if _spikes_in_graph(program, p.name)
    }


def _spikes_in_graph(program: Program, name: str) -> bool:
    """Whether a population spikes and is the user's, not one that the compiler added."""
    return name in program.graph and program.graph[name].op.spiking


def _record(
    program: Program, layout: Layout, final: Ints, figures: compiled.Figures, **rest: Any
) -> Recording:
    readout = _readout(program)
    output = program.output
    state: npt.NDArray[Any] = final
    if readout.by == "membrane":
        state = final / output.weight_scale
    outputs = outputs_of(program.graph[output.name], state, steps=rest["steps"])
    spiking = [i for i, p in enumerate(program.populations) if _spikes_in_graph(program, p.name)]
    fed = [i for i, p in enumerate(program.populations) if (layout.wires[:, 1] == i).any()]
    return Recording(
        outputs=outputs,
        decisions=figures.decisions,
        spikes={program.populations[i].name: figures.spikes[:, i] for i in spiking},
        synops={program.populations[i].name: figures.synops[:, i] for i in fed},
        overflows={name: figures.flags & bit != 0 for name, bit in OVERFLOWS.items()},
        backend="loihi-emulator",
        target=program.target.id,
        dt=program.graph.dt,
        **rest,
    )
