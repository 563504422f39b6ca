"""Numbers inside addresses, in pairs: at the end of the field nothing, one beyond it exactly this code."""

import dataclasses

import numpy as np
import pytest

from neurodeploy.compiler import compile
from neurodeploy.compiler.check import check
from neurodeploy.compiler.cost import cost_model, delay_width, words
from neurodeploy.compiler.resources import usage
from neurodeploy.ir import ops
from neurodeploy.ir.graph import Node
from neurodeploy.targets import target
from tests.compiler.graphs import DT, chain, conv, dense, pruned, readout, small, spiking

ADDRESSES = {"ND504", "ND505", "ND506", "ND507", "ND508", "ND509", "ND514"}


def codes(program):
    return {d.code for d in program.diagnostics} & ADDRESSES


def rechecked(program, **changes):
    """The program with every group of synapses changed, and its findings anew."""
    blocks = tuple(
        dataclasses.replace(block, synapses=tuple(dataclasses.replace(s, **changes) for s in block.synapses))
        for block in program.blocks
    )
    return check(dataclasses.replace(program, blocks=blocks, diagnostics=()))


@pytest.fixture
def mlp(rng):
    return compile(chain((20,), [("d", dense(rng, 20, 12)), ("n", spiking()), ("e", dense(rng, 12, 4)),
                                 readout()]))  # fmt: skip


@pytest.fixture
def image(rng):
    layers = [("c", conv(rng, 4, 8, padding=1)), ("n", spiking()), ("d", conv(rng, 8, 4)), ("m", spiking())]
    return chain((4, 9, 9), layers)


@pytest.mark.parametrize(("bits", "code"), [((0, 6), set()), ((0, 5), {"ND504"})])
def test_an_index_fits_its_field(bits, code, rng):
    graph = chain((30,), [("d", pruned(rng, 30, 60)), ("n", spiking())])
    assert codes(compile(graph, small(synapse__index__bits=bits))) == code


@pytest.mark.parametrize(("base", "code"), [(255, set()), (256, {"ND505"})])
def test_a_base_fits_its_field(base, code, mlp):
    block = mlp.blocks[0]
    s = dataclasses.replace(block.synapses[0], base=np.full_like(block.synapses[0].base, base))
    moved = dataclasses.replace(mlp, blocks=(dataclasses.replace(block, synapses=(s,)), *mlp.blocks[1:]))
    assert codes(check(dataclasses.replace(moved, diagnostics=()))) == code


@pytest.mark.parametrize(("step", "code"), [(4, set()), (3, {"ND514"})])
def test_a_base_is_a_multiple_of_what_its_axon_counts_in(step, code, image):
    program = compile(image, pop_axons="pop16")
    bound = program.target.with_limits(synapse__axon_kinds__pop16__base_multiple=step)
    assert codes(check(dataclasses.replace(program, target=bound, diagnostics=()))) == code


@pytest.mark.parametrize(("atoms", "code"), [(8, set()), (7, {"ND506"})])
def test_sources_of_an_axon_can_be_told_apart(atoms, code, image):
    program = compile(image)
    bound = program.target.with_limits(synapse__axon_kinds__pop32__atoms_max=atoms)
    assert codes(check(dataclasses.replace(program, target=bound, diagnostics=()))) == code


@pytest.mark.parametrize(("pool", "code"), [(ops.Scale(np.ones((1, 1, 1))), set()),
                                            (ops.AvgPool2d((2, 2), (2, 2)), {"ND507"})])  # fmt: skip
def test_a_neuron_belongs_to_one_population(pool, code, rng, image):
    size = 4 if code else 9
    branch = [Node("p", pool), Node("b", conv(rng, 8, 4, 1)), Node("k", spiking())]
    flat = [Node("f", ops.Flatten()), Node("g", ops.Flatten())]
    nodes = (*image.nodes[:4], *branch, *image.nodes[4:-1], *flat,
             Node("y", dense(rng, 4 * size * size, 3)), Node("z", dense(rng, 4 * 49, 3)), readout(),
             Node("output", ops.Output((3,))))  # fmt: skip
    edges = (*image.edges[:-1], ("n", "p"), ("p", "b"), ("b", "k"), ("k", "f"), ("m", "g"), ("f", "y"),
             ("g", "z"), ("y", "readout"), ("z", "readout"), ("readout", "output"))  # fmt: skip
    program = compile(dataclasses.replace(image, nodes=nodes, edges=edges))
    assert codes(program) == code
    if code:
        (found,) = [d for d in program.diagnostics if d.code == "ND507"]
        assert found.place.layer == "n"
        assert 0 < found.facts["count"] <= found.facts["size"]


