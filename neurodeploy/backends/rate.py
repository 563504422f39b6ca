"""Backend ``rate``: the graph in floats, rates in place of spikes; what the others are measured against."""

from __future__ import annotations

import time

from neurodeploy.backends.base import Floats, Session, running_decisions
from neurodeploy.ir.evaluate import evaluate
from neurodeploy.ir.graph import Graph
from neurodeploy.recording import Recording


def open_session(
    graph: Graph, *, steps: int = 1, seed: int = 0, input_coding: str = "rate", raster: bool = False
) -> Session:
    """Open a session that evaluates a graph, in rate or spiking form, without time.

    `steps`, `input_coding` and `raster` have no meaning here; the recording says 1 step.
    """
    out = graph[graph.sources(graph.output.name)[0]]

    def run(x: Floats, first: int) -> Recording:
        start = time.perf_counter()
        outputs = evaluate(graph, x).reshape(len(x), -1) * out.unit
        seconds = time.perf_counter() - start
        return Recording(
            outputs=outputs,
            decisions=running_decisions(outputs[:, None]),
            backend="rate",
            steps=1,
            dt=graph.dt,
            seed=seed,
            seconds=seconds,
        )

    return run
