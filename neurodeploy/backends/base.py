"""What a backend is, the table of them, and the figures every one of them has to make.

A backend opens a *session* on a model; a session runs samples, a chunk at a time. Progress, interruption,
resuming and joining chunks are the caller's, once for all backends, so a result must not depend on how
samples are cut into chunks.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

from neurodeploy.errors import MissingExtra, OptionError
from neurodeploy.ir import ops
from neurodeploy.ir.graph import Graph, Node
from neurodeploy.recording import Recording

if TYPE_CHECKING:
    from neurodeploy.program import Program

Floats = npt.NDArray[np.float64]
Longs = npt.NDArray[np.int64]

Session = Callable[[Floats, int], Recording]
"""Runs samples (B, *input shape), as `Graph.prepare` gives them and divided; the second value is the first
one's index in the whole run, which seeds its input train."""


class Backend(Protocol):
    """Code that runs a model."""

    @property
    def name(self) -> str:
        """What the command line calls it."""

    @property
    def takes(self) -> Literal["graph", "program"]:
        """What `open` works on: a graph, or a compiled `Program`."""

    @property
    def needs(self) -> str | None:
        """The extra that brings its packages, None where the core has them."""

    @property
    def chunk(self) -> int:
        """Samples per call of a session: always cut alike, and done in a few seconds."""

    def open(
        self, model: Graph | Program, *, steps: int, seed: int, input_coding: str, raster: bool
    ) -> Session:
        """Make ready to run samples; see `Listed.open`."""


@dataclass(frozen=True)
class Listed:
    """A backend whose module is imported when it is opened.

    Parameters
    ----------
    name : str
    takes : {"graph", "program"}
    where : str
        ``module:function``; the function has the signature of `Backend.open`.
    chunk : int
        Samples per call of a session: few enough that an interrupted run loses seconds, not minutes.
    needs : str, optional
        The extra that brings its packages.
    nef : bool
        Whether it can build a layer as a NEF ensemble.
    """

    name: str
    takes: Literal["graph", "program"]
    where: str
    chunk: int
    needs: str | None = None
    nef: bool = False

    def open(
        self,
        model: Graph | Program,
        *,
        steps: int,
        seed: int = 0,
        input_coding: str = "rate",
        raster: bool = True,
    ) -> Session:
        """Import the backend and open a session on a model.

        Parameters
        ----------
        model : Graph or Program
            As `takes` says.
        steps : int
            At least 1.
        seed : int
        input_coding : {"rate", "poisson", "bias"}
        raster : bool
            Whether the recording of sample 0 holds the single spikes.

        Raises
        ------
        OptionError
            If `steps` is below 1, or the backend cannot run the model.
        MissingExtra
            If a package the backend needs is not installed.
        """
        check_steps(steps)
        self._check_nef(model)
        module, function = self.where.split(":")
        try:
            start: Callable[..., Session] = getattr(importlib.import_module(module), function)
            return start(model, steps=steps, seed=seed, input_coding=input_coding, raster=raster)
        except ModuleNotFoundError as error:
            package = str(error.name).split(".")[0]
            if package == "neurodeploy":
                raise
            install = f"neurodeploy[{self.needs}]" if self.needs else package
            raise MissingExtra(
                f"backend '{self.name}' needs {package}, which is not installed; "
                f"add it with: pip install '{install}'"
            ) from error

    def _check_nef(self, model: Graph | Program) -> None:
        graph = model if isinstance(model, Graph) else model.graph
        layers = [node.origin for node in graph if "nef" in node.notes]
        if layers and not self.nef:
            able = ", ".join(b.name for b in BACKENDS.values() if isinstance(b, Listed) and b.nef)
            raise OptionError(
                f"backend '{self.name}' cannot run layer '{layers[0]}' as a NEF ensemble; choose from {able}"
            )


BACKENDS: dict[str, Backend] = {
    backend.name: backend
    for backend in (
        Listed("loihi-emulator", "program", "neurodeploy.backends.emulator:open_session", 128),
        Listed("nengo-loihi", "program", "neurodeploy.backends.nengo_loihi:open_session", 4),
        Listed("nengo", "graph", "neurodeploy.backends.nengo:open_session", 8, nef=True),
        Listed("nengo-dl", "graph", "neurodeploy.backends.nengo_dl:open_session", 64, needs="dl", nef=True),
        Listed("rate", "graph", "neurodeploy.backends.rate:open_session", 256),
    )
}
"""Every backend by the name the command line knows it by."""


