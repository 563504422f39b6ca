"""State of a LoihiSimulator as one value, and its pickled form."""

from __future__ import annotations

import hashlib
import importlib
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

import numpy as np

from neurodeploy.backends import host_state
from neurodeploy.backends.chip import Chip
from neurodeploy.errors import OptionError


def state_of(sim: Any) -> dict[str, Any]:
    """Copy out all that changes in a run, and the data so far.

    Parameters
    ----------
    sim : LoihiSimulator

    Returns
    -------
    dict
        Of plain values and arrays.
    """
    nodes = sim.network.all_nodes
    return {
        "n_steps": sim._n_steps,
        "seeds": (sim.seed, sim._seed),
        "chip": sim.sims["emulator"].state(),
        "hosts": [host_state.state_of(host) for host in hosts_of(sim)],
        "samples": [host.state() for host in sim._hosts],
        "silenced": [[nodes.index(node) for node in host.silenced] for host in sim._hosts],
        "data": [[np.array(x) for x in sim._probe_outputs[probe]] for probe in chip_probes(sim)],
        "randoms": sim._randoms,
    }


def set_state(sim: Any, state: Mapping[str, Any]) -> None:
    """Put back what `state_of` returned, of a simulator of the same network."""
    sim._n_steps, (sim.seed, sim._seed) = state["n_steps"], state["seeds"]
    sim._randoms = state["randoms"]
    sim.clear_probes()
    sim.sims["emulator"].set_state(state["chip"])
    for host, kept in zip(hosts_of(sim), state["hosts"], strict=True):
        host_state.set_state(host, kept)
    probes, nodes = chip_probes(sim), sim.network.all_nodes
    for host, kept, silenced in zip(sim._hosts, state["samples"], state["silenced"], strict=True):
        host.set_state(kept, probes, [nodes[i] for i in silenced])
    for probe, data in zip(probes, state["data"], strict=True):
        sim._probe_outputs[probe].extend(np.array(x) for x in data)
    sim._probe_step_time()
    sim._show()


def checked_set_state(sim: Any, state: Any) -> None:
    """Put a state of anybody's back, or leave the simulator as it is.

    Raises
    ------
    OptionError
        If it is no state of such a simulator.
    """
    before = state_of(sim)
    trouble = _unlike(state, before)
    if trouble:
        raise OptionError(f"this is no state of a LoihiSimulator: {trouble}; give what get_state returned")
    steps = [(host, list(host._steps)) for host in _all_hosts(sim)]
    try:
        set_state(sim, state)
    except Exception as error:  # whatever comes of values deep inside that are not what they should be
        for host, kept in steps:
            host._steps[:] = kept
        set_state(sim, before)
        raise OptionError(
            f"this is no state of a LoihiSimulator ({type(error).__name__}: {error}); "
            "give what get_state returned"
        ) from error


def _unlike(state: Any, mine: Any, place: str = "it") -> str | None:
    """Say where a state differs in form from one of the same simulator, or return None."""
    if isinstance(mine, dict):
        return _unlike_by_name(state, mine, place)
    if isinstance(mine, np.ndarray):
        if not isinstance(state, np.ndarray) or (state.shape, state.dtype) != (mine.shape, mine.dtype):
            return f"{place} is no array of {mine.dtype} of shape {mine.shape}"
    elif type(mine) is int and (not isinstance(state, (int, np.integer)) or isinstance(state, bool)):
        return f"{place} is no whole number"
    elif isinstance(mine, (list, tuple)) and not isinstance(state, (list, tuple)):
        return f"{place} is no list"
    return None


def _unlike_by_name(state: Any, mine: dict[Any, Any], place: str) -> str | None:
    if not isinstance(state, Mapping):
        return f"{place} is no dict"
    for name, value in mine.items():
        if not isinstance(name, str):  # what is there at one time only
            continue
        if name not in state:
            return f"{place} lacks '{name}'"
        trouble = _unlike(state[name], value, f"'{name}'")
        if trouble:
            return trouble
    return None


def _all_hosts(sim: Any) -> list[Any]:
    of_samples = [s for host in sim._hosts for name, s in host.sims.items() if name != "emulator"]
    return [*hosts_of(sim), *of_samples]


def hosts_of(sim: Any) -> list[Any]:
    """List Nengo's simulators of what is not on the chip."""
    return [host for name, host in sim.sims.items() if name != "emulator"]


def chip_probes(sim: Any) -> list[Any]:
    """List the probes whose data come from the chip."""
    return [p for p in sim.model.nengo_probes if p not in sim.model.chip2host_params]


def fingerprint(sim: Any) -> str:
    """Digest of what does not change in a run: of two simulators with the same one, either can go on."""
    layout = sim.sims["emulator"].layout
    digest = hashlib.sha256(repr((sim.dt, sim.n_samples, list(sim.sims))).encode())
    tables = (layout.groups, layout.wires, layout.rows, layout.words, layout.vectors, layout.neurons)
    for array in (*tables, layout.learned):
        digest.update(array.tobytes())
    for host in hosts_of(sim):
        for signal, array in host.signals.items():
            digest.update(repr(array.shape).encode())
            if signal.readonly and isinstance(array, np.ndarray):
                digest.update(array.tobytes())
    return digest.hexdigest()


def pickled(sim: Any) -> dict[str, Any]:
    """Return what `unpickle` makes a simulator of."""
    chip = sim.sims["emulator"]
    return {
        "model": dict(vars(sim.model)),  # nengo-loihi's class refuses to be pickled, its parts do not
        "network": sim.network,
        "n_samples": sim.n_samples,
        "learned": chip.layout.learned,
        "strict": chip.strict,
        "closed": sim.closed,
        "state": state_of(sim),
    }


def unpickle(sim: Any, kept: dict[str, Any]) -> None:
    """Fill an empty LoihiSimulator from a built model and a state."""
    simulator = importlib.import_module("nengo_loihi.simulator")
    sim.closed = True
    sim.model = object.__new__(importlib.import_module("nengo_loihi.builder").Model)
    vars(sim.model).update(kept["model"])
    sim.network, sim.n_samples, sim.target = kept["network"], kept["n_samples"], "sim"
    sim.seed, sim._seed = kept["state"]["seeds"]
    sim.timers, sim._n_steps, sim._time, sim._hosts = simulator.Timers(), 0, 0, []
    sim.precompute = sim.model.split.precompute
    sim._probe_outputs = sim.model.params
    sim.data = simulator.SimulationData(sim._probe_outputs)
    sim.sims = OrderedDict()
    for name in ("host_pre", "host"):
        if getattr(sim.model, name).params:
            sim.sims[name] = _host(getattr(sim.model, name), sim.model.dt)
            sim.data.add_fallback(sim.sims[name].data)
    chip = sim.sims["emulator"] = Chip(sim.model, seed=sim._seed, size=sim.n_samples or 1)
    chip.begin_with(kept["learned"])
    chip.strict = kept["strict"]
    sim._connect()
    sim.closed = False
    set_state(sim, kept["state"])
    if kept["closed"]:
        sim.close()


def _host(model: Any, dt: float) -> Any:
    make = importlib.import_module("nengo.simulator").Simulator
    return make(None, dt=dt, model=model, progress_bar=False, optimize=False)
