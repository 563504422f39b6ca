"""What is read goes on to spikes: the check that every row of the tables of layers is put to."""

from __future__ import annotations

from typing import Any

import numpy as np

from neurodeploy.conversion import convert
from neurodeploy.ir.evaluate import evaluate
from neurodeploy.ir.simulate import simulate


def assert_converts(graph: Any) -> None:
    """Compare the rates of the converted network with its source, and let it spike once."""
    x = np.random.default_rng(1).normal(size=(4, *graph.shapes[graph.input.name]))
    spiking = convert(graph, x, steps=2)
    want = evaluate(graph, x, logits=True)
    last = spiking[spiking.sources(spiking.output.name)[0]]
    entering = spiking.prepare(x.transpose(0, *(1 + np.argsort(graph.input.op.axes))))
    have = evaluate(spiking, entering) * last.unit - float(last.notes.get("shift", 0.0))
    np.testing.assert_allclose(have.reshape(want.shape), want, rtol=0, atol=1e-6 * np.abs(want).max())
    assert simulate(spiking, entering[:1], steps=2).outputs.size == want[0].size
