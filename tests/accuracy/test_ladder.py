"""The accuracy ladder: every cause is planted and found, and a sound network has none."""

import dataclasses
import json

import numpy as np
import pytest

import neurodeploy as nd
from neurodeploy.accuracy import ladder
from neurodeploy.demo_data import digits
from neurodeploy.errors import OptionError
from neurodeploy.ir.evaluate import evaluate
from tests.accuracy import plants
from tests.conversion.graphs import perceptron, residual

RUNGS = ["source model", "folded", "balanced rate", "spiking", "quantised", "loihi-emulator"]


@pytest.fixture(scope="module")
def data():
    return digits()


@pytest.fixture(scope="module")
def mlp(data):
    from neurodeploy.cli.demo import model_path

    return nd.convert(nd.load(model_path("digits_mlp")), calibration=data.x_train)


def random_network(seed=1):
    """A network whose outputs lie so close together that small errors count; and samples."""
    rng = np.random.default_rng(seed)
    source, x = perceptron((12, 40, 8), rng), rng.random((200, 12))
    return nd.convert(source, calibration=x), x


def cause(report, code):
    """Check that a cause is named, with numbers and a command."""
    found = report.figures["cause"]
    assert found is not None, str(report)
    assert found["code"] == code, str(report)
    assert found["facts"]["used"] >= 0.5 * found["facts"]["limit"] > 0
    assert f"[{code}]" in str(report)
    assert "neurodeploy" in found["remedy"]
    return found


def test_a_sound_network_climbs_all_rungs_and_no_cause_is_named(mlp, data):
    report = ladder(mlp, data.x_test[:200], data.y_test[:200])
    assert [rung["rung"] for rung in report.figures["rungs"]] == RUNGS
    assert report.figures["cause"] is None
    assert report.figures["tried"] == []
    assert report.figures["rungs"][-1]["accuracy"] >= 0.97
    assert any(words in str(report) for words in ("no more than chance makes", "nothing is lost"))


def test_folding_changes_nothing_and_errors_grow_from_rate_to_spikes(mlp, data):
    rungs = ladder(mlp, data.x_test[:50], data.y_test[:50]).figures["rungs"]
    assert max(rungs[1]["errors"].values()) < 1e-12
    assert rungs[3]["output_error"] > 1e-3
    assert rungs[3]["spikes_per_sample"] > 100


def test_saturation_is_named(rng):
    spiking, x = random_network()
    found = cause(ladder(plants.with_busy(spiking, "fc0.relu", 8), x), "ND261")
    assert found["place"]["layer"] == "fc0"
    assert found["facts"]["share"] > 0.02
    assert "--rate" in found["remedy"]


def test_dead_units_are_named(mlp, data):
    slow = nd.convert(mlp.source, calibration=data.x_train, neuron="if", rate=0.004)
    found = cause(ladder(slow, data.x_test[:100], data.y_test[:100]), "ND262")
    assert found["facts"]["count"] > 50
    assert "--rate 0.5" in found["remedy"]


def test_too_few_steps_are_named():
    spiking, x = random_network()
    found = cause(ladder(spiking, x, steps=16), "ND263")
    assert found["facts"]["error_longer"] < found["facts"]["error"]
    assert "--steps 64" in found["remedy"]


def test_weight_rounding_is_named(mlp, data):
    program = nd.compile(mlp, weight_bits=2)
    found = cause(ladder(program, data.x_test[:200], data.y_test[:200]), "ND264")
    assert found["facts"]["bits"] == 2
    assert found["facts"]["share"] > 0.3


def test_thresholds_that_moved_are_named(mlp, data, rng):
    hard = nd.convert(mlp.source, calibration=data.x_train, neuron="if")
    program = plants.with_thresholds(nd.compile(hard), "fc2.relu", rng)
    found = cause(ladder(program, data.x_test[:200], data.y_test[:200]), "ND265")
    assert found["place"]["layer"] == "fc2"
    assert found["facts"]["share"] > 0.5


