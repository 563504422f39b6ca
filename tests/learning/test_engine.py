"""The learning engine in chip arithmetic: traces, reads, rounding, and what emulators disagree on."""

import dataclasses

import numpy as np
import pytest

from neurodeploy.errors import OptionError
from neurodeploy.learning.arithmetic import BRIAN2_LOIHI, DEFAULT, EMULATORS, LAVA, NENGO_LOIHI
from neurodeploy.learning.description import Trace, describe
from neurodeploy.learning.engine import at_rest, run, step

FOREVER = 1e18


class Never:
    """Random numbers so large that nothing is rounded up."""

    def random(self, size):
        return np.full(size, 1 - 2**-53)


class AlwaysUp:
    """Random numbers so small that every rest is rounded up."""

    def random(self, size):
        return np.zeros(size)


def made(text, *traces, epoch=1):
    return describe("rule", text, *traces, epoch=epoch)


def trains(steps, **spikes):
    """Trains of one neuron each, from the steps (from 1) in which it spikes."""
    found = {name: np.zeros((steps, 1), bool) for name in ("pre", "post")}
    for name, at in spikes.items():
        found[name][np.array(at, int) - 1] = True
    return found


def weight(rule, steps, *, start=0, rng=None, sign="excitatory", **options):
    spikes = {k: options.pop(k) for k in ("pre", "post") if k in options}
    s = at_rest([[start]], sign=sign)
    return run(rule, s, **trains(steps, **spikes), rng=rng or Never(), **options).w[0, 0]


# --- spikes, traces and when they are read ---------------------------------------------------------------


def test_a_post_trace_is_read_when_the_pre_neuron_spikes():
    rule = made("dw = x0*y1", Trace("y1", FOREVER, 8), epoch=10)
    assert weight(rule, 10, pre=[5], post=[3]) == 8
    assert weight(rule, 10, pre=[3], post=[5]) == 0
    assert weight(rule, 10, pre=[5], post=[5]) == 8


def test_a_pre_trace_is_read_when_the_post_neuron_spikes():
    rule = made("dw = y0*x1", Trace("x1", FOREVER, 8), epoch=10)
    assert weight(rule, 10, pre=[3], post=[5]) == 8
    assert weight(rule, 10, pre=[5], post=[3]) == 0


def test_with_u_traces_are_read_at_the_end_of_the_epoch():
    rule = made("dw = u0*x1", Trace("x1", 4, 64), epoch=4)
    assert weight(rule, 4, pre=[4]) == 64
    assert weight(rule, 4, pre=[2]) == int(64 * np.exp(-2 / 4))


def test_a_trace_decays_between_the_spikes_of_both_neurons():
    rule = made("dw = x0*y1", Trace("y1", 4, 64), epoch=10)
    assert weight(rule, 10, pre=[7], post=[2]) == int(64 * np.exp(-5 / 4))


def test_updates_happen_only_at_the_end_of_an_epoch_and_every_2_to_the_k_epochs():
    rule = made("dw = u2*x1", Trace("x1", FOREVER, 1), epoch=3)
    assert [weight(rule, n, pre=[1]) for n in (11, 12, 23, 24)] == [0, 1, 1, 2]


def test_all_updates_read_what_was_there_before():
    rule = made("dt = u0*t + 3*u0\ndw = u0*t")
    seen = []
    s = at_rest([[0]], sign="excitatory")
    for _ in range(3):
        s = step(rule, s, pre=[0], post=[0], rng=Never())
        seen.append((s.w[0, 0], s.t[0, 0]))
    assert seen == [(0, 3), (3, 9), (12, 21)]


def test_a_step_changes_nothing_of_the_state_it_was_given(rng):
    rule = made("dw = u0*x1", Trace("x1", 4, 64))
    s = at_rest([[2, 4], [6, 8]])
    after = step(rule, s, pre=[1, 0], post=[0, 0], rng=rng)
    assert s.w.tolist() == [[2, 4], [6, 8]]
    assert s.step == 0
    assert (after.w[:, 0] > 4).all()
    assert (after.w[:, 1] == [4, 8]).all()


def test_every_synapse_of_a_layer_learns_as_it_would_alone(rng):
    rule = made(
        "dw = 2^-2*x0*y1*(y2-9) - 2^-1*y0*x1*sgn(t) + 2^-3*u1*x1*y1\ndt = y0*x1 - x0*y1",
        Trace("x1", 6, 40.5), Trace("y1", 9, 30), Trace("y2", 3, 12), epoch=5,
    )  # fmt: skip
    pre, post = rng.random((40, 4)) < 0.25, rng.random((40, 3)) < 0.25
    start = 2 * rng.integers(-60, 60, (3, 4))
    together = run(rule, at_rest(start), pre=pre, post=post, rng=Never())
    assert (together.w != start).sum() > 6
    for o, i in np.ndindex(3, 4):
        at = np.s_[o : o + 1], np.s_[i : i + 1]
        alone = run(rule, at_rest(start[at]), pre=pre[:, at[1]], post=post[:, at[0]], rng=Never())
        assert (alone.w, alone.t) == (together.w[at], together.t[at])


