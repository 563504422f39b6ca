"""Every row of every frontend's table has an example: read and converted, or refused as the row says."""

from __future__ import annotations

import importlib
import importlib.util
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from neurodeploy.errors import LoadError, UnsupportedLayer
from neurodeploy.frontends.keras import from_keras
from neurodeploy.frontends.nir import load_nir
from neurodeploy.frontends.onnx import load_onnx
from neurodeploy.ir.replay import replay
from neurodeploy.reporting.catalogue import FRONTENDS, layer_rows
from tests.frontends import lmu_layer, nir_files
from tests.frontends.conversions import assert_converts
from tests.frontends.keras_models import assert_same, model_of

ROWS = {frontend: layer_rows(frontend)[1] for frontend in FRONTENDS}
TORCH, TENSORFLOW, ONNX = (
    importlib.util.find_spec(name) is not None for name in ("torch", "tensorflow", "onnx")
)


def rows(frontend: str) -> Any:
    return pytest.mark.parametrize("row", ROWS[frontend], ids=lambda row: str(row[0]))


def test_rows_are_told_apart_and_every_refusal_has_a_reason() -> None:
    for table in ROWS.values():
        names = [row[0] for row in table]
        assert len(set(names)) == len(names)
        for _, status, how, note in table:
            assert status in ("native", "rewritten", "dropped", "refused")
            assert note if status == "refused" else how


# --- Keras ------------------------------------------------------------------------------------------------

Layers = Callable[[Any], Any]
MAP, SERIES, VECTOR = (6, 5, 2), (8, 3), (4,)
PLAIN: dict[str, tuple[tuple[int, ...], Layers]] = {
    "InputLayer": (VECTOR, lambda L: L.Dense(2)),
    "Dense": (VECTOR, lambda L: L.Dense(3, activation="relu")),
    "Conv1D": (SERIES, lambda L: L.Conv1D(3, 3, padding="causal")),
    "Conv2D": (MAP, lambda L: L.Conv2D(3, 2, strides=2, padding="same")),
    "DepthwiseConv1D": (SERIES, lambda L: L.DepthwiseConv1D(3)),
    "DepthwiseConv2D": (MAP, lambda L: L.DepthwiseConv2D(2, depth_multiplier=2)),
    "SeparableConv1D": (SERIES, lambda L: L.SeparableConv1D(4, 3)),
    "SeparableConv2D": (MAP, lambda L: L.SeparableConv2D(4, 3)),
    "Conv1DTranspose": (SERIES, lambda L: L.Conv1DTranspose(2, 3, strides=2)),
    "Conv2DTranspose": (MAP, lambda L: L.Conv2DTranspose(3, 2, strides=2)),
    "BatchNormalization": (MAP, lambda L: L.BatchNormalization()),
    "ReLU": (VECTOR, lambda L: L.ReLU(1.0)),
    "LeakyReLU": (VECTOR, lambda L: L.LeakyReLU()),
    "PReLU": (VECTOR, lambda L: L.PReLU()),
    "Activation": (VECTOR, lambda L: L.Activation("relu")),
    "Softmax": (VECTOR, lambda L: L.Softmax()),
    "AveragePooling1D": (SERIES, lambda L: L.AveragePooling1D(2)),
    "AveragePooling2D": (MAP, lambda L: L.AveragePooling2D(2, padding="same")),
    "MaxPooling1D": (SERIES, lambda L: L.MaxPooling1D(2)),
    "MaxPooling2D": (MAP, lambda L: L.MaxPooling2D(2)),
    "GlobalAveragePooling1D": (SERIES, lambda L: L.GlobalAveragePooling1D()),
    "GlobalAveragePooling2D": (MAP, lambda L: L.GlobalAveragePooling2D()),
    "GlobalMaxPooling1D": (SERIES, lambda L: L.GlobalMaxPooling1D()),
    "GlobalMaxPooling2D": (MAP, lambda L: L.GlobalMaxPooling2D()),
    "Flatten": (MAP, lambda L: L.Flatten()),
    "Reshape": (VECTOR, lambda L: L.Reshape((2, 2))),
    "Permute": (SERIES, lambda L: L.Permute((2, 1))),
    "ZeroPadding1D": (SERIES, lambda L: L.ZeroPadding1D(1)),
    "ZeroPadding2D": (MAP, lambda L: L.ZeroPadding2D(1)),
    "Cropping1D": (SERIES, lambda L: L.Cropping1D(1)),
    "Cropping2D": (MAP, lambda L: L.Cropping2D(1)),
    "UpSampling1D": (SERIES, lambda L: L.UpSampling1D(2)),
    "UpSampling2D": (MAP, lambda L: L.UpSampling2D(2)),
    "Rescaling": (VECTOR, lambda L: L.Rescaling(0.5, 1.0)),
    "Normalization": (VECTOR, lambda L: L.Normalization(mean=0.5, variance=2.0)),
    "Identity": (VECTOR, lambda L: L.Identity()),
    "Dropout": (VECTOR, lambda L: L.Dropout(0.5)),
    "SpatialDropout1D": (SERIES, lambda L: L.SpatialDropout1D(0.5)),
    "SpatialDropout2D": (MAP, lambda L: L.SpatialDropout2D(0.5)),
    "AlphaDropout": (VECTOR, lambda L: L.AlphaDropout(0.5)),
    "GaussianDropout": (VECTOR, lambda L: L.GaussianDropout(0.5)),
    "GaussianNoise": (VECTOR, lambda L: L.GaussianNoise(0.5)),
    "ActivityRegularization": (VECTOR, lambda L: L.ActivityRegularization(0.5)),
    "SimpleRNN": (SERIES, lambda L: L.SimpleRNN(3, activation="relu")),
    "TimeDistributed": (SERIES, lambda L: L.TimeDistributed(L.Dense(2))),
    "Lambda": (VECTOR, lambda L: L.Lambda(lambda x: x)),
    "ELU": (VECTOR, lambda L: L.ELU()),
    "LayerNormalization": (VECTOR, lambda L: L.LayerNormalization()),
    "GroupNormalization": (VECTOR, lambda L: L.GroupNormalization(2)),
    "UnitNormalization": (VECTOR, lambda L: L.UnitNormalization()),
    "Conv3D": ((3, *MAP), lambda L: L.Conv3D(2, 2)),
    "MaxPooling3D": ((3, *MAP), lambda L: L.MaxPooling3D(2)),
    "AveragePooling3D": ((3, *MAP), lambda L: L.AveragePooling3D(2)),
    "GRU": (SERIES, lambda L: L.GRU(2)),
    "LSTM": (SERIES, lambda L: L.LSTM(2)),
    "ConvLSTM2D": ((3, *MAP), lambda L: L.ConvLSTM2D(2, 2)),
    "Bidirectional": (SERIES, lambda L: L.Bidirectional(L.SimpleRNN(2))),
    "Embedding": (VECTOR, lambda L: L.Embedding(5, 2)),
}
"""Layers with one input."""
JOINED = ("Add", "Subtract", "Average", "Maximum", "Minimum", "Concatenate", "Multiply")


