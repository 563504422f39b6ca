"""Weights of one sample's own, in vectors, against one number at a time."""

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neurodeploy.kernels import chance, deliver
from neurodeploy.kernels.room import aligned

WIDTHS = [2, 4, 6, 8, 10, 16, 18, 34]
SHIFTS = [-40, -31, -3, 0, 2, 31, 33]


@pytest.fixture(scope="module")
def jitted():
    """The two functions as callers outside compiled code see them."""
    names = {"products": chance.add_products, "row": deliver.add_learned}
    return {name: numba.njit(function.py_func, _nrt=False) for name, function in names.items()}


def shifted(x, bits):
    """In as many bits as it takes, then wrapped to 32."""
    whole = [int(v) << bits if bits >= 0 else int(v) >> -bits for v in x]
    return np.array([(v + 2**31) % 2**32 - 2**31 for v in whole], np.int64)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 2**32 - 1), st.sampled_from(WIDTHS), st.sampled_from(SHIFTS), st.sampled_from([-3, 0, 4])
)
def test_products_of_traces_and_errors(jitted, seed, n, product_shift, weight_shift):
    rng = np.random.default_rng(seed)
    axons = int(rng.integers(1, 40))
    rule = np.zeros(14, np.int64)
    rule[1], rule[2], rule[6], rule[7], rule[8] = axons, n, rng.integers(1, 99), product_shift, weight_shift
    errors = rng.integers(-128, 128, n // 2 + 1).astype(np.int32)
    traces = (rng.integers(-127, 128, axons) * rng.integers(0, 2, axons)).astype(np.int32)
    before = rng.integers(-(2**15), 2**15, axons * n).astype(np.int32)
    product = traces[:, None].astype(np.int64) * errors[None, : n // 2] * rule[6]
    change = np.concatenate([-product, product], axis=1).ravel()
    total = shifted(before, weight_shift) + shifted(change, product_shift)
    learned = before.copy()
    jitted["products"](rule, errors, traces, learned, aligned((axons * n + 2 * n + 32,), np.int32))
    assert np.array_equal(learned, total.astype(np.int32))


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from(WIDTHS))
def test_rows_that_spikes_add_up(jitted, seed, n):
    rng = np.random.default_rng(seed)
    axons, size, first, start = 9, 12, 5, 32
    axon = rng.permutation(size).astype(np.int32) - (size - axons)  # some neurons have none
    rows = np.zeros((3 + size, 4), np.int32)
    rows[3:, 0] = axon
    learned = aligned((first + axons * n,), np.int32)
    learned[:] = rng.integers(-(2**20), 2**20, len(learned))
    spikes = rng.permutation(size)[: rng.integers(0, size)].astype(np.int32)
    rule = np.array([0, axons, n, first, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0], np.int64)
    q, marks, flags = (
        np.full(96, 7, np.int32),
        (rng.random(2 + axons) < 0.05).astype(np.int32),
        np.zeros(1, np.int64),
    )
    met = axon[spikes][axon[spikes] >= 0]
    expected = q.copy()
    expected[start : start + n] += learned[first:].reshape(axons, n)[met].sum(axis=0, dtype=np.int32)
    lost = marks[2:][met].any()
    found = jitted["row"](rule, start, rows, spikes, 0, len(spikes), 3, q, marks, learned, flags)
    assert found == n * len(met)
    assert np.array_equal(q, expected)
    assert marks[2:][met].all()
    assert (flags[0] == chance.LOST) == lost
