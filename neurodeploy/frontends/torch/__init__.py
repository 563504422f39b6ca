"""PyTorch models to rate graphs, through torch.export: the public functions of the folder.

Files are read without torch. A live model is exported into memory first, so both go the same way.
"""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from neurodeploy.errors import LoadError, MissingExtra, UnsupportedLayer
from neurodeploy.frontends.builder import SOFTMAX, Value, early_softmax
from neurodeploy.frontends.site import RefusedError, Site
from neurodeploy.frontends.torch.archive import Program, parse, read
from neurodeploy.frontends.torch.calls import VIEWS, Call, Draft
from neurodeploy.frontends.torch.constants import computed
from neurodeploy.frontends.torch.table import HANDLERS, REFUSED
from neurodeploy.ir import ops
from neurodeploy.ir.graph import Graph
from neurodeploy.ir.values import printable
from neurodeploy.ir.verify import verify

__all__ = ["SUFFIXES", "from_torch", "is_live", "load_pt2"]

SUFFIXES = (".pt2",)
FOLLOWS = "depends on a refused operator"


def load_pt2(path: Path, name: str | None = None) -> Graph:
    """Read a trained network from an exported program.

    Parameters
    ----------
    path : Path
        A ``.pt2`` file of `torch.export.save`; nothing in it is executed or unpickled.
    name : str, optional
        Of the graph; the file's stem by default.

    Returns
    -------
    Graph
        In rate form; every node's `origin` is the module's path in the user's model.

    Raises
    ------
    LoadError
        If the file is no exported program, is damaged, or has more than one input or output.
    UnsupportedLayer
        Naming every operator that is refused, and why.
    """
    graph = build(read(Path(path)), name or Path(path).stem)
    return graph.with_meta(source=printable(Path(path).name))


def is_live(source: Any) -> bool:
    """Whether an object is a module or an exported program of PyTorch."""
    return any(
        base.__module__.split(".")[0] == "torch" and base.__name__ in ("Module", "ExportedProgram")
        for base in type(source).__mro__
    )


def from_torch(model: Any, name: str | None = None, *, sample: Any = None) -> Graph:
    """Read a live `torch.nn.Module` or `torch.export.ExportedProgram`.

    Parameters
    ----------
    model : torch.nn.Module or torch.export.ExportedProgram
        In eval mode.
    name : str, optional
        Of the graph; the name of the model's class by default.
    sample : array_like, optional
        One sample, without the batch axis: a module does not know the shape of its input.

    Raises
    ------
    LoadError
        If a module comes without a sample, is in training mode, or cannot be exported.
    """
    try:
        import torch
    except ImportError as error:
        raise MissingExtra("live PyTorch models need torch: pip install 'neurodeploy[torch]'") from error
    kind = type(model).__name__
    program = model
    if isinstance(model, torch.nn.Module):
        if sample is None:
            raise LoadError(f"the module '{kind}' does not say the shape of its input; give a sample, or "
                            "torch.export.export(model, (x,))")  # fmt: skip
        if model.training:
            raise LoadError(f"the module '{kind}' is in training mode; call model.eval() first")
        x = torch.as_tensor(np.asarray(sample, np.float32)[None])
        try:
            program = torch.export.export(model, (x,))
        except Exception as error:  # whatever the user's code raises while it is traced
            told = str(error).strip().splitlines()[:1]
            raise LoadError(f"torch.export cannot trace '{kind}': {' '.join(told)}") from error
    archive = io.BytesIO()
    torch.export.save(program, archive)
    return build(parse(archive.getvalue(), kind), name or kind)


def build(program: Program, name: str) -> Graph:
    """Return the rate graph of an exported program."""
    draft = Draft(program.batch, constants=dict(program.constants))
    value = draft.builder.add(ops.Input(program.shape), origin=program.input, layer="Input", name="input")
    draft.name(program.input, value)
    refused: list[str] = []
    for node in program.nodes:
        try:
            site = Site(draft.builder, *_place(node))
        except (AttributeError, LookupError, TypeError, ValueError) as error:
            raise LoadError(
                f"'{program.label}' holds a broken call ({error}); export the model again"
            ) from error
        try:
            _take(node, draft, site)
        except RefusedError as why:
            if str(why) != FOLLOWS:
                refused.append(f"'{site.origin}' ({site.layer}): {why}")
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
            told = f"its arguments are of a kind not known here ({type(error).__name__} {error})"
            refused.append(f"'{site.origin}' ({site.layer}): {told}")
    _refuse(program, refused)
    if program.output not in draft.values:
        raise LoadError(f"'{program.label}': the output '{program.output}' does not depend on the input")
    meta = {"framework": f"PyTorch {program.version}"}
    graph = draft.builder.finish(draft.values[program.output], name=name, meta=meta)
    _refuse(program, [f"'{n.origin}' ({n.layer}): {SOFTMAX}" for n in early_softmax(graph)])
    return verify(graph, form="rate")


