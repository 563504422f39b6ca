"""What the compiler can be told is said the same way to check, run and deploy, and reaches the program."""

import numpy as np
import pytest

from neurodeploy import stages
from neurodeploy.cli import main
from neurodeploy.ir import ops
from tests.compiler.graphs import chain, conv, dense, readout, spiking

FORMS = ("check", "run", "deploy")


@pytest.fixture
def told(rng, tmp_path, monkeypatch):
    """Run a command on a small network with further options; return its exit code and its programs."""
    layers = [("c1", conv(rng, 2, 4)), ("n1", spiking()), ("c2", conv(rng, 4, 4)), ("n2", spiking())]
    head = [("flat", ops.Flatten()), ("fc", dense(rng, 64, 3)), readout(2.0)]
    stages.save(chain((2, 8, 8), [*layers, *head]), tmp_path / "net.nd")
    np.savez(tmp_path / "d.npz", x=rng.random((2, 2, 8, 8)), y=np.array([0, 1]))
    seen = []
    compile_as_is = stages.compile

    def remember(*args, **options):
        seen.append(compile_as_is(*args, **options))
        return seen[-1]

    monkeypatch.setattr(stages, "compile", remember)
    own = {"run": ["--data", str(tmp_path / "d.npz")], "deploy": ["-o", str(tmp_path / "bundle")]}

    def run(form, *options):
        code = main([form, str(tmp_path / "net.nd"), *own.get(form, []), *options])
        return code, seen

    return run


def bits(program):
    return {p.origin: p.weight_bits for p in program.projections}


@pytest.mark.parametrize("form", FORMS)
def test_bits_of_all_layers_and_of_one(told, form):
    code, (program,) = told(form, "--weight-bits", "6", "--layer-bits", "c2=4")
    assert code == 0
    assert bits(program) == {"c1": 6, "c2": 4, "fc": 6}


@pytest.mark.parametrize("form", FORMS)
def test_axons_and_shared_cores(told, form):
    code, (program,) = told(form, "--pop-axons", "pop16", "--no-share-cores")
    assert code == 0
    kinds = {s.axon_kind for b in program.blocks for s in b.synapses}
    assert "pop16" in kinds
    assert "pop32" not in kinds
    assert len(set(program.cores)) == len(program.blocks) > 1


def test_cores_are_shared_unless_told_otherwise(told):
    _, (program,) = told("check")
    assert len(set(program.cores)) < len(program.blocks)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--layer-bits", "c11=4"], "has no layer 'c11'; did you mean"),
        (["--layer-bits", "c1=4", "--layer-bits", "c1=5"], "gives layer 'c1' 4 bits and 5"),
    ],
)
@pytest.mark.parametrize("form", FORMS)
def test_layers_that_are_not_there_or_named_twice_are_refused(told, capsys, form, options, message):
    assert told(form, *options)[0] == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("text", ["4", "=4", "c1=", "c1=9", "c1=0", "c1=four"])
def test_bits_that_make_no_sense_are_refused(told, capsys, text):
    assert told("check", "--layer-bits", text)[0] == 2
    assert "--layer-bits" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--backend", "nengo", "--weight-bits", "4"], "--weight-bits says how a network lies on a chip"),
        (["--backend", "nengo", "--no-share-cores"], "--no-share-cores says how"),
        (["--sweep", "steps=4,8", "--clip-delays"], "a sweep runs combinations of other options"),
    ],
)
def test_options_that_would_do_nothing_are_refused(told, capsys, options, message):
    assert told("run", *options)[0] == 2
    assert message in capsys.readouterr().err


def test_a_layer_may_be_named_by_its_neurons_as_findings_name_it(told):
    _, (program,) = told("check", "--layer-bits", "n2=4")
    assert bits(program) == {"c1": 8, "c2": 4, "fc": 8}


@pytest.mark.parametrize("target", ["loihi1", "spinnaker2"])
def test_bits_of_a_layer_without_weights_are_refused(told, capsys, target):
    assert told("check", "--layer-bits", "flat=4", "--target", target)[0] == 2
    assert "'flat' has no weights of its own on the chip; those that have are c1, " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--min-weight-bits", "4", "--target", "odin"], "min_weight_bits has no effect on 'odin'"),
        (["--match", "nengo-loihi", "--target", "xylo-audio-2"], "match has no effect on 'xylo-audio-2'"),
        (["--pop-axons", "pop16", "--target", "truenorth"], "pop_axons has no effect on 'truenorth'"),
        (["--min-weight-bits", "6", "--weight-bits", "4"], "at least 6 weight bits, and at most 4"),
    ],
)
def test_options_that_cannot_have_an_effect_are_refused(told, capsys, options, message):
    assert told("check", *options)[0] == 2
    assert message in capsys.readouterr().err
