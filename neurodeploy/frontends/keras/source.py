"""What a Keras model says about itself, from a file or a live object, before any of it is understood."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from neurodeploy.errors import LoadError

Variable = tuple[str, npt.NDArray[Any]]
"""Name of a variable as far as it is known ("kernel"; may be empty) and its value."""

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
    weights : mapping of str to sequence of Variable
        By layer name, in Keras' order.
    """

    label: str
    file: str
    framework: str
    kind: str
    config: Mapping[str, Any]
    weights: Mapping[str, Sequence[Variable]]


@dataclass(frozen=True, eq=False)
class Layer:
    """One layer of the model.

    Parameters
    ----------
    kind, name : str
        Class and the user's name.
    config : mapping
        The layer's own parameters.
    inputs : tuple of str
        Names of the layers that feed it.
    uses : int
        How often the model calls it.
    training : bool
        Whether a call fixes ``training=True``, so that it behaves at inference as in training.
    home : str
        Where the class lives if it is not Keras' own.
    weights : sequence of Variable
    """

    kind: str
    name: str
    config: Mapping[str, Any]
    inputs: tuple[str, ...] = ()
    uses: int = 1
    training: bool = False
    home: str = ""
    weights: Sequence[Variable] = ()

    @property
    def place(self) -> str:
        """Name and kind, for messages."""
        return f"layer '{self.name}' ({self.kind})"


@contextlib.contextmanager
def breakage_named(source: Source) -> Iterator[None]:
    """Turn what a configuration of an odd form raises into one message."""
    try:
        yield
    except LoadError:
        raise
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        why = f"{type(error).__name__}: {error}"
        raise LoadError(
            f"'{source.label}': the model's configuration is broken ({why}); save it again"
        ) from error


def layers_of(source: Source) -> tuple[Layer, ...]:
    """Return the layers in the order of the file, the input first.

    Raises
    ------
    LoadError
        If the model is of a class whose layers are not in its configuration, or the configuration is broken.
    """
    with breakage_named(source):
        if source.kind in CHAINS:
            return tuple(_chain(source))
        if source.kind in NETWORKS and "layers" in source.config:
            return tuple(_network(source))
    raise LoadError(
        f"'{source.label}' is a {source.kind}, a model defined by its own Python code, which is not in the "
        "file and would not be run; rebuild it with keras.Sequential or keras.Model(inputs, outputs)"
    )


def path_of(source: Source, layers: Sequence[Layer]) -> tuple[Layer, ...]:
    """Return the layers from the input to the output, for a model without branches.

    Raises
    ------
    LoadError
        If the model has several inputs or outputs, or layers off the path.
    """
    entries = [layer for layer in layers if layer.kind == "InputLayer"]
    fed = {name for layer in layers for name in layer.inputs}
    ends = [layer for layer in layers if layer.name not in fed]
    outputs = list(dict.fromkeys(ref[0] for ref in _references(source.config.get("output_layers"))))
    for what, names in (
        ("inputs", [e.name for e in entries]),
        ("outputs", outputs or [e.name for e in ends]),
    ):
        if len(names) != 1:
            listed = ", ".join(f"'{n}'" for n in names) or "none"
            raise LoadError(f"'{source.label}' has {len(names)} {what} ({listed}); models with one are taken")
    by_name = {layer.name: layer for layer in layers}
    end = outputs[0] if outputs else ends[0].name
    path: list[Layer] = []
    here = end
    while here in by_name and len(path) <= len(layers):
        path.insert(0, by_name[here])
        here = path[0].inputs[0] if path[0].inputs else ""
    stray = [f"'{layer.name}'" for layer in layers if layer not in path]
    if path[:1] != entries or stray:
        beside = ", ".join(stray) or f"'{end}'"
        raise LoadError(
            f"'{source.label}' is not one chain of layers from input to output: {beside} lies beside it"
        )
    return tuple(path)


# --- configurations ---------------------------------------------------------------------------------------


def _chain(source: Source) -> Iterator[Layer]:
    before: tuple[str, ...] = ()
    for i, entry in enumerate(source.config["layers"]):
        layer = _layer(source, entry, before)
        if i == 0 and layer.kind != "InputLayer":
            shape = _declared_shape(source, entry)
            yield Layer("InputLayer", "input", {"name": "input", "batch_shape": shape})
            layer = _layer(source, entry, ("input",))
        yield layer
        before = (layer.name,)


