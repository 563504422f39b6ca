"""Integers against nengo-loihi's discretisation of the same block, and where ours is meant to differ."""

import numpy as np
import pytest

from neurodeploy.compiler import compile
from neurodeploy.errors import MissingExtra
from neurodeploy.ir import ops
from neurodeploy.ir.graph import Graph, Node
from tests.compiler.graphs import DT, chain, dense, readout, spiking


@pytest.fixture(scope="module")
def loihi():
    from neurodeploy.backends.adapter import nengo_loihi_module

    try:
        return nengo_loihi_module()
    except MissingExtra as error:
        pytest.skip(str(error))


def discretised(loihi, weights, *, vth, bias, tau_rc=None, tau_syn=0.0):
    """One block of nengo-loihi with these float parameters, as its own integers."""
    from nengo_loihi.block import LoihiBlock, Synapse
    from nengo_loihi.builder.discretize import discretize_block

    block = LoihiBlock(len(bias))
    comp = block.compartment
    if tau_rc is None:
        comp.configure_relu(vth=vth, dt=DT)
    else:
        comp.configure_lif(tau_rc=tau_rc, tau_ref=0.0, vth=vth, dt=DT)
    comp._configure_filter(tau_syn, DT)
    comp.bias[:] = bias
    for weight in weights:
        synapse = Synapse(weight.shape[1])
        synapse.set_weights(np.array(weight.T, np.float32))
        block.add_synapse(synapse)
    discretize_block(block)
    return block


def graph_with(weights, *, vth, bias, op=None):
    """One population with a projection of its own per weight matrix, all of one width."""
    encoder = spiking(reset="subtract")
    count = range(len(weights))
    nodes = [Node("input", ops.Input((weights[0].shape[1],)))]
    nodes += [Node(f"e{i}", encoder, notes={"role": "encoder"}) for i in count]
    nodes += [Node(f"d{i}", ops.Affine(w, bias * (i == 0))) for i, w in enumerate(weights)]
    nodes += [Node("pop", op or spiking(vth)), Node("out", ops.Output((len(bias),)))]
    edges = [edge for i in count for edge in (("input", f"e{i}"), (f"e{i}", f"d{i}"), (f"d{i}", "pop"))]
    return Graph(tuple(nodes), (*edges, ("pop", "out")), DT)


def integers(program, name="pop"):
    population = program.population(name)
    return population.compartments, [p.map.weight for p in program.projections if p.target == name]


CASES = {
    "plain": {},
    "large bias": {"bias": 40.0},
    "small bias": {"bias": 1e-3},
    "large threshold": {"vth": 900.0},
    "huge threshold": {"vth": 2e4},
    "tiny weights": {"scale": 1e-5, "vth": 1e-4, "bias": 1e-6},
    "no bias": {"bias": 0.0},
    "leaky": {"tau_rc": 0.02},
    "very leaky": {"tau_rc": 1e-4},
    "slow": {"tau_rc": 5.0},
    "slow current": {"tau_rc": 0.05, "tau_syn": 0.01},
}


def neuron_like(case, vth):
    """The op whose discrete form nengo-loihi's block has."""
    tau_rc, tau_syn, one, zero = case.get("tau_rc"), case.get("tau_syn"), np.ones(()), np.zeros(())
    if tau_rc is None:
        return spiking(vth)
    if tau_syn is None:
        return ops.LIF(np.array(tau_rc), one, zero, np.array(vth))
    return ops.CubaLIF(np.array(tau_syn), np.array(tau_rc), one, zero, np.array(vth), one)


def assert_same_block(block, program):
    c, ours = integers(program)
    for name in ("vth", "bias", "decay_u", "decay_v"):
        np.testing.assert_array_equal(getattr(c, name), getattr(block.compartment, name), err_msg=name)
    assert c.vmax == block.compartment.vmax
    for weight, synapse in zip(ours, block.synapses, strict=True):
        np.testing.assert_array_equal(weight.T, np.concatenate(synapse.weights))


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
@pytest.mark.parametrize("seed", range(5))
@pytest.mark.filterwarnings("ignore:Lost")
def test_a_population_gets_nengo_loihis_integers(loihi, case, seed, rng):
    vth = case.get("vth", 1.0 + seed)
    weight = rng.normal(size=(12, 12)) * case.get("scale", 1.0)
    bias = rng.normal(size=12) * case.get("bias", 0.3)
    times = {"tau_rc": case.get("tau_rc"), "tau_syn": case.get("tau_syn", 0.0)}
    block = discretised(loihi, [weight], vth=vth, bias=bias, **times)
    graph = graph_with([weight], vth=vth, bias=bias, op=neuron_like(case, vth))
    assert_same_block(block, compile(graph, match="nengo-loihi"))
    if block.synapses[0].synapse_cfg.weight_exp >= -1:  # below, weights lose their top code in nengo-loihi
        assert_same_block(block, compile(graph))


