"""State of Nengo's own simulator, all of it: signals, data, and what the steps of processes keep.

Nengo pickles signals only. Queues to and from the chip, random states of processes without a seed, and
whatever else a step function closes over are found here by walking its closure.
"""

from __future__ import annotations

import copy
import importlib
import inspect
import types
from collections.abc import Callable
from typing import Any

import numpy as np

from neurodeploy.backends.adapter import nengo_module
from neurodeploy.errors import OptionError

nengo_module()
Frozen: Any = importlib.import_module("nengo.params").FrozenObject
BUILT: Any = (
    importlib.import_module("nengo.builder.operator").Operator,
    importlib.import_module("nengo.builder.signal").Signal,
)
"""Parts of a built model, which hold no state of a run."""
PLAIN = (int, float, complex, bool, str, bytes, type(None), np.generic, np.dtype)
"""Values that are kept as they are."""
VALUES = (list, np.ndarray, np.random.RandomState, np.random.Generator)
"""Values that are copied."""
LEFT = (types.ModuleType, types.BuiltinFunctionType, type, np.ufunc, inspect.Signature)
"""Objects that hold no state of a run; SciPy keeps signatures beside its functions."""


def state_of(sim: Any) -> dict[str, Any]:
    """Copy the state of a simulator out.

    Parameters
    ----------
    sim : nengo.Simulator

    Returns
    -------
    dict
        Of arrays and plain values, in the order in which the model was built.

    Raises
    ------
    OptionError
        If a process keeps something that cannot be copied, such as an open file.
    """
    data = [[np.array(x) for x in sim._sim_data[probe]] for probe in sim.model.probes]
    if sim.closed:
        return {"data": data}
    return {
        "signals": [copy.deepcopy(array) for array in sim.signals.values()],
        "random": sim.rng.get_state(),
        "seed": sim.seed,
        "data": data,
        "steps": [_Copy(str(op)).take(step) for op, step in _processes(sim)],
    }


def set_state(sim: Any, state: dict[str, Any]) -> None:
    """Put a state back into a simulator of the same model.

    Parameters
    ----------
    sim : nengo.Simulator
    state : dict
        As `state_of` returns it.
    """
    sim.clear_probes()
    for probe, kept in zip(sim.model.probes, state["data"], strict=True):
        sim._sim_data[probe].extend(np.array(x) for x in kept)
    if "signals" not in state:
        sim.close()
        return
    for array, kept in zip(sim.signals.values(), state["signals"], strict=True):
        if isinstance(array, np.ndarray) and array.flags.writeable:
            array[...] = kept
    sim.rng.set_state(state["random"])
    sim.seed = state["seed"]
    for (_, step), kept in zip(_processes(sim), state["steps"], strict=True):
        _Paste().put(step, kept)
    sim._probe_step_time()


def _processes(sim: Any) -> list[tuple[Any, Callable[..., Any]]]:
    """List operators that may keep something, and their steps, in the order in which they were built.

    A function of the user's is the user's: what it keeps is not known to a simulator.
    """
    steps = {id(op): step for op, step in zip(sim._step_order, sim._steps, strict=True)}
    chosen = [op for op in sim.model.operators if type(op).__name__ in ("SimProcess", "SimNeurons")]
    return [(op, steps[id(op)]) for op in chosen if id(op) in steps]


def randoms_of(model: Any) -> list[np.random.RandomState]:
    """Random states of neurons, which belong to a built model and not to its simulator."""
    held = [getattr(op, "state_extra", {}) for op in model.operators]
    return [x for extra in held for x in extra.values() if isinstance(x, np.random.RandomState)]


def part_randoms(sim: Any) -> None:
    """Give a simulator's neurons random states of their own, equal to those of its model."""
    for op, step in _processes(sim):
        if getattr(op, "state_extra", {}):
            state = (members(step) or {})["state"]
            state.update({name: copy.deepcopy(state[name]) for name in op.state_extra})


def copy_of(step: Any, owner: str) -> Any:
    """Copy what a step function keeps; see `paste`."""
    return _Copy(owner).take(step)


