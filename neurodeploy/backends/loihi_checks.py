"""nengo-loihi's check of axons in arrays: it takes a fifth of building a convolutional network otherwise."""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Iterator
from typing import Any

import numpy as np

from neurodeploy.backends.adapter import nengo_loihi_module

nengo_loihi_module()
validate: Any = importlib.import_module("nengo_loihi.builder.validate")


@contextlib.contextmanager
def in_arrays() -> Iterator[None]:
    """Let nengo-loihi's builder check axons by `validate_axon`."""
    before = validate.validate_axon
    validate.validate_axon = validate_axon
    try:
        yield
    finally:
        validate.validate_axon = before


def validate_axon(axon: Any) -> None:
    """Assert that the atoms of an axon are among those of its synapse, all of whose axons have as many."""
    if isinstance(axon.target, validate.Synapse) and axon.compartment_atoms is not None:
        atoms = np.asarray(axon.compartment_atoms)
        assert ((atoms >= 0) & (atoms < axon.target.weights[0].shape[0])).all()
