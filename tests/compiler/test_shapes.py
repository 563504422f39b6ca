"""Layers with engines of their own, in pairs around limits that depend on each other or are disputed."""

import numpy as np
import pytest

from neurodeploy.compiler import compile
from neurodeploy.ir import ops
from neurodeploy.targets import target
from tests.compiler.graphs import chain, conv, dense, spiking


def findings(graph, code, bound):
    return [d for d in compile(graph, bound).diagnostics if d.code == code]


def image(rng, op, shape=(1, 12, 12)):
    """An image and a convolution, then a dense layer."""
    layers = [("c", op), ("n", spiking()), ("f", ops.Flatten())]
    size = chain(shape, layers).size("f")
    return chain(shape, [*layers, ("d", dense(rng, size, 5)), ("out", spiking())])


def second(rng, op):
    """A convolution behind another one."""
    first = conv(rng, 1, 4, padding=1)
    return chain((1, 12, 12), [("c", first), ("n", spiking()), ("e", op), ("m", spiking())])


def test_a_first_layer_has_an_engine_of_its_own(rng):
    assert not findings(image(rng, conv(rng, 1, 4, stride=3)), "ND206", "akd1000")
    (found,) = findings(second(rng, conv(rng, 4, 4, stride=3)), "ND206", "akd1000")
    assert (found.place.layer, found.facts["parameter"], found.facts["used"]) == ("e", "stride", "3 x 3")


def test_a_stride_with_a_kernel_that_has_none(rng):
    assert not findings(second(rng, conv(rng, 4, 4, 3, stride=2)), "ND206", "akd1000")
    (found,) = findings(second(rng, conv(rng, 4, 4, 5, stride=2)), "ND206", "akd1000")
    assert found.facts["parameter"] == "kernel with a stride"


@pytest.mark.parametrize(("channels", "kernel", "most"), [(1, 3, 512), (1, 7, 96), (3, 3, 192), (3, 7, 32)])
def test_filters_of_a_first_layer_at_the_limit_and_one_above(channels, kernel, most, rng):
    def net(filters):
        op = ops.Conv2d(np.ones((filters, channels, kernel, kernel)), np.zeros(filters))
        return image(rng, op, (channels, 8, 8))

    assert not findings(net(most), "ND206", "akd1000")
    (found,) = findings(net(most + 1), "ND206", "akd1000")
    assert (found.facts["used"], found.facts["limit"]) == (most + 1, f"up to {most}")


@pytest.mark.parametrize(("shape", "message"), [
    ((1, 5, 5), None), ((1, 4, 5), "at least 5"), ((1, 5, 4), "at least 5"),
    ((1, 5, 256), None), ((1, 5, 257), "up to 256"),
])  # fmt: skip
def test_input_sizes_of_a_first_layer(shape, message, rng):
    found = findings(image(rng, conv(rng, 1, 1), shape), "ND206", "akd1000")
    assert [d.facts["limit"] for d in found] == ([message] if message else [])


@pytest.mark.parametrize(("channels", "there"), [(1, False), (2, True), (3, False)])
def test_channels_of_a_first_layer_are_listed(channels, there, rng):
    found = findings(image(rng, conv(rng, channels, 4), (channels, 12, 12)), "ND206", "akd1000")
    assert [d.facts["parameter"] for d in found] == (["input channels"] if there else [])


@pytest.mark.parametrize(("kernel", "code"), [(15, None), (16, "ND805"), (17, "ND206")])
def test_a_kernel_between_two_sources_is_said(kernel, code, rng):
    graph = image(rng, conv(rng, 1, 1, kernel), (1, 20, 20))
    found = [d for d in compile(graph, "speck2e").diagnostics if d.code in ("ND805", "ND206")]
    assert [d.code for d in found] == ([code] if code else [])
    if code == "ND805":
        assert (found[0].facts["rival"], found[0].severity.value) == (15, "warning")


def test_parts_without_layer_engines_have_no_such_limits(rng):
    graph = image(rng, conv(rng, 2, 3, 5, stride=3), (2, 12, 12))
    for name in ("loihi1", "loihi2", "spinnaker1"):
        assert not findings(graph, "ND206", target(name))
