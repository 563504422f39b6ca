"""Every handler against Keras' own output, on random weights and samples, in both generations of Keras."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from neurodeploy.errors import LoadError, UnsupportedLayer
from neurodeploy.frontends.keras import from_keras, layer_table, load_keras
from neurodeploy.frontends.keras.joins import FUNCTIONS
from neurodeploy.frontends.keras.table import HANDLERS
from neurodeploy.ir.evaluate import evaluate
from neurodeploy.ir.verify import verify
from tests.frontends.keras_models import assert_close, assert_same, model_of

pytestmark = [pytest.mark.keras, pytest.mark.filterwarnings("ignore")]  # Keras' own deprecations
Build = Callable[[Any], list[Any]]


CONV2D = [
    {"strides": s, "padding": p, "kernel_size": k, "use_bias": b}
    for s in (1, 2, (3, 2))
    for p in ("valid", "same")
    for k, b in ((3, True), ((2, 4), False))
] + [
    {"dilation_rate": d, "padding": p, "kernel_size": k}
    for d in (2, (1, 3))
    for p in ("valid", "same")
    for k in (3, (2, 2))
] + [{"groups": 2, "kernel_size": 3, "strides": 2, "padding": "same"}]  # fmt: skip
CONV1D = [
    {"strides": s, "padding": p, "kernel_size": k, "use_bias": b}
    for s in (1, 2, 3)
    for p in ("valid", "same", "causal")
    for k, b in ((3, True), (4, False))
] + [
    {"dilation_rate": d, "padding": p, "kernel_size": k}
    for d in (2, 3)
    for p in ("valid", "same", "causal")
    for k in (2, 3)
] + [{"groups": 2, "kernel_size": 3}]  # fmt: skip
POOL = [
    {"pool_size": k, "strides": s, "padding": p}
    for k in (2, 3) for s in (None, 1, 2, 3) for p in ("valid", "same")
]  # fmt: skip
FORMATS = ("channels_last", "channels_first")
SIZES = {"1D": (11,), "2D": (9, 10)}
DEPTHWISE = [
    {"kernel_size": k, "strides": s, "padding": p, "depth_multiplier": m, "use_bias": b}
    for k, s, m, b in ((3, 1, 1, True), (2, 2, 2, False)) for p in ("valid", "same")
] + [{"kernel_size": 3, "dilation_rate": 2, "padding": "same"}]  # fmt: skip
TRANSPOSED = [
    {"kernel_size": k, "strides": s, "padding": p, "use_bias": b}
    for k, s, b in ((3, 1, True), (3, 2, True), (2, 3, False), (4, 2, True), (1, 2, True))
    for p in ("valid", "same")
] + [
    {"kernel_size": k, "strides": 3, "padding": p, "output_padding": 1}
    for k in (3, 4) for p in ("valid", "same")
] + [{"kernel_size": 3, "dilation_rate": 2, "padding": p} for p in ("valid", "same")]  # fmt: skip
WINDOWS: dict[str, list[dict[str, Any]]] = {
    "Conv1D": CONV1D,
    "Conv2D": CONV2D,
    "DepthwiseConv1D": DEPTHWISE,
    "DepthwiseConv2D": DEPTHWISE,
    "SeparableConv1D": DEPTHWISE,
    "SeparableConv2D": DEPTHWISE,
    "Conv1DTranspose": TRANSPOSED,
    "Conv2DTranspose": TRANSPOSED,
    "AveragePooling1D": POOL,
    "AveragePooling2D": POOL,
    "MaxPooling1D": POOL,
    "MaxPooling2D": POOL,
    "UpSampling1D": [{"size": 2}],
    "UpSampling2D": [{"size": 2}, {"size": (1, 3)}],
    "ZeroPadding2D": [{"padding": ((0, 1), (2, 0))}],
    "Cropping1D": [{"cropping": 2}, {"cropping": (0, 3)}],
    "Cropping2D": [{"cropping": 1}, {"cropping": ((0, 2), (3, 1))}],
}
GLOBAL: dict[str, list[dict[str, Any]]] = {
    kind: [{"keepdims": True}, {"keepdims": False}]
    for kind in (
        "GlobalAveragePooling1D",
        "GlobalAveragePooling2D",
        "GlobalMaxPooling1D",
        "GlobalMaxPooling2D",
    )
}
LAST_ONLY = ("UpSampling1D", "Cropping1D")
"""Layers that have no `data_format`."""


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("kind", {**WINDOWS, **GLOBAL})
def test_windows_agree_with_keras(keras: Any, kind: str, form: str) -> None:
    sizes = SIZES["1D" if "1D" in kind else "2D"]
    fixed = {"filters": 6} if kind.startswith(("Conv", "Separable")) else {}
    for options in {**WINDOWS, **GLOBAL}[kind]:
        if form == "channels_first" and (options.get("padding") == "causal" or kind in LAST_ONLY):
            continue  # Keras has no such layer
        layer = functools.partial(getattr(keras.layers, kind), **fixed, **options)
        twin = model_of(keras, (*sizes, 4), [layer()])
        if form == "channels_last":
            assert_same(twin, from_keras(twin), (*sizes, 4))
        else:
            model = model_of(keras, (4, *sizes), [layer(data_format=form)])
            assert_same_as_twin(twin, from_keras(model), (4, *sizes))


def assert_same_as_twin(twin: Any, graph: Any, shape: tuple[int, ...]) -> None:
    """Compare with the same layer channels last: on CPUs TensorFlow gets some of the others wrong."""
    x = np.random.default_rng(1).normal(size=(3, *shape)).astype(np.float32)
    want = np.asarray(twin(np.moveaxis(x, 1, -1), training=False))
    want = np.moveaxis(want, -1, 1) if want.ndim > 2 else want
    assert_close(evaluate(verify(graph, form="rate"), graph.prepare(x)), want)


@pytest.mark.parametrize("shape", [(7,), (5, 7), (4, 5, 7), (2, 3, 4, 7)])
@pytest.mark.parametrize("use_bias", [True, False])
def test_dense_acts_on_the_last_axis(keras: Any, shape: tuple[int, ...], use_bias: bool) -> None:
    model = model_of(keras, shape, [keras.layers.Dense(6, "relu", use_bias), keras.layers.Dense(3)])
    assert_same(model, from_keras(model), shape)


@pytest.mark.parametrize(
    ("shape", "axis"), [((6,), -1), ((5, 6), -1), ((5, 6), 1), ((4, 5, 3), 3), ((4, 5, 3), 2)]
)
@pytest.mark.parametrize("options", [{}, {"scale": False}, {"center": False, "scale": False, "epsilon": 0.1}])
def test_batch_norm_agrees_with_keras(keras: Any, shape: Any, axis: int, options: Any) -> None:
    model = model_of(keras, shape, [keras.layers.BatchNormalization(axis=axis, **options)])
    assert_same(model, from_keras(model), shape)


def FIRST(layer: Any) -> Any:  # noqa: N802
    """Channels first and no bias, which TensorFlow 2.19 adds to the wrong channels on CPUs."""
    return functools.partial(layer, data_format="channels_first", use_bias=False)


ODDMENTS: dict[str, tuple[tuple[int, ...], Build]] = {
    "relu layer": ((5,), lambda L: [L.ReLU()]),
    "relu activation": ((4, 5), lambda L: [L.Activation("relu"), L.Activation("linear")]),
    "relu layer as activation": ((5,), lambda L: [L.Dense(4, activation=L.ReLU(1.0))]),
    "relu capped": ((5,), lambda L: [L.ReLU(0.5)]),
    "relu of all kinds": ((5,), lambda L: [L.ReLU(0.5, 0.1)]),
    "relu6 and leaky_relu": ((5,), lambda L: [
        L.Activation("leaky_relu"), L.Dense(9, activation="relu6"), L.Dense(3, activation="leaky_relu")]),
    "leaky": ((5, 4, 3), lambda L: [L.LeakyReLU(0.3), L.Conv2D(2, 2), L.LeakyReLU()]),
    "prelu": ((5, 4, 3), lambda L: [L.PReLU(shared_axes=[1, 2]), L.Conv2D(2, 2), L.PReLU(), L.Flatten(),
        L.PReLU()]),
    "log softmax": ((5,), lambda L: [L.Dense(4, activation="log_softmax")]),
    "permute": ((4, 5, 3), lambda L: [L.Permute((2, 3, 1)), L.Conv2D(2, 2), L.Permute((3, 1, 2)),
        L.Flatten()]),
    "permute then channels first": ((4, 5), lambda L: [L.ReLU(), L.Permute((2, 1)), L.Conv1D(3, 2)]),
    "rescaling": ((4, 4, 2), lambda L: [L.Rescaling(0.5, -1), L.Conv2D(2, 2)]),
    "rescaling per channel": ((4, 4, 2), lambda L: [L.Rescaling([0.5, 2.0], [0.1, -1]), L.Conv2D(2, 2)]),
    "normalization": ((4, 4, 2), lambda L: [
        L.Normalization(mean=[0.1, -1], variance=[2.0, 0.5]), L.Conv2D(2, 2)]),
    "normalization of everything": ((4, 3), lambda L: [L.Normalization(axis=None, mean=0.5, variance=4.0)]),
    "crop 1": ((6, 3), lambda L: [L.Cropping1D((1, 2)), L.Conv1D(2, 3)]),
    "up 1": ((6, 3), lambda L: [L.UpSampling1D(3), L.Conv1D(2, 3)]),
    "softmax layer": ((5,), lambda L: [L.Dense(4), L.Softmax(), L.Dropout(0.5)]),
    "softmax activation": ((5,), lambda L: [L.Dense(4, activation="softmax"), L.Activation("linear")]),
    "softmax on a map": ((4, 5, 2), lambda L: [L.Conv2D(3, 2), L.Softmax()]),
    "flatten": ((3, 4, 2), lambda L: [L.Conv2D(3, 2), L.Flatten(), L.Dense(4)]),
    "flatten channels first": ((2, 3, 4), lambda L: [L.Flatten("channels_first"), L.Dense(4)]),
    "flatten after channels first": (
        (2, 3, 4), lambda L: [FIRST(L.Conv2D)(3, 2), L.Flatten(), L.Dense(4)]),
    "flatten a vector": ((6,), lambda L: [L.Dense(4), L.Flatten(), L.Dense(4)]),
    "flatten the input": ((3, 4, 2), lambda L: [L.Flatten(), L.Dense(4)]),
    "reshape": ((24,), lambda L: [L.Reshape((4, -1, 2)), L.Conv2D(3, 2)]),
    "reshape a map": ((4, 6, 2), lambda L: [L.Conv2D(4, 1), L.Reshape((6, -1)), L.Conv1D(3, 2)]),
    "reshape to a vector": ((4, 6, 2), lambda L: [L.Conv2D(4, 1), L.Reshape((-1,)), L.Dense(3)]),
    "pad 1": ((5, 3), lambda L: [L.ZeroPadding1D(2), L.Conv1D(2, 3)]),
    "pad 1 uneven": ((5, 3), lambda L: [L.ZeroPadding1D((1, 2)), L.Conv1D(2, 3)]),
    "pad 2": ((5, 4, 3), lambda L: [L.ZeroPadding2D(2), L.Conv2D(2, 3)]),
    "pad 2 per axis": ((5, 4, 3), lambda L: [L.ZeroPadding2D((1, 2)), L.Conv2D(2, 3)]),
    "pad 2 uneven": ((5, 4, 3), lambda L: [L.ZeroPadding2D(((0, 1), (2, 0))), L.Conv2D(2, 3, 2)]),
    "pad 2 channels first": (
        (3, 5, 4), lambda L: [L.ZeroPadding2D(((0, 1), (2, 0)), data_format="channels_first")]),
    "mixed formats": (
        (3, 5, 4), lambda L: [FIRST(L.Conv2D)(2, 2), L.Conv2D(5, 2), L.Dense(2)]),
    "recurrent": ((5, 3), lambda L: [L.SimpleRNN(4, activation="relu"), L.Dense(2)]),
    "recurrent, every step": ((5, 3), lambda L: [
        L.SimpleRNN(4, activation="relu", return_sequences=True), L.SimpleRNN(3, "linear", use_bias=False)]),
    "recurrent behind a convolution": ((7, 3), lambda L: [
        L.Conv1D(4, 3, activation="relu"), L.SimpleRNN(3, activation="relu", return_sequences=True)]),
    "noise": ((5, 4, 3), lambda L: [
        L.GaussianNoise(1.0), L.Conv2D(2, 2), L.SpatialDropout2D(0.5), L.GaussianDropout(0.5),
        L.AlphaDropout(0.5), L.ActivityRegularization(0.1), L.Reshape((-1, 2)), L.SpatialDropout1D(0.5)]),
    "a whole network": ((12, 12, 2), lambda L: [
        L.Conv2D(4, 3, 2, "same", use_bias=False), L.BatchNormalization(), L.ReLU(), L.AveragePooling2D(2),
        L.Conv2D(6, 3, activation="relu", padding="same"), L.GlobalAveragePooling2D(), L.Dropout(0.2),
        L.Dense(5, activation="relu"), L.Dense(3, activation="softmax")]),
}  # fmt: skip


@pytest.mark.parametrize("case", ODDMENTS)
def test_layers_agree_with_keras_live_and_from_both_files(keras: Any, case: str, tmp_path: Path) -> None:
    shape, build = ODDMENTS[case]
    model = model_of(keras, shape, build(keras.layers))
    sources = [model, tmp_path / "m.keras", tmp_path / "m.h5"]
    model.save(sources[1])
    model.save(sources[2])
    for source in sources:
        assert_same(model, load_keras(source), shape)


@pytest.mark.parametrize("suffix", ["keras", "h5"])
def test_functional_models_agree_with_keras(keras: Any, suffix: str, tmp_path: Path) -> None:
    L = keras.layers
    entry = keras.Input((6, 6, 1), name="in")
    x = L.Conv2D(3, 3, activation="relu", name="b/c" if keras.__name__ == "tf_keras" else "b.c")(entry)
    x = L.Dense(4, name="zz")(L.Flatten()(L.BatchNormalization()(x, training=False)))
    model = keras.Model(entry, L.Dense(4, name="aa")(x))
    model.save(tmp_path / f"m.{suffix}")
    for source in (model, tmp_path / f"m.{suffix}"):
        assert_same(model, load_keras(source), (6, 6, 1))


def test_every_layer_taken_is_compared_with_keras_somewhere() -> None:
    text = Path(__file__).read_text(encoding="utf-8")
    aliases = {"BatchNormalizationV1", "BatchNormalizationV2", "SyncBatchNormalization", "Identity"}
    assert [kind for kind in HANDLERS if f"{kind}" not in text and kind not in aliases] == []


REFUSED: dict[str, tuple[tuple[int, ...], Build, str]] = {
    "max pooling": ((4, 4, 4, 1), lambda L: [L.MaxPooling3D(name="m")], r"'m' \(MaxPooling3D\): conv"),
    "threshold": ((4,), lambda L: [L.ReLU(threshold=0.5, name="th")], r"'th' \(ReLU\): threshold=0.5"),
    "threshold as activation": (
        (4,), lambda L: [L.Dense(2, activation=L.ReLU(threshold=0.5), name="th")],
        r"'th' \(Dense\): activation ReLU: threshold=0.5"),
    "bilinear": (
        (4, 4, 1), lambda L: [L.UpSampling2D(interpolation="bilinear", name="up")],
        r"'up' \(UpSampling2D\): interpolation='bilinear'"),
    "tanh": ((4,), lambda L: [L.Dense(2, activation="tanh", name="t")], r"'t' \(Dense\): activation 'tanh'"),
    "early softmax": (
        (4,), lambda L: [L.Softmax(name="s"), L.Dense(2)], r"'s' \(Softmax\): softmax is taken as the last"),
    "recurrent tanh": (
        (4, 3), lambda L: [L.SimpleRNN(2, name="r")], r"'r' \(SimpleRNN\): activation 'tanh'"),
    "recurrent backwards": (
        (4, 3), lambda L: [L.SimpleRNN(2, activation="relu", go_backwards=True, name="r")],
        r"'r' \(SimpleRNN\).*go_backwards=True is not taken"),
    "lambda": ((4,), lambda L: [L.Lambda(lambda x: x * 2, name="l")], r"'l' \(Lambda\): it holds Python"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_refused_layers_are_named(keras: Any, case: str, tmp_path: Path) -> None:
    shape, build, message = REFUSED[case]
    model = model_of(keras, shape, build(keras.layers))
    model.save(tmp_path / "m.keras")
    for source in (model, tmp_path / "m.keras"):
        with pytest.raises(UnsupportedLayer, match=message):
            load_keras(source)


def test_all_refused_layers_are_in_one_message(keras: Any) -> None:
    L = keras.layers
    layers = [
        L.LayerNormalization(name="one"),
        L.ELU(name="two"),
        L.Dense(2, activation="tanh", name="three"),
    ]
    with pytest.raises(
        UnsupportedLayer, match=r"3 layers are not taken: 'one'.*'two'.*'three'.*neurodeploy layers"
    ):
        from_keras(model_of(keras, (4, 2), layers))


def test_two_outputs_are_refused_by_name(keras: Any) -> None:
    entry = keras.Input((4,))
    outputs = [keras.layers.Dense(2, name=name)(entry) for name in ("left", "right")]
    with pytest.raises(LoadError, match=r"has 2 outputs \('left', 'right'\)"):
        from_keras(keras.Model(entry, outputs))


def test_batch_norm_that_is_called_in_training_mode_is_refused(keras: Any) -> None:
    entry = keras.Input((4,))
    x = keras.layers.BatchNormalization(name="bn")(entry, training=True)
    with pytest.raises(
        UnsupportedLayer, match=r"'bn' \(BatchNormalization\): it is called with training=True"
    ):
        from_keras(keras.Model(entry, x))


def test_a_custom_layer_is_refused_and_its_code_not_run(keras: Any, tmp_path: Path) -> None:
    class Dense(keras.layers.Layer):  # type: ignore[name-defined,misc]
        """Named as one of Keras' own, to be told apart by where it lives."""

        def call(self, x: Any) -> Any:
            return x

    model = model_of(keras, (4,), [Dense(name="own")])
    model.save(tmp_path / "m.keras")
    for source in (model, tmp_path / "m.keras"):
        with pytest.raises(UnsupportedLayer, match=r"'own' \(Dense\): a custom layer"):
            load_keras(source)