def check_steps(steps: int) -> None:
    """Refuse a run of no steps."""
    if steps < 1:
        raise OptionError(f"steps is {steps}; a run takes at least 1 step")


def backend(name: str) -> Backend:
    """Return a backend by name.

    Raises
    ------
    OptionError
        If there is none of that name; the message lists those there are.
    """
    if name not in BACKENDS:
        raise OptionError(f"there is no backend '{name}'; the backends are {', '.join(BACKENDS)}")
    return BACKENDS[name]


# --- figures ------------------------------------------------------------------------------------------


def running_decisions(readout: npt.NDArray[Any]) -> npt.NDArray[np.int16]:
    """Index of the largest read-out after every step; the lowest index where several are equal.

    Parameters
    ----------
    readout : ndarray, shape (B, T, classes)
        State of the read-out at the end of every step: membranes, or spikes counted so far.

    Returns
    -------
    ndarray of int16, shape (B, T)
    """
    return np.asarray(np.argmax(readout, axis=2), dtype=np.int16)


def raster_of(train: npt.NDArray[Any]) -> npt.NDArray[np.int32]:
    """Step and neuron of every spike, in order of time.

    Parameters
    ----------
    train : ndarray, shape (T, N)
        Not zero where there is a spike.

    Returns
    -------
    ndarray of int32, shape (K, 2)
    """
    return np.argwhere(train).astype(np.int32)


def read_out(node: Node, train: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """State of the read-out after every step, from what the output population puts out in every step.

    Parameters
    ----------
    node : Node
        The output population.
    train : ndarray, shape (B, T, N)
        Spikes, or membranes of an integrator.

    Returns
    -------
    ndarray, shape (B, T, N)
        Spikes counted so far, or the membranes as they are.
    """
    return np.cumsum(train, axis=1) if node.op.spiking else train


def outputs_of(node: Node, readout: npt.NDArray[Any], *, steps: int) -> Floats:
    """Turn the last state of the read-out into the source model's units.

    Parameters
    ----------
    node : Node
        The output population.
    readout : ndarray, shape (B, N)
        Spike counts, or membranes.

    Returns
    -------
    ndarray of float64, shape (B, N)
        Per step that could have had input (the node's ``latency`` less), times `Node.unit`; a leaky
        integrator settles instead of growing, so its membrane is not divided.
    """
    counted = max(steps - int(node.notes.get("latency", 0)), 1)
    per_step = 1 if isinstance(node.op, ops.LI | ops.CubaLI) else counted
    return np.asarray(readout, dtype=np.float64) / per_step * node.unit


def record(
    graph: Graph,
    trains: Mapping[str, npt.NDArray[Any]],
    *,
    fan_out: Mapping[tuple[str, str], Longs],
    backend: str,
    seed: int,
    seconds: float,
    raster: bool,
) -> Recording:
    """Make the recording of a spiking graph from what its populations put out in every step.

    Parameters
    ----------
    graph : Graph
    trains : mapping of str to ndarray, shape (B, T, N)
        Spikes (0 or 1) of every population; membranes where the output is an integrator.
    fan_out : mapping of (str, str) to ndarray of int64, shape (N_source,)
        Synapses each neuron of a source population has in a target population.
    raster : bool
        Whether to keep the single spikes of the first sample.

    Notes
    -----
    A spike arrives one step after it was sent, so those of the last step cost no synaptic operations.
    """
    out = graph[graph.sources(graph.output.name)[0]]
    readout = read_out(out, trains[out.name])
    steps = readout.shape[1]
    spiking = [node.name for node in graph.neurons if node.op.spiking]
    senders = {*spiking, *(source for source, _ in fan_out if source in trains)}
    counts = {name: np.asarray(trains[name].sum(axis=1, dtype=np.int64)) for name in senders}
    synops: dict[str, Longs] = {}
    for (source, target), reach in fan_out.items():
        if source in counts:
            delivered: Longs = counts[source] - trains[source][:, -1].astype(np.int64)
            synops[target] = synops.get(target, np.zeros(len(delivered), np.int64)) + delivered @ reach
    return Recording(
        outputs=outputs_of(out, readout[:, -1], steps=steps).reshape(len(readout), -1),
        decisions=running_decisions(readout),
        spikes={name: counts[name].sum(axis=1) for name in spiking},
        synops=synops,
        raster={name: raster_of(trains[name][0]) for name in spiking} if raster else {},
        backend=backend,
        steps=steps,
        dt=graph.dt,
        seed=seed,
        seconds=seconds,
    )
