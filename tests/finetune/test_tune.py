"""Fine-tuning in nengo-dl: the layer is the graph, training is deterministic and resumable, and it helps."""

import sys

import numpy as np
import pytest

import neurodeploy as nd
from neurodeploy.cli import main
from neurodeploy.cli.demo import model_path
from neurodeploy.demo_data import digits
from neurodeploy.errors import DataError, MissingExtra, OptionError
from neurodeploy.finetune import tune
from neurodeploy.finetune.fit import fit_to_run
from neurodeploy.finetune.layer import make_layer, trained_nodes
from neurodeploy.finetune.loop import Epoch, best_of, split, weight_bits, with_parameters
from neurodeploy.ir import ops
from neurodeploy.ir.evaluate import apply, evaluate
from neurodeploy.ir.simulate import simulate
from tests.conversion.graphs import chain, perceptron, residual


def image_network(rng):
    """Every op that is tuned: convolutions of all kinds, pools, a scale."""
    kernels = rng.normal(size=(4, 1, 3, 3)), rng.normal(size=(8, 2, 3, 3)) / 3
    return chain(
        ("in", ops.Input((1, 10, 10))),
        ("conv", ops.Conv2d(kernels[0], rng.normal(size=4), (1, 1), (1, 1))), ("relu", ops.ReLU()),
        ("pool", ops.AvgPool2d((2, 2), (2, 2))),
        ("grouped", ops.Conv2d(kernels[1], np.zeros(8), (1, 1), (1, 2), (1, 2), 2)), ("relu2", ops.ReLU()),
        ("sum", ops.SumPool2d((3, 3), (2, 2), (1, 1))), ("flat", ops.Flatten()),
        ("fc", ops.Affine(rng.normal(size=(3, 72)), np.zeros(3))), ("out", ops.Output((3,))),
    )  # fmt: skip


def sequence_network(rng):
    return chain(
        ("in", ops.Input((2, 12))), ("conv", ops.Conv1d(rng.normal(size=(4, 2, 3)), np.zeros(4), 2, 1)),
        ("relu", ops.ReLU()), ("flat", ops.Flatten()),
        ("fc", ops.Affine(rng.normal(size=(3, 24)), np.zeros(3))), ("out", ops.Output((3,))),
    )  # fmt: skip


def moved_network(rng):
    """Max pooling, a cap that no sample reaches, and values that move."""
    return chain(
        ("in", ops.Input((1, 6, 6))),
        ("conv", ops.Conv2d(rng.normal(size=(2, 1, 3, 3)), np.zeros(2), (1, 1), (1, 1))),
        ("relu", ops.ReLU(50.0)), ("pool", ops.MaxPool((2, 2), (2, 2))), ("turn", ops.Transpose((1, 0, 2))),
        ("wide", ops.Stretch((1, 2, 1))), ("conv2", ops.Conv2d(rng.normal(size=(2, 3, 2, 2)), np.zeros(2))),
        ("relu2", ops.ReLU()), ("flat", ops.Flatten()),
        ("fc", ops.Affine(rng.normal(size=(3, 8)), np.zeros(3))), ("out", ops.Output((3,))),
    )  # fmt: skip


NETWORKS = {
    "moves": (moved_network, (1, 6, 6)),
    "images": (image_network, (1, 10, 10)),
    "sequences": (sequence_network, (2, 12)),
    "shortcut": (lambda rng: residual(rng), (6,)),
}


