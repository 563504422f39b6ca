"""Which learning rules an engine can run: at the limit nothing, one above exactly this code."""

import pytest

from neurodeploy.compiler.checks.plasticity import check_core, check_feedback, check_rule, expressible
from neurodeploy.diagnostics import Place, Severity
from neurodeploy.learning import pes
from neurodeploy.learning.description import Feedback, Trace, describe
from neurodeploy.targets import target

LOIHI, LOIHI2 = target("loihi1"), target("loihi2")
HERE = Place(layer="fc1")
X1, Y1 = Trace("x1", 16, 32), Trace("y1", 16, 32)


def rule(text, *traces, **rest):
    found = [t for t in (X1, Y1) if t.variable in text and t.variable not in {t.variable for t in traces}]
    return describe("rule", text, *found, *traces, **rest)


def codes(found, *, notes=False):
    return {d.code for d in found if notes or d.severity is not Severity.NOTE}


def on(text, chip=LOIHI, *traces, notes=False, **rest):
    return codes(check_rule(rule(text, *traces, **rest), chip), notes=notes)


@pytest.mark.parametrize(
    ("good", "bad", "code"),
    [
        ("dw = -2^-6*u0*w", "dw = -2^-6*w", "ND607"),
        ("dw = x0*y1", "dw = (x0+1)*y1", "ND607"),
        ("dw = u1*x1*y1\ndt = u1*t", "dw = u1*x1*y1\ndt = u0*t", "ND609"),
        ("dw = 2^-7*u1*x1*y1", "dw = 2^-8*u1*x1*y1", "ND612"),
        ("dw = 4*2^-9*x0*y1", "dw = 2*2^-9*x0*y1", "ND612"),
        ("dw = 15*x0*y1", "dw = 17*x0*y1", "ND613"),
        ("dw = 240*x0*y1", "dw = 272*x0*y1", "ND613"),
        ("dw = x0*(y1-255)", "dw = x0*(y1-256)", "ND614"),
        ("dt = 2^-7*x0", "dt = 2^-8*x0", "ND618"),
    ],
)
def test_text_at_the_limit_of_loihi_is_silent_and_one_above_is_the_code(good, bad, code):
    assert code not in on(good)
    assert code in on(bad)


def test_a_reward_is_a_factor_of_loihi_and_not_of_the_public_view_of_loihi_2():
    signed_tag = rule("dt = 2*r1*y0 - y0 - u7*t\ndw = 2^-4*u7*x1*t")
    assert codes(check_rule(signed_tag, LOIHI)) == set()
    assert codes(check_rule(signed_tag, LOIHI2)) == {"ND608"}
    assert expressible(signed_tag, LOIHI) == "yes"
    assert expressible(signed_tag, LOIHI2) == "no"


def test_a_neurons_own_trace_is_on_loihi_2_only():
    native = rule("dt = 2^-2*u0*x1*y1 - 2^-4*u0*t\ndw = 2^-6*u0*t*y2", Trace("y2", source="neuron"))
    assert codes(check_rule(native, LOIHI)) == {"ND619"}
    assert expressible(native, LOIHI2) == "yes"


def test_decimations_and_epochs_end_with_their_registers():
    assert "ND610" not in on("dw = u9*x1*y1")
    assert "ND610" in on("dw = u8*x1*y1", LOIHI.with_limits(learning__decimation_max=7))
    assert "ND611" not in on("dw = x0*y1", epoch=63)
    assert "ND611" in on("dw = x0*y1", epoch=64)


@pytest.mark.parametrize(
    ("impulse", "bad"), [(127.99, False), (128, True), (1 / 128, False), (1 / 129, True)]
)
def test_an_impulse_has_seven_bits_on_either_side_of_its_point(impulse, bad):
    assert ("ND615" in on("dw = x0*y1", LOIHI, Trace("y1", 16, impulse))) is bad


@pytest.mark.parametrize(("tau", "bad"), [(1, False), (2.5, True), (0, True)])
def test_a_time_constant_is_a_whole_number(tau, bad):
    assert ("ND616" in on("dw = x0*y1", LOIHI, Trace("y1", tau, 16))) is bad


def test_the_overflow_shift_is_told_from_the_first_lost_bit():
    loses = "ND617"
    assert loses not in on("dw = 2^-2*u0*x1*sgn(w)", notes=True)
    assert loses not in on("dw = x0*(y1+1)", notes=True)
    found = [d for d in check_rule(rule("dw = u0*x1*y1*w"), LOIHI) if d.code == loses]
    assert [d.facts["lost"] for d in found] == [12]
    exact = LOIHI.with_limits(learning__acc_bits=19)
    assert loses not in on("dw = u0*x1*y1", exact, notes=True)
    assert loses in on("dw = u0*x1*y1", exact.with_limits(learning__acc_bits=18), notes=True)


def test_parts_without_an_engine_or_with_another_say_so():
    described = pes.on_chip(tau=5, impulse=3.5)
    assert codes(check_rule(described, target("xylo-audio-2"))) == {"ND605"}
    assert codes(check_rule(described, target("odin"))) == {"ND606"}
    assert codes(check_rule(described, LOIHI)) == set()
    anything = LOIHI.with_limits(learning__rule_form="arbitrary")
    assert check_rule(rule("dw = w"), anything) == []


def test_limits_nobody_published_are_told_once_and_refuse_nothing():
    found = [d for d in check_rule(pes.on_chip(tau=5, impulse=3.5), LOIHI) if d.code == "ND804"]
    assert [d.facts["what"] for d in found] == ["learning.products_max"]
    assert expressible(rule("dw = x0"), LOIHI.with_limits(learning__rule_form="unknown")) == "unknown"


def test_axons_that_bring_feedback_count():
    at = {"backward": 20, "static": 0, "place": HERE}
    assert list(check_core(LOIHI, forward=4076, **at)) == []
    assert codes(check_core(LOIHI, forward=4077, **at)) == {"ND621"}


def test_static_synapses_beside_plastic_ones_are_a_warning():
    found = list(check_core(LOIHI, forward=10, backward=2, static=1, place=HERE))
    assert [(d.code, d.severity) for d in found] == [("ND620", Severity.WARNING)]
    assert list(check_core(LOIHI, forward=10, backward=2, static=0, place=HERE)) == []


def test_feedback_that_is_a_copy_of_the_weights_is_found_unless_the_rule_says_so(rng):
    forward = rng.normal(size=(4, 6))
    silent = rule("dw = x0", feedback=Feedback("layered", "fixed", "two-phase"))
    honest = rule("dw = x0", feedback=Feedback("layered", "copied", "two-phase"))
    assert codes(check_feedback(silent, forward, forward.T * 0.3, place=HERE)) == {"ND622"}
    assert list(check_feedback(honest, forward, forward.T, place=HERE)) == []
    assert list(check_feedback(silent, forward, rng.normal(size=(6, 4)), place=HERE)) == []
