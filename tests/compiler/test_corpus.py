"""Broken models give exactly their findings, and nengo-loihi never complains of one that we pass."""

import numpy as np
import pytest

from neurodeploy.compiler import compile
from neurodeploy.compiler.place import one_block_per_core
from neurodeploy.compiler.resources import usage
from neurodeploy.errors import MissingExtra
from tests.compiler.corpus import CASES, lif, one
from tests.compiler.graphs import spiking

IDS = [case.name for case in CASES]


@pytest.mark.parametrize("case", CASES, ids=IDS)
@pytest.mark.filterwarnings("ignore:invalid value")
def test_a_broken_model_gives_exactly_its_findings(case, rng):
    graph, bound, options = case.make(rng)
    found = compile(graph, bound, **options).diagnostics
    assert {d.code for d in found} == case.codes
    assert all(d.message and d.remedy for d in found)


@pytest.mark.parametrize("case", CASES, ids=IDS)
@pytest.mark.filterwarnings("ignore:invalid value")
def test_no_table_shows_more_used_than_there_is_without_a_finding_there(case, rng):
    graph, bound, options = case.make(rng)
    program = compile(graph, bound, **options)
    told = {d.place.layer for d in program.diagnostics if "used" in d.facts}
    for row in usage(program).cores:
        assert row.layer in told or not any(use.over for use in row.uses)
    assert "model" in told or not any(use.over for use in usage(program).whole)


def test_the_corpus_is_large_and_no_case_is_there_twice():
    assert len(CASES) >= 60
    assert len(set(IDS)) == len(IDS)


# --- through nengo-loihi -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def loihi():
    from neurodeploy.backends.adapter import nengo_loihi_module

    try:
        return nengo_loihi_module()
    except MissingExtra as error:
        pytest.skip(str(error))


def complaint(program):
    """What nengo-loihi raises or asserts about these blocks, also for a board; None if nothing."""
    from nengo_loihi.builder.validate import validate_block
    from nengo_loihi.hardware.allocators import RoundRobin
    from nengo_loihi.hardware.validate import validate_board

    from neurodeploy.backends.board import board_model

    try:
        model = board_model(one_block_per_core(program))
        for block in model.blocks:
            validate_block(block)
        validate_board(RoundRobin()(model, n_chips=1 + len(program.blocks) // 128))
    except (AssertionError, ValueError, NotImplementedError, AttributeError) as error:
        return repr(error)
    return None


def discretise(weight, vth, bias, tau_rc):
    """What nengo-loihi's own discretisation says to one block of these floats; None if nothing."""
    from tests.compiler.test_quantize import discretised

    try:
        discretised(None, [weight], vth=vth, bias=np.full(len(weight), bias), tau_rc=tau_rc)
    except (AssertionError, ValueError) as error:
        return repr(error)
    return None


@pytest.mark.parametrize("case", CASES, ids=IDS)
@pytest.mark.filterwarnings("ignore:invalid value")
def test_what_nengo_loihi_refuses_we_refuse_first(loihi, case, rng):
    graph, bound, options = case.make(rng)
    program = compile(graph, bound, **options)
    if program.target.chip != "loihi1" or not program.blocks:
        pytest.skip("not laid out in blocks of Loihi 1")
    if complaint(program) is not None:
        assert program.errors


REFUSED_BY_ITS_VALIDATORS = [
    "a kernel of 65 by 65",
    "seventeen thresholds in one layer",
    "forty time constants in one layer",
    "a refractory time of a tenth of a second",
]


@pytest.mark.parametrize("name", REFUSED_BY_ITS_VALIDATORS)
def test_nengo_loihi_refuses_these_too(loihi, name, rng):
    case = CASES[IDS.index(name)]
    graph, bound, options = case.make(rng)
    assert complaint(compile(graph, bound, **options))


@pytest.mark.parametrize(
    ("vth", "top", "bias", "tau", "code"),
    [
        (1.0, 1e-6, 0.0, None, "ND401"),
        (1.0, 1e6, 0.0, None, "ND406"),
        (1.0, 1.0, 1e6, None, "ND407"),
        (1.0, 1.0, 0.0, 60.0, "ND409"),
    ],
)
def test_what_its_discretisation_refuses_we_refuse_first(loihi, vth, top, bias, tau, code, rng):
    weight = rng.uniform(-top, top, size=(6, 8))
    assert discretise(weight, vth, bias, tau)
    graph = one(weight, spiking(vth) if tau is None else lif(tau, vth), bias=bias)
    assert code in {d.code for d in compile(graph).errors}