@pytest.mark.parametrize("ratio", [0.9, 0.3, 1 / 30, 1 / 60])
@pytest.mark.filterwarnings("ignore:Lost")
def test_projections_of_unlike_strength_get_nengo_loihis_integers(loihi, ratio, rng):
    weights = [rng.normal(size=(12, 9)), ratio * rng.normal(size=(12, 9))]
    bias = rng.normal(size=12) * 0.1
    block = discretised(loihi, weights, vth=3.0, bias=bias)
    assert_same_block(block, compile(graph_with(weights, vth=3.0, bias=bias), match="nengo-loihi"))


@pytest.mark.parametrize("ratio", [1 / 130, 1 / 300, 1 / 1000])
@pytest.mark.filterwarnings("ignore:Lost")
def test_a_far_weaker_projection_keeps_its_size_where_nengo_loihi_inflates_it(loihi, ratio, rng):
    weights = [rng.uniform(0.5, 1, size=(12, 90)), ratio * rng.uniform(0.5, 1, size=(12, 90))]
    graph = graph_with(weights, vth=3.0, bias=np.zeros(12))
    block = discretised(loihi, weights, vth=3.0, bias=np.zeros(12))
    assert_same_block(block, compile(graph, match="nengo-loihi"))
    program = compile(graph)
    wanted = weights[1] * program.population("pop").weight_scale
    half = 32 + 1  # half of the chip's step, rounded twice
    assert np.abs(program.projections[1].map.weight - wanted).max() <= half
    theirs = np.concatenate(block.synapses[1].weights).T
    assert np.abs(theirs - wanted).max() > half


@pytest.mark.filterwarnings("ignore:Lost")
def test_the_largest_positive_weight_keeps_its_top_code(loihi):
    weight = np.array([[1.0, -1.0], [0.5, -0.5]])
    graph = graph_with([weight], vth=2e4, bias=np.zeros(2))
    block = discretised(loihi, [weight], vth=2e4, bias=np.zeros(2))
    ours = compile(graph).projections[0].map.weight
    theirs = np.concatenate(block.synapses[0].weights).T
    assert ours[0, 0] == -ours[0, 1]
    assert theirs[0, 0] < -theirs[0, 1]


@pytest.mark.parametrize("bits", [2, 3, 4, 5, 6, 8])
def test_fewer_bits_give_fewer_codes_and_a_bounded_error(bits, rng):
    weight = rng.normal(size=(20, 30))
    program = compile(graph_with([weight], vth=1.0, bias=np.zeros(20)), weight_bits=bits)
    (p,) = program.projections
    top = 2 ** (bits - 1) - 1
    assert p.weight_bits == bits
    assert len(np.unique(p.map.weight)) <= 2 * top + 1
    step = np.abs(weight).max() / (top + 0.5)  # 255 nominal units are half a code more than the top
    error = np.abs(p.map.weight / program.population("pop").weight_scale - weight)
    assert error.max() <= step * 0.54  # half a code, and the current that leaks into the next step


def test_an_integrator_stays_clear_of_the_clip_over_the_whole_run(rng):
    graph = chain((30,), [("d", dense(rng, 30, 5)), readout(peak=20.0)], meta={"steps": 400})
    program = compile(graph)
    out = program.output
    assert (out.compartments.vth == out.compartments.vth.max()).all()
    assert (out.compartments.decay_v == 0).all()
    assert 400 * 20.0 * out.weight_scale <= out.compartments.vth[0]
    assert 400 * 20.0 * out.weight_scale * 2 > out.compartments.vth[0]


def test_a_longer_run_takes_a_smaller_scale(rng):
    graph = chain((30,), [("d", dense(rng, 30, 5)), readout(peak=20.0)])
    scales = [compile(graph, steps=n).output.weight_scale for n in (20, 200, 2000)]
    assert scales == sorted(scales, reverse=True)
    assert len(set(scales)) == 3
