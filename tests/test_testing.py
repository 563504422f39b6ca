"""The public assertions notice what they are for: each is given a planted fault."""

import dataclasses

import numpy as np
import pytest

from neurodeploy.backends.base import BACKENDS
from neurodeploy.ir import ops
from neurodeploy.ir.graph import Graph, Node
from neurodeploy.recording import Recording
from neurodeploy.testing import assert_backend_conforms, assert_pass_is_pure, assert_same_recording

GRAPH = Graph(
    (
        Node("input", ops.Input((2,))),
        Node("fc", ops.Affine(np.eye(2), np.zeros(2))),
        Node("output", ops.Output((2,))),
    ),
    (("input", "fc"), ("fc", "output")),
)
RECORDING = Recording(
    np.eye(2), np.array([[0], [1]], np.int16), {"a": np.array([3, 4])}, {}, {"a": np.zeros((3, 2), np.int32)}
)


class Faulty:
    """A backend around `rate` that spoils its recording."""

    takes, needs, chunk = "graph", None, 8

    def __init__(self, spoil, name="rate"):
        self.spoil, self.name = spoil, name

    def open(self, model, **options):
        session = BACKENDS["rate"].open(model, **options)
        return lambda x, first: self.spoil(session(x, first), x, first)


def test_a_pure_pass_passes_and_gives_its_result():
    assert assert_pass_is_pure(lambda g: g.with_meta(seen=1), GRAPH).meta["seen"] == 1


def test_a_pass_that_changes_its_input_is_noticed():
    graph = GRAPH.with_meta(seen=0)

    def spoil(g):
        object.__setattr__(g, "name", g.name + "x")
        return g

    with pytest.raises(AssertionError, match="spoil changed its input"):
        assert_pass_is_pure(spoil, graph)


def test_a_pass_with_two_results_is_noticed():
    results = iter("ab")
    with pytest.raises(AssertionError, match="two results"):
        assert_pass_is_pure(lambda g: g.with_meta(seen=next(results)), GRAPH)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"spikes": {"a": np.array([3, 5])}}, r"spikes of a differ first at \(1,\): 4 and 5"),
        ({"spikes": {"b": np.array([3, 4])}}, r"spikes are of \['a'\] and of \['b'\]"),
        ({"raster": {"a": np.zeros((2, 2), np.int32)}}, r"raster of a: shapes \(3, 2\) and \(2, 2\)"),
        ({"outputs": np.eye(2) * (1 + 1e-15)}, "recording of outputs differ"),
        ({"seed": 1}, "seed is 0 and 1"),
    ],
)
def test_the_first_difference_of_recordings_is_named(change, message):
    assert_same_recording(RECORDING, dataclasses.replace(RECORDING, seconds=9.0))
    with pytest.raises(AssertionError, match=message):
        assert_same_recording(RECORDING, dataclasses.replace(RECORDING, **change))


def by_chunk(recording, x, first):
    return dataclasses.replace(recording, outputs=recording.outputs + len(x))


def against_itself(recording, x, first):
    return dataclasses.replace(recording, decisions=1 - recording.decisions)


def not_a_number(recording, x, first):
    return dataclasses.replace(recording, outputs=recording.outputs * np.nan)


def miscounted(recording, x, first):
    return dataclasses.replace(
        recording, spikes={"a": np.ones(len(x), int)}, raster={"a": np.zeros((0, 2), np.int32)}
    )


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (by_chunk, "outputs in chunks are 0.5 apart"),
        (against_itself, "last decisions"),
        (not_a_number, "not all finite"),
        (miscounted, "raster of a has 0 spikes, the count is 1"),
    ],
)
def test_a_backend_that_breaks_a_promise_is_noticed(spoil, message):
    x = np.array([[1.0, 0.0], [0.0, 1.0], [0.2, 0.1]])
    assert_backend_conforms(Faulty(lambda recording, x, first: recording), GRAPH, x)
    with pytest.raises(AssertionError, match=message):
        assert_backend_conforms(Faulty(spoil), GRAPH, x)
