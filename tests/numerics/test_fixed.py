import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from neurodeploy.numerics.fixed import decay_magnitude, round_even, saturate, wrap

INT32 = st.integers(-(2**31) + 1, 2**31 - 1)


def one(x):
    return np.array([x], np.int32)


@given(INT32, st.integers(1, 31))
def test_wrapping_is_twos_complement_with_one_more_bit(x, bits):
    want = (x + 2**bits) % 2 ** (bits + 1) - 2**bits
    assert wrap(one(x), bits)[0] == want


def test_wrapping_turns_over_at_the_format_limit():
    assert wrap(np.array([2**21 - 1, 2**21, -(2**21), -(2**21) - 1], np.int32), 21).tolist() == [
        2**21 - 1, -(2**21), -(2**21), 2**21 - 1,
    ]  # fmt: skip


@given(INT32, st.integers(0, 4096))
def test_a_decay_truncates_the_magnitude_as_exact_integers_do(x, keep):
    want = (abs(x) * keep >> 12) * (1 if x > 0 else -1)
    got = decay_magnitude(one(x), keep)
    assert got[0] == want
    assert got.dtype == np.int32


@given(INT32, st.integers(0, 4096))
def test_a_decay_never_grows_and_never_changes_sign(x, keep):
    got = int(decay_magnitude(one(x), keep)[0])
    assert abs(got) <= abs(x)
    assert got * x >= 0


@given(st.lists(INT32, min_size=1), st.integers(1, 30))
def test_saturating_is_symmetric_and_leaves_what_fits(values, bits):
    x = np.array(values, np.int64)
    got, top = saturate(x, bits), 2**bits - 1
    assert np.abs(got).max() <= top
    assert np.array_equal(got[np.abs(x) <= top], x[np.abs(x) <= top])
    assert np.array_equal(saturate(-x, bits), -got)


@given(st.integers(-(10**6), 10**6))
def test_halves_round_to_even(n):
    assert round_even(n + 0.5) % 2 == 0
    assert round_even(n) == n


@given(st.floats(-1e9, 1e9))
def test_rounding_moves_by_at_most_a_half(x):
    assert abs(int(round_even(x)) - x) <= 0.5
