"""The kernel of online learning equals the chip's engine, run at every synapse, in every integer."""

import dataclasses
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from neurodeploy.errors import DataError, OptionError
from neurodeploy.kernels import online, online_reference, online_tables
from neurodeploy.learning.arithmetic import DEFAULT, LAVA, NENGO_LOIHI, Arithmetic
from neurodeploy.learning.circuit import Circuit, Population, Projection
from neurodeploy.learning.description import Phase, Trace, describe
from neurodeploy.numerics import draws

X1, X2, Y1, Y2 = Trace("x1", 8, 20), Trace("x2", 30, 7.3), Trace("y1", 5, 25.5), Trace("y2", 40, 6)
FLAG = Trace("y3", source="neuron")
WRITTEN = Trace("y1", source="neuron"), Trace("y2", source="neuron")
RULES = [
    describe("signed-tag", "dt = 2*r1*y0 - y0 - u3*t\ndw = 2^-1*u3*x1*t", X1),
    describe("before", "dt = 2*r1*x0 - x0 - u3*t\ndw = 2*u3*y1*t - 2^-3*u3*w", Y1),
    describe("flag", "dt = 2*y3*y0 - y0 - u3*t\ndw = u3*x1*t", X1, FLAG),
    describe("stdp", "dw = 2^3*x1*y0 - 2^3*y1*x0", X1, Y1),
    describe("oja", "dw = 2^6*u1*x1*y1 - 2^7*u1*y1*y2*w", X1, Y1, Y2),
    describe("eligibility", "dt = 2*u0*x1*y1 - 2^-2*u0*t\ndw = 2^2*u2*t*r1", X1, Y1),
    describe("delays", "dd = x0*y1 - y0*x2\ndw = 2^2*u1*x1*(d-3)*sgn(w-2)", X1, X2, Y1),
    describe("error", "dw = 2^1*u3*x1*(y2-64)", X1, Trace("y2", source="neuron")),
    describe("at a spike", "dw = 2^-1*x0*(y2-64)", Trace("y2", source="neuron")),
    describe("e-prop", "dt = 2^-1*u2*x1*y1 - 2^5*u2*y3*t\ndw = 2^1*u2*t*(y2-64)", X1, *WRITTEN, FLAG),
    describe("leaky", "dt = 2^-1*u2*x1*y1 - 2^-1*u2*t\ndw = 2^1*u2*t*(y2-64)", X1, *WRITTEN),
    describe("signs", "dw = 3*u0*sgn(x1-9)*sgn(y1-4) + y0*(x2-20)", X1, X2, Y1),
]


def circuit(rule, rng, sizes=(7, 6, 5), *, nearest=False, leak=0):
    """Two plastic layers, a label that comes in the second phase, and a way back."""
    pops = [Population("in", sizes[0], role="data", rates=(700, 0, 900),
                       offsets=rng.integers(0, 255 * 1024, sizes[0]))]  # fmt: skip
    slopes = tuple(range(60, 0, -4))
    pops += [Population(f"h{i}", n, 200 * 64, -(2**13), slopes=slopes, slope_shift=10)
             for i, n in enumerate(sizes[1:])]  # fmt: skip
    pops += [Population("label", 5, role="label", rates=(0, 0, 800))]
    weights = [rng.integers(-60, 127, (o, i)) * 2 for i, o in pairwise(sizes)]
    joins = [Projection(a.name, b.name, w, 0, rule)
             for a, b, w in zip(pops, pops[1:3], weights, strict=False)]  # fmt: skip
    back = rng.integers(-127, 128, (sizes[1], 5)) * 2
    joins += [Projection("label", "h0", back, 1), Projection("h1", "h0", back[:, : sizes[2]])]
    joins += [Projection("label", "h0", back[:, ::-1], 1, apical=True)]
    joins += [Projection("label", "h1", back[: sizes[2]], apical=True)]
    joins += [
        Projection("h0", "e0", rng.integers(-60, 127, (1, 6)) * 2, 0, one_to_one=True),
        Projection("label", "e0", back, 1, describe("back", "dt = 2*r1*x0 - x0 - u3*t\ndw = 2*u3*y1*t",
                   dataclasses.replace(Y1, source="partner")), gated=True),
        Projection("e0", "h0", rng.integers(-60, 60, (1, 6)) * 2, 2, apical=True, one_to_one=True),
    ]  # fmt: skip
    phases = (Phase("forward", 9), Phase("gap", 2, collect=-1, show=False), Phase("error", 9, reward=1))
    pops[1] = dataclasses.replace(pops[1], busy=4)
    pops[2] = dataclasses.replace(pops[2], linear=True)
    pops += [Population("e0", 6, 100 * 64, -(2**12), partner="h0", subtract=True)]
    return Circuit(tuple(pops), tuple(joins), phases, "h1", 10, nearest, leak)


