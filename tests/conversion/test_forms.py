"""Activations that are capped or leak, maxima and moves: exact in rates, close in spikes and on the chip."""

import numpy as np
import pytest

from neurodeploy import stages
from neurodeploy.conversion import convert
from neurodeploy.conversion.fold import fold
from neurodeploy.conversion.forms import with_forms
from neurodeploy.ir import ops
from neurodeploy.ir.evaluate import evaluate
from neurodeploy.ir.simulate import simulate
from neurodeploy.program import ConvMap
from tests.conversion.graphs import chain, normal
from tools.data_folder import ROOT

MAP = (2, 6, 7)


def conv(rng, into=2, out=3, **options):
    return ops.Conv2d(normal(rng, out, into, 3, 3) / 3, 0.2 * normal(rng, out), padding=(1, 1), **options)


def conv1(rng, into=2, out=3):
    return ops.Conv1d(normal(rng, out, into, 3) / 2, 0.2 * normal(rng, out), padding=1)


def pool(kernel, stride, pads=()):
    return ops.MaxPool(ops.pair(kernel), ops.pair(stride), pads)


LEAKY, CAPPED = ops.ReLU(negative_slope=np.array(0.2)), ops.ReLU(0.6)
PER_CHANNEL = ops.ReLU(0.8, np.array([0.1, -0.5, 0.0]).reshape(3, 1, 1))
CASES = {
    "capped": (MAP, lambda r: [conv(r), CAPPED]),
    "leaky": (MAP, lambda r: [conv(r), LEAKY]),
    "capped and leaky by channel": (MAP, lambda r: [conv(r), PER_CHANNEL]),
    "leaky at the end": ((5,), lambda r: [ops.Affine(normal(r, 4, 5), normal(r, 4)), LEAKY]),
    "absolute value": ((5,), lambda r: [
        ops.Affine(normal(r, 4, 5), normal(r, 4)), ops.ReLU(negative_slope=np.array(-1.0))]),
    "pool of a ReLU": (MAP, lambda r: [conv(r), ops.ReLU(), pool(2, 2)]),
    "pool in front of a ReLU": (MAP, lambda r: [conv(r), pool((3, 2), (3, 2)), ops.ReLU()]),
    "pool of a ReLU6": (MAP, lambda r: [conv(r), CAPPED, pool(2, 2), conv(r, 3), ops.ReLU()]),
    "pool of a leaky one": (MAP, lambda r: [conv(r), LEAKY, pool(2, 2), conv(r, 3), LEAKY]),
    "windows that overlap": (MAP, lambda r: [conv(r), ops.ReLU(), pool(3, 2, ((0, 1), (1, 1)))]),
    "padding of signed values": (MAP, lambda r: [conv(r), LEAKY, pool(2, 1, ((1, 0), (0, 1))), conv(r, 3)]),
    "padding in front of a ReLU": (MAP, lambda r: [conv(r), pool(2, 2, ((0, 0), (0, 1))), ops.ReLU()]),
    "pool of samples": (MAP, lambda r: [pool(2, 1), conv(r), ops.ReLU()]),
    "pool of everything": (MAP, lambda r: [conv(r), ops.ReLU(), pool((6, 7), 1)]),
    "pool of a dilated convolution": (
        MAP, lambda r: [conv(r, dilation=(1, 2), stride=(1, 2)), ops.ReLU(), pool(2, 2)]),
    "two pools": (MAP, lambda r: [conv(r), ops.ReLU(), pool(2, 2), pool((3, 1), 1)]),
    "pool of a sequence": ((2, 9), lambda r: [conv1(r), ops.ReLU(), ops.MaxPool((3,), (3,))]),
    "sequence that overlaps": ((2, 9), lambda r: [
        conv1(r), ops.ReLU(), ops.MaxPool((3,), (2,), ((1, 1),)), conv1(r, 3), ops.ReLU()]),
    "crop": (MAP, lambda r: [conv(r), ops.ReLU(), ops.Crop(((0, 1), (1, 0), (2, 1)))]),
    "transposed convolution": (MAP, lambda r: [conv(r), ops.ReLU(), ops.Stretch((1, 2, 3)), conv(r, 3)]),
    "permuted axes": (MAP, lambda r: [conv(r), ops.ReLU(), ops.Transpose((1, 0, 2)), conv(r, 6)]),
    "reshaped": (MAP, lambda r: [conv(r), ops.ReLU(), ops.Reshape((6, 3, 7)), conv(r, 6), ops.ReLU()]),
}  # fmt: skip


def network(case, rng):
    shape, make = CASES[case]
    graph = chain(
        ("in", ops.Input(shape)), *((f"n{i}", op) for i, op in enumerate(make(rng))), ("out", ops.Output(()))
    )
    size = graph.size(graph.sources("out")[0])
    steps = [*((n.name, n.op) for n in graph)][:-1]
    tail = [("flat", ops.Flatten()), ("fc", ops.Affine(normal(rng, 4, size) / np.sqrt(size), normal(rng, 4)))]
    return chain(*steps, *([] if case == "leaky at the end" else tail), ("out", ops.Output((4,))))