def test_a_transient_is_named(mlp, data):
    late = plants.with_relays(mlp, 22)
    found = cause(ladder(late, data.x_test[:60], data.y_test[:60], steps=30), "ND266")
    assert found["facts"]["depth"] == 25


def test_pooling_is_named(rng):
    source, spiking, x = plants.pooled(rng)
    found = cause(ladder(spiking, x, source=source), "ND267")
    assert found["place"]["layer"] == "pool"
    assert found["facts"]["share"] > found["facts"]["before"]


def test_a_maximum_whose_tree_does_not_work_is_named(rng):
    source, _, x = plants.pooled(rng)
    bias = -evaluate(source, source.prepare(x)).mean(axis=0)  # so that decisions hang on the sample
    spiking = nd.convert(
        source.with_node("fc", op=dataclasses.replace(source["fc"].op, bias=bias)), calibration=x
    )
    assert ladder(spiking, x[:40]).figures["cause"] is None
    found = cause(ladder(plants.with_silent_tree(spiking, "pool"), x), "ND267")
    assert found["place"]["layer"] == "pool"


def test_residual_imbalance_is_named():
    rng = np.random.default_rng(0)
    x = rng.random((200, 12))
    spiking = nd.convert(residual(rng, size=12), calibration=x, neuron="if")
    found = cause(ladder(plants.with_branch(spiking, 3.0), x), "ND268")
    assert found["facts"]["share"] == pytest.approx(3, rel=0.2)


def test_an_overflow_is_named(rng):
    spiking, x = plants.wrapping(rng)
    report = ladder(spiking, x)
    assert cause(report, "ND269")["facts"]["count"] > 0
    assert report.figures["drop"]["to"] == "loihi-emulator"


def test_an_encoder_that_resets_to_zero_is_named():
    spiking, x = random_network()
    found = cause(ladder(spiking, x, input_coding="bias"), "ND271")
    assert found["place"]["layer"] == "in"
    assert "--input-coding rate" in found["remedy"]


def test_a_loss_that_no_experiment_explains_is_said_to_be_one(rng):
    spiking, x = random_network()
    report = ladder(spiking, x, source=perceptron((12, 40, 8), rng))
    assert report.figures["cause"]["code"] == "ND270"
    assert "none of 3 experiments explains half of them" in str(report)


def test_labels_are_not_needed(mlp, data):
    report = ladder(mlp, data.x_test[:20])
    assert report.figures["labelled"] is False
    assert report.figures["rungs"][0]["accuracy"] == 1
    assert "agreement with the source" in str(report)


def test_a_target_that_keeps_floats_ends_with_spikes(mlp, data):
    rungs = ladder(mlp, data.x_test[:20], target="spinnaker2").figures["rungs"]
    assert [rung["rung"] for rung in rungs] == RUNGS[:4]


def test_figures_are_json_and_a_report_is_written(mlp, data, tmp_path):
    report = ladder(mlp, data.x_test[:20], data.y_test[:20])
    files = report.save(tmp_path)
    assert [path.name for path in files] == ["ladder.png", "ladder.json", "ladder.txt"]
    assert json.loads(files[1].read_text())["rungs"] == report.figures["rungs"]
    assert files[0].read_bytes()[:4] == b"\x89PNG"


def test_a_network_without_its_source_is_refused_with_what_helps(mlp, data):
    import dataclasses

    bare = dataclasses.replace(mlp, source=None)
    with pytest.raises(OptionError, match="--source"):
        ladder(bare, data.x_test[:5])
    with pytest.raises(OptionError, match="spiking network"):
        ladder(bare, data.x_test[:5], source=mlp)
    with pytest.raises(OptionError, match="not its source"):
        ladder(bare, data.x_test[:5], source=perceptron((64, 4), np.random.default_rng(0)))
