"""Read `.pt2` archives of torch.export from their bytes: a zip of JSON and raw tensors, no pickle, no torch.

``torch.export.load`` reads the weights raw too, but unpickles the sample inputs that lie beside them, so
files do not go through it. What would need a pickle (weights marked so, older archives) is refused.
"""

from __future__ import annotations

import io
import json
import math
import re
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from neurodeploy.errors import LoadError
from neurodeploy.ir.ops import Shape

Array = npt.NDArray[Any]

MAX_JSON_BYTES = 256 << 20
"""Largest description taken."""
MAX_WEIGHT_BYTES = 1 << 30
"""Largest sum of weights taken; far above any model that fits a neuromorphic board."""
EXPORT = (
    "in your own code, with the model in eval mode: "
    "torch.export.save(torch.export.export(model, (x,)), 'model.pt2')"
)
DTYPES: dict[int, str] = {
    1: "u1", 2: "i1", 3: "<i2", 4: "<i4", 5: "<i8", 6: "<f2", 7: "<f4", 8: "<f8", 12: "?", 13: "<u2",
}  # fmt: skip
"""NumPy's names of the element types, by torch.export's numbers; bfloat16 (13) is widened afterwards."""
BFLOAT16, STRIDED = 13, 7
_DAMAGE = (
    AttributeError, EOFError, LookupError, NotImplementedError, OSError, RecursionError, RuntimeError,
    TypeError, ValueError, zipfile.BadZipFile, zlib.error,
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Program:
    """An exported program.

    Parameters
    ----------
    label : str
        What messages call it.
    version : str
        Of the torch that wrote it.
    nodes : tuple of mapping
        Calls in execution order, as the JSON has them.
    constants : mapping of str to ndarray
        Parameters, buffers and constants, by the names the calls use.
    names : mapping of str to str
        The user's own names of those.
    input, output : str
    shape : tuple of int
        Of one sample, without the batch axis.
    batch : int
        Samples in the batch it was exported with; 1 where that is left open.
    """

    label: str
    version: str
    nodes: tuple[Mapping[str, Any], ...]
    constants: Mapping[str, Array]
    names: Mapping[str, str]
    input: str
    output: str
    shape: Shape
    batch: int


def read(path: Path) -> Program:
    """Read an exported program from a file.

    Raises
    ------
    LoadError
        Saying what the file is instead, or what is wrong with it.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise LoadError(
            f"'{path}' cannot be read: {error.strerror}; check the path and its permissions"
        ) from error
    if not data.startswith(b"PK"):
        raise LoadError(f"'{path}' is {what_else(data)}")
    return parse(data, str(path))


def what_else(head: bytes) -> str:
    """Name what a file that is no zip is, and the way out."""
    if head[:1] == b"\x80":
        return (
            f"a pickle, which can run any code when opened and is therefore never opened; export it {EXPORT}"
        )
    if not head:
        return "empty; export the model again"
    return f"not a zip file, so no exported program (or a damaged one); export it {EXPORT}"


def parse(data: bytes, label: str) -> Program:
    """Read an exported program from the bytes of its archive."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return _program(archive, label)
    except LoadError:
        raise
    except _DAMAGE as error:
        told = " ".join(ascii(f"{type(error).__name__} {error}")[1:-1].split())[:300]
        raise LoadError(f"'{label}' is a damaged or truncated archive ({told}); export it again") from error


def _program(archive: zipfile.ZipFile, label: str) -> Program:
    names = archive.namelist()
    if names and min(info.header_offset for info in archive.infolist()) > 0:
        raise zipfile.BadZipFile("its directory is that of a file inside it")
    inside = [m[1] for name in names if (m := re.fullmatch(r"(.*/)?models/[^/]+\.json", name))]
    if len(inside) != 1:
        raise LoadError(f"'{label}' is {_which_zip(names, len(inside))}")
    root = inside[0] or ""
    model = next(name for name in names if re.fullmatch(re.escape(root) + r"models/[^/]+\.json", name))
    described = _json(archive, model)
    stem = model.rsplit("/", 1)[-1].removesuffix(".json")
    graph, signature = described["graph_module"]["graph"], described["graph_module"]["signature"]
    stored = {
        **_tensors(archive, root, "weights", f"{stem}_weights_config.json", label),
        **_tensors(archive, root, "constants", f"{stem}_constants_config.json", label),
    }
    user_names, inputs = _inputs(signature)
    if len(inputs) != 1 or len(graph["outputs"]) != 1:
        raise LoadError(
            f"'{label}' has {len(inputs)} inputs and {len(graph['outputs'])} outputs; models with one of "
            "each are taken"
        )
    mutated = [kind for spec in signature["output_specs"] for kind in spec if kind != "user_output"]
    if mutated:
        raise LoadError(f"'{label}' changes its own state ({mutated[0]}); export the model in eval mode")
    sizes = [_size(s) for s in graph["tensor_values"][inputs[0]]["sizes"]]
    if len(sizes) < 2 or any(n is None for n in sizes[1:]):
        raise LoadError(f"'{label}': the input has open axes {sizes}; leave only the batch axis open")
    return Program(
        label=label,
        version=str(described.get("torch_version", "")),
        nodes=tuple(graph["nodes"]),
        constants={name: stored[user] for name, user in user_names.items() if user in stored},
        names=user_names,
        input=inputs[0],
        output=graph["outputs"][0]["as_tensor"]["name"],
        shape=tuple(int(n) for n in sizes[1:] if n is not None),
        batch=sizes[0] or 1,
    )


def _which_zip(names: list[str], count: int) -> str:
    if count:
        return f"an archive of {count} programs; save one"
    if any("serialized_exported_program" in name for name in names):
        return (
            "an exported program of a torch before 2.9, whose weights are pickled; export it with a newer one"
        )
    if any(name.endswith("constants.pkl") for name in names):
        return f"a TorchScript archive, which holds code and a pickle and is never opened; export it {EXPORT}"
    if any(name.endswith(".pkl") for name in names):
        return (
            "a PyTorch checkpoint: a pickle, which can run any code when opened and is therefore never "
            f"opened; export the model {EXPORT}"
        )
    return f"a zip file without an exported program; export the model {EXPORT}"


def _json(archive: zipfile.ZipFile, name: str) -> dict[str, Any]:
    if archive.getinfo(name).file_size > MAX_JSON_BYTES:
        raise ValueError(f"{name} unpacks to more than {MAX_JSON_BYTES} bytes")
    value = json.loads(archive.read(name))
    if not isinstance(value, dict):
        raise TypeError(f"{name} is no description")
    return value


def _size(size: Mapping[str, Any]) -> int | None:
    """Return a size that is fixed; None where it is left open."""
    return int(size["as_int"]) if "as_int" in size else None


def _inputs(signature: Mapping[str, Any]) -> tuple[dict[str, str], list[str]]:
    """Return the user's names of constants by name of argument, and the arguments that are samples."""
    named: dict[str, str] = {}
    samples: list[str] = []
    keys = {"parameter": "parameter_name", "buffer": "buffer_name", "tensor_constant": "tensor_constant_name"}
    for spec in signature["input_specs"]:
        for kind, value in spec.items():
            if kind == "user_input":
                samples += [value["arg"]["as_tensor"]["name"]] if "as_tensor" in value["arg"] else []
            elif kind in keys:
                named[value["arg"]["name"]] = value[keys[kind]]
    return named, samples


# --- tensors ----------------------------------------------------------------------------------------------


def _tensors(archive: zipfile.ZipFile, root: str, kind: str, config: str, label: str) -> dict[str, Array]:
    folder = f"{root}data/{kind}/"
    listed = _json(archive, folder + config)["config"]
    claimed = sum(archive.getinfo(folder + entry["path_name"]).file_size for entry in listed.values())
    if claimed > MAX_WEIGHT_BYTES:
        raise LoadError(f"'{label}' claims {claimed} bytes of weights; {MAX_WEIGHT_BYTES} are taken")
    found = {}
    for name, entry in listed.items():
        if entry["use_pickle"]:
            raise LoadError(
                f"'{label}': '{name}' is stored as a pickle, which is never opened; make it a tensor"
            )
        array = _tensor(archive.read(folder + entry["path_name"]), entry["tensor_meta"], name)
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            bad = int((~np.isfinite(array)).sum())
            raise LoadError(f"'{label}': {bad} of {array.size} values of '{name}' are NaN or infinite")
        found[name] = array
    return found


def _tensor(data: bytes, meta: Mapping[str, Any], name: str) -> Array:
    """Lay a tensor out from its storage."""
    if meta["dtype"] not in DTYPES or meta["layout"] != STRIDED:
        raise ValueError(f"tensor '{name}' has element type {meta['dtype']} in layout {meta['layout']}")
    dtype = np.dtype(DTYPES[meta["dtype"]])
    sizes = [int(s["as_int"]) for s in meta["sizes"]]
    strides = [int(s["as_int"]) for s in meta["strides"]]
    offset = int(meta["storage_offset"]["as_int"])
    flat = np.frombuffer(data, dtype)
    count = math.prod(sizes)
    last = offset + sum((n - 1) * s for n, s in zip(sizes, strides, strict=True))
    if min([*sizes, *strides, offset], default=0) < 0 or (count and last >= flat.size):
        raise ValueError(f"tensor '{name}' of shape {sizes} does not fit its {flat.size} values")
    if meta["dtype"] == BFLOAT16:
        flat = (flat.astype(np.uint32) << 16).view(np.float32)
    steps = [s * flat.itemsize for s in strides]
    return np.array(np.lib.stride_tricks.as_strided(flat[offset:], sizes, steps))
