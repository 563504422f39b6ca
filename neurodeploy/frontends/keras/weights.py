"""Where the weights of each layer lie in a model's HDF5 file, for layers at any depth."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from neurodeploy.errors import LoadError
from neurodeploy.frontends.keras.source import Layer, Network, Variable, tail

if TYPE_CHECKING:
    import h5py

MAX_WEIGHT_BYTES = 1 << 30
"""Largest sum of a layer's weights taken, uncompressed; far above any model that fits a board."""
CONTAINERS = ("layers", "_layer_checkpoint_dependencies")
"""Groups that hold the layers of a model: Keras 3 and late Keras 2, and Keras 2.12."""

Found = dict[str, list[Variable]]


# --- in a zip: groups within groups -----------------------------------------------------------------------


@dataclass
class _Group:
    """A group by its parts, whichever slash divides them."""

    parts: dict[str, _Group] = field(default_factory=dict)
    values: dict[str, Any] = field(default_factory=dict)
    label: str = ""

    def layers(self) -> dict[str, _Group]:
        return next((self.parts[name].parts for name in CONTAINERS if name in self.parts), {})

    def variables(self) -> list[tuple[str, Any]]:
        """Datasets of the layer itself and of its cell, as Keras numbers them."""
        own = self.parts.get("vars", _Group()).values
        found = [("", own[key]) for key in sorted((k for k in own if k.isdigit()), key=int)]
        for name in sorted(set(self.parts) - {"vars", *CONTAINERS}):
            found += self.parts[name].variables()
        return found

    def is_full(self) -> bool:
        """Whether there is any dataset in it."""
        return bool(self.values) or any(part.is_full() for part in self.parts.values())


def grouped(file: h5py.File, network: Network, where: Path) -> Found:
    """Find each layer's variables in the weights of a zip.

    A layer's group holds ``vars`` with datasets 0, 1, ... in Keras' order. Newer Keras 3 writes the layer's
    name on ``vars``; before that the group is named after the class, with numbers that rise along the layers
    of that class (not always by one: Keras 2.12 counts each layer with weights twice).
    """
    found: Found = {}
    _assign(_tree(file), network, where, found)
    return found


def _tree(file: h5py.File) -> _Group:
    import h5py

    root = _Group()

    def visit(name: str, item: Any) -> None:
        *path, last = re.split(r"[\\/]", name)
        here = root
        for part in path:
            here = here.parts.setdefault(part, _Group())
        if isinstance(item, h5py.Dataset):
            here.values[last] = item
        else:
            made = here.parts.setdefault(last, _Group())
            made.label = str(item.attrs.get("name", ""))

    file.visititems(visit)
    return root


def _assign(group: _Group, network: Network, where: Path, found: Found) -> None:
    for layer, own in _matched(group.layers(), network):
        found[layer.name] = _take(own.variables(), where)
        inside = own.parts.get("layer", _Group()) if layer.wrapped else own
        inner = layer.wrapped.inner if layer.wrapped else layer.inner
        if inner is not None:
            _assign(inside, inner, where, found)


def _matched(groups: dict[str, _Group], network: Network) -> Iterator[tuple[Layer, _Group]]:
    labels = {g.parts["vars"].label: g for g in groups.values() if "vars" in g.parts}
    labels.pop("", None)
    if labels:
        yield from ((layer, labels[name]) for name, layer in network.layers.items() if name in labels)
        return
    for kind in dict.fromkeys(layer.kind for layer in network.layers.values()):
        same = [layer for layer in network.layers.values() if layer.kind == kind]
        pattern = re.compile(rf"{re.escape(_snake(kind))}(?:_(\d+))?")
        numbered = [(int(m[1] or 0), g) for name, g in groups.items() if (m := pattern.fullmatch(name))]
        full = [(number, g) for number, g in numbered if g.is_full()]
        for candidates in (full, numbered):
            if len(candidates) == len(same):
                ordered = sorted(candidates, key=lambda pair: pair[0])
                yield from zip(same, (g for _, g in ordered), strict=True)
                break


def _snake(name: str) -> str:
    """Spell a class name as Keras names groups: ``BatchNormalization`` is ``batch_normalization``."""
    name = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", re.sub(r"\W+", "", name))
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()


# --- in an h5 file: lists of names ------------------------------------------------------------------------


def listed(groups: h5py.Group, network: Network, where: Path) -> Found:
    """Find each layer's variables in an h5 file: one list of names per outer layer."""
    found: Found = {}
    for name, layer in network.layers.items():
        if name in groups:
            group = groups[name]
            names = list(_weight_names(group))
            inner = layer.wrapped.inner if layer.wrapped else layer.inner
            if inner is None:
                found[layer.name] = _take([(tail(n), group[n]) for n in names], where)
            else:
                _share_out(inner, [(n, group[n]) for n in names], where, found)
    return found


def _share_out(inner: Network, listed: Sequence[tuple[str, Any]], where: Path, found: Found) -> None:
    """Give each layer of an inner model what is named after it, as ``inner/conv/kernel``."""
    for name, layer in inner.layers.items():
        mine = [(n, d) for n, d in listed if f"/{name}/" in f"/{n}"]
        deeper = layer.wrapped.inner if layer.wrapped else layer.inner
        if deeper is None:
            found[layer.name] = _take([(tail(n), d) for n, d in mine], where)
        else:
            _share_out(deeper, mine or listed, where, found)


def _weight_names(group: h5py.Group) -> Iterator[str]:
    """Names in Keras' order; long lists are split over attributes weight_names0, weight_names1, ..."""
    if "weight_names" in group.attrs:
        yield from (_text(name) for name in group.attrs["weight_names"])
        return
    for part in itertools.count():
        if f"weight_names{part}" not in group.attrs:
            return
        yield from (_text(name) for name in group.attrs[f"weight_names{part}"])


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _take(listed: Sequence[tuple[str, Any]], where: Path) -> list[Variable]:
    """Read variables; sizes are looked at before values."""
    claimed = sum(int(d.size or 0) * d.dtype.itemsize for _, d in listed)
    if claimed > MAX_WEIGHT_BYTES:
        raise LoadError(f"'{where}': a layer claims {claimed} bytes of weights; {MAX_WEIGHT_BYTES} are taken")
    return [(name, np.asarray(d[()])) for name, d in listed]
