"""What a conversion did stands in the graph, is measured, and survives a file."""

import numpy as np
import pytest

import neurodeploy as nd
from neurodeploy.cli import main
from neurodeploy.cli.demo import model_path
from neurodeploy.demo_data import digits
from neurodeploy.ir.evaluate import evaluate
from neurodeploy.ir.simulate import simulate


@pytest.fixture(scope="module")
def x():
    return digits().x_train[:64]


@pytest.fixture(scope="module")
def spiking(x):
    return nd.convert(nd.load(model_path("digits_cnn")), calibration=x, steps=32)


@pytest.fixture(scope="module")
def found(spiking):
    return nd.report(spiking).figures["conversion"]


def test_errors_are_those_of_the_spiking_network_against_the_source(spiking, found, x):
    prepared = spiking.source.prepare(x)
    values = {}
    evaluate(spiking.source, prepared, watch=lambda name, value: values.update({name: value}))
    got = simulate(spiking, spiking.prepare(x), steps=32)
    checked = 0
    for node, row in zip(spiking.neurons, found["populations"], strict=True):
        if node.name not in values:
            continue
        heard = 32 - node.notes["latency"]
        error = got.rates[node.name] * 32 / heard * node.unit - values[node.name]
        size = np.sqrt(np.mean(values[node.name] ** 2))
        assert row["relative_error"] == pytest.approx(np.sqrt(np.mean(error**2)) / size, rel=1e-6)
        checked += 1
    assert checked >= 2


def test_every_layer_of_the_source_has_a_population_or_is_accounted_for(spiking, found):
    told = {pair["layer"].split(" (")[0] for pair in found["folded"]}
    told |= {what.removeprefix("softmax of ").split(" (")[0] for what in found["dropped"]}
    kept = {node.origin for node in spiking}
    assert {node.origin for node in spiking.source if node.layer} <= told | kept
    assert any("BatchNormalization" in pair["layer"] for pair in found["folded"])
    assert any(what.startswith("softmax") for what in found["dropped"])


def test_a_file_keeps_it_and_the_digest(spiking, found, tmp_path):
    again = nd.load(nd.save(spiking, tmp_path / "a.nd"))
    assert nd.report(again).figures["conversion"] == found
    assert again.digest() == spiking.digest()
    assert nd.load(nd.save(again, tmp_path / "b.nd")).digest() == spiking.digest()


def test_convert_prints_what_python_has_in_a_hundred_columns(x, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    np.savez("train.npz", x_train=x)
    convert = ("convert", str(model_path("digits_cnn")), "-o", "a.nd", "--calibration", "train.npz")
    assert main([*convert, "--neuron", "cuba-lif"]) == 0
    printed = capsys.readouterr().out
    text = nd.report(nd.load("a.nd")).layers()
    assert printed.startswith(text)
    assert text in str(nd.report(nd.load("a.nd")))
    assert "relative" in text
    assert "folded: " in text
    assert "left out: " in text
    assert max(map(len, printed.splitlines())) <= 100


def test_errors_on_random_samples_are_called_so_and_stale_ones_too(spiking):
    guessed = nd.convert(nd.load(model_path("digits_mlp")), samples=8, steps=8)
    assert "8 random samples, not of the data" in nd.report(guessed).layers()
    stale = nd.report(spiking.with_meta(tuned_epochs=1)).layers()
    assert stale.split()[-4:] == ["weights", "have", "changed", "since"]
