"""Whatever the partition, a spike adds exactly the quantised weights of its projection."""

import numpy as np
import pytest
from tests.compiler.graphs import chain, conv, dense, readout, spiking

from neurodeploy.compiler import compile, maps
from neurodeploy.compiler.pipeline import PASSES
from neurodeploy.ir import ops
from neurodeploy.program import Program
from neurodeploy.targets import target


def deliver(program: Program, spikes: dict) -> dict:
    """What every neuron accumulates: the definition in `Synapses`, literally."""
    q = {p.name: np.zeros(p.size, np.int64) for p in program.populations}
    for block in program.blocks:
        for s in block.synapses:
            for i in np.flatnonzero(spikes[s.source]):
                if s.axon[i] >= 0:
                    row = s.first_row[s.axon[i]] + s.atom[i]
                    k = slice(s.row_start[row], s.row_start[row + 1])
                    at = block.neurons[s.base[s.axon[i]] + s.index[k]]
                    np.add.at(q[block.population], at, s.weight[k])
    return q


def expected(program: Program, spikes: dict) -> dict:
    q = {p.name: np.zeros(p.size, np.int64) for p in program.populations}
    for p in program.projections:
        q[p.target] += maps.as_matrix(p.map).astype(np.int64) @ spikes[p.source].astype(np.int64)
    return q


def check(program: Program, rng) -> None:
    assert program.blocks
    for _ in range(3):
        spikes = {p.name: rng.random(p.size) < 0.3 for p in program.populations}
        want, got = expected(program, spikes), deliver(program, spikes)
        for name in want:
            np.testing.assert_array_equal(got[name], want[name], err_msg=name)


CONVS = {
    "valid": {},
    "same": {"padding": 1},
    "strided": {"stride": 2, "padding": 1},
    "stride over kernel": {"kernel": 2, "stride": 3},
    "dilated": {"dilation": 2, "padding": 2},
    "grouped": {"groups": 2, "padding": 1},
    "depthwise": {"groups": 4, "padding": 1},
}


@pytest.mark.parametrize("options", CONVS.values(), ids=CONVS)
@pytest.mark.parametrize("compartments", [1024, 40])
def test_convolutions_deliver_their_weights(options, compartments, rng):
    layers = [("c1", conv(rng, 4, 8, **options)), ("n1", spiking()), ("c2", conv(rng, 8, 4, 2, padding=1))]
    graph = chain((4, 9, 10), [*layers, ("n2", spiking()), ("f", ops.Flatten()), readout()])
    small = target("loihi1").with_limits(core__compartments=compartments)
    check(compile(graph, small), rng)
