"""Calls on constants and sizes alone, computed while reading."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from neurodeploy.frontends.builder import Value
from neurodeploy.frontends.site import RefusedError
from neurodeploy.frontends.torch.calls import Draft

NUMBERS: dict[str, Callable[[int, int], int]] = {
    "_operator.add": operator.add,
    "_operator.sub": operator.sub,
    "_operator.mul": operator.mul,
    "_operator.floordiv": operator.floordiv,
}
"""Arithmetic on sizes."""
ARRAYS: dict[str, Callable[[Mapping[str, Any]], Any]] = {
    "add": lambda a: a["self"] + a.get("alpha", 1) * np.asarray(a["other"]),
    "sub": lambda a: a["self"] - a.get("alpha", 1) * np.asarray(a["other"]),
    "mul": lambda a: a["self"] * np.asarray(a["other"]),
    "div": lambda a: a["self"] / np.asarray(a["other"]),
    "neg": lambda a: -a["self"],
    "sqrt": lambda a: np.sqrt(a["self"]),
    "rsqrt": lambda a: 1 / np.sqrt(a["self"]),
    "reciprocal": lambda a: 1 / a["self"],
    "t": lambda a: a["self"].T,
    "permute": lambda a: np.transpose(a["self"], a["dims"]),
    "transpose": lambda a: np.swapaxes(a["self"], a["dim0"], a["dim1"]),
    "view": lambda a: a["self"].reshape(a["size"]),
    "reshape": lambda a: a["self"].reshape(a["shape"]),
    "unsqueeze": lambda a: np.expand_dims(a["self"], a["dim"]),
    "squeeze": lambda a: np.squeeze(a["self"], a.get("dim")),
    "alias": lambda a: a["self"],
    "clone": lambda a: a["self"],
    "contiguous": lambda a: a["self"],
    "detach": lambda a: a["self"],
    "detach_": lambda a: a["self"],
    "lift_fresh_copy": lambda a: a["self"],
    "to": lambda a: a["self"],
    "_to_copy": lambda a: a["self"],
}
"""Operators on constant tensors, as prepared weights need them."""


def computed(kind: str, arguments: Mapping[str, Any], names: Sequence[str], draft: Draft) -> bool:
    """Compute a call if nothing in it depends on the samples, and say whether that was done."""
    if kind == "sym_size":
        tensor = arguments["self"]
        shape = (draft.batch, *tensor.shape) if isinstance(tensor, Value) else tensor.shape
        draft.numbers[names[0]] = int(shape[int(arguments["dim"])])
        return True
    if kind in NUMBERS:
        left, right, *_ = arguments.values()
        draft.numbers[names[0]] = NUMBERS[kind](left, right)
        return True
    tensors = [a for a in arguments.values() if isinstance(a, Value | np.ndarray)]
    listed = [v for a in arguments.values() if isinstance(a, list) for v in a]
    if any(isinstance(v, Value) for v in (*tensors, *listed)) or not tensors:
        return False
    if kind not in ARRAYS and kind.endswith("_"):
        raise RefusedError("it changes the model's own state; export the model in eval mode")
    if kind not in ARRAYS:
        raise RefusedError("it is not computed on constants; do it before exporting")
    with np.errstate(all="ignore"):
        result = np.asarray(ARRAYS[kind](arguments))
    if result.dtype.kind == "f" and not np.isfinite(result).all():
        raise RefusedError("its constant result is NaN or infinite")
    draft.constants[names[0]] = result
    return True
