"""Small ONNX models, built node by node, and what ONNX's own evaluators make of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from neurodeploy.frontends.onnx import load_onnx
from neurodeploy.ir.evaluate import evaluate
from neurodeploy.ir.verify import verify

onnx = pytest.importorskip("onnx", reason="models are built with onnx: pip install onnx")


def model_of(
    nodes: list[Any], shape: tuple[int, ...], *, opset: int = 18, out: str = "y", **constants: Any
) -> Any:
    """Make a model from `x` to `y` of nodes (kind, inputs, outputs, attributes)."""
    helper, numpy_helper = onnx.helper, onnx.numpy_helper
    made = [helper.make_node(kind, ins.split(","), outs.split(","), **a) for kind, ins, outs, a in nodes]
    graph = helper.make_graph(
        made,
        "net",
        [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, ["N", *shape])],
        [helper.make_tensor_value_info(out, onnx.TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.asarray(v), k.replace("__", ".")) for k, v in constants.items()],
    )
    return helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8, producer_name="tests"
    )


def samples(shape: tuple[int, ...]) -> Any:
    return np.random.default_rng(1).normal(size=(3, *shape)).astype(np.float32)


def expected(model: Any, shape: tuple[int, ...], *, reference: bool = True) -> list[Any]:
    """Evaluate with ONNX's reference, and with onnxruntime where it is installed."""
    from onnx.reference import ReferenceEvaluator

    x = samples(shape)
    found = [ReferenceEvaluator(model).run(None, {"x": x})[0]] if reference else []
    try:
        import onnxruntime
    except ImportError:
        return found or pytest.skip("only onnxruntime computes this: pip install onnxruntime")
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return [*found, session.run(None, {"x": x})[0]]


def assert_same(model: Any, shape: tuple[int, ...], folder: Path, *, reference: bool = True) -> Any:
    """Compare our reading with ONNX's evaluators; return the graph."""
    onnx.save(model, folder / "m.onnx")
    graph = load_onnx(folder / "m.onnx")
    have = evaluate(verify(graph, form="rate"), graph.prepare(samples(shape)))
    for want in expected(model, shape, reference=reference):
        assert have.shape == want.shape
        np.testing.assert_allclose(have, want, rtol=0, atol=1e-5 * np.abs(want).max())
    return graph