@pytest.mark.keras
@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("signed", [False, True])
def test_without_training_the_layer_is_the_graph(name, signed, rng):
    from neurodeploy.backends.adapter import nengo_dl_module

    nengo_dl_module()
    import tensorflow as tf
    import tf_keras as keras

    make, shape = NETWORKS[name]
    x = rng.random((6, *shape)) - 0.5 * signed
    graph = nd.convert(make(rng), calibration=x, steps=16)
    bits = dict.fromkeys(trained_nodes(graph), 8)
    layer = make_layer(keras, tf, graph, bits=bits, steps=16, spikes=1.0)
    flat = np.concatenate([graph.prepare(x).reshape(6, -1), np.full((6, 1), 5.0)], axis=1)
    got = layer(tf.constant(flat, tf.float32)).numpy()
    out = graph[graph.sources(graph.output.name)[0]]
    np.testing.assert_allclose(got[:, :-1], evaluate(graph, graph.prepare(x)) * out.unit, atol=1e-4)
    noisy = layer(tf.constant(flat, tf.float32), training=True).numpy()
    again = layer(tf.constant(flat, tf.float32), training=True).numpy()
    assert not np.allclose(noisy, got)
    np.testing.assert_array_equal(noisy, again)
    assert np.allclose(noisy[:, -1], noisy[:, -1].round())  # whole spikes


@pytest.fixture(scope="module")
def data():
    return digits()


@pytest.fixture(scope="module")
def narrow(data):
    """Digits for 16 steps and weights of 3 bits, which cost it several points."""
    graph = nd.load(model_path("digits_mlp"))
    return nd.convert(graph, calibration=data.x_train, steps=16).with_meta(weight_bits=2)


@pytest.mark.keras
def test_tuning_brings_back_what_rounding_cost(narrow, data):
    seen = []
    tuned = tune(narrow, data.x_train, data.y_train, epochs=2, learning_rate=2e-3, after=seen.append)
    before, after = tuned.epochs[0].accuracy, tuned.epochs[tuned.best].accuracy
    assert after >= before + 0.03
    assert [e.number for e in seen] == [1, 2]
    right = [nd.run(g, data.x_test).accuracy(data.y_test) for g in (narrow, tuned.graph)]
    assert right[1] > right[0]
    assert tuned.graph.source is narrow.source
    assert tuned.graph.meta["tuned_epochs"] == tuned.best


@pytest.mark.keras
def test_a_seed_gives_one_result_and_a_resumed_run_gives_the_same(narrow, data, tmp_path):
    told = {"epochs": 2, "learning_rate": 1e-3, "seed": 3}
    x, y = data.x_train[:300], data.y_train[:300]
    whole = tune(narrow, x, y, **told)

    def stop(epoch):
        raise KeyboardInterrupt

    place = tmp_path / "tuning.npz"
    with pytest.raises(KeyboardInterrupt):
        tune(narrow, x, y, checkpoint=place, after=stop, **told)
    assert place.exists()
    with pytest.raises(DataError, match="samples or options"):
        tune(narrow, x, y, checkpoint=place, resume=True, **{**told, "seed": 4})
    resumed = tune(narrow, x, y, checkpoint=place, resume=True, **told)
    assert not place.exists()
    assert resumed.epochs == whole.epochs
    assert resumed.graph.digest() == whole.graph.digest()


@pytest.mark.keras
def test_the_command_prints_every_epoch_and_writes_the_best(narrow, data, tmp_path, capsys):
    nd.save(narrow, tmp_path / "a.nd")
    np.savez(tmp_path / "d.npz", x_train=data.x_train, y_train=data.y_train)
    tuning = ["tune", str(tmp_path / "a.nd"), "--data", str(tmp_path / "d.npz"), "-o", str(tmp_path / "b.nd")]
    assert main([*tuning, "--epochs", "1", "--limit", "300", "--learning-rate", "0.002"]) == 0
    out = capsys.readouterr().out
    assert "before" in out
    assert "held-out training samples, on the emulator of loihi1" in out
    assert nd.load(tmp_path / "b.nd").source is not None
    assert not list(tmp_path.glob("*.tuning.npz"))