def test_subclassed_models_are_refused(keras: Any) -> None:
    class Mine(keras.Model):  # type: ignore[name-defined,misc]
        def call(self, x: Any) -> Any:
            return x

    with pytest.raises(LoadError, match="Mine"):
        from_keras(Mine())


def test_an_unbuilt_model_is_refused(keras: Any) -> None:
    with pytest.raises(LoadError, match=r"shape of its input.*keras\.Input"):
        from_keras(keras.Sequential([keras.layers.Dense(3)]))


def test_an_open_input_length_is_refused(keras: Any) -> None:
    model = model_of(keras, (None, 4), [keras.layers.Dense(3)])
    with pytest.raises(LoadError, match=r"\(None, 4\).*fixed lengths"):
        from_keras(model)


def test_the_table_names_layers_that_keras_has(keras: Any) -> None:
    aliases = {
        "BatchNormalizationV1",
        "BatchNormalizationV2",
        "SyncBatchNormalization",
        "Sequential",
        "Functional",
        "ThresholdedReLU",  # Keras 2 only
        "LMU",  # of keras-lmu
        *FUNCTIONS,
    }
    unknown = [r.kind for r in layer_table() if r.kind not in aliases and not hasattr(keras.layers, r.kind)]
    assert unknown == []


def test_models_of_tf_dot_keras_are_taken(keras: Any) -> None:
    tf = importlib.import_module("tensorflow")
    model = tf.keras.Sequential([tf.keras.Input((4,)), tf.keras.layers.Dense(3)])
    assert_same(model, from_keras(model), (4,))
