"""ONNX files to rate graphs, without any framework: the public functions of the folder."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from neurodeploy.errors import LoadError, UnsupportedLayer
from neurodeploy.frontends.builder import SOFTMAX, Value, early_softmax
from neurodeploy.frontends.onnx.calls import Call, Draft
from neurodeploy.frontends.onnx.constants import FOLDED, fold
from neurodeploy.frontends.onnx.model import Array, OnnxNode, read
from neurodeploy.frontends.onnx.table import HANDLERS, REFUSED
from neurodeploy.frontends.site import RefusedError, Site
from neurodeploy.ir import ops
from neurodeploy.ir.graph import Graph
from neurodeploy.ir.verify import verify

__all__ = ["SUFFIXES", "load_onnx"]

SUFFIXES = (".onnx",)
FOLLOWS = "depends on a refused operator"


def load_onnx(path: str | os.PathLike[str], name: str | None = None) -> Graph:
    """Read a trained network from an ONNX file.

    Parameters
    ----------
    path : path-like
        An ``.onnx`` file; weights in side files are looked for beside it.
    name : str, optional
        Of the graph; the file's stem by default.

    Returns
    -------
    Graph
        In rate form; every node's `origin` is the operator's or its weight's name in the file.

    Raises
    ------
    LoadError
        If the file is not ONNX, is damaged, or has more than one input or output.
    UnsupportedLayer
        Naming every operator that is refused, and why.
    """
    model = read(path)
    draft = Draft(model.opset, constants=dict(model.constants))
    value = draft.builder.add(ops.Input(model.shape), origin=model.input, layer="Input", name="input")
    draft.values[model.input] = value
    refused: list[str] = []
    for node in model.nodes:
        try:
            _take(node, draft)
        except RefusedError as why:
            if str(why) != FOLLOWS:
                refused.append(f"'{_origin(node, draft)}' ({node.kind}): {why}")
    _refuse(path, refused)
    if model.output not in draft.values:
        raise LoadError(f"'{path}': the output '{model.output}' does not depend on the input")
    meta = {"framework": f"ONNX of {model.producer}", "source": Path(path).name}
    graph = draft.builder.finish(draft.values[model.output], name=name or Path(path).stem, meta=meta)
    _refuse(path, [f"'{n.origin}' ({n.layer}): {SOFTMAX}" for n in early_softmax(graph)])
    return verify(graph, form="rate")


def _refuse(path: str | os.PathLike[str], refused: list[str]) -> None:
    if refused:
        raise UnsupportedLayer(
            f"'{path}': {len(refused)} operator{'s are' if len(refused) > 1 else ' is'} not taken: "
            f"{'; '.join(refused)}. `neurodeploy layers` lists what is taken, with its limits"
        )


def _take(node: OnnxNode, draft: Draft) -> None:
    """Append one operator, or compute it where it depends on constants alone."""
    inputs: list[Value | Array | None] = []
    for name in node.inputs:
        known: Value | Array | None = draft.values.get(name)
        known = draft.constants.get(name) if known is None else known
        if name and known is None:
            raise RefusedError(FOLLOWS)
        inputs.append(known)
    while inputs and inputs[-1] is None:
        inputs.pop()
    constants = [i for i in inputs if not isinstance(i, Value)]
    try:
        if node.kind == "Shape" and len(constants) < len(inputs):
            assert isinstance(inputs[0], Value)
            one = np.broadcast_to(np.False_, (1, *inputs[0].shape))  # the batch axis counts as 1 throughout
            draft.constants[node.outputs[0]] = fold("Shape", [one], node.attributes)
        elif len(constants) == len(inputs) and node.kind in FOLDED:
            draft.constants[node.outputs[0]] = fold(node.kind, constants, node.attributes)
        else:
            _build(node, draft, inputs)
    except (ArithmeticError, LookupError, TypeError, ValueError) as error:
        why = f"lacks {error}" if isinstance(error, KeyError) else str(error)
        raise RefusedError(why) from error


def _build(node: OnnxNode, draft: Draft, inputs: list[Value | Array | None]) -> None:
    handler = HANDLERS.get(node.kind)
    if handler is None:
        raise RefusedError(REFUSED.get(node.kind, "no such operator is known here"))
    used = [name for name in node.outputs if name]
    site = Site(draft.builder, _origin(node, draft), node.kind)
    call = Call(draft, node.kind, site, inputs, node.attributes, len(node.outputs))
    result = handler.build(call)
    results = result if isinstance(result, list) else [result]
    if len(used) > len(results):
        raise RefusedError(f"{len(used)} of its outputs are used; {len(results)} are taken")
    draft.values |= dict(zip(node.outputs, results, strict=False))


def _origin(node: OnnxNode, draft: Draft) -> str:
    """Name an operator as its author did: by its weight (``conv1.weight``), by its name, by its output."""
    for name in node.inputs[1:]:
        if name in draft.constants and name.endswith((".weight", "/kernel", "_kernel")):
            return name[: max(name.rfind("."), name.rfind("/"), name.rfind("_kernel"))]
    return node.name.strip("/") or node.outputs[0]
