"""What a Keras model says about itself, from a file or a live object: layers, calls and weights."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from neurodeploy.errors import LoadError

Variable = tuple[str, npt.NDArray[Any]]
"""Name of a variable as far as it is known ("kernel"; may be empty) and its value."""
Weights = Mapping[str, Sequence[Variable]]
"""Variables by the path of their layer, in Keras' order."""

CHAINS = ("Sequential",)
NETWORKS = ("Functional", "Model")


@dataclass(frozen=True, eq=False)
class Source:
    """A model as it was written.

    Parameters
    ----------
    label : str
        What messages call it: the file as the user named it, or the model's name.
    file : str
        File name without folders; empty for a live object.
    framework : str
        As ``Keras 3.15.1``.
    kind : str
        Class of the model.
    config : mapping
        The configuration below the class name.
    weights : Weights
    """

    label: str
    file: str
    framework: str
    kind: str
    config: Mapping[str, Any]
    weights: Weights


@dataclass(frozen=True)
class Ref:
    """One output: that of a layer at one of its calls."""

    layer: str
    call: int


@dataclass(frozen=True, eq=False)
class Call:
    """One use of a layer; a `Ref` stands where a tensor was passed."""

    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)

    @property
    def refs(self) -> tuple[Ref, ...]:
        """The tensors that enter, in order."""
        return tuple(_refs((self.args, self.kwargs)))

    @property
    def fixes_training(self) -> bool:
        """Whether it says ``training=True``, so that the layer behaves at inference as in training."""
        return self.kwargs.get("training") is True


@dataclass(frozen=True, eq=False)
class Layer:
    """One layer of the model.

    Parameters
    ----------
    kind, name : str
        Class, and the user's name; a layer of an inner model is named ``inner/layer``.
    config : mapping
        The layer's own parameters.
    calls : tuple of Call
    home : str
        Where the class lives if it is not Keras' own.
    weights : sequence of Variable
    inner : Network, optional
        What it consists of, if it is a model itself.
    wrapped : Layer, optional
        The layer that a wrapper, as TimeDistributed, applies.
    """

    kind: str
    name: str
    config: Mapping[str, Any]
    calls: tuple[Call, ...] = ()
    home: str = ""
    weights: Sequence[Variable] = ()
    inner: Network | None = None
    wrapped: Layer | None = None

    @property
    def place(self) -> str:
        """Name and kind, for messages."""
        return f"layer '{self.name}' ({self.kind})"


@dataclass(frozen=True, eq=False)
class Network:
    """Layers and how they call each other.

    Parameters
    ----------
    layers : mapping of str to Layer
        By their own name in this network, in the order of the file.
    inputs : tuple of str
        Names of the layers where samples enter.
    outputs : tuple of Ref
    """

    layers: Mapping[str, Layer]
    inputs: tuple[str, ...]
    outputs: tuple[Ref, ...]


def every_layer(network: Network) -> Iterator[Layer]:
    """Yield all layers, also those of inner models and inside wrappers."""
    for layer in network.layers.values():
        yield layer
        for part in (layer, layer.wrapped):
            if part is not None and part.inner is not None:
                yield from every_layer(part.inner)


def _refs(value: Any) -> Iterator[Ref]:
    if isinstance(value, Ref):
        yield value
    elif isinstance(value, Mapping):
        yield from _refs(tuple(value.values()))
    elif isinstance(value, list | tuple):
        for part in value:
            yield from _refs(part)


@contextlib.contextmanager
def breakage_named(source: Source) -> Iterator[None]:
    """Turn what a configuration of an odd form raises into one message."""
    try:
        yield
    except LoadError:
        raise
    except (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError) as error:
        why = f"{type(error).__name__}: {error}"
        raise LoadError(
            f"'{source.label}': the model's configuration is broken ({why}); save it again"
        ) from error


# --- live objects -----------------------------------------------------------------------------------------


def from_live(model: Any) -> Source:
    """Read a `keras.Model` or `tf_keras.Model` through its own methods.

    Raises
    ------
    LoadError
        If the model cannot describe itself, or has no weights yet.
    """
    name = str(getattr(model, "name", type(model).__name__))
    bases = [base.__name__ for base in type(model).__mro__]
    try:
        config = model.get_config()
        weights = dict(_live_weights(model, ""))
    except (AttributeError, NotImplementedError, TypeError, ValueError) as error:
        raise LoadError(
            f"the model '{name}' ({bases[0]}) cannot describe itself ({error}); build it with "
            "keras.Sequential or keras.Model(inputs, outputs)"
        ) from error
    known = [base for base in bases if base in (*CHAINS, "Functional")]
    kind = known[0] if known and "layers" in config else bases[0]
    root = type(model).__mro__[bases.index(known[0]) if known else 0].__module__.split(".")[0]
    return Source(name, "", f"{_version(root)}, live", kind, config, weights)


def _live_weights(model: Any, path: str) -> Iterator[tuple[str, list[Variable]]]:
    for layer in model.layers:
        yield path + layer.name, _variables(layer)
        for inner in (layer, getattr(layer, "layer", None)):
            if hasattr(inner, "layers"):
                yield from _live_weights(inner, f"{path}{layer.name}/")


def _variables(layer: Any) -> list[Variable]:
    values = [np.asarray(value) for value in layer.get_weights()]
    names = [tail(str(v.name)) for v in getattr(layer, "weights", ())]
    return list(zip(names if len(names) == len(values) else [""] * len(values), values, strict=True))


def _version(root: str) -> str:
    import sys

    version = getattr(sys.modules.get(root), "__version__", "")
    return f"Keras {version}".strip()


def tail(name: str) -> str:
    """Return the last part of a variable's name: ``kernel`` of ``dense/kernel:0``."""
    return name.rsplit("/", 1)[-1].split(":", 1)[0]