def joined(name: str) -> Callable[[Any, Any, Any], Any]:
    return lambda L, x, y: getattr(L, name)()([x, y])


TWO: dict[str, Callable[[Any, Any, Any], Any]] = {
    **{name: joined(name) for name in JOINED},
    "Dot": lambda L, x, y: L.Dot(1)([x, y]),
}  # fmt: skip
"""Layers that join two."""
CALLED: dict[str, Callable[[Any, Any], Any]] = {
    "x + y": lambda f, x: x + x, "x - y": lambda f, x: 1.0 - x, "x * c": lambda f, x: x * 2.0,
    "x / c": lambda f, x: x / 2.0, "-x": lambda f, x: -x, "relu(x)": lambda f, x: f.relu(x),
    "relu6(x)": lambda f, x: f.relu6(x), "leaky_relu(x)": lambda f, x: f.leaky_relu(x),
    "clip(x)": lambda f, x: f.clip(x, -0.5, 0.5), "maximum(x, y)": lambda f, x: f.maximum(x, -x),
    "minimum(x, y)": lambda f, x: f.minimum(x, 0.1), "concatenate": lambda f, x: f.concatenate([x, x], 1),
    "mean": lambda f, x: f.mean(x, (1, 2)), "reshape": lambda f, x: f.reshape(x, (-1, 60)),
    "transpose": lambda f, x: f.transpose(x, (0, 2, 1, 3)), "softmax": lambda f, x: f.softmax(x),
    "identity": lambda f, x: f.identity(x),
}  # fmt: skip
"""Functions, as `keras.ops` has them."""
OLD: dict[str, str] = {
    "BatchNormalizationV1": "BatchNormalization", "BatchNormalizationV2": "BatchNormalization",
    "SyncBatchNormalization": "BatchNormalization", "ThresholdedReLU": "ReLU",
    "MultiHeadAttention": "ReLU",
}  # fmt: skip
"""Kinds that Keras 3 does not build alone: their entry is written over that of another."""