@pytest.mark.parametrize(("spikes", "trace"), [(1, 60), (2, 120), (3, 127)])
def test_traces_saturate_at_seven_bits(spikes, trace):
    rule = made("dw = u0*x1", Trace("x1", FOREVER, 60))
    s = run(rule, at_rest([[0]]), pre=np.ones((spikes, 1)), post=np.zeros((spikes, 1)), rng=Never())
    assert s.traces["x1"].tolist() == [trace]


def test_bits_of_an_impulse_behind_its_point_are_a_probability(rng):
    rule = made("dw = u0*x1", Trace("x1", FOREVER, 2.25))
    s = step(rule, at_rest(np.zeros((1, 4000), int)), pre=np.ones(4000), post=[0], rng=rng)
    assert set(s.traces["x1"].tolist()) == {2, 3}
    assert s.traces["x1"].mean() == pytest.approx(2.25, abs=0.03)


# --- accumulator and rounding ----------------------------------------------------------------------------


@pytest.mark.parametrize(("sign", "sizes"), [("excitatory", {0, 1}), ("mixed", {0, 2})])
def test_what_is_below_a_weights_last_bit_is_kept_on_average(rng, sign, sizes):
    rule = made("dw = 2^-2*x0")
    zero = np.zeros((100, 100), int)
    s = step(rule, at_rest(zero, sign=sign), pre=np.ones(100), post=np.zeros(100), rng=rng)
    assert set(np.unique(s.w).tolist()) == sizes
    assert s.w.mean() == pytest.approx(0.25, abs=0.02)


@pytest.mark.parametrize(
    ("sign", "text", "end"),
    [
        ("mixed", "dw = 8*x0", 254), ("mixed", "dw = -8*x0", -254), ("excitatory", "dw = 8*x0", 255),
        ("excitatory", "dw = -8*x0", 0), ("inhibitory", "dw = -8*x0", -255), ("inhibitory", "dw = 8*x0", 0),
    ],
)  # fmt: skip
def test_weights_end_where_their_sign_and_eight_bits_end(sign, text, end):
    assert weight(made(text), 40, pre=range(1, 41), sign=sign) == end


def test_tags_and_delays_end_at_their_own_widths():
    rule = made("dt = -8*x0\ndd = 8*x0\ndw = x0")
    s = run(rule, at_rest([[0]]), pre=np.ones((40, 1)), post=np.zeros((40, 1)), rng=Never())
    assert (s.t[0, 0], s.d[0, 0]) == (-255, 63)


def test_a_signed_tag_counts_the_difference_of_two_phases_exactly():
    rule = made("dt = 2*r1*y0 - y0 - u7*t\ndw = 2^-2*u7*x1*t", Trace("x1", FOREVER, 0.5))
    s, rng = at_rest([[0]]), Never()
    for phase, (count, r1) in enumerate([(20, 0), (26, 1)]):
        for k in range(64):
            last = s
            s = step(rule, s, pre=[0], post=[k < count], rng=rng, rewards=(0, r1))
        assert (last.t[0, 0], s.t[0, 0]) == ((-20, -20) if phase == 0 else (6, 0))


