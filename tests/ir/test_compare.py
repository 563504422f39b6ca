"""Two graphs by what they do: pairs, the first spike in which they part, and the command line."""

import json

import numpy as np
import pytest

from neurodeploy import stages, store
from neurodeploy.cli import main
from neurodeploy.errors import ConvertError, DataError, OptionError
from neurodeploy.frontends.dispatch import load
from neurodeploy.ir import ops
from neurodeploy.ir.compare import compare
from tests.frontends.nir_files import EXAMPLES, INNER, chain, lif, node

TOLD = {"dt": 1e-3, "reset": "zero"}
WEIGHT = node("Linear", weight=np.eye(4) * 8.0)


def two_layers(path, **more):
    """Write two layers of four neurons."""
    return chain(path, (4,), (4,), WEIGHT, lif(**more), WEIGHT, lif())


def test_a_graph_is_the_same_as_itself(tmp_path):
    graph = load(two_layers(tmp_path / "a.nir"), **TOLD)
    found = compare(graph, graph)
    assert found.same()
    assert found.first is None
    assert [pair.layer for pair in found.pairs] == ["n1", "n3", "output"]
    assert found.pairs[0].totals[0] > 100


def test_the_first_spike_that_differs_is_found_in_the_layer_that_made_it(tmp_path):
    one = load(two_layers(tmp_path / "a.nir"), **TOLD)
    two = load(two_layers(tmp_path / "b.nir", v_threshold=0.9), **TOLD)
    found = compare(one, two)
    assert not found.same()
    assert found.first.layer == "n1"
    step, sample, neuron = found.first.first
    assert found.pairs[0].totals[0] > found.pairs[0].totals[1]
    assert found.same(tolerance=1.0)
    assert (step, sample, neuron) <= (63, 7, 3)


def test_populations_of_other_names_are_paired_in_order(tmp_path):
    one = load(chain(tmp_path / "a.nir", (4,), (4,), WEIGHT, lif()), **TOLD)
    two = load(chain(tmp_path / "b.nir", (4,), (4,), lif(r=8.0)), **TOLD)
    found = compare(one, two)
    assert found.same()
    assert (found.pairs[0].layer, found.pairs[0].other) == ("n1", "n0")


def test_graphs_of_other_layers_are_compared_by_their_outputs(tmp_path):
    one = load(two_layers(tmp_path / "a.nir"), **TOLD)
    two = load(chain(tmp_path / "b.nir", (4,), (4,), WEIGHT, lif()), **TOLD)
    found = compare(one, two)
    assert [pair.layer for pair in found.pairs] == ["output"]
    assert found.left_out == ("n1", "n3", "n1")


def test_values_are_compared_within_a_rounding_error(tmp_path):
    fields = EXAMPLES["LI"][2]
    one = load(chain(tmp_path / "a.nir", (4,), (4,), fields), dt=1e-3)
    near = one.with_node("n0", op=ops.LI(one["n0"].op.tau, one["n0"].op.r * (1 + 1e-9), one["n0"].op.v_leak))
    far = one.with_node("n0", op=ops.LI(one["n0"].op.tau, one["n0"].op.r * 1.01, one["n0"].op.v_leak))
    assert compare(one, near, input="random").same()
    assert not compare(one, far, input="random").same(0.5)


def test_what_cannot_be_compared(tmp_path):
    one = load(two_layers(tmp_path / "a.nir"), **TOLD)
    two = load(chain(tmp_path / "b.nir", *EXAMPLES["Affine"]), dt=1e-3)
    with pytest.raises(DataError, match="put out 4 and 3 values"):
        compare(one, two)
    with pytest.raises(OptionError, match="choose from poisson, random"):
        compare(one, one, input="ramp")


# --- command line -----------------------------------------------------------------------------------------


def run(*argv):
    return main([str(a) for a in argv])


def test_nir_verify_says_the_same_not_the_same_or_could_not_run(tmp_path, capsys):
    a = two_layers(tmp_path / "a.nir")
    b = two_layers(tmp_path / "b.nir", v_threshold=0.9)
    told = ("--dt", "0.001", "--reset", "zero")
    assert run("nir-verify", a, a, *told) == 0
    assert "the same in 64 steps of 8 samples" in capsys.readouterr().out
    assert run("nir-verify", a, b, *told) == 1
    assert "first difference: 'n1', step" in capsys.readouterr().out
    assert run("nir-verify", a, b, *told, "--tolerance", "1", "--format", "json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["same"]
    assert found["pairs"][0]["differing"] > 0
    assert run("nir-verify", a, b) == 2
    assert "does not say how long a step is" in capsys.readouterr().err


def test_what_convert_makes_of_a_nir_file_does_the_same_and_fits_a_chip(tmp_path, capsys):
    a, out = two_layers(tmp_path / "a.nir"), tmp_path / "a.nd"
    told = ("--dt", "0.001", "--reset", "zero", "--decay", "euler")
    assert run("convert", a, "-o", out, *told, "--steps", "20") == 0
    err = capsys.readouterr().err
    assert "is read with steps of 0.001 s, reset zero, decay euler, time in units of 1 s" in err
    assert run("nir-verify", a, out, *told) == 0
    assert run("check", out) == 0
    np.savez(tmp_path / "x.npz", x=np.random.default_rng(0).random((3, 4)))
    assert run("run", out, "--data", tmp_path / "x.npz") == 0
    assert "steps                    20" in capsys.readouterr().out


def test_findings_about_constants_are_shown_where_the_file_is_converted_and_checked(tmp_path, capsys):
    a, out = two_layers(tmp_path / "a.nir", tau=20.0, r=2e4), tmp_path / "a.nd"
    assert run("convert", a, "-o", out, "--dt", "0.001", "--reset", "zero") == 0
    assert "n1: warning[ND101] tau is 20 s" in capsys.readouterr().err
    assert run("check", out) == 1
    assert "n1: warning[ND101] tau is 20 s" in capsys.readouterr().out


def test_options_for_trained_models_are_refused(tmp_path, capsys):
    a = two_layers(tmp_path / "a.nir")
    told = ("--dt", "0.001", "--reset", "zero")
    assert run("convert", a, "-o", tmp_path / "a.nd", *told, "--neuron", "lif") == 2
    assert "--neuron is for trained models" in capsys.readouterr().err
    assert not (tmp_path / "a.nd").exists()


def test_a_delay_is_kept_compiled_and_built_in_nengo(tmp_path):
    path = chain(tmp_path / "a.nir", (4,), (4,), WEIGHT, lif(), EXAMPLES["Delay"][2], WEIGHT, lif())
    graph = stages.adopt(load(path, **TOLD))
    again = store.load(store.save(graph, tmp_path / "a.nd"))
    assert compare(graph, again).same()
    steps = {p.delay for p in stages.compile(graph).projections}
    assert max(steps) > 1
    assert "n2" in {node.label for node in stages.to_nengo(graph).all_nodes}


def test_a_network_that_ends_in_no_population_is_not_adopted(tmp_path):
    graph = load(chain(tmp_path / "a.nir", *EXAMPLES["Affine"]), dt=1e-3)
    with pytest.raises(ConvertError, match="must come from one neuron population"):
        stages.adopt(graph)


def test_a_recurrent_subgraph_goes_to_the_chip(tmp_path):
    graph = stages.adopt(load(chain(tmp_path / "a.nir", (4,), (4,), WEIGHT, INNER), **TOLD))
    program = stages.compile(graph, "loihi1").raise_for_errors()
    recording = stages.run(program, np.full((2, 4), 0.5), steps=30)
    assert recording.outputs.any()
