import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import correlate

from neurodeploy.numerics.layers import conv1d, conv2d, sum_pool2d

SEEDS = st.integers(0, 2**32 - 1)


@given(SEEDS, st.integers(1, 3), st.integers(1, 3), st.integers(1, 2), st.integers(1, 2), st.integers(0, 2))
@settings(max_examples=60, deadline=None)
def test_convolution_equals_scipys(seed, kh, kw, stride, dilation, padding):
    rng = np.random.default_rng(seed)
    x, weight = rng.normal(size=(2, 3, 7, 6)), rng.normal(size=(4, 3, kh, kw))
    spread = np.zeros((4, 3, dilation * (kh - 1) + 1, dilation * (kw - 1) + 1))
    spread[:, :, ::dilation, ::dilation] = weight
    padded = np.pad(x, ((0, 0), (0, 0), (padding,) * 2, (padding,) * 2))
    want = [
        [correlate(image, kernel, mode="valid")[0, ::stride, ::stride] for kernel in spread]
        for image in padded
    ]
    got = conv2d(x, weight, stride=(stride,) * 2, padding=(padding,) * 2, dilation=(dilation,) * 2)
    np.testing.assert_allclose(got, want, atol=1e-12)


@given(SEEDS, st.sampled_from([(2, 1), (3, 2), (6, 1)]))
@settings(max_examples=30, deadline=None)
def test_groups_are_separate_convolutions(seed, case):
    groups, outs = case
    rng = np.random.default_rng(seed)
    x, weight = rng.normal(size=(2, 6, 5, 5)), rng.normal(size=(groups * outs, 6 // groups, 3, 2))
    parts = [
        conv2d(part, kernels)
        for part, kernels in zip(np.split(x, groups, axis=1), np.split(weight, groups), strict=True)
    ]
    np.testing.assert_allclose(conv2d(x, weight, groups=groups), np.concatenate(parts, axis=1), atol=1e-12)


@given(SEEDS, st.integers(1, 3), st.integers(0, 2), st.integers(1, 2))
@settings(max_examples=30, deadline=None)
def test_a_sequence_is_an_image_of_height_one(seed, stride, padding, dilation):
    rng = np.random.default_rng(seed)
    x, weight = rng.normal(size=(2, 3, 9)), rng.normal(size=(4, 3, 3))
    got = conv1d(x, weight, stride=stride, padding=padding, dilation=dilation)
    spread = np.zeros((4, 3, 2 * dilation + 1))
    spread[:, :, ::dilation] = weight
    padded = np.pad(x, ((0, 0), (0, 0), (padding, padding)))
    want = [[correlate(row, kernel, mode="valid")[0, ::stride] for kernel in spread] for row in padded]
    np.testing.assert_allclose(got, want, atol=1e-12)


@given(SEEDS, st.integers(1, 3), st.integers(1, 3), st.integers(0, 1))
@settings(max_examples=30, deadline=None)
def test_pooling_is_a_convolution_with_ones_per_channel(seed, size, stride, padding):
    x = np.random.default_rng(seed).normal(size=(2, 3, 6, 7))
    options = {"stride": (stride, 1), "padding": (padding, 0)}
    want = conv2d(x, np.ones((3, 1, size, 2)), groups=3, **options)
    np.testing.assert_allclose(sum_pool2d(x, kernel_size=(size, 2), **options), want, atol=1e-12)