def agree(rule, seed, how=DEFAULT, samples=4, **more):
    rng = np.random.default_rng(seed)
    made = circuit(rule, rng, **more)
    x, labels = rng.integers(0, 256, (samples, 7)).astype(np.uint8), rng.integers(0, 5, samples)
    laid, state = online_tables.tables(made, seed=seed, arithmetic=how)
    found = online.run(laid, state, x, labels)
    network, wanted = online_reference.run(
        made, online_reference.at_rest(made), x, labels, seed=seed, arithmetic=how
    )
    assert (found == wanted).all()
    weights = [s.w.T.ravel() for s in network.synapses]
    assert (state.w == np.concatenate(weights)).all()
    assert (state.v[7:18] == np.concatenate([network.v["h0"], network.v["h1"]])).all()
    return found, state, made


@pytest.mark.parametrize("rule", RULES, ids=lambda r: r.name)
@settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**40))
def test_every_kind_of_rule_equals_the_oracle(rule, seed):
    agree(rule, seed)


@pytest.mark.parametrize(
    "how",
    [Arithmetic(rounding="shared"), Arithmetic(mantissa_bits=3), Arithmetic(overflow=False),
     Arithmetic(literal="accumulator"), Arithmetic(decay="linear"), Arithmetic(impulse="doubled")],
    ids=lambda a: next(iter(a.differences())),
)  # fmt: skip
def test_named_disagreements_equal_the_oracle_too(how):
    for rule in (RULES[0], RULES[3]):
        agree(rule, 5, how)


def test_errors_rounded_to_the_nearest_equal_the_oracle_and_teach_something_else():
    error = next(r for r in RULES if r.name == "error")
    found = [agree(error, 3, nearest=n)[1].w for n in (False, True)]
    assert (found[0] != found[1]).any()


def test_the_test_is_not_empty():
    """Neurons spike and weights change; otherwise equality says nothing."""
    for rule in RULES:
        found, state, made = agree(rule, 3)
        before = np.concatenate([j.weight.T.ravel() for j in made.projections])
        assert found.sum() > 0
        assert (state.w != before).any(), rule.name


def test_errors_that_leak_equal_the_oracle_too():
    rule = next(r for r in RULES if r.name == "leaky")
    kept, leaked = (agree(rule, 3, leak=leak)[1] for leak in (0, 2))
    assert (kept.apical != leaked.apical).any()


def test_learning_in_two_parts_is_learning_at_once():
    rng = np.random.default_rng(0)
    made = circuit(RULES[0], rng)
    x, labels = rng.integers(0, 256, (6, 7)).astype(np.uint8), rng.integers(0, 5, 6)
    laid, once = online_tables.tables(made, seed=1)
    online.run(laid, once, x, labels)
    _, parts = online_tables.tables(made, seed=1)
    online.run(laid, parts, x[:2], labels[:2])
    parts = parts.copy()
    online.run(laid, parts, x[2:], labels[2:])
    assert all((getattr(once, k) == getattr(parts, k)).all() for k in vars(once))


def test_looking_changes_no_weight():
    made = circuit(RULES[0], np.random.default_rng(0))
    laid, state = online_tables.tables(made)
    before = state.copy()
    online.run(laid, state, np.full((3, 7), 200), [0, 1, 2], learn=False, phases=2)
    assert (state.w == before.w).all()
    assert state.clock[1] == 0


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        (describe("a", "dw = u0*x1*w", X1, epoch=2), "epochs of 2"),
        (describe("b", "dw = u0*x1*y1", X1, Trace("y1", source="imposed")), "software"),
        (describe("c", "dw = u0*t\ndt = u0*w"), "read each other"),
        (describe("d", "dw = x1*w", X1), "dependency"),
    ],
    ids=lambda v: getattr(v, "name", ""),
)
def test_what_the_kernel_does_not_run_is_refused(rule, said):
    with pytest.raises(OptionError, match=said):
        online_tables.tables(circuit(rule, np.random.default_rng(0)))
    if rule.name == "a":
        with pytest.raises(OptionError, match="t, r1, which"):
            online_tables.tables(circuit(RULES[0], np.random.default_rng(0)), arithmetic=NENGO_LOIHI)
        with pytest.raises(OptionError, match="does not compute with"):
            online_tables.tables(circuit(RULES[2], np.random.default_rng(0)), arithmetic=LAVA)


def test_samples_of_another_size_are_refused():
    laid, state = online_tables.tables(circuit(RULES[0], np.random.default_rng(0)))
    with pytest.raises(DataError, match="takes"):
        online.run(laid, state, np.zeros((2, 8)), [0, 0])


def test_numbers_come_from_their_place_alone():
    whole = draws.numbers(draws.key(1, 2, 3, 4), 10)
    assert (whole[:4] == draws.numbers(draws.key(1, 2, 3, 4), 4)).all()
    assert abs(draws.numbers(draws.key(9, 9, 9, 9), 20000).mean() - 0.5) < 0.01
    assert len({draws.key(0, s, 0, c) for s in range(50) for c in range(50)}) == 2500