def paste(step: Any, kept: Any) -> None:
    """Put back what `copy_of` took, into a step function of the same kind."""
    _Paste().put(step, kept)


class _Copy:
    """Walk through objects and copy the values in them; what was met before is not walked again."""

    def __init__(self, owner: str) -> None:
        self.owner, self.met = owner, set[int]()

    def take(self, x: Any) -> Any:
        if isinstance(x, PLAIN):
            return x
        if isinstance(x, np.ndarray):
            return x.copy()
        if isinstance(x, LEFT) or id(x) in self.met:
            return None
        self.met.add(id(x))
        if isinstance(x, np.random.RandomState):
            return x.get_state()
        if isinstance(x, np.random.Generator):
            return x.bit_generator.state
        if isinstance(x, list | tuple):
            return type(x)(self.take(y) for y in x) if type(x) in (list, tuple) else [self.take(y) for y in x]
        if isinstance(x, dict):
            return {key: self.take(y) for key, y in x.items() if isinstance(key, PLAIN)}
        return {key: self.take(y) for key, y in self._members(x).items()}

    def _members(self, x: Any) -> dict[str, Any]:
        found = members(x)
        if found is None:
            raise OptionError(
                f"{self.owner} keeps an object of type '{type(x).__name__}', which cannot be saved; "
                "keep numbers, arrays and random states"
            )
        return found


def members(x: Any) -> dict[str, Any] | None:
    """Return what an object or function holds by name, or None if that cannot be seen."""
    if isinstance(x, types.MethodType):
        return members(x.__self__)
    if isinstance(x, types.FunctionType):
        cells = zip(x.__code__.co_freevars, x.__closure__ or (), strict=True)
        return {name: cell.cell_contents for name, cell in cells}
    if isinstance(x, BUILT):
        return {}
    held = dict(vars(x)) if hasattr(x, "__dict__") else None
    if held is not None and isinstance(x, Frozen):  # a description, but one of the user's may keep something
        return {k: v for k, v in held.items() if isinstance(v, (*PLAIN, *VALUES))}
    return held


class _Paste:
    """Walk through objects as `_Copy` did, and put the values back."""

    def __init__(self) -> None:
        self.met = set[int]()

    def put(self, x: Any, kept: Any) -> Any:
        """Return what should take the place of `x`: itself where it could be changed in place."""
        if isinstance(x, np.ndarray):
            return self._array(x, kept)
        if isinstance(x, PLAIN):
            return kept
        if isinstance(x, LEFT) or id(x) in self.met:
            return x
        self.met.add(id(x))
        return self._inside(x, kept)

    @staticmethod
    def _array(x: Any, kept: Any) -> Any:
        if x.shape != kept.shape or not x.flags.writeable:
            return x if np.array_equal(x, kept) else kept.copy()
        x[...] = kept
        return x

    def _inside(self, x: Any, kept: Any) -> Any:
        if isinstance(x, np.random.RandomState):
            x.set_state(kept)
        elif isinstance(x, np.random.Generator):
            x.bit_generator.state = kept
        elif isinstance(x, list):
            x[:] = copy.deepcopy(kept)
        elif isinstance(x, tuple):
            return tuple(self.put(y, k) for y, k in zip(x, kept, strict=True))
        elif isinstance(x, dict):
            x.update({key: self.put(x[key], k) if key in x else copy.deepcopy(k) for key, k in kept.items()})
        else:
            self._object(x, kept)
        return x

    def _object(self, x: Any, kept: dict[str, Any]) -> None:
        if isinstance(x, types.MethodType):
            x = x.__self__
        function = isinstance(x, types.FunctionType)
        cells = dict(zip(x.__code__.co_freevars, x.__closure__ or (), strict=True)) if function else {}
        for name, value in (members(x) or {}).items():
            new = self.put(value, kept[name])
            if new is value:
                continue
            if function:
                cells[name].cell_contents = new
            else:
                setattr(x, name, new)
