"""A compiled program as nengo-loihi's board structures, integer for integer.

Nothing is built from a Nengo network and nothing is discretised a second time: the program's blocks are
handed over as they are, by the code that also runs on a board's host (`run_on_host`).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from neurodeploy.backends import run_on_host
from neurodeploy.backends.adapter import nengo_loihi_module
from neurodeploy.compiler.cost import is_dense
from neurodeploy.errors import OptionError
from neurodeploy.ir import ops, paths
from neurodeploy.ir.graph import Graph
from neurodeploy.program import Block, Population, Program, Synapses

DENSE, SPARSE = 3, 0
"""Formats of the synapse memory: one weight per compartment in a row, or each weight with its index."""


def board_model(program: Program) -> Any:
    """Hand a placed program to nengo-loihi.

    Parameters
    ----------
    program : Program
        With blocks and cores.

    Returns
    -------
    nengo_loihi.builder.Model
        Discretised, as `nengo_loihi.emulator.EmulatorInterface` and the board allocators take it: one
        `LoihiBlock` per block in the program's order, one `SpikeInput` per host population, one probe on the
        output population.
    """
    return model_of(image_of(program))


def model_of(image: run_on_host.Image) -> Any:
    """Hand a program's image to nengo-loihi; see `board_model`."""
    nengo_loihi_module()
    return run_on_host.build(image)


def image_of(program: Program) -> run_on_host.Image:
    """Write a program as nested dicts and lists of arrays, numbers and text.

    Parameters
    ----------
    program : Program
        With blocks and cores.

    Returns
    -------
    dict
        All that is needed to rebuild the board and to feed it; arrays are the program's own.

    Raises
    ------
    OptionError
        If the program has not been placed, or has delays, which nengo-loihi's structures cannot hold.
    """
    if not program.blocks or len(program.cores) != len(program.blocks):
        raise OptionError(f"'{program.graph.name}' has no cores yet; compile it first")
    late = [(b.name, s) for b in program.blocks for s in b.synapses if s.delay != 1]
    if late:
        name, s = late[0]
        raise OptionError(
            f"'{name}' receives spikes of '{s.source}' after {s.delay} steps; nengo-loihi has no delays, "
            "backend loihi-emulator does"
        )
    graph, out = program.graph, program.output
    node = graph[out.name]
    return {
        "format": run_on_host.FORMAT,
        "name": graph.name,
        "dt": float(graph.dt),
        "target": program.target.id,
        "digest": program.digest(),
        "input_coding": str(program.options.get("input_coding", "rate")),
        "steps": int(program.options.get("steps") or graph.meta.get("steps") or 100),
        "output": out.name,
        "output_spikes": bool(node.op.spiking),
        "output_latency": int(node.notes.get("latency", 0)),
        "output_settles": isinstance(node.op, ops.LI | ops.CubaLI),
        "encoder": _encoder(graph, program.populations[0].name),
        "populations": [_population(p) for p in program.populations],
        "blocks": [_block(b, c) for b, c in zip(program.blocks, program.cores, strict=True)],
    }


def _encoder(graph: Graph, name: str) -> run_on_host.Image:
    entry, op = graph.input.op, graph[name].op
    assert isinstance(entry, ops.Input)
    if not isinstance(op, ops.IF):
        raise OptionError(f"'{name}' is a {op.kind}; samples enter through IF neurons on the host")
    gain = np.broadcast_to(op.r * graph.dt / op.v_threshold, graph.shapes[name]).ravel()
    image: run_on_host.Image = {
        "sample_shape": np.array(entry.sample_shape, np.int64),
        "axes": np.array(entry.axes, np.int64),
        "divide_by": float(graph.meta.get("divide_by", 1.0)),
        "gain": np.ascontiguousarray(gain),
    }
    chains = paths.projections(graph)[graph.input.name, name]
    if any(chains):
        matrix = paths.matrix(graph, graph.input.name, name, chains)
        image["row_start"] = matrix.indptr.astype(np.int64)
        image["column"] = matrix.indices.astype(np.int64)
        image["weight"] = matrix.data
        image["bias"] = paths.bias(graph, name).ravel()
    return image


def _population(population: Population) -> run_on_host.Image:
    return {
        "name": population.name,
        "origin": population.origin,
        "size": population.size,
        "on_chip": population.on_chip,
        "weight_scale": float(population.weight_scale),
        "unit": float(population.unit),
    }


def _block(block: Block, core: int) -> run_on_host.Image:
    c = block.compartments
    return {
        "name": block.name,
        "population": block.population,
        "core": int(core),
        "neurons": block.neurons,
        "compartments": {
            "decay_u": c.decay_u,
            "decay_v": c.decay_v,
            "vth": c.vth,
            "bias": c.bias,
            "refract": c.refract,
            "vmin": int(c.vmin),
            "vmax": int(c.vmax),
        },
        "synapses": [_synapses(s) for s in block.synapses],
    }


def _synapses(s: Synapses) -> run_on_host.Image:
    return {
        "source": s.source,
        "axon": s.axon,
        "atom": s.atom,
        "first_row": s.first_row,
        "base": s.base,
        "row_start": s.row_start,
        "index": s.index,
        "weight": s.weight,
        "axon_kind": s.axon_kind,
        "weight_exp": int(s.weight_exp),
        "weight_bits": int(s.weight_bits),
        "compression": DENSE if is_dense(s) else SPARSE,
    }
