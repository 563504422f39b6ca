"""Learning circuits on cores: cut where memory ends, and what the checks of a plastic core then say."""

import dataclasses

import numpy as np
import pytest

from neurodeploy.compiler.learning_cores import check_cores, lay_out
from neurodeploy.diagnostics import Place
from neurodeploy.learning import DEEP, deep
from neurodeploy.targets import target

PLACES = {"h1": Place("fc1"), "out": Place("fc2")}


def made(sizes=(12, 10, 3), rule="dfa", mechanism="two-phase"):
    setup = deep.Setup(mechanism=mechanism)
    return deep.circuit(DEEP[rule], sizes, rng=np.random.default_rng(0), setup=setup)


def test_axons_and_synapses_of_every_core_are_counted():
    cores = {c.population: c for c in lay_out(made(), target("loihi1"))}
    h1 = cores["h1"]
    assert (h1.cores, h1.neurons, h1.forward, h1.learning) == (1, 10, 13, 130)
    assert (h1.backward, h1.static) == (3 + 3 + 2, 80)  # below, above; reset and lift
    assert cores["below"].learning == 0


@pytest.mark.parametrize(("hidden", "cores"), [(75, 1), (76, 2)])
def test_populations_are_cut_where_synapse_memory_ends(hidden, cores):
    """A row of 75 synapses of 8 + 8 bits is 17 + 3 words, of one more 17 + 4; there are 785 rows."""
    found = lay_out(made((784, hidden, 10)), target("loihi1"))[0]
    words = next(u for u in found.uses if "memory" in u.resource)
    assert found.cores == cores
    assert not words.over
    assert found.neurons == -(-hidden // cores)


def test_fixed_synapses_beside_plastic_ones_are_named_by_layer():
    found = list(check_cores(made(), target("loihi1"), layers=PLACES))
    assert [(d.code, d.place.layer) for d in found] == [("ND620", "fc1"), ("ND620", "fc2")]
    assert not list(check_cores(made(mechanism="neuron-trace"), target("loihi2"), layers=PLACES))


@pytest.mark.parametrize(("inputs", "codes"), [(4096 - 1 - 8, []), (4096 - 8, ["ND621"])])
def test_axons_of_both_ways_share_a_table(inputs, codes):
    found = check_cores(made((inputs, 10, 3)), target("loihi1"), layers=PLACES)
    assert [d.code for d in found if d.code != "ND620"] == codes


def test_a_way_back_that_copies_the_way_forward_is_found():
    wired = made()
    copy = wired.projection("h1", "out").weight.T
    joins = tuple(
        dataclasses.replace(j, weight=copy) if (j.source, j.target) == ("below", "h1") else j
        for j in wired.projections
    )
    found = check_cores(dataclasses.replace(wired, projections=joins), target("loihi2"), layers=PLACES)
    assert [d.code for d in found] == ["ND622"]