@pytest.mark.parametrize("capped", [True, False])
@pytest.mark.parametrize("case", CASES)
def test_the_form_computes_what_the_source_does(case, capped, rng):
    graph = network(case, rng)
    formed = fold(with_forms(fold(graph), capped=capped))
    kinds = [node.op for node in formed if isinstance(node.op, ops.ReLU | ops.MaxPool)]
    assert all(isinstance(op, ops.ReLU) and not op.negative_slope.any() for op in kinds)
    assert capped or all(op.is_plain for op in kinds)
    x = normal(rng, 20, *graph.shapes["in"])
    np.testing.assert_allclose(evaluate(formed, x), evaluate(graph, x), rtol=0, atol=1e-9)


def distance(graph, have, x):
    want = evaluate(graph, x)
    return np.sqrt(((have - want) ** 2).mean() / ((want - want.mean(axis=0)) ** 2).mean())


@pytest.mark.parametrize("case", CASES)
def test_spikes_come_closer_the_longer_they_are_counted(case, rng):
    graph, x = network(case, rng), rng.random((16, *CASES[case][0]))
    spiking = convert(graph, x, percentile=100.0, steps=32)
    short, long = (distance(graph, simulate(spiking, x, steps=n).outputs, x) for n in (32, 256))
    assert long < 0.1
    assert long < short / 2


@pytest.mark.parametrize("case", CASES)
def test_the_chips_emulator_follows(case, rng):
    graph, x = network(case, rng), rng.random((16, *CASES[case][0]))
    recording = stages.run(stages.compile(convert(graph, x, steps=64), "loihi1"), x)
    assert distance(graph, recording.outputs, x) < 0.5


def test_a_pool_of_two_by_two_behind_a_relu_costs_no_neuron_and_keeps_kernels_shared(rng):
    graph = chain(
        ("in", ops.Input((2, 8, 8))), ("conv", conv(rng)), ("relu", ops.ReLU()), ("pool", pool(2, 2)),
        ("conv2", conv(rng, 3)), ("relu2", ops.ReLU()), ("flat", ops.Flatten()),
        ("fc", ops.Affine(normal(rng, 4, 48), np.zeros(4))), ("out", ops.Output((4,))),
    )  # fmt: skip
    program = stages.compile(convert(graph, rng.random((16, 2, 8, 8)), steps=16), "loihi1")
    sizes = {p.name: p.size for p in program.populations if p.origin == "pool"}
    assert sum(sizes.values()) == 3 * 8 * 8
    maps = {(p.source, p.target): p.map for p in program.projections}
    assert all(isinstance(maps["encoder", name], ConvMap) for name in sizes)
    assert isinstance(maps["pool", "relu2"], ConvMap)


def test_the_populations_of_a_pool_share_their_thresholds(rng):
    graph, x = network("pool of a ReLU6", rng), rng.random((16, *MAP))
    spiking = convert(graph, x)
    unit = {n.name: n.unit for n in spiking.neurons if n.notes.get("pool")}
    first, second, last = unit.values()
    np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(last, np.minimum(first, CAPPED.max_value))


def test_a_cap_is_the_threshold_of_a_soft_reset_and_costs_no_neuron(rng):
    graph, x = network("capped", rng), rng.random((16, *MAP))
    spiking = convert(graph, x, percentile=100.0)
    assert [n.name for n in spiking.neurons] == ["encoder", "n1", "fc.sum"]
    assert np.max(spiking["n1"].unit) == CAPPED.max_value
    assert len(convert(graph, x, neuron="if").neurons) == 4


@pytest.mark.parametrize(
    ("name", "steps"), [("digits_vgg", 32), ("digits_leaky", 32), ("digits_mobilenet", 64)]
)
def test_networks_of_digits_keep_their_accuracy_on_the_chips_emulator(name, steps):
    graph = stages.load(ROOT / "models" / f"{name}.pt2")
    with np.load(ROOT / "models" / "digits.npz") as data:
        x, y = data["x_test"], data["y_test"]
        spiking = stages.convert(graph, calibration=data["x_train"], divide_by=16, steps=steps, samples=64)
    source = (evaluate(graph, graph.prepare(x / 16.0)).argmax(axis=1) == y).mean()
    recording = stages.run(stages.compile(spiking, "loihi1").raise_for_errors(), x)
    assert source - (recording.predictions == y).mean() <= 0.01


@pytest.mark.parametrize("case", ["crop", "pool of a sequence", "padding of signed values"])
def test_what_nir_has_a_word_for_stays_in_it(case, rng):
    graph, x = network(case, rng), rng.random((8, *CASES[case][0]))
    assert all(node.op.nir for node in convert(graph, x, steps=4))


@pytest.mark.parametrize("case", ["windows that overlap", "transposed convolution", "pool of a ReLU6"])
def test_nengo_gives_the_spikes_of_the_simulation(case, rng):
    graph, x = network(case, rng), rng.random((2, *CASES[case][0]))
    spiking = convert(graph, x, steps=16)
    have = stages.run(spiking, x, backend="nengo", steps=16).outputs
    np.testing.assert_allclose(have, simulate(spiking, x, steps=16).outputs, atol=1e-9)


def test_a_file_keeps_moves_of_values(rng, tmp_path):
    graph, x = network("transposed convolution", rng), rng.random((4, *MAP))
    spiking = convert(graph, x, steps=4)
    assert any(isinstance(node.op, ops.Stretch) for node in spiking)
    assert stages.load(stages.save(spiking, tmp_path / "n.nd")).digest() == spiking.digest()