def keras_model(keras: Any, kind: str) -> tuple[Any, tuple[int, ...]]:
    L = keras.layers
    if kind in PLAIN or kind in OLD:
        shape, make = PLAIN[OLD.get(kind, kind)]
        return model_of(keras, shape, [make(L)]), shape
    if kind == "LMU":
        return lmu_layer.Sequential("SimpleRNNCell"), (lmu_layer.STEPS, lmu_layer.FEATURES)
    if kind == "Sequential":
        return model_of(keras, VECTOR, [keras.Sequential([L.Dense(3), L.ReLU()])]), VECTOR
    entry = keras.Input(MAP if kind in CALLED else VECTOR)
    if kind == "Functional":
        inner = keras.Model(entry, L.Dense(3)(entry))
        return keras.Model(entry, L.ReLU()(inner(entry))), VECTOR
    if kind in CALLED:
        functions = importlib.import_module("tensorflow") if kind == "identity" else keras.ops
        return keras.Model(entry, CALLED[kind](functions, L.Conv2D(2, 1)(entry))), MAP
    return keras.Model(entry, TWO[kind](L, L.Dense(3)(entry), L.Dense(3)(entry))), VECTOR


@rows("keras")
def test_a_row_of_keras_runs(row: list[str], tmp_path: Path) -> None:
    kind, status, _, note = row
    others = ("Sequential", "Functional", "LMU")
    assert {*PLAIN, *OLD, *TWO, *CALLED, *others} >= {kind}, "a row without an example"
    if not TENSORFLOW:
        pytest.skip("needs TensorFlow: pip install 'neurodeploy[dl]'")
    keras = importlib.import_module("tf_keras" if kind == "identity" else "keras")
    model, shape = keras_model(keras, kind)
    if kind in OLD:
        source: Any = rewritten(model, OLD[kind], kind)
    else:
        source = model
    if status == "refused":
        with pytest.raises(UnsupportedLayer) as refused:
            from_keras(source)
        assert note in str(refused.value)
    else:
        graph = from_keras(source)
        assert_same(model, graph, shape)
        assert_converts(graph)


def rewritten(model: Any, old: str, new: str) -> Any:
    """Return what stands for a model whose configuration has another class's name."""
    config = json.dumps(model.get_config()).replace(f'"class_name": "{old}"', f'"class_name": "{new}"')
    stand_in = type("Sequential", (), {"__module__": "keras"})()
    stand_in.layers, stand_in.name = model.layers, model.name
    stand_in.get_config, stand_in.get_weights = lambda: json.loads(config), model.get_weights
    return stand_in


# --- ONNX -------------------------------------------------------------------------------------------------


@rows("onnx")
def test_a_row_of_onnx_runs(row: list[str], tmp_path: Path) -> None:
    if not ONNX:
        pytest.skip("models are built with onnx: pip install onnx")
    from tests.frontends import onnx_models
    from tests.frontends.test_onnx_operators import CASES, RUNTIME_ONLY

    kind, status, _, note = row
    if status == "refused":
        model = onnx_models.model_of([(kind, "x", "y", {})], (4, 4))
        onnx_models.onnx.save(model, tmp_path / "m.onnx")
        with pytest.raises(UnsupportedLayer) as refused:
            load_onnx(tmp_path / "m.onnx")
        assert note in str(refused.value)
        return
    fits = [name for name, (nodes, _, _) in CASES.items() if kind in [node[0] for node in nodes]]
    assert fits, "a row without an example"
    nodes, shape, constants = CASES[next(name for name in fits if name not in RUNTIME_ONLY)]
    assert_converts(onnx_models.assert_same(onnx_models.model_of(nodes, shape, **constants), shape, tmp_path))


# --- PyTorch ----------------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore")  # torch's own, of recurrent modules
@rows("torch")
def test_a_row_of_torch_runs(row: list[str], tmp_path: Path) -> None:
    names, status, _, note = row
    if not TORCH:
        pytest.skip("needs PyTorch: pip install 'neurodeploy[torch]'")
    from tests.frontends import test_torch_operators as torch_tests

    if status == "refused":
        program = torch_tests.refused_example(names)
        with pytest.raises(UnsupportedLayer) as refused:
            torch_tests.from_torch(program)
        assert note in str(refused.value)
        return
    examples = torch_tests.row_examples(names.split(", "))
    assert examples, "a row without an example"
    make, shape, flat = examples[0]
    assert_converts(torch_tests.assert_same(torch_tests.seeded(make), shape, tmp_path, flat=flat))


# --- NIR --------------------------------------------------------------------------------------------------


@rows("nir")
def test_a_row_of_nir_runs(row: list[str], tmp_path: Path) -> None:
    assert row[0] in nir_files.EXAMPLES, "a row without an example"
    shape, out, fields = nir_files.EXAMPLES[row[0]]
    path = nir_files.chain(tmp_path / "n.nir", shape, out, fields)
    graph = load_nir(path, dt=1e-3, reset="zero")
    assert replay(graph, np.ones((2, 1, *shape)))["output"].shape == (2, 1, *out)
    with pytest.raises(LoadError, match="how long a step is"):
        load_nir(path)
