"""One suite, every backend: what each promises, and what it shares with the others."""

from itertools import pairwise

import numpy as np
import pytest

import neurodeploy as nd
from neurodeploy.backends.base import BACKENDS
from neurodeploy.ir import ops
from neurodeploy.ir.graph import Graph, Node
from neurodeploy.reporting.figures import ARITHMETIC, NOT_ON_SILICON
from neurodeploy.testing import assert_backend_conforms, assert_same_spikes

HEAVY = {"nengo-dl": pytest.mark.keras}
EVERY = [pytest.param(name, marks=HEAVY.get(name, ())) for name in BACKENDS]
IN_INTEGERS = ("loihi-emulator", "nengo-loihi")
CANNOT = {("rate", "poisson"): "has no time, so no coding", ("rate", "bias"): "has no time, so no coding"}
"""What a backend cannot do, with the reason."""


def source():
    """Build a small convolutional network in rate form."""
    rng = np.random.default_rng(0)
    nodes = (
        Node("input", ops.Input((1, 6, 6))),
        Node("conv", ops.Conv2d(rng.normal(size=(3, 1, 3, 3)), np.zeros(3), stride=(2, 2))),
        Node("relu", ops.ReLU()),
        Node("flat", ops.Flatten()),
        Node("fc", ops.Affine(rng.normal(size=(4, 12)), rng.normal(size=4) / 10)),
        Node("output", ops.Output((4,))),
    )
    return Graph(nodes, tuple(pairwise(node.name for node in nodes)), name="small")


@pytest.fixture(scope="module")
def spiking():
    """Convert it, and draw samples for it."""
    rng = np.random.default_rng(1)
    x = rng.random((5, 1, 6, 6))
    return nd.convert(source(), calibration=rng.random((32, 1, 6, 6)), steps=100), x


def model_for(name, graph, input_coding="rate"):
    if BACKENDS[name].takes == "graph":
        return graph
    return nd.compile(graph, input_coding=input_coding).raise_for_errors()


@pytest.mark.parametrize("coding", ["rate", "poisson", "bias"])
@pytest.mark.parametrize("name", EVERY)
def test_backend_keeps_its_promises(name, coding, spiking):
    if (name, coding) in CANNOT:
        pytest.skip(CANNOT[name, coding])
    graph, x = spiking
    model = model_for(name, graph, coding)
    assert_backend_conforms(BACKENDS[name], model, x, input_coding=coding)


@pytest.mark.parametrize("output", ["membrane", "spikes"])
def test_backends_that_compute_in_integers_give_equal_spikes(spiking, output):
    graph, x = spiking
    program = nd.compile(graph).raise_for_errors()
    one, other = (nd.run(program, x, backend=name, steps=20) for name in IN_INTEGERS)
    assert_same_spikes(one, other)
    assert np.array_equal(one.outputs, other.outputs)


@pytest.mark.parametrize("name", [p for p in EVERY if p.values[0] != "rate"])
def test_outputs_of_every_backend_are_close_to_the_rate_network(name, spiking):
    graph, x = spiking
    reference = nd.run(source(), x, backend="rate").outputs
    outputs = nd.run(graph, x, backend=name).outputs
    assert np.abs(outputs - reference).max() < 0.1 * np.abs(reference).max()


def test_every_backend_says_what_it_computes_with_and_what_it_does_not_show():
    assert ARITHMETIC.keys() == NOT_ON_SILICON.keys() == BACKENDS.keys()
