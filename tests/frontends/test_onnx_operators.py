"""Every ONNX operator that is read, against ONNX's reference evaluator and onnxruntime."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from neurodeploy.frontends.onnx.table import HANDLERS
from tests.frontends.onnx_models import assert_same, model_of, onnx

RNG = np.random.default_rng(0)


def normal(*shape: int) -> Any:
    return RNG.normal(size=shape).astype(np.float32)


def ints(*values: int) -> Any:
    return np.array(values, np.int64)


def f32(value: float) -> Any:
    return np.array(value, np.float32)


IMAGE, SEQUENCE, VECTOR = (4, 9, 10), (4, 11), (6,)


def one(kind: str, inputs: str = "x", **attributes: Any) -> list[Any]:
    return [(kind, inputs, "y", attributes)]


CONV: dict[str, Any] = {
    f"Conv {name}": (
        one("Conv", "x,w,b" if bias else "x,w", **a), shape,
        {"w": w, **({"b": normal(len(w))} if bias else {})})
    for name, a, shape, w, bias in [
        ("plain", {}, IMAGE, normal(5, 4, 3, 2), True),
        ("strided, uneven pads", {"strides": [2, 3], "pads": [0, 2, 1, 1]}, IMAGE, normal(5, 4, 3, 2), True),
        ("dilated", {"dilations": [2, 1], "pads": [1, 0, 2, 0]}, IMAGE, normal(5, 4, 3, 2), False),
        ("grouped", {"group": 2}, IMAGE, normal(6, 2, 3, 3), True),
        ("depthwise", {"group": 4, "pads": [1, 1, 1, 1]}, IMAGE, normal(8, 1, 3, 3), True),
        ("same upper", {"auto_pad": "SAME_UPPER", "strides": [2, 2]}, IMAGE, normal(5, 4, 3, 2), False),
        ("same lower", {"auto_pad": "SAME_LOWER", "strides": [2, 2]}, IMAGE, normal(5, 4, 3, 2), False),
        ("valid", {"auto_pad": "VALID"}, IMAGE, normal(5, 4, 3, 2), False),
        ("sequence", {"strides": [2], "pads": [2, 1], "dilations": [2]}, SEQUENCE, normal(5, 4, 3), True),
    ]
}  # fmt: skip
TRANSPOSED: dict[str, Any] = {
    f"ConvTranspose {name}": (
        one("ConvTranspose", "x,w,b", **a), shape, {"w": w, "b": normal(w.shape[1] * a.get("group", 1))})
    for name, a, shape, w in [
        ("plain", {}, IMAGE, normal(4, 5, 3, 2)),
        ("strided", {"strides": [2, 3]}, IMAGE, normal(4, 5, 3, 2)),
        ("padded", {"strides": [2, 2], "pads": [1, 0, 0, 1], "output_padding": [1, 0]}, IMAGE,
         normal(4, 5, 3, 2)),
        ("much padded", {"strides": [2, 2], "pads": [3, 3, 3, 3]}, IMAGE, normal(4, 5, 2, 2)),
        ("dilated, grouped", {"dilations": [2, 1], "group": 2}, IMAGE, normal(4, 3, 3, 2)),
        ("same", {"auto_pad": "SAME_UPPER", "strides": [2, 2]}, IMAGE, normal(4, 5, 3, 3)),
        ("sequence", {"strides": [3], "pads": [1, 1]}, SEQUENCE, normal(4, 2, 4)),
    ]
}  # fmt: skip
POOLS: dict[str, Any] = {
    f"{kind} {name}": (one(kind, "x", **a), shape, {})
    for kind in ("AveragePool", "MaxPool")
    for name, a, shape in [
        ("plain", {"kernel_shape": [2, 2], "strides": [2, 2]}, IMAGE),
        ("overlapping", {"kernel_shape": [3, 2]}, IMAGE),
        ("padded", {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 0, 1, 2]}, IMAGE),
        ("ceil", {"kernel_shape": [3, 3], "strides": [2, 2], "ceil_mode": 1}, IMAGE),
        ("ceil, last window outside",
         {"kernel_shape": [1, 2], "strides": [2, 3], "pads": [0, 1, 0, 1], "ceil_mode": 1}, IMAGE),
        ("same", {"kernel_shape": [2, 2], "strides": [2, 2], "auto_pad": "SAME_UPPER"}, IMAGE),
        ("sequence", {"kernel_shape": [3], "strides": [2], "pads": [1, 0]}, SEQUENCE),
    ]
}  # fmt: skip
RESIZE = {
    f"Resize {name}": (one("Resize", ins, mode="nearest", **a), IMAGE, constants)
    for name, ins, a, constants in [
        ("half pixel", "x,,s", {}, {"s": np.array([1, 1, 2, 3], np.float32)}),
        ("asymmetric", "x,,s", {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"},
         {"s": np.array([1, 1, 2, 2], np.float32)}),
        ("to sizes", "x,,,z", {}, {"z": ints(3, 4, 18, 10)}),
    ]
}  # fmt: skip
WEIGHTS = {
    "Gemm": (one("Gemm", "x,w,b", transB=1), VECTOR, {"w": normal(4, 6), "b": normal(4)}),
    "Gemm scaled": (
        one("Gemm", "x,w,b", alpha=0.5, beta=2.0), VECTOR, {"w": normal(6, 4), "b": normal(1, 4)}),
    "Gemm without bias": (one("Gemm", "x,w"), VECTOR, {"w": normal(6, 4)}),
    "MatMul": (one("MatMul", "x,w"), VECTOR, {"w": normal(6, 4)}),
    "MatMul on steps": (one("MatMul", "x,w"), (5, 6), {"w": normal(6, 4)}),
    "BatchNormalization": (
        one("BatchNormalization", "x,a,b,m,v", epsilon=0.1), IMAGE,
        {"a": normal(4), "b": normal(4), "m": normal(4), "v": np.abs(normal(4))}),
    "GlobalAveragePool": (one("GlobalAveragePool"), IMAGE, {}),
    "GlobalAveragePool of a sequence": (one("GlobalAveragePool"), SEQUENCE, {}),
    "GlobalMaxPool": (one("GlobalMaxPool"), IMAGE, {}),
    "ReduceMean": (one("ReduceMean", "x,a"), IMAGE, {"a": ints(2, 3)}),
    "ReduceMean negative, not kept": (one("ReduceMean", "x,a", keepdims=0), IMAGE, {"a": ints(-1, -2)}),
    "ReduceMax": (one("ReduceMax", "x,a", keepdims=0), SEQUENCE, {"a": ints(2)}),
}  # fmt: skip
ARITHMETIC = {
    "Add": ([("Relu", "x", "r", {}), ("Add", "x,r", "y", {})], IMAGE, {}),
    "Add per channel": (one("Add", "x,c"), IMAGE, {"c": normal(4, 1, 1)}),
    "Add to a constant": (one("Add", "c,x"), VECTOR, {"c": normal(6)}),
    "Add per value": (one("Add", "x,c"), IMAGE, {"c": normal(1, 4, 9, 10)}),
    "Sub": ([("Relu", "x", "r", {}), ("Sub", "r,x", "y", {})], IMAGE, {}),
    "Sub a constant": (one("Sub", "x,c"), VECTOR, {"c": normal(6)}),
    "Sub from a constant": (one("Sub", "c,x"), VECTOR, {"c": f32(1.0)}),
    "Mul": (one("Mul", "c,x"), IMAGE, {"c": normal(4, 1, 1)}),
    "Div": (one("Div", "x,c"), IMAGE, {"c": f32(4.0)}),
    "Neg": (one("Neg"), VECTOR, {}),
    "Sum": ([("Relu", "x", "r", {}), ("Sum", "x,r,x", "y", {})], VECTOR, {}),
    "Mean": ([("Relu", "x", "r", {}), ("Mean", "x,r,x", "y", {})], VECTOR, {}),
    "Max": (
        [("Neg", "x", "r", {}), ("Mul", "x,c", "z", {}), ("Max", "x,r,z", "y", {})], VECTOR, {"c": f32(3)}),
    "Max and a bound": (one("Max", "x,c"), VECTOR, {"c": f32(0.3)}),
    "Min": (
        [("Neg", "x", "r", {}), ("Mul", "x,c", "z", {}), ("Min", "x,r,z", "y", {})], VECTOR, {"c": f32(3)}),
    "Min and a bound": (one("Min", "c,x"), VECTOR, {"c": f32(0.3)}),
    "Relu": (one("Relu"), VECTOR, {}),
    "LeakyRelu": (one("LeakyRelu", alpha=0.2), VECTOR, {}),
    "PRelu": (one("PRelu", "x,s"), IMAGE, {"s": normal(4, 1, 1)}),
    "PRelu alike": (one("PRelu", "x,s"), IMAGE, {"s": normal(1)}),
    "Clip": (one("Clip", "x,a,b"), VECTOR, {"a": f32(-0.5), "b": f32(0.7)}),
    "Clip to six": (one("Clip", "x,a,b"), VECTOR, {"a": f32(0), "b": f32(6)}),
    "Clip below": (one("Clip", "x,a"), VECTOR, {"a": f32(-0.5)}),
    "Clip above": (one("Clip", "x,,b"), VECTOR, {"b": f32(0.5)}),
    "Clip with the largest float": (
        one("Clip", "x,a,b"), VECTOR, {"a": f32(0), "b": np.finfo(np.float32).max}),
    "HardSigmoid": (one("HardSigmoid", alpha=0.3, beta=0.4), VECTOR, {}),
    "Softmax": (one("Softmax"), VECTOR, {}),
    "LogSoftmax": (one("LogSoftmax", axis=1), VECTOR, {}),
    "Identity": (one("Identity"), VECTOR, {}),
    "Dropout": (one("Dropout"), VECTOR, {}),
    "Cast": ([("Cast", "x", "z", {"to": 11}), ("Cast", "z", "y", {"to": 1})], VECTOR, {}),
}  # fmt: skip
MOVES = {
    "Flatten": (one("Flatten"), IMAGE, {}),
    "Reshape": (one("Reshape", "x,s"), IMAGE, {"s": ints(-1, 36, 10)}),
    "Reshape with zeros": (one("Reshape", "x,s"), IMAGE, {"s": ints(0, 0, -1)}),
    "Reshape to a vector": (one("Reshape", "x,s"), IMAGE, {"s": ints(-1, 360)}),
    "Transpose": (one("Transpose", perm=[0, 2, 3, 1]), IMAGE, {}),
    "Squeeze": (one("Squeeze", "x,a"), (4, 1, 3), {"a": ints(2)}),
    "Unsqueeze": (one("Unsqueeze", "x,a"), (4, 3), {"a": ints(1, -1)}),
    "Pad": (one("Pad", "x,p"), IMAGE, {"p": ints(0, 1, 2, 0, 0, 0, 1, 3)}),
    "Pad some axes": (one("Pad", "x,p,,a"), IMAGE, {"p": ints(1, 2, 0, 3), "a": ints(3, 2)}),
    "Pad by less than nothing": (one("Pad", "x,p"), IMAGE, {"p": ints(0, 0, -2, 1, 0, 0, 1, -3)}),
    "Concat": ([("Neg", "x", "r", {}), ("Concat", "x,r,x", "y", {"axis": 1})], IMAGE, {}),
    "Concat columns": ([("Neg", "x", "r", {}), ("Concat", "x,r", "y", {"axis": -1})], IMAGE, {}),
    "Slice": (one("Slice", "x,a,b,c"), IMAGE, {"a": ints(1, -5), "b": ints(3, 1000), "c": ints(1, 3)}),
    "Split": ([("Split", "x", "a,b", {"axis": 1, "num_outputs": 2}), ("Sub", "a,b", "y", {})], IMAGE, {}),
    "Split by sizes": (
        [("Split", "x,s", "a,y", {"axis": 2})], IMAGE, {"s": ints(4, 5)}),
    "Gather": (one("Gather", "x,i", axis=2), IMAGE, {"i": ints(-1).reshape(())}),
    "Gather a row": (one("Gather", "x,i", axis=1), IMAGE, {"i": ints(1, 2)}),
}  # fmt: skip
CASES = {**CONV, **TRANSPOSED, **POOLS, **RESIZE, **WEIGHTS, **ARITHMETIC, **MOVES}
RUNTIME_ONLY = {
    "AveragePool ceil, last window outside": "the reference takes a window that begins outside",
    "MaxPool ceil, last window outside": "the reference takes a window that begins outside",
    "Conv valid": "the reference lacks auto_pad VALID",
    "ConvTranspose dilated, grouped": "the reference lacks groups with dilation",
    "Pad by less than nothing": "the reference does not crop",
}
"""Cases in which we follow onnxruntime alone, and why."""


@pytest.mark.parametrize("case", CASES)
def test_an_operator_agrees_with_onnx(case: str, tmp_path: Path) -> None:
    nodes, shape, constants = CASES[case]
    assert_same(model_of(nodes, shape, **constants), shape, tmp_path, reference=case not in RUNTIME_ONLY)


def test_every_operator_taken_is_compared_with_onnx() -> None:
    tried = {node[0] for nodes, _, _ in CASES.values() for node in nodes}
    assert set(HANDLERS) <= tried


@pytest.mark.parametrize("opset", [11, 12, 13, 17, 21])
def test_old_and_new_forms_of_operators_agree(opset: int, tmp_path: Path) -> None:
    axes = {"axes": [2, 3]} if opset < 18 else {}
    shape = {"a": ints(2, 3)} if opset >= 18 else {}
    squeeze = {"axes": [1]} if opset < 13 else {}
    nodes = [
        ("Conv", "x,w", "c", {}),
        ("ReduceMean", "c" if opset < 18 else "c,a", "m", {"keepdims": 0, **axes}),
        ("Unsqueeze", "m" if opset < 13 else "m,one", "u", squeeze),
        ("Squeeze", "u" if opset < 13 else "u,one", "s", squeeze),
        ("Softmax", "s", "y", {}),
    ]
    constants = {"w": normal(5, 4, 3, 3), **shape, **({"one": ints(1)} if opset >= 13 else {})}
    assert_same(model_of(nodes, IMAGE, opset=opset, **constants), IMAGE, tmp_path)


def test_shapes_traced_from_the_input_are_folded(tmp_path: Path) -> None:
    nodes = [
        ("Conv", "x,w", "c", {}),
        ("Shape", "c", "dims", {}),
        ("Gather", "dims,zero", "n", {"axis": 0}),
        ("Unsqueeze", "n,axis", "n1", {}),
        ("ConstantOfShape", "axis1", "minus", {"value": onnx.helper.make_tensor("v", 7, [1], [-1])}),
        ("Concat", "n1,minus", "to", {"axis": 0}),
        ("Reshape", "c,to", "flat", {}),
        ("Transpose", "w2", "w2t", {"perm": [1, 0]}),
        ("MatMul", "flat,w2t", "y", {}),
    ]
    weights = {"w": normal(3, 2, 3, 3), "w2": normal(5, 12)}
    numbers = {"zero": ints(0).reshape(()), "axis": ints(0), "axis1": ints(1)}
    graph = assert_same(model_of(nodes, (2, 4, 4), **weights, **numbers), (2, 4, 4), tmp_path)
    assert [node.op.kind for node in graph] == ["Input", "Conv2d", "Flatten", "Affine", "Output"]