def _refuse(program: Program, refused: list[str]) -> None:
    if refused:
        raise UnsupportedLayer(
            f"'{program.label}': {len(refused)} operator{'s are' if len(refused) > 1 else ' is'} not taken: "
            f"{'; '.join(refused)}. `neurodeploy layers` lists what is taken, with its limits"
        )


def _place(node: Mapping[str, Any]) -> tuple[str, str]:
    """Name a call as its author did: by its module's path and class, else by the function and where it is."""
    kind, name = kind_of(node["target"]), str(node.get("name") or "operator")
    stack = [part.split(",") for part in str(node.get("metadata", {}).get("nn_module_stack", "")).split(";")]
    *_, path, cls = ["", "", *stack[-1][-2:]] if len(stack[-1]) >= 3 else ["", "", ""]
    if cls.startswith("torch.nn.modules") and "container" not in cls and path:
        return path, cls.rsplit(".", 1)[-1]
    return (f"{path}.{name}" if path else name), kind


def kind_of(target: str) -> str:
    """Return the operator's name: ``relu`` of ``torch.ops.aten.relu.default``."""
    found = re.fullmatch(r"torch\.ops\.aten\.(\w+)(\.\w+)?", target)
    return found[1] if found else target


def _take(node: Mapping[str, Any], draft: Draft, site: Site) -> None:
    """Append one call, or compute it where it depends on constants alone."""
    kind = kind_of(node["target"])
    if (why := REFUSED.get(kind.removesuffix("_"))) is not None:
        raise RefusedError(why)  # whatever it acts on
    arguments = {a["name"]: _argument(a["arg"], draft) for a in node["inputs"]}
    names = [name for output in node["outputs"] for name in _names(output)]
    if not names:
        return  # an assertion of the exporter
    if computed(kind, arguments, names, draft):
        return
    in_place = kind.endswith("_") and not kind.endswith("__")
    handler = HANDLERS.get(kind.removesuffix("_") if in_place else kind)
    if handler is None:
        raise RefusedError("no such operator is known here")
    call = Call(draft, handler.names[0] if in_place else kind, site, arguments)
    result = handler.build(call)
    first = next((a["arg"]["as_tensor"]["name"] for a in node["inputs"] if "as_tensor" in a["arg"]), "")
    if in_place:
        assert isinstance(result, Value)
        draft.overwrite(first, result)
    results = result if isinstance(result, list) else [result]
    for name, value in zip(names, results, strict=False):
        draft.name(name, value, views=first if kind in VIEWS or in_place else "")


def _names(output: Mapping[str, Any]) -> list[str]:
    if "as_tensors" in output:
        return [str(t["name"]) for t in output["as_tensors"]]
    found = output.get("as_tensor") or {}
    number = output.get("as_sym_int") or {}
    return [str(found.get("name") or number.get("as_name") or "")]


def _argument(arg: Mapping[str, Any], draft: Draft) -> Any:
    """Put values, arrays and numbers in place of what the program calls them."""
    (kind, value), *_ = arg.items()
    if kind == "as_tensor":
        return _tensor(str(value["name"]), draft)
    if kind in ("as_tensors", "as_optional_tensors"):
        return [_argument(v, draft) if "name" not in v else _tensor(str(v["name"]), draft) for v in value]
    if kind in ("as_sym_int", "as_sym_float"):
        return _number(value, draft)
    if kind == "as_sym_ints":
        return [_number(v, draft) for v in value]
    return None if kind == "as_none" else value


def _tensor(name: str, draft: Draft) -> Any:
    if name in draft.stale:
        raise RefusedError(
            "it reads a tensor that was changed in place through a view of it; use inplace=False"
        )
    known: Any = draft.values.get(name)
    known = draft.constants.get(name) if known is None else known
    if known is None:
        raise RefusedError(FOLLOWS)
    return known


def _number(value: Mapping[str, Any], draft: Draft) -> int:
    name = value.get("as_name")
    if name is None:
        return int(value["as_int"])
    if name not in draft.numbers:
        raise RefusedError(FOLLOWS)
    return draft.numbers[name]