def test_without_tensorflow_one_sentence_says_how_to_add_it(narrow, data, monkeypatch):
    from neurodeploy.backends import adapter
    from neurodeploy.finetune import session

    monkeypatch.setitem(sys.modules, "tensorflow", None)
    monkeypatch.setattr(adapter, "find_spec", lambda name: None)
    monkeypatch.setattr(session, "nengo_dl_module", adapter.nengo_dl_module.__wrapped__)
    with pytest.raises(MissingExtra, match=r"tensorflow is not installed.*pip install 'neurodeploy\[dl\]'"):
        tune(narrow, data.x_train[:100], data.y_train[:100])


def test_what_has_no_form_is_refused_by_name(data, rng):
    graph = nd.convert(perceptron((6, 5, 3), rng), calibration=rng.random((30, 6)), neuron="lif")
    with pytest.raises(OptionError, match="'fc0' becomes LIF"):
        tune(graph, rng.random((50, 6)), np.zeros(50, int))


@pytest.mark.parametrize("options", [{"epochs": 0}, {"learning_rate": 0.0}, {"rate_penalty": -1.0}])
def test_options_that_make_no_sense_are_refused(options, narrow, data):
    with pytest.raises(OptionError):
        tune(narrow, data.x_train[:100], data.y_train[:100], **options)


def test_no_sample_both_trains_and_measures():
    train, held = split(1000, 32, seed=1)
    assert sorted([*train, *held]) == list(range(1000))
    with pytest.raises(DataError, match="too few"):
        split(30, 32, seed=1)


def test_bits_are_the_compilers_and_parameters_come_back_into_their_layers(rng):
    graph = nd.convert(image_network(rng), calibration=rng.random((20, 1, 10, 10)), steps=16)
    bits = weight_bits(nd.compile(graph, layer_bits={"fc": 4}))
    assert bits["fc"] == 4
    assert {b for name, b in bits.items() if name != "fc"} == {8}
    values = [v + 1 for name in trained_nodes(graph) for v in (graph[name].op.weight, graph[name].op.bias)]
    changed = with_parameters(graph, values)
    for name in trained_nodes(graph):
        np.testing.assert_allclose(changed[name].op.weight, graph[name].op.weight + 1)


def test_of_equally_good_epochs_the_one_with_fewest_spikes_is_best():
    epochs = [Epoch(0, None, 0.9, 50.0), Epoch(1, 0.1, 0.95, 70.0), Epoch(2, 0.1, 0.95, 60.0)]
    assert best_of(epochs) == 2
    assert best_of(epochs[:1]) == 0


def test_a_damaged_checkpoint_is_said_so(tmp_path):
    from neurodeploy.finetune.loop import _read

    (tmp_path / "c.npz").write_bytes(b"none")
    with pytest.raises(DataError, match="no checkpoint"):
        _read(tmp_path / "c.npz", "key")


@pytest.mark.parametrize("name", [n for n in NETWORKS if n != "moves"])  # too deep for 12 steps
def test_fitted_rates_are_on_average_what_the_run_gives(name, rng):
    make, shape = NETWORKS[name]
    x = rng.random((20, *shape))
    graph = nd.convert(make(rng), calibration=x, steps=12)
    got = simulate(graph, graph.prepare(x), steps=12)
    fit = fit_to_run(graph, graph.prepare(x), steps=12)
    out = graph[graph.sources(graph.output.name)[0]]
    seen = {}

    def driven(node, total):
        value = apply(node.op, total + fit[node.name].offset, dt=graph.dt) * fit[node.name].gain
        seen[node.name] = value
        return value

    values = {}
    for node in graph.nodes:
        total = sum(values[s] for s in graph.sources(node.name)) if values else graph.prepare(x)
        values[node.name] = driven(node, total) if node.op.stateful else apply(node.op, total, dt=graph.dt)
    for population, rate in got.rates.items():
        assert np.mean(seen[population]) == pytest.approx(np.mean(rate), rel=0.15)
    error = np.linalg.norm(seen[out.name] * out.unit - got.outputs) / np.linalg.norm(got.outputs)
    assert error < 0.3
