"""Keras models to rate graphs, without Keras: the public functions of the folder."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, NamedTuple

from neurodeploy.errors import LoadError
from neurodeploy.frontends.keras.build import build
from neurodeploy.frontends.keras.joins import FUNCTIONS
from neurodeploy.frontends.keras.reader import read
from neurodeploy.frontends.keras.source import from_live
from neurodeploy.frontends.keras.table import HANDLERS, JOINTS, MODELS, REFUSED
from neurodeploy.ir.graph import Graph

__all__ = ["SUFFIXES", "LayerRow", "from_keras", "layer_table", "load_keras"]

SUFFIXES = (".keras", ".h5", ".hdf5")
"""Usual names of the files that `load_keras` takes; it looks at the content, not at these."""


class LayerRow(NamedTuple):
    """One line of the table of layers."""

    kind: str
    status: str
    how: str
    note: str


def load_keras(source: str | os.PathLike[str] | Any, name: str | None = None) -> Graph:
    """Read a trained Keras model.

    Parameters
    ----------
    source : path-like or keras.Model
        A `.keras` or `.h5` file of Keras 2 or 3, or a live model of `keras`, `tf.keras` or `tf_keras`.
        Nothing in a file is executed and TensorFlow is not imported.
    name : str, optional
        Of the graph; the file's or the model's name where none is given.

    Returns
    -------
    Graph
        In rate form: channels first inside, samples enter in the user's own layout.

    Raises
    ------
    LoadError
        If the file is not a Keras model, is damaged, or its weights do not fit its layers.
    UnsupportedLayer
        Naming every layer that is not taken.
    """
    if not isinstance(source, str | os.PathLike):
        return from_keras(source, name)
    return build(read(source), name or Path(source).stem)


def from_keras(model: Any, name: str | None = None) -> Graph:
    """Take a live model through its own `get_config` and `get_weights`; else as `load_keras`."""
    if not all(hasattr(model, attribute) for attribute in ("get_config", "get_weights", "layers")):
        raise LoadError(
            f"a {type(model).__name__} is neither a path nor a Keras model; name a file or pass a model"
        )
    source = from_live(model)
    return build(source, name or source.label)


def layer_table() -> list[LayerRow]:
    """Return every layer that is known: what is taken and how, then what is refused and why."""
    taken = [LayerRow("InputLayer", "native", "Input", "one input of fixed shape")]
    for kind, handler in HANDLERS.items():
        limits = [f"{key} {' or '.join(map(str, values))}" for key, values in handler.only.items()]
        note = "; ".join(filter(None, (*limits, handler.note)))
        taken.append(LayerRow(kind, handler.status, handler.how, note))
    taken += [LayerRow(kind, joint.status, joint.how, joint.note) for kind, joint in JOINTS.items()]
    taken += [LayerRow(kind, "rewritten", "its layers", "named inner/layer") for kind in MODELS[:2]]
    taken.append(
        LayerRow("TimeDistributed", "rewritten", "groups of channels", "any layer or model with one input")
    )
    for text, (_, how, note, names) in FUNCTIONS.items():
        taken.append(LayerRow(text, "rewritten", how, "; ".join(filter(None, (note, ", ".join(names))))))
    return taken + [LayerRow(kind, "refused", "", why) for kind, why in REFUSED.items()]