def _declared_shape(source: Source, entry: Mapping[str, Any]) -> Any:
    """Shape of the input, batch axis first, where there is no input layer to say it."""
    candidates = (
        entry["config"].get("batch_input_shape"),
        entry["config"].get("batch_shape"),
        source.config.get("build_input_shape"),
        (entry.get("build_config") or {}).get("input_shape"),
    )
    shape = next((c for c in candidates if c), None)
    if shape is None:
        raise LoadError(
            f"'{source.label}' does not say the shape of its input; start it with keras.Input(shape) or call "
            "model.build(shape) and save again"
        )
    return shape


def _network(source: Source) -> Iterator[Layer]:
    for entry in source.config["layers"]:
        nodes = entry.get("inbound_nodes") or []
        inputs = tuple(dict.fromkeys(ref[0] for ref in _references(nodes)))
        name = entry.get("name") or entry["config"]["name"]
        yield _layer(
            source, entry, inputs, name=name, uses=max(1, len(nodes)), training=_fixes_training(nodes)
        )


def _layer(
    source: Source,
    entry: Mapping[str, Any],
    inputs: tuple[str, ...],
    *,
    name: str = "",
    uses: int = 1,
    training: bool = False,
) -> Layer:
    config = _plain(entry["config"])
    if not isinstance(config, Mapping):
        raise TypeError(f"a layer is configured by {config!r}")
    kind, name = str(entry["class_name"]), str(name or config["name"])
    weights = source.weights.get(name, ())
    return Layer(kind, name, config, inputs, uses, training, _home(entry), weights)


def _plain(value: Any) -> Any:
    """Unwrap the tuples and NumPy numbers that some versions of Keras write as objects."""
    if isinstance(value, Mapping):
        if value.get("class_name") in ("__tuple__", "__numpy__"):
            return _plain(value["config"]["value"] if "config" in value else value["items"])
        return {key: _plain(part) for key, part in value.items()}
    return [_plain(part) for part in value] if isinstance(value, list | tuple) else value


def _home(entry: Mapping[str, Any]) -> str:
    """Where a custom class lives; empty for Keras' own."""
    registered = entry.get("registered_name")
    module = str(entry.get("module") or "keras")
    own = module.split(".")[0] in ("keras", "tf_keras", "tensorflow") and ".ops." not in module
    if own and (not registered or ">" not in str(registered)):
        return ""
    return str(registered) if registered and own else f"{module}.{entry.get('class_name')}"


def _references(value: Any) -> Iterator[tuple[str, int, int]]:
    """Find [layer, node, tensor] triples, as Keras 2 nests them in lists and Keras 3 in calls."""
    if isinstance(value, Mapping):
        if value.get("class_name") == "__keras_tensor__":
            name, node, tensor = value["config"]["keras_history"]
            yield str(name), int(node), int(tensor)
            return
        for part in value.values():
            yield from _references(part)
    elif isinstance(value, list | tuple):
        if _is_reference(value):
            yield str(value[0]), int(value[1]), int(value[2])
            value = value[3:]
        for part in value:
            yield from _references(part)


def _is_reference(value: Sequence[Any]) -> bool:
    return len(value) >= 3 and isinstance(value[0], str) and all(type(v) is int for v in value[1:3])


def _fixes_training(value: Any) -> bool:
    if isinstance(value, Mapping):
        return value.get("training") is True or any(_fixes_training(part) for part in value.values())
    return isinstance(value, list | tuple) and any(_fixes_training(part) for part in value)


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
        weights = {layer.name: _variables(layer) for layer in model.layers}
    except (AttributeError, NotImplementedError, TypeError, ValueError) as error:
        raise LoadError(
            f"the model '{name}' ({bases[0]}) cannot describe itself ({error}); build it with "
            "keras.Sequential or keras.Model(inputs, outputs)"
        ) from error
    known = [base for base in bases if base in (*CHAINS, "Functional")]
    kind = known[0] if known and "layers" in config else bases[0]
    root = type(model).__mro__[bases.index(known[0]) if known else 0].__module__.split(".")[0]
    return Source(name, "", f"{_version(root)}, live", kind, config, weights)


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
