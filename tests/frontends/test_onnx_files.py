"""Files: names, constants of every type, side files, folding, and what is no model or does harm."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from neurodeploy.errors import LoadError, UnsupportedLayer
from neurodeploy.frontends.onnx import constants, load_onnx, model, proto
from neurodeploy.frontends.onnx.table import REFUSED
from neurodeploy.ir.verify import verify
from tests.frontends.onnx_models import assert_same, model_of, onnx

ROOT = Path(__file__).resolve().parents[2]
RNG = np.random.default_rng(0)


def normal(*shape: int) -> Any:
    return RNG.normal(size=shape).astype(np.float32)


def perceptron() -> Any:
    nodes = [
        ("Gemm", "x,fc1.weight", "h", {"transB": 1}),
        ("Relu", "h", "r", {}),
        ("MatMul", "r,w2", "y", {}),
    ]
    return model_of(nodes, (6,), fc1__weight=normal(5, 6), w2=normal(5, 3))


def saved(built: Any, folder: Path, **options: Any) -> Path:
    onnx.save(built, folder / "m.onnx", **options)
    return folder / "m.onnx"


def test_nodes_are_named_after_their_weights_or_their_outputs(tmp_path: Path) -> None:
    graph = load_onnx(saved(perceptron(), tmp_path), name="net")
    assert [(n.name, n.origin, n.layer, n.op.kind) for n in graph] == [
        ("input", "x", "Input", "Input"),
        ("fc1", "fc1", "Gemm", "Affine"),
        ("r", "r", "Relu", "ReLU"),
        ("y", "y", "MatMul", "Affine"),
        ("output", "output", "Output", "Output"),
    ]
    assert (graph.name, graph.meta) == ("net", {"framework": "ONNX of tests", "source": "m.onnx"})


def test_loading_imports_no_framework_and_not_even_onnx(tmp_path: Path) -> None:
    path = saved(perceptron(), tmp_path)
    code = (
        f"import sys; from neurodeploy.frontends.onnx import load_onnx; load_onnx({str(path)!r}); "
        "sys.exit(any(m in sys.modules for m in ('onnx', 'torch', 'google.protobuf')))"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


@pytest.mark.parametrize(
    "kind", ["FLOAT", "DOUBLE", "FLOAT16", "BFLOAT16", "INT32", "INT64", "UINT8", "INT8"]
)
@pytest.mark.parametrize("raw", [True, False])
def test_constants_of_every_type_are_read_as_onnx_reads_them(kind: str, raw: bool, tmp_path: Path) -> None:
    number = getattr(onnx.TensorProto, kind)
    values = [1.0, 2.5, -3.0, 0.5] if "FLOAT" in kind or kind == "DOUBLE" else [1, 2, 3, 100]
    tensor = onnx.helper.make_tensor("c", number, [2, 2], values)
    if raw:
        array = onnx.numpy_helper.to_array(tensor)
        tensor.ClearField("float_data")
        tensor.ClearField("int32_data")
        tensor.ClearField("int64_data")
        tensor.ClearField("double_data")
        tensor.raw_data = array.tobytes()
    data = memoryview(tensor.SerializeToString())
    read = model.array_of(proto.decode(data, proto.TENSOR), tmp_path / "m.onnx")
    np.testing.assert_array_equal(read, onnx.numpy_helper.to_array(tensor).astype(read.dtype))
    np.testing.assert_array_equal(read.ravel(), values)


def test_weights_in_a_file_beside_the_model_are_read(tmp_path: Path) -> None:
    built = perceptron()
    graph = assert_same(built, (6,), tmp_path)
    other = tmp_path / "apart"
    other.mkdir()
    path = saved(built, other, save_as_external_data=True, location="m.data", size_threshold=0)
    assert (other / "m.data").stat().st_size > 0
    assert load_onnx(path).digest() == graph.digest()


@pytest.mark.parametrize(
    "location", ["../m.data", "/etc/hostname", "a/../../m.data", "..\\m.data", "C:m.data"]
)
def test_weights_outside_the_models_folder_are_not_followed(location: str, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    path = saved(perceptron(), folder, save_as_external_data=True, location="m.data", size_threshold=0)
    os.replace(folder / "m.data", tmp_path / "m.data")
    built = onnx.load(path, load_external_data=False)
    for tensor in built.graph.initializer:
        for entry in tensor.external_data:
            entry.value = location if entry.key == "location" else entry.value
    path.write_bytes(built.SerializeToString())
    with pytest.raises(LoadError, match="outside its own folder"):
        load_onnx(path)


def test_a_link_out_of_the_models_folder_is_not_followed(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    path = saved(perceptron(), folder, save_as_external_data=True, location="m.data", size_threshold=0)
    os.replace(folder / "m.data", tmp_path / "elsewhere")
    (folder / "m.data").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(LoadError, match="outside its own folder"):
        load_onnx(path)


# --- refusals -------------------------------------------------------------------------------------------


def test_all_refused_operators_are_in_one_message_and_what_follows_them_is_not(tmp_path: Path) -> None:
    nodes = [
        ("Tanh", "x", "a", {}),
        ("Relu", "a", "b", {}),
        ("Sigmoid", "x", "c", {}),
        ("Add", "b,c", "y", {}),
    ]
    with pytest.raises(
        UnsupportedLayer, match=r"2 operators are not taken: 'a' \(Tanh\): use Relu.*'c' \(Sig"
    ):
        load_onnx(saved(model_of(nodes, (4,)), tmp_path))


@pytest.mark.parametrize("kind", REFUSED)
def test_a_refused_operator_is_refused_with_its_reason(kind: str, tmp_path: Path) -> None:
    path = saved(model_of([(kind, "x", "y", {})], (4,)), tmp_path)
    with pytest.raises(UnsupportedLayer, match=rf"'y' \({kind}\): {REFUSED[kind][:20]}"):
        load_onnx(path)


def f32(value: float) -> Any:
    return np.array(value, np.float32)


ONE_BY_ONE: dict[str, tuple[list[Any], dict[str, Any], str]] = {
    "product": ([("Relu", "x", "r", {}), ("Mul", "x,r", "y", {})], {}, "multiplies two values"),
    "matrix product": ([("MatMul", "x,x", "y", {})], {}, "multiplies two values"),
    "division": ([("Div", "c,x", "y", {})], {"c": f32(1)}, "divides by a value"),
    "division by zero": ([("Div", "x,c", "y", {})], {"c": f32(0)}, "divides by zero"),
    "mixing samples": ([("Reshape", "x,s", "y", {})], {"s": np.array([4, -1])}, "mixes samples"),
    "transposed batch": ([("Transpose", "x", "y", {"perm": [1, 0, 2, 3]})], {}, "moves the batch axis"),
    "joined batch": ([("Concat", "x,x", "y", {"axis": 0})], {}, "joins samples"),
    "broadcast": ([("GlobalAveragePool", "x", "g", {}), ("Add", "x,g", "y", {})], {}, "joins shapes"),
    "early softmax": (
        [("Softmax", "x", "s", {}), ("Relu", "s", "y", {})], {}, "softmax is taken as the last operation"),
    "softmax of channels": ([("Softmax", "x", "y", {"axis": 1})], {}, "over axis 1 of 4"),
    "mean of channels": ([("ReduceMean", "x,a", "y", {})], {"a": np.array([1])}, "all but the first two"),
    "gaps in pooling": (
        [("MaxPool", "x", "y", {"kernel_shape": [2, 2], "dilations": [2, 2]})], {}, "windows have gaps"),
    "linear resize": (
        [("Resize", "x,,s", "y", {"mode": "linear"})], {"s": np.array([1, 1, 2, 2], np.float32)},
        "by mode linear"),
    "half resize": (
        [("Resize", "x,,s", "y", {"mode": "nearest"})], {"s": np.array([1, 1, 1.5, 1], np.float32)},
        "whole factors"),
    "reflecting pads": (
        [("Pad", "x,p", "y", {"mode": "reflect"})], {"p": np.array([0, 0, 1, 1, 0, 0, 1, 1])}, "by reflect"),
    "steps": (
        [("Slice", "x,a,b,c,d", "y", {})],
        {"a": np.array([0]), "b": np.array([4]), "c": np.array([2]), "d": np.array([2])}, "every 2th value"),
    "training norm": (
        [("BatchNormalization", "x,a,a,a,a", "y", {"training_mode": 1})], {"a": normal(2)}, "eval mode"),
    "volume": ([("Conv", "x,w", "y", {})], {"w": normal(1, 2, 2, 2, 2)}, "windows over 3 axes"),
    "misfit": ([("Conv", "x,w", "y", {})], {"w": normal(1, 3, 2, 2)}, "takes 3 channels"),
    "rounding": ([("Cast", "x", "y", {"to": 7})], {}, "whole numbers"),
    "too much": (
        [("ConstantOfShape", "s", "c", {}), ("Add", "x,c", "y", {})], {"s": np.array([1 << 40])},
        "more than"),
    "unknown": ([("STFT", "x", "y", {})], {}, "no such operator is known here"),
}  # fmt: skip


@pytest.mark.parametrize("case", ONE_BY_ONE)
def test_what_an_operator_cannot_do_here_is_said_of_it(case: str, tmp_path: Path) -> None:
    nodes, numbers, message = ONE_BY_ONE[case]
    with pytest.raises(UnsupportedLayer, match=rf"1 operator is not taken: '.*\(\w+\): .*{message}"):
        load_onnx(saved(model_of(nodes, (2, 4, 4), **numbers), tmp_path))


def changed(edit: Callable[[Any], Any]) -> Callable[[Path], Any]:
    def make(path: Path) -> None:
        built = perceptron()
        edit(built)
        path.write_bytes(built.SerializeToString())

    return make


def open_length(built: Any) -> None:
    built.graph.input[0].type.tensor_type.shape.dim[1].dim_param = "length"


def bad_weight(built: Any) -> None:
    array = np.full((5, 3), np.nan, np.float32)
    built.graph.initializer[1].CopyFrom(onnx.numpy_helper.from_array(array, "w2"))


BAD: dict[str, tuple[Callable[[Path], Any], str]] = {
    "missing": (lambda path: None, "cannot be read: No such file"),
    "empty": (lambda path: path.write_bytes(b""), "holds no ONNX graph"),
    "text": (lambda path: path.write_bytes(b"hello, I am a model, am I not?"), "not a readable ONNX file"),
    "cut": (
        lambda path: path.write_bytes(perceptron().SerializeToString()[:-20]),
        "not a readable ONNX file",
    ),
    "old": (changed(lambda m: setattr(m.opset_import[0], "version", 10)), "version 10 .* opset_version=11"),
    "custom": (changed(lambda m: setattr(m.graph.node[1], "domain", "com.me")), r"outside ONNX itself \(com"),
    "two inputs": (changed(lambda m: m.graph.input.append(m.graph.input[0])), "has 2 inputs and 1 outputs"),
    "two outputs": (changed(lambda m: m.graph.output.append(m.graph.output[0])), "1 inputs and 2 outputs"),
    "open length": (changed(open_length), "all axes but the batch must be fixed"),
    "nan": (changed(bad_weight), "15 of 15 values of weight 'w2' are NaN"),
    "no way": (changed(lambda m: setattr(m.graph.output[0], "name", "w2")), "does not depend on the input"),
    "short weight": (
        changed(lambda m: setattr(m.graph.initializer[0], "raw_data", b"1234")),
        r"of shape \(5, 6\) holds 1 values"),
    "huge weight": (
        changed(lambda m: m.graph.initializer[0].dims.append(1 << 40)), "claims .* bytes of weig"),
    "text weight": (
        changed(lambda m: setattr(m.graph.initializer[0], "data_type", 8)),
        "element type 8, which is no number"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_what_is_no_model_is_refused_with_its_reason(case: str, tmp_path: Path) -> None:
    make, message = BAD[case]
    make(tmp_path / "m.onnx")
    with pytest.raises(LoadError, match=message) as caught:
        load_onnx(tmp_path / "m.onnx")
    assert str(caught.value).startswith(f"'{tmp_path / 'm.onnx'}'")
    assert "\n" not in str(caught.value)


def test_a_damaged_byte_never_gives_another_kind_of_error(tmp_path: Path, rng: Any) -> None:
    nodes = [
        ("Conv", "x,w", "c", {"strides": [1, 1], "pads": [1, 1, 1, 1]}), ("Relu", "c", "r", {}),
        ("MaxPool", "r", "p", {"kernel_shape": [2, 2]}), ("Concat", "p,p", "k", {"axis": 1}),
        ("Flatten", "k", "f", {}), ("Gemm", "f,v", "y", {"transB": 1}),
    ]  # fmt: skip
    built = model_of(nodes, (2, 5, 5), w=normal(3, 2, 3, 3), v=normal(2, 96))
    content = built.SerializeToString()
    assert load_onnx(saved(built, tmp_path)).output.op.kind == "Output"
    for at in rng.integers(0, len(content), 300):
        damaged = bytearray(content)
        damaged[at] ^= int(rng.integers(1, 256))
        (tmp_path / "damaged.onnx").write_bytes(damaged)
        try:
            verify(load_onnx(tmp_path / "damaged.onnx"))
        except LoadError:
            continue


def test_a_file_cut_anywhere_gives_one_clear_error(tmp_path: Path) -> None:
    content = perceptron().SerializeToString()
    for end in range(0, len(content) - 1, 7):
        (tmp_path / "cut.onnx").write_bytes(content[:end])
        with pytest.raises(LoadError):
            load_onnx(tmp_path / "cut.onnx")


def test_a_file_larger_than_protocol_buffers_allow_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = saved(perceptron(), tmp_path)
    monkeypatch.setattr(model, "MAX_FILE_BYTES", path.stat().st_size)
    load_onnx(path)
    monkeypatch.setattr(model, "MAX_FILE_BYTES", path.stat().st_size - 1)
    with pytest.raises(LoadError, match=r"bytes; .* are taken"):
        load_onnx(path)


# --- folding --------------------------------------------------------------------------------------------

CONSTANTS: dict[str, tuple[list[Any], dict[str, Any]]] = {
    "Abs": ([np.array([-1.5, 2])], {}),
    "Add": ([np.array([1, 2]), np.array([[3], [4]])], {}),
    "And": ([np.array([True, False]), np.array([True, True])], {}),
    "Cast": ([np.array([1.7, -1.7])], {"to": 7}),
    "Ceil": ([np.array([1.2])], {}),
    "Concat": ([np.array([[1, 2]]), np.array([[3, 4]])], {"axis": 0}),
    "ConstantOfShape": ([np.array([2, 3])], {}),
    "Div": ([np.array([7, -7]), np.array([2, 2])], {}),
    "Equal": ([np.array([1, 2]), np.array([1, 3])], {}),
    "Expand": ([np.array([[1], [2]]), np.array([3, 2, 2])], {}),
    "Floor": ([np.array([-1.2])], {}),
    "Gather": ([np.arange(12).reshape(3, 4), np.array([[0, -1]])], {"axis": 1}),
    "Greater": ([np.array([1, 2]), np.array([1, 1])], {}),
    "Identity": ([np.array([1, 2])], {}),
    "Less": ([np.array([0, 2]), np.array([1, 1])], {}),
    "MatMul": ([np.ones((2, 3)), np.ones((3, 2))], {}),
    "Max": ([np.array([1, 5]), np.array([3, 2])], {}),
    "Min": ([np.array([1, 5]), np.array([3, 2])], {}),
    "Mod": ([np.array([7, -7]), np.array([3, 3])], {}),
    "Mul": ([np.array([2, 3]), np.array([4, 5])], {}),
    "Neg": ([np.array([2, -3])], {}),
    "Not": ([np.array([True, False])], {}),
    "Or": ([np.array([True, False]), np.array([False, False])], {}),
    "Pow": ([np.array([2.0, 3.0]), np.array([2.0, 0.5])], {}),
    "Range": ([np.array(1), np.array(9), np.array(3)], {}),
    "Reciprocal": ([np.array([4.0])], {}),
    "ReduceMax": ([np.arange(6.0).reshape(2, 3), np.array([1])], {"keepdims": 0}),
    "ReduceMin": ([np.arange(6.0).reshape(2, 3), np.array([0])], {}),
    "ReduceProd": ([np.arange(6.0).reshape(2, 3)], {}),
    "ReduceSum": ([np.arange(6.0).reshape(2, 3), np.array([1])], {}),
    "Reshape": ([np.arange(6).reshape(2, 3), np.array([0, -1, 1])], {}),
    "Shape": ([np.ones((2, 3, 4))], {"start": 1}),
    "Size": ([np.ones((2, 3))], {}),
    "Slice": ([np.arange(10), np.array([8]), np.array([-100]), np.array([0]), np.array([-2])], {}),
    "Sqrt": ([np.array([9.0])], {}),
    "Squeeze": ([np.ones((1, 2, 1)), np.array([2])], {}),
    "Sub": ([np.array([5, 6]), np.array(1)], {}),
    "Transpose": ([np.arange(6).reshape(2, 3)], {"perm": [1, 0]}),
    "Unsqueeze": ([np.ones((2, 3)), np.array([0, -1])], {}),
    "Where": ([np.array([True, False]), np.array([1, 2]), np.array([3, 4])], {}),
}  # fmt: skip


@pytest.mark.parametrize("kind", CONSTANTS)
def test_folding_computes_what_onnxs_reference_does(kind: str) -> None:
    from onnx.reference import ReferenceEvaluator

    inputs, attributes = CONSTANTS[kind]
    names = [f"i{k}" for k in range(len(inputs))]
    node = onnx.helper.make_node(kind, names, ["y"], **attributes)
    want = ReferenceEvaluator(node, opsets={"": 18}).run(None, dict(zip(names, inputs, strict=True)))[0]
    have = constants.fold(kind, inputs, attributes)
    assert have.dtype == np.asarray(want).dtype or kind in ("ReduceProd", "Size")
    np.testing.assert_array_equal(have, want)


def test_every_folded_operator_is_compared() -> None:
    assert set(constants.FOLDED) == {*CONSTANTS, "Constant"}


@pytest.mark.parametrize(
    ("attribute", "value"),
    [("value_float", 2.5), ("value_floats", [1.0, 2.0]), ("value_int", 3), ("value_ints", [4, 5])],
)
def test_constants_in_attributes_are_read(attribute: str, value: Any) -> None:
    assert constants.fold("Constant", [], {attribute: value}).tolist() == value
