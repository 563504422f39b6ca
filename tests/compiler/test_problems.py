"""The six problems, as found on circuits: what is wired decides, not what a rule says of itself."""

import dataclasses

import numpy as np
import pytest

from neurodeploy.compiler.checks import problems
from neurodeploy.learning import NETWORKS, deep
from neurodeploy.learning.circuit import Projection


@pytest.mark.parametrize("name", ["dfa", "fa", "hunsberger", "e-prop", "superspike", "emstdp", "dendrites"])
def test_rules_whose_way_back_is_spikes_solve_all_but_the_target_and_the_clock(name):
    assert problems.solved(NETWORKS[name]) == "W D L S (T)"


def test_backprop_has_no_circuit_to_be_tested_on():
    assert problems.solved(NETWORKS["backprop"]) == problems.NOT_TESTED


def wired():
    setup = deep.Setup(mechanism="neuron-trace", thresholds=(255, 255, 128))
    return deep.circuit(NETWORKS["dfa"], problems.SIZES, rng=np.random.default_rng(0), setup=setup)


def test_a_way_back_that_copies_a_weight_is_seen():
    made, rule = wired(), NETWORKS["dfa"].chip()
    forward = made.projection("h2", "out").weight
    back = Projection("out", "h2", np.ascontiguousarray(forward.T), apical=True)
    assert "W" in problems.found(made, rule)
    copied = dataclasses.replace(made, projections=(*made.projections, back))
    assert "W" not in problems.found(copied, rule)


def test_without_label_and_phases_target_and_timing_are_solved():
    made = wired()
    pops = tuple(
        dataclasses.replace(p, role="constant" if p.role == "label" else p.role, rates=p.rates[:1])
        for p in made.populations
    )
    alone = dataclasses.replace(made, populations=pops, phases=made.phases[:1])
    assert problems.found(alone, NETWORKS["dfa"].chip()) == ["W", "D", "L", "S", "T", "G"]


def test_a_trace_that_software_writes_is_no_spike():
    made = wired()
    rule = NETWORKS["e-prop"].chip("r1")
    plastic = tuple(dataclasses.replace(j, rule=rule) if j.rule else j for j in made.projections)
    assert problems.found(dataclasses.replace(made, projections=plastic), rule) == ["W", "D", "(T)"]