@pytest.mark.parametrize(("steps", "code"), [(1, set()), (63, set()), (64, {"ND508"})])
def test_a_delay_fits_its_field(steps, code, mlp):
    assert codes(rechecked(mlp, delay=steps)) == code


@pytest.mark.parametrize(("steps", "bits"), [(0, 0), (1, 3), (6, 3), (7, 4), (62, 6), (63, 6)])
def test_a_delay_takes_the_narrowest_field_that_holds_it(steps, bits):
    assert delay_width(steps, target("loihi1").words("delay.bits")) == bits


@pytest.mark.parametrize(("neurons", "steps", "code"), [(1024, 7, set()), (1024, 8, {"ND509"}),
                                                        (128, 63, set()), (129, 63, {"ND509"})])  # fmt: skip
def test_delays_leave_room_for_fewer_compartments(neurons, steps, code, rng):
    graph = chain((4,), [("d", dense(rng, 4, neurons)), ("n", spiking())])
    program = rechecked(compile(graph), delay=steps)
    assert codes(program) == code
    (row,) = usage(program).cores
    width = delay_width(steps - 1, target("loihi1").words("delay.bits"))
    assert row["dendritic accumulators"].used == neurons * 2**width
    assert row["dendritic accumulators"].limit.value == 8192


def test_delays_take_memory(mlp):
    model = cost_model(target("loihi1"))
    plain = mlp.blocks[0].synapses[0]
    late = dataclasses.replace(plain, delay=63)
    assert words(model, plain) == 20 * 2  # 12 weights of 8 bits, and a head of 10
    assert words(model, late) == 20 * 3  # 14 bits each


@pytest.mark.parametrize(("taus", "code"), [(4, set()), (4 * 49, {"ND212"})])
def test_a_kernel_that_cannot_be_shared_is_said(taus, code, rng):
    tau = np.repeat(np.linspace(0.01, 0.02, taus), 4 * 49 // taus).reshape(4, 7, 7)
    neuron = ops.LIF(tau, np.ones(()), np.zeros(()), np.ones(()))
    program = compile(chain((2, 9, 9), [("c", conv(rng, 2, 4)), ("n", neuron)]))
    assert {d.code for d in program.diagnostics} & {"ND212"} == code


@pytest.mark.parametrize(
    ("limit", "code"), [(20 * 12 * 0.25 / DT, set()), (20 * 12 * 0.25 / DT - 1, {"ND706"})]
)
def test_synaptic_operations_are_held_against_those_of_a_core(limit, code, rng):
    graph = chain((20,), [("d", dense(rng, 20, 12)), ("n", spiking())])
    graph = graph.with_node("encoder", notes={"role": "encoder", "rate_mean": 0.25})
    found = compile(graph, small(rate__synops_per_s=limit)).diagnostics
    assert {d.code for d in found} & {"ND706"} == code


def test_a_check_that_breaks_off_is_said_and_the_others_go_on(monkeypatch, rng):
    from neurodeploy.compiler import check as module

    def broken_check(program, table):
        raise ZeroDivisionError("no neurons")
        yield

    monkeypatch.setattr(module, "CHECKS", (broken_check, *module.CHECKS))
    graph = chain((20,), [("d", dense(rng, 20, 5)), ("n", spiking(reset="subtract", refractory=2))])
    found = compile(graph).diagnostics
    failed = next(d for d in found if d.code == "ND905")
    assert "'broken_check' could not be done: ZeroDivisionError: no neurons" in failed.message
    assert "ND204" in {d.code for d in found}
