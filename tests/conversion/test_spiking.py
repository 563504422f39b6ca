import numpy as np
import pytest

from neurodeploy.conversion import convert, kinds
from neurodeploy.conversion.fold import fold
from neurodeploy.errors import ConvertError, DataError, OptionError
from neurodeploy.ir import ops
from neurodeploy.ir.evaluate import evaluate
from neurodeploy.ir.graph import Graph
from neurodeploy.ir.simulate import simulate
from neurodeploy.ir.verify import verify
from tests.conversion.graphs import chain, normal, perceptron, residual


def error(graph, spiking, x, steps=64):
    """Relative error of the outputs, and the share of decisions that are the source's."""
    want = evaluate(graph, x, logits=True)
    have = simulate(spiking, x, steps=steps).outputs
    return np.sqrt(((have - want) ** 2).mean() / (want**2).mean()), (have.argmax(1) == want.argmax(1)).mean()


@pytest.fixture
def network(rng):
    return perceptron((12, 20, 16, 4), rng)


@pytest.mark.parametrize("neuron", kinds.KINDS)
def test_every_kind_of_neuron_follows_the_source_on_new_samples(network, rng, neuron):
    spiking = convert(network, rng.random((200, 12)), neuron=neuron, steps=100)
    relative, agreement = error(network, spiking, rng.random((300, 12)), steps=100)
    assert relative < 0.2
    assert agreement > 0.9
    assert spiking.meta["neuron"] == neuron


def test_progress_is_told_while_populations_are_stepped(network, rng):
    told = []
    convert(network, rng.random((8, 12)), steps=200, progress=lambda done, total: told.append((done, total)))
    done, totals = zip(*told, strict=True)
    assert set(totals) == {4 * 200}  # an encoder and three layers
    assert list(done) == sorted(done)
    assert len([d for d in done if 200 < d < 400]) >= 2  # also within a layer


def test_more_steps_bring_a_soft_reset_closer_to_the_source(network, rng):
    x = rng.random((200, 12))
    errors = [
        error(network, convert(network, x, neuron="if-soft", rate=1.0, steps=steps), x, steps)[0]
        for steps in (16, 64, 256)
    ]
    assert errors[0] > 2 * errors[1] > 4 * errors[2]


def test_what_a_hard_reset_loses_is_made_up_for(network, rng):
    x = rng.random((200, 12))
    spiking = convert(network, x, neuron="if", rate=1.0)
    want, have = evaluate(network, x), simulate(spiking, x, steps=64).outputs
    assert spiking["fc1.relu"].notes["gain"] < 0.9
    assert np.vdot(want, have) / np.vdot(want, want) == pytest.approx(1, abs=0.05)


def test_signed_samples_get_a_channel_for_each_sign(network, rng):
    x = normal(rng, 200, 12)
    spiking = convert(network, x)
    assert spiking.shapes["encoder"] == (24,)
    assert error(network, spiking, x)[1] > 0.9


