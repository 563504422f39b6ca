"""Converted networks that go on learning in the chip's integers: last layers, all layers, from the shell."""

import json

import numpy as np
import pytest

from neurodeploy import stages
from neurodeploy.backends import deep as teaching
from neurodeploy.backends import learn_deep
from neurodeploy.cli import main
from neurodeploy.demo_data import digits
from neurodeploy.errors import CompileError, OptionError
from neurodeploy.kernels import online

ALL = ("fc1", "fc2", "digit")


@pytest.fixture(scope="module")
def split():
    return digits()


@pytest.fixture(scope="module")
def network(split):
    return stages.convert(stages.load("models/digits_mlp.keras"), calibration=split.x_train[:256])


def right(graph, split, classes=range(10)):
    found = stages.run(graph, split.x_test).predictions == split.y_test
    return found[np.isin(split.y_test, list(classes))].mean()


def test_a_converted_network_enters_the_circuit_as_it_is(network, split):
    """Before any learning, the circuit answers as the converted network does."""
    for layers in ((), ALL):
        part = learn_deep.stack(network, layers)
        shown = learn_deep.features(network, part, network.prepare(split.x_test))
        wired, _ = learn_deep._circuit(
            part, shown, "dfa", learn_deep.default_setup(stages.target("loihi1")), anew=False, seed=0
        )
        assert teaching.accuracy(teaching.begin(wired), shown, split.y_test) > 0.95


def test_learning_on_leaves_what_is_known_and_the_chip_runs_the_result(network, split):
    learned = stages.learn(network, split.x_train[:300], split.y_train[:300], rule="delta")
    changed = {n.name for n in learned if n.op is not network[n.name].op}
    assert changed == {"digit"}
    assert right(learned, split) > 0.95
    assert learned.meta["learn_rule"] == "delta"


def test_a_network_learns_from_scratch_and_the_emulator_agrees_with_the_circuit(network, split):
    curves = []
    learned = stages.learn(
        network, split.x_train, split.y_train, rule="dfa", layers=ALL, anew=True, passes=3,
        target="loihi2", curve=curves.append,
    )  # fmt: skip
    assert curves[0].right[-500:].mean() > 0.85
    assert right(learned, split) > 0.88
    assert curves[0].per_sample["weights_changed"] > 0


def test_interrupted_learning_goes_on_to_the_same_file(network, split, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(teaching, "PORTION", 64)
    stages.save(network, tmp_path / "d.nd")
    np.savez(tmp_path / "d.npz", x=split.x_train[:200], y=split.y_train[:200])
    kept = tmp_path / "b.nd.learning.npz"

    def command(out, *more):
        return main(["learn", str(tmp_path / "d.nd"), "--rule", "dfa", "--layers", "fc2,digit", "--data",
                     str(tmp_path / "d.npz"), "--epochs", "2", "-o", str(tmp_path / out), *more])  # fmt: skip

    assert command("a.nd", "--json", str(tmp_path / "a.json"), "--picture", str(tmp_path / "a.png")) == 0
    real, calls = online.run, []

    def stops(*args, **options):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return real(*args, **options)

    monkeypatch.setattr(online, "run", stops)
    assert command("b.nd") == 130
    assert kept.is_file()
    monkeypatch.setattr(online, "run", real)
    assert command("b.nd", "--resume") == 0
    assert not kept.exists()
    assert stages.load(tmp_path / "a.nd").digest() == stages.load(tmp_path / "b.nd").digest()
    found = json.loads((tmp_path / "a.json").read_text())
    assert found["curve"][-1][0] == 400
    assert (tmp_path / "a.png").read_bytes()[:4] == b"\x89PNG"
    assert "the same command with --resume" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ({"rule": "backprop"}, OptionError, "copies weights"),
        ({"rule": "dfa", "layers": ("fc1",)}, OptionError, "not the last dense ones"),
        ({"rule": "dfa", "input_coding": "poisson"}, OptionError, "as rates"),
        ({"rule": "dfa", "target": "speck2e"}, CompileError, "ND605"),
    ],
)
def test_what_cannot_be_learned_is_refused(network, split, options, error, said):
    with pytest.raises(error, match=said):
        stages.learn(network, split.x_train[:5], split.y_train[:5], **options)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--rule", "pes", "--anew"], "deep rules"),
        (["--rule", "dfa", "--rate", "1"], "powers of two"),
        (["--rule", "dfa", "--resume"], "leave out --resume"),
    ],
)
def test_options_that_do_not_fit_are_one_message(tmp_path, options, said, capsys):
    where = [str(tmp_path / "a.nd"), "--data", str(tmp_path / "d.npz"), "-o", str(tmp_path / "o.nd")]
    assert main(["learn", *where, *options]) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("rule", "why"),
    [("kolen-pollack", "has no numbers for one"), ("voja", "bench_features.py"),
     ("backprop", "copies weights"), ("equilibrium", "bench_rules.py --rule equilibrium")],
)  # fmt: skip
def test_a_rule_that_no_network_can_learn_by_is_refused_with_what_to_do(network, split, rule, why):
    with pytest.raises(OptionError, match=why):
        stages.learn(network, split.x_train[:10], split.y_train[:10], rule=rule)
