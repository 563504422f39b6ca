"""Adapting a converted network: the digits model learns permuted labels on the chip's emulator."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from neurodeploy import stages
from neurodeploy.backends import learn as learning
from neurodeploy.backends import plastic
from neurodeploy.backends.readout import last_layer, with_weight
from neurodeploy.demo_data import digits
from neurodeploy.errors import CompileError, DataError, OptionError
from neurodeploy.ir import ops
from neurodeploy.ir.evaluate import evaluate
from neurodeploy.ir.graph import Graph, Node
from neurodeploy.learning.pes import PES

MODELS = Path(__file__).resolve().parents[2] / "models"
MOVED = np.array([3, 7, 1, 9, 0, 2, 8, 4, 6, 5])
"""The label that every digit gets."""


@pytest.fixture(scope="module")
def split():
    return digits()


@pytest.fixture(scope="module")
def network(split):
    return stages.convert(stages.load(MODELS / "digits_mlp.keras"), calibration=split.x_train)


def accuracy(graph, split, labels):
    return stages.run(graph, split.x_test).accuracy(labels)


def test_the_digits_model_recovers_from_permuted_labels(network, split):
    assert accuracy(network, split, MOVED[split.y_test]) < 0.2
    told = []
    learned = stages.learn(network, split.x_train[:300], MOVED[split.y_train[:300]], curve=told.append)
    assert accuracy(learned, split, MOVED[split.y_test]) > 0.9
    assert told[0].right[:30].mean() < 0.5 < 0.8 < told[0].right[-100:].mean()
    assert told[0].error[-100:].mean() < told[0].error[:30].mean() / 2


def test_labels_that_are_right_already_change_little(network, split):
    learned = stages.learn(network, split.x_train[:60], split.y_train[:60])
    assert accuracy(learned, split, split.y_test) > 0.97


def test_learning_is_the_same_with_the_same_seed_and_another_with_another(network, split):
    def learned(seed):
        return stages.learn(network, split.x_train[:10], MOVED[split.y_train[:10]], seed=seed).digest()

    assert learned(1) == learned(1)
    assert learned(1) != learned(2)


def test_only_the_last_layer_changes(network, split):
    learned = stages.learn(network, split.x_train[:10], MOVED[split.y_train[:10]])
    assert [node.name for node in learned] == [node.name for node in network]
    changed = {node.name for node in learned if node.op is not network[node.name].op}
    assert changed == {"digit"}
    assert (learned["digit"].op.bias == network["digit"].op.bias).all()
    assert learned.meta["learn_rule"] == "pes"
    assert learned["digit.sum"].notes["peak_membrane"] > 0


def test_progress_reaches_the_total(network, split):
    seen = []
    stages.learn(
        network, split.x_train[:3], split.y_train[:3], passes=2, progress=lambda *now: seen.append(now)
    )
    assert seen == [(i, 6) for i in range(7)]


def test_a_rate_the_chip_rounds_to_zero_is_an_error_and_twice_as_much_is_not(network, split):
    layer = last_layer(network)
    dead = PES(rate=1.0)
    increment = plastic.scales(layer.weight, dead).increment / layer.slope
    edge = plastic.SMALLEST_INCREMENT / increment
    x, y = network.prepare(split.x_train[:2]), split.y_train[:2]
    with pytest.raises(CompileError, match=r"ND601.*no weight would change"):
        learning.learn_pes(network, x, y, rule=PES(rate=edge * 0.99))
    _, curve = learning.learn_pes(network, x, y, rule=PES(rate=edge * 1.01))
    assert not [d for d in curve.diagnostics if d.code in ("ND601", "ND602")]


def test_a_rate_beyond_the_register_is_a_warning(network, split):
    x, y = network.prepare(split.x_train[:2]), MOVED[split.y_train[:2]]
    _, curve = learning.learn_pes(network, x, y, rule=PES(rate=100.0))
    assert "ND602" in {d.code for d in curve.diagnostics}


@pytest.mark.parametrize(("room", "found"), [(1.0, {"ND603"}), (2.0, set())])
def test_weights_that_end_at_the_largest_code_are_a_warning(network, split, monkeypatch, room, found):
    monkeypatch.setattr(plastic, "ROOM", room)
    _, curve = learning.learn_pes(network, network.prepare(split.x_train[:2]), split.y_train[:2])
    assert {d.code for d in curve.diagnostics} & {"ND603"} == found


def test_spikes_that_traces_miss_are_a_note(network, split):
    _, curve = learning.learn_pes(network, network.prepare(split.x_train[:20]), split.y_train[:20])
    assert [(d.code, d.name) for d in curve.diagnostics] == [("ND604", "trace-spikes-lost")]


@pytest.mark.parametrize(
    ("change", "error", "told"),
    [
        ({"rule": "hebb"}, OptionError, "there is no learning rule 'hebb'; choose from pes"),
        ({"passes": 0}, OptionError, "passes is 0"),
        ({"y": [10, 0]}, DataError, "label 10 is none of the network's 10 classes, 0 to 9"),
    ],
)
def test_a_call_that_makes_no_sense_is_one_sentence(network, split, change, error, told):
    options = {"y": [1, 2], **change}
    with pytest.raises(error, match=told):
        stages.learn(network, split.x_train[:2], **options)


def test_pooling_before_the_last_layer_becomes_part_of_the_learned_weights(rng):
    graph = pooled(rng)
    layer = last_layer(graph)
    again = with_weight(graph, layer, layer.weight)
    assert [node.op.kind for node in again] == ["Input", "IF", "Flatten", "Affine", "I", "Output"]
    x = rng.random((4, 2, 4, 4))
    assert np.allclose(evaluate(again, x), evaluate(graph, x))


def pooled(rng):
    fire = ops.IF(np.array(1e3), np.array(1.0), reset="subtract")
    nodes = (
        Node("x", ops.Input((2, 4, 4))),
        Node("encoder", fire, notes={"role": "encoder"}),
        Node("pool", ops.AvgPool2d((2, 2), (2, 2))),
        Node("flat", ops.Flatten()),
        Node("fc", ops.Affine(rng.normal(size=(3, 8)), rng.normal(size=3))),
        Node("sum", ops.I(np.array(1e3))),
        Node("y", ops.Output((3,))),
    )
    return Graph(nodes, tuple(pairwise(node.name for node in nodes)))