def test_equal_rates_in_both_phases_leave_the_weights_where_they_are(rng):
    rule = made("dt = 2*r1*y0 - y0 - u7*t\ndw = u7*x1*t", Trace("x1", 64, 8))
    s = at_rest(2 * rng.integers(-100, 100, (3, 5)))
    before = s.w.copy()
    for k in range(256):
        firing = np.full(3, k % 64 % 3 == 1)
        s = step(rule, s, pre=np.ones(5), post=firing, rng=rng, rewards=(0, k % 128 // 64))
    assert (s.w == before).all()


def test_a_product_without_dependency_or_an_odd_mixed_weight_is_refused():
    with pytest.raises(OptionError, match="no dependency"):
        step(made("dw = w*u0 + w"), at_rest([[2]]), pre=[1], post=[1], rng=Never())
    with pytest.raises(OptionError, match="even"):
        at_rest([[3]])
    with pytest.raises(OptionError, match="-254 to 254"):
        at_rest([[256]])


# --- what emulators disagree on --------------------------------------------------------------------------


def with_(**options):
    return dataclasses.replace(DEFAULT, **options)


def product_of_traces(arithmetic, text="dw = u0*x1*y1"):
    rule = made(text, Trace("x1", FOREVER, 16), Trace("y1", FOREVER, 16))
    return weight(rule, 1, pre=[1], post=[1], arithmetic=arithmetic)


def test_mantissa_bits_set_the_overflow_shift():
    assert product_of_traces(with_(mantissa_bits=4)) == 256 >> 3
    assert product_of_traces(with_(mantissa_bits=3)) == 256 >> 2


def test_without_overflow_shift_products_count_whole():
    assert product_of_traces(with_(overflow=False), "dw = 2^-2*u0*x1*y1") == 64


def test_negative_exponents_shift_or_make_nothing():
    rule = made("dw = 2^-1*x0*y1", Trace("y1", FOREVER, 100))
    for way, rounded_up in (("shift", 1), ("zero", 0)):
        how = with_(literal="accumulator", negative_exponent=way)
        assert weight(rule, 1, pre=[1], post=[1], rng=AlwaysUp(), arithmetic=how) == rounded_up


def test_a_literal_counts_in_weights_or_in_the_accumulator():
    rule = made("dw = 2^2*x0")
    assert weight(rule, 1, pre=[1]) == 4
    assert weight(rule, 1, pre=[1], arithmetic=with_(literal="accumulator"), rng=AlwaysUp()) == 1
    assert weight(made("dw = 2^9*x0"), 1, pre=[1], arithmetic=with_(literal="accumulator")) == 4


def test_random_numbers_are_one_per_synapse_or_one_for_all(rng):
    rule, zero = made("dw = 2^-1*x0"), np.zeros((40, 40), int)

    def kinds(rounding):
        s = at_rest(zero, sign="excitatory")
        s = step(rule, s, pre=np.ones(40), post=np.zeros(40), rng=rng, arithmetic=with_(rounding=rounding))
        return set(np.unique(s.w).tolist())

    assert kinds("synapse") == {0, 1}
    assert kinds("shared") in ({0}, {1})
    assert kinds("away") == {1}


def test_rounding_away_goes_up_in_size_on_both_sides():
    text = {"up": "dt = 2^-3*x0", "down": "dt = -2^-3*x0"}
    for name, end in (("up", 1), ("down", -1)):
        s = run(made(text[name]), at_rest([[0]]), **trains(1, pre=[1]), rng=Never(),
                arithmetic=with_(rounding="away"))  # fmt: skip
        assert s.t[0, 0] == end


@pytest.mark.parametrize(("kind", "mean"), [("exact", 2.25), ("doubled", 2.5), ("whole", 2.0)])
def test_the_rest_of_an_impulse_counts_once_twice_or_not(rng, kind, mean):
    rule = made("dw = u0*x1", Trace("x1", FOREVER, 2.25))
    s = at_rest(np.zeros((1, 4000), int))
    s = step(rule, s, pre=np.ones(4000), post=[0], rng=rng, arithmetic=with_(impulse=kind))
    assert s.traces["x1"].mean() == pytest.approx(mean, abs=0.03)


@pytest.mark.parametrize(("kind", "left"), [("exponential", 100 * np.exp(-0.75)), ("linear", 100 * 0.75**3)])
def test_traces_decay_exponentially_or_by_a_part_of_tau(kind, left):
    rule = made("dw = u0*x1", Trace("x1", 4, 100), epoch=4)
    assert weight(rule, 4, pre=[1], arithmetic=with_(decay=kind)) == int(left)


def test_an_impulse_decays_from_its_spike_or_counts_whole():
    rule = made("dw = u0*x1", Trace("x1", 4, 64), epoch=4)
    assert weight(rule, 4, pre=[2], arithmetic=with_(times="epoch")) == 64
    assert weight(rule, 4, pre=[2], arithmetic=with_(times="spike")) < 64


def test_further_spikes_of_an_epoch_add_or_are_lost():
    rule = made("dw = u0*x1", Trace("x1", FOREVER, 20), epoch=4)
    assert weight(rule, 4, pre=[1, 2, 4]) == pytest.approx(60, abs=2)
    assert weight(rule, 4, pre=[1, 2, 4], arithmetic=with_(repeated="once")) == 20


@pytest.mark.parametrize(("kind", "low"), [("symmetric", -255), ("beyond", -257)])
def test_the_lower_bound_is_that_of_the_bits_or_off_by_two(kind, low):
    rule = made("dt = -8*x0")
    s = run(rule, at_rest([[0]]), pre=np.ones((40, 1)), post=np.zeros((40, 1)), rng=AlwaysUp(),
            arithmetic=with_(clip=kind))  # fmt: skip
    assert s.t[0, 0] == low


def test_decimation_by_exclusive_or_never_fires_beyond_1():
    for k, fires in ((0, [2, 4]), (1, [1, 3]), (2, [])):
        rule = made(f"dw = u{k}*x1", Trace("x1", FOREVER, 1))
        how = with_(decimation="xor")
        ends = [0, *(weight(rule, n, pre=[1], arithmetic=how) for n in range(1, 5))]
        assert [n for n in range(1, 5) if ends[n] > ends[n - 1]] == fires


@pytest.mark.parametrize(
    ("arithmetic", "text"), [(NENGO_LOIHI, "dw = x0*t"), (LAVA, "dw = r1*x0"), (BRIAN2_LOIHI, "dw = x0*d")]
)
def test_variables_that_an_emulator_lacks_are_refused(arithmetic, text):
    with pytest.raises(OptionError, match="does not have"):
        weight(made(text), 1, arithmetic=arithmetic)


def test_a_card_says_what_differs_from_the_default():
    assert DEFAULT.differences() == {}
    assert NENGO_LOIHI.differences()["mantissa_bits"] == 3
    assert {name: len(a.differences()) for name, a in EMULATORS.items()} == {
        "default": 0, "nengo-loihi": 4, "lava": 7, "brian2-loihi": 5,
    }  # fmt: skip
