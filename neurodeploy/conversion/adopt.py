"""A spiking network of another tool, made ready to be run on samples."""

from __future__ import annotations

import dataclasses

import numpy as np

from neurodeploy.conversion.skeleton import with_encoder
from neurodeploy.errors import ConvertError, VerifyError
from neurodeploy.ir.graph import Graph
from neurodeploy.ir.verify import verify

STEPS = 64
"""Steps that runs take unless told otherwise."""


def adopt(graph: Graph, *, steps: int | None = None) -> Graph:
    """Put an encoder in front of a spiking network, so that samples enter as rates.

    Parameters
    ----------
    graph : Graph
        In spiking form, without an encoder.
    steps : int, optional
        That runs are meant to take.

    Returns
    -------
    Graph
        A sample value of 1 is one spike in every step; what is below 0 sends none.

    Raises
    ------
    ConvertError
        If the network does not end in one population, or holds an op that no spiking network has here.
    """
    ready = with_encoder(graph, np.ones((1, *graph.shapes[graph.input.name])))
    ready = ready.with_meta(steps=int(STEPS if steps is None else steps), divide_by=1.0)
    last = ready[ready.sources(ready.output.name)[-1]]
    nodes = (dataclasses.replace(n, notes={**n.notes, "role": "output"}) if n is last else n for n in ready)
    ready = dataclasses.replace(ready, nodes=tuple(nodes))
    try:
        return verify(ready, form="spiking")
    except VerifyError as error:
        raise ConvertError(f"'{graph.name}': {str(error).partition(': ')[2]}") from error