@pytest.mark.parametrize("shape", [(2, 9), (3, 6, 5)])
def test_signed_images_and_sequences_keep_their_shape(rng, shape):
    weight = normal(rng, 3, 2 * shape[0] // 2, *(3,) * (len(shape) - 1))
    conv = (ops.Conv1d if len(shape) == 2 else ops.Conv2d)(weight, np.zeros(3))
    size = int(np.prod(conv.out_shape(shape)))
    graph = chain(
        ("in", ops.Input(shape)), ("conv", conv), ("relu", ops.ReLU()), ("flat", ops.Flatten()),
        ("fc", ops.Affine(normal(rng, 4, size), np.zeros(4))), ("out", ops.Output((4,))),
    )  # fmt: skip
    x = normal(rng, 100, *shape)
    spiking = convert(graph, x)
    assert spiking.shapes["encoder"] == (2 * shape[0], *shape[1:])
    assert error(graph, spiking, x)[1] > 0.85


def test_a_shortcut_is_balanced_on_both_branches(rng):
    graph, x = residual(rng), rng.random((200, 6))
    assert error(graph, convert(graph, x, rate=0.8, steps=200), x, 200)[0] < 0.15


def test_pooling_straight_in_front_of_an_activation_converts(rng):
    graph = chain(
        ("in", ops.Input((2, 4, 4))), ("pool", ops.AvgPool2d((2, 2), (2, 2))), ("relu", ops.ReLU()),
        ("flat", ops.Flatten()), ("fc", ops.Affine(normal(rng, 3, 8), np.zeros(3))),
        ("out", ops.Output((3,))),
    )  # fmt: skip
    x = rng.random((100, 2, 4, 4))
    assert error(graph, convert(graph, x), x)[1] > 0.85


def test_an_activation_on_the_input_itself_converts(rng):
    graph = chain(
        ("in", ops.Input((6,))), ("relu", ops.ReLU()), ("fc", ops.Affine(normal(rng, 3, 6), np.zeros(3))),
        ("out", ops.Output((3,))),
    )  # fmt: skip
    x = normal(rng, 100, 6)
    assert error(graph, convert(graph, x), x)[1] > 0.85


def test_two_layers_without_an_activation_between_them_stay_linear(rng):
    graph = chain(
        ("in", ops.Input((6,))), ("a", ops.Affine(normal(rng, 2, 6), normal(rng, 2))),
        ("b", ops.Affine(normal(rng, 7, 2), normal(rng, 7))), ("out", ops.Output((7,))),
    )  # fmt: skip
    x = rng.random((100, 6))
    spiking = convert(graph, x)
    assert len(spiking.neurons) == 2
    assert error(graph, spiking, x)[0] < 0.1


def test_a_network_that_ends_in_an_activation_is_read_from_its_spikes(rng):
    graph = perceptron((6, 8, 5), rng, relu_last=True)
    spiking = convert(graph, rng.random((100, 6)))
    assert spiking.meta["output"] == "spikes"
    assert spiking.neurons[-1].name == "fc1.relu"


def test_outputs_read_from_spikes_decide_like_the_source(network, rng):
    x = rng.random((200, 12))
    want = evaluate(network, x).argmax(1)
    result = simulate(convert(network, x, output="spikes", rate=1.0, steps=200), x, steps=200)
    assert (result.predictions == want).mean() > 0.85


def test_outputs_that_are_all_negative_are_raised_before_they_are_read_from_spikes(network, rng):
    last = network["fc2"].op
    low = network.with_node("fc2", op=ops.Affine(last.weight, last.bias - 50.0))
    x = rng.random((200, 12))
    spiking = convert(low, x, output="spikes", rate=1.0, steps=200)
    assert spiking.neurons[-1].notes["shift"] > 0
    assert (simulate(spiking, x, steps=200).predictions == evaluate(low, x).argmax(1)).mean() > 0.7


def test_the_spiking_graph_evaluates_to_what_the_source_does(network, rng):
    x = rng.random((200, 12))
    spiking = convert(network, x, rate=1.0)
    want = evaluate(network, x)
    have = evaluate(spiking, x) * spiking.neurons[-1].unit
    assert np.sqrt(((have - want) ** 2).mean() / (want**2).mean()) < 0.2


def test_what_was_measured_is_noted(network, rng):
    spiking = convert(network, rng.random((50, 12)), percentile=99.0, rate=0.25, steps=32, seed=3)
    assert verify(spiking, form="spiking") is spiking
    assert {k: spiking.meta[k] for k in ("percentile", "rate", "steps", "seed", "calibration_samples")} == {
        "percentile": 99.0, "rate": 0.25, "steps": 32, "seed": 3, "calibration_samples": 50,
    }  # fmt: skip
    notes = spiking["fc0.relu"].notes
    assert 0 < notes["rate_mean"] < 0.25
    assert notes["peak_drive"] > 0
    assert notes["saturated_units"] == 0


def test_units_that_never_spike_and_units_that_always_do_are_counted(rng):
    weight = np.array([[1.0, 0], [0, 1], [1e-3, 0]])
    graph = chain(
        ("in", ops.Input((2,))), ("a", ops.Affine(weight, np.zeros(3))), ("r", ops.ReLU()),
        ("b", ops.Affine(normal(rng, 2, 3), np.zeros(2))), ("out", ops.Output((2,))),
    )  # fmt: skip
    spiking = convert(graph, np.ones((4, 2)), percentile=50.0, rate=1.0, steps=50)
    assert spiking["r"].notes["dead_units"] == 1


def test_the_same_call_gives_the_same_graph_and_another_seed_other_samples(network, rng):
    x = rng.random((600, 12))
    first, again, other = (convert(network, x, seed=seed).digest() for seed in (1, 1, 2))
    assert first == again != other


@pytest.mark.parametrize("lowest", [0.0, -1.0])
def test_the_users_layer_names_survive(network, rng, lowest):
    spiking = convert(network, rng.uniform(lowest, 1, (50, 12)))
    assert {n.origin for n in spiking} == {"in", "fc0", "fc1", "fc2", "out"}
    assert {"fc0", "fc1", "fc2"} < {n.name for n in spiking}


REFUSED = {
    "affine": [
        ("in2", ops.Reshape((2, 2))), ("a", ops.Affine(np.ones((3, 2)), np.zeros(3)), "attend", "Dense"),
        ("r", ops.ReLU()), ("f", ops.Flatten()), ("fc", ops.Affine(np.ones((2, 6)), np.zeros(2))),
    ],
    "softmax": [
        ("soft", ops.Softmax(), "attend", "Softmax"), ("fc", ops.Affine(np.ones((2, 4)), np.zeros(2))),
    ],
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_a_layer_without_a_spiking_form_is_refused_by_the_users_name(case):
    graph = chain(("in", ops.Input((4,))), *REFUSED[case], ("out", ops.Output((2,))))
    with pytest.raises(ConvertError, match="layer 'attend'"):
        convert(graph, np.ones((3, 4)))


def test_a_recurrent_rate_network_is_refused_by_the_users_name(network):
    looped = Graph(network.nodes, (*network.edges, ("fc1.relu", "fc1.relu")))
    with pytest.raises(ConvertError, match="layer 'fc1' feeds back into 'fc1'"):
        convert(looped, np.ones((3, 12)))


def test_a_spiking_network_is_not_converted_twice(network, rng):
    with pytest.raises(ConvertError, match="has neurons already"):
        convert(convert(network, rng.random((20, 12))), rng.random((20, 12)))


@pytest.mark.parametrize(
    "options",
    [
        {"rate": 0.0},
        {"rate": 1.01},
        {"percentile": 0.0},
        {"percentile": 100.5},
        {"steps": 0},
        {"neuron": "hh"},
        {"output": "x"},
    ],
)
def test_options_that_make_no_sense_are_refused(network, options):
    with pytest.raises(OptionError):
        convert(network, np.ones((3, 12)), **options)


@pytest.mark.parametrize("samples", [np.zeros((0, 12)), np.zeros((5, 12))])
def test_samples_that_say_nothing_are_refused(network, samples):
    with pytest.raises(DataError):
        convert(network, samples)


def test_a_flatten_of_channels_last_images_costs_no_op(rng):
    graph = chain(
        ("in", ops.Input((2, 3, 3), (3, 3, 2), (2, 0, 1))), ("t", ops.Transpose((1, 2, 0))),
        ("f", ops.Flatten()),
        ("fc", ops.Affine(normal(rng, 3, 18), np.zeros(3))), ("out", ops.Output((3,))),
    )  # fmt: skip
    x = rng.random((50, 2, 3, 3))
    spiking = convert(graph, x)
    assert all(n.op.nir for n in spiking)
    assert error(fold(graph), spiking, fold(graph).prepare(x.transpose(0, 2, 3, 1)))[0] < 0.1
