"""What the compiler gives up when it is allowed to, and that it says so."""

import pytest

from neurodeploy.compiler import compile
from neurodeploy.errors import OptionError
from neurodeploy.targets import target
from tests.compiler.graphs import chain, dense, readout, small, spiking


@pytest.fixture
def graph(rng):
    layers = [
        ("large", dense(rng, 200, 120)),
        ("n0", spiking()),
        ("small", dense(rng, 120, 20)),
        ("n1", spiking()),
    ]
    return chain((200,), [*layers, ("last", dense(rng, 20, 4)), readout(1.0)])


def board(cores):
    """One chip with so many cores of little memory."""
    limits = {"core__synapse_memory_words": 1000, "chip__cores": cores}
    return target("kapoho-bay").with_limits(**limits, board__chips=1)


def bits(program):
    return {p.origin: p.weight_bits for p in program.projections}


def test_bits_are_taken_from_the_largest_layer_until_it_fits(graph):
    needed = len(set(compile(graph, board(100), steps=10).cores))
    tight = board(needed * 2 // 3)
    wide = compile(graph, tight, steps=10)
    assert {d.code for d in wide.errors} == {"ND309"}
    assert bits(wide) == {"large": 8, "small": 8, "last": 8}
    fits = compile(graph, tight, min_weight_bits=2, steps=10)
    assert not fits.errors
    assert bits(fits)["large"] < 8
    assert bits(fits)["last"] == 8
    note = next(d for d in fits.diagnostics if d.code == "ND432")
    assert note.place.layer == "large"
    assert note.facts["used"] < note.facts["before"]
    assert note.facts["cores"] < note.facts["cores_before"]
    assert note.facts["error"] > note.facts["error_before"]


def test_nothing_is_given_up_where_it_fits(graph):
    program = compile(graph, board(40), min_weight_bits=2, steps=10)
    assert set(bits(program).values()) == {8}
    assert "ND432" not in {d.code for d in program.diagnostics}


def test_what_does_not_fit_with_the_fewest_bits_stays_as_it_was(graph):
    program = compile(graph, board(2), min_weight_bits=4, steps=10)
    assert set(bits(program).values()) == {8}
    assert {d.code for d in program.errors} == {"ND309"}


def test_a_layer_can_be_given_bits_by_name(graph):
    assert bits(compile(graph, layer_bits={"small": 4})) == {"large": 8, "small": 4, "last": 8}
    with pytest.raises(OptionError, match="no layer 'smal'; did you mean 'small'"):
        compile(graph, layer_bits={"smal": 4})
    with pytest.raises(OptionError, match="9 weight bits; choose 1 to 8"):
        compile(graph, layer_bits={"small": 9})


def test_fewer_bits_take_less_memory(graph):
    few = small(core__synapse_memory_words=1000)
    counts = [len(compile(graph, few, weight_bits=n, share_cores=False).blocks) for n in (8, 6, 4, 2)]
    assert counts == sorted(counts, reverse=True)
    assert counts[0] > counts[-1]
