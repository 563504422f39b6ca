"""Branches, shared layers, models inside models and functions on tensors, against both Keras."""

from __future__ import annotations

import functools
import json
import operator
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from neurodeploy.errors import LoadError, UnsupportedLayer
from neurodeploy.frontends.keras import from_keras, load_keras
from neurodeploy.frontends.keras.joins import CALLS
from neurodeploy.ir.verify import verify
from tests.frontends.keras_models import assert_same, model_of
from tests.frontends.test_keras_files import places, rezip

pytestmark = [pytest.mark.keras, pytest.mark.filterwarnings("ignore")]  # Keras' own deprecations
Draw = Callable[[Any, Any], Any]


def model_with(keras: Any, shape: tuple[int, ...], draw: Callable[[Any], Any]) -> Any:
    entry = keras.Input(shape, name="in")
    model = keras.Model(entry, draw(entry), name="whole")
    rng = np.random.default_rng(0)
    model.set_weights([rng.uniform(0.3, 1, w.shape) for w in model.get_weights()])
    return model


def assert_all_same(model: Any, shape: tuple[int, ...], folder: Path) -> None:
    sources = [model, folder / "m.keras", folder / "m.h5"]
    model.save(sources[1])
    model.save(sources[2])
    for source in sources:
        assert_same(model, load_keras(source), shape)


def residual(L: Any, x: Any) -> Any:
    y = L.Conv2D(3, 3, padding="same", activation="relu")(x)
    y = L.Add()([y, L.Conv2D(3, 3, padding="same")(y)])
    return L.Dense(2)(L.Flatten()(L.ReLU()(y)))


def shared(L: Any, x: Any) -> Any:
    twin, norm = L.Dense(4, name="twin"), L.BatchNormalization()
    return L.Concatenate()([norm(twin(x)), norm(twin(L.ReLU()(twin(x))))])


def inception(L: Any, x: Any) -> Any:
    branches = [L.Conv2D(2, k, padding="same", activation="relu")(x) for k in (1, 3)]
    pooled = L.MaxPooling2D(3, 1, "same")(x)
    y = L.Concatenate(axis=-1)([*branches, pooled])
    return L.Flatten()(L.Concatenate(axis=1)([y, y, L.Cropping2D(1)(L.ZeroPadding2D(1)(y))]))


def arithmetic(L: Any, x: Any) -> Any:
    a, b = L.Conv2D(3, 2)(x), L.Conv2D(3, 2)(L.ReLU()(x))
    joined = [L.Subtract()([a, b]), L.Average()([a, b, b]), L.Maximum()([a, b, a]), L.Minimum()([a, b])]
    return L.Flatten()(L.Concatenate()(joined))


def mixed_orders(L: Any, x: Any) -> Any:
    y = L.Conv2D(4, 2)(x)
    turned = L.Permute((2, 3, 1))(L.Reshape((4, 4, 3))(y))
    return L.Add()([turned, L.Conv2D(4, 2)(x)])


CASES = {
    "residual": ((6, 6, 3), residual),
    "the input twice": ((5,), lambda L, x: L.Add()([x, x])),
    "shared": ((4,), shared),
    "inception": ((6, 6, 3), inception),
    "arithmetic": ((4, 4, 3), arithmetic),
    "branches in different orders": ((5, 4, 3), lambda L, x: mixed_orders(L, x)),
    "concatenated vectors": ((4,), lambda L, x: L.Dense(2)(L.Concatenate()([L.Dense(3)(x), x]))),
    "concatenated input": ((4, 3), lambda L, x: L.Conv1D(2, 2)(L.Concatenate()([x, L.ReLU()(x)]))),
}


@pytest.mark.parametrize("case", CASES)
def test_branches_agree_with_keras(keras: Any, case: str, tmp_path: Path) -> None:
    shape, draw = CASES[case]
    assert_all_same(model_with(keras, shape, lambda x: draw(keras.layers, x)), shape, tmp_path)


# --- models inside models -------------------------------------------------------------------------------


def encoder(keras: Any, name: str) -> Any:
    L = keras.layers
    layers = [L.Conv2D(3, 3, name="conv"), L.BatchNormalization(name="norm"), L.ReLU(), L.AveragePooling2D(2)]
    return keras.Sequential([keras.Input((8, 8, 2)), *layers], name=name)


def block(keras: Any, name: str) -> Any:
    L = keras.layers
    x = keras.Input((3, 3, 3))
    y = L.Add()([x, L.Conv2D(3, 3, padding="same", activation="relu", name="conv")(x)])
    inner = keras.Sequential([L.BatchNormalization(name="norm"), L.Dense(3, name="mix")], name="tail")
    return keras.Model(x, inner(y), name=name)


def nested(keras: Any, x: Any) -> Any:
    again = block(keras, "again")
    y = again(again(block(keras, "once")(encoder(keras, "encoder")(x))))
    return keras.Sequential([keras.layers.Flatten(), keras.layers.Dense(3, "softmax")], name="head")(y)


def test_models_inside_models_agree_with_keras(keras: Any, tmp_path: Path) -> None:
    model = model_with(keras, (8, 8, 2), lambda x: nested(keras, x))
    assert_all_same(model, (8, 8, 2), tmp_path)
    origins = {node.origin for node in from_keras(model)}
    assert {"encoder/conv", "once/conv", "again/tail/mix", "head/dense"} <= {
        o.rsplit("_", 1)[0] if o.startswith("head") else o for o in origins
    }


def test_a_model_called_twice_uses_its_weights_twice(keras: Any, tmp_path: Path) -> None:
    def draw(x: Any) -> Any:
        inner = encoder(keras, "inner")
        return keras.layers.Subtract()([inner(x), inner(keras.layers.ReLU()(x))])

    model = model_with(keras, (8, 8, 2), draw)
    assert_all_same(model, (8, 8, 2), tmp_path)


def test_a_chain_of_models_agrees_with_keras(keras: Any, tmp_path: Path) -> None:
    chain = keras.Sequential([encoder(keras, "one"), block(keras, "two"), keras.layers.Flatten()])
    chain.build((None, 8, 8, 2))
    rng = np.random.default_rng(0)
    chain.set_weights([rng.uniform(0.3, 1, w.shape) for w in chain.get_weights()])
    assert_all_same(chain, (8, 8, 2), tmp_path)


def test_a_frozen_inner_model_keeps_its_weights_apart(keras: Any, tmp_path: Path) -> None:
    def draw(x: Any) -> Any:
        inner = encoder(keras, "frozen")
        inner.get_layer("norm").trainable = False
        return keras.layers.Flatten()(block(keras, "free")(inner(x)))

    model = model_with(keras, (8, 8, 2), draw)
    assert_all_same(model, (8, 8, 2), tmp_path)


# --- every step of a sequence ---------------------------------------------------------------------------

STEPWISE: dict[str, tuple[tuple[int, ...], Draw]] = {
    "dense": ((4, 5), lambda L, T: [T(L.Dense(3, "relu")), T(L.Softmax())]),
    "flatten": ((3, 4, 4, 2), lambda L, T: [T(L.Flatten()), T(L.Dropout(0.1)), T(L.Dense(3))]),
    "convolution": ((3, 6, 5, 2), lambda L, T: [
        T(L.Conv2D(4, 3, padding="same", groups=2)), T(L.BatchNormalization()), T(L.Activation("relu6")),
        T(L.PReLU()), T(L.MaxPooling2D(2)), T(L.AveragePooling2D(2, padding="same")), T(L.Flatten())]),
    "norm of a first axis": ((3, 4, 5), lambda L, T: [T(L.BatchNormalization(axis=1)), T(L.Reshape((5, 4)))]),
    "sequences": ((3, 8, 2), lambda L, T: [
        T(L.Conv1D(4, 3)), T(L.SeparableConv1D(4, 3)), T(L.UpSampling1D(2)), T(L.GlobalAveragePooling1D()),
        L.Conv1D(2, 2)]),
    "vectors": ((3, 4), lambda L, T: [T(L.BatchNormalization()), T(L.Rescaling(2.0, 1.0))]),
}  # fmt: skip


@pytest.mark.parametrize("case", STEPWISE)
def test_layers_on_every_step_agree_with_keras(keras: Any, case: str, tmp_path: Path) -> None:
    shape, draw = STEPWISE[case]
    layers = draw(keras.layers, keras.layers.TimeDistributed)
    model = keras.Sequential([keras.Input(shape), *layers])
    rng = np.random.default_rng(0)
    model.set_weights([rng.uniform(0.3, 1, w.shape) for w in model.get_weights()])
    assert_all_same(model, shape, tmp_path)


def test_a_model_on_every_step_agrees_with_keras(keras: Any, tmp_path: Path) -> None:
    def draw(x: Any) -> Any:
        y = keras.layers.TimeDistributed(encoder(keras, "frame"))(x)
        return keras.layers.Flatten()(keras.layers.TimeDistributed(block(keras, "again"), name="steps")(y))

    assert_all_same(model_with(keras, (2, 8, 8, 2), draw), (2, 8, 8, 2), tmp_path)


def test_a_refused_layer_on_every_step_is_named(keras: Any) -> None:
    model = model_of(keras, (3, 4), [keras.layers.TimeDistributed(keras.layers.ELU(), name="td")])
    with pytest.raises(UnsupportedLayer, match=r"'td' \(TimeDistributed\): of ELU: use ReLU"):
        from_keras(model)


# --- functions on tensors -------------------------------------------------------------------------------


def functions(keras: Any) -> Any:
    """Return what the same calls are in Keras 3 and in TensorFlow, which Keras 2 takes."""
    if hasattr(keras, "ops"):
        k = keras.ops
        return SimpleNamespace(
            relu=k.relu, relu6=k.relu6, leaky=k.leaky_relu, concat=k.concatenate, mean=k.mean, clip=k.clip,
            reshape=k.reshape, transpose=k.transpose, softmax=k.softmax, log_softmax=k.log_softmax,
            maximum=k.maximum, minimum=k.minimum, divide=k.divide,
        )  # fmt: skip
    import tensorflow as tf

    return SimpleNamespace(
        relu=tf.nn.relu, relu6=tf.nn.relu6, leaky=tf.nn.leaky_relu, concat=tf.concat, mean=tf.reduce_mean,
        clip=tf.clip_by_value, reshape=tf.reshape, transpose=tf.transpose, softmax=tf.nn.softmax,
        log_softmax=tf.nn.log_softmax, maximum=tf.maximum, minimum=tf.minimum, divide=tf.math.divide,
    )  # fmt: skip


FUNCTIONS: dict[str, Draw] = {
    "add": lambda f, x: x + f.relu(x),
    "add a number": lambda f, x: x + 1.5,
    "add to a number": lambda f, x: 2.0 + x,
    "add per channel": lambda f, x: x + np.arange(3.0, dtype=np.float32),
    "add per value": lambda f, x: x + np.arange(60.0, dtype=np.float32).reshape(5, 4, 3),
    "subtract": lambda f, x: f.relu(x) - x,
    "subtract a number": lambda f, x: x - 1.5,
    "subtract from a number": lambda f, x: 1.0 - x,
    "multiply": lambda f, x: x * 2.5,
    "multiply a number": lambda f, x: 2.5 * x,
    "multiply per channel": lambda f, x: x * np.arange(3.0, dtype=np.float32),
    "divide": lambda f, x: x / 4.0,
    "divide by name": lambda f, x: f.divide(x, 4.0),
    "negative": lambda f, x: -x,
    "relu": lambda f, x: f.relu(x),
    "relu6": lambda f, x: f.relu6(9.0 * x),
    "leaky": lambda f, x: f.leaky(x, 0.3),
    "clip": lambda f, x: f.clip(x, -0.5, 0.7),
    "maximum": lambda f, x: f.maximum(x, f.relu6(-x)),
    "maximum with a number": lambda f, x: f.maximum(x, 0.3),
    "minimum": lambda f, x: f.minimum(x, f.relu6(-x)),
    "minimum with a number": lambda f, x: f.minimum(x, 0.3),
    "concat": lambda f, x: f.concat([x, -x], -1),
    "concat rows": lambda f, x: f.concat([x, -x, x], axis=1),
    "mean": lambda f, x: f.mean(x, axis=[1, 2]),
    "mean keeping axes": lambda f, x: f.mean(x, axis=[1, 2], keepdims=True),
    "mean of negative axes": lambda f, x: f.mean(x, (-2, -3)),
    "reshape": lambda f, x: f.reshape(x, (-1, 20, 3)),
    "transpose": lambda f, x: f.reshape(f.transpose(x, (0, 3, 1, 2)), (-1, 60)),
    "softmax": lambda f, x: f.softmax(x),
    "log softmax": lambda f, x: f.log_softmax(x),
}


@pytest.mark.parametrize("case", FUNCTIONS)
def test_functions_agree_with_keras(keras: Any, case: str, tmp_path: Path) -> None:
    f = functions(keras)
    model = model_with(keras, (5, 4, 2), lambda x: FUNCTIONS[case](f, keras.layers.Conv2D(3, 1)(x)))
    assert_all_same(model, (5, 4, 2), tmp_path)


def test_an_odd_value_in_a_branched_model_never_gives_another_kind_of_error(
    keras: Any, tmp_path: Path, rng: Any
) -> None:
    f = functions(keras)
    model_with(keras, (8, 8, 2), lambda x: f.relu(nested(keras, x) * 2.0)).save(tmp_path / "good.keras")
    with zipfile.ZipFile(tmp_path / "good.keras") as archive:
        good = archive.read("config.json")
    spots, odd = list(places(json.loads(good))), (None, "x", -1, 0, [], {}, 1e9, True, [None], [[1]])
    for spot in rng.integers(0, len(spots), 80):
        changed = json.loads(good)
        *path, last = spots[spot]
        functools.reduce(operator.getitem, path, changed)[last] = odd[rng.integers(len(odd))]
        data = json.dumps(changed).encode()
        rezip(tmp_path / "m.keras", tmp_path / "good.keras", config=lambda _, data=data: data)
        try:
            verify(load_keras(tmp_path / "m.keras"))
        except LoadError:
            continue


def test_a_product_of_two_tensors_is_refused_by_name(keras: Any) -> None:
    model = model_with(keras, (4,), lambda x: x * keras.layers.ReLU()(x))
    with pytest.raises(UnsupportedLayer, match=r"multiply.*is not taken: it multiplies two tensors"):
        from_keras(model)


def test_shapes_that_only_broadcast_are_refused_by_name(keras: Any) -> None:
    def draw(x: Any) -> Any:
        small = keras.layers.GlobalAveragePooling2D(keepdims=True)(x)
        return keras.layers.Add(name="sum")([x, small])

    with pytest.raises(
        UnsupportedLayer, match=r"'sum' \(Add\) is not taken: it joins shapes \(4, 4, 2\) and"
    ):
        from_keras(model_with(keras, (4, 4, 2), draw))


def test_an_unknown_function_is_refused_by_name(keras: Any) -> None:
    model = model_with(keras, (4,), lambda x: x**2.0)
    with pytest.raises(UnsupportedLayer, match=r"[pP]ow(er)?\): no such layer is known here"):
        from_keras(model)


def test_a_softmax_in_an_inner_model_is_taken_at_the_end_only(keras: Any) -> None:
    def draw(x: Any) -> Any:
        inner = keras.Sequential([keras.layers.Dense(3), keras.layers.Softmax(name="s")], name="inner")
        return keras.layers.Dense(2)(inner(x))

    with pytest.raises(UnsupportedLayer, match=r"'inner/s' \(Softmax\): softmax is taken as the last"):
        from_keras(model_with(keras, (4,), draw))


def test_two_outputs_of_an_inner_model_are_refused_by_name(keras: Any) -> None:
    def draw(x: Any) -> Any:
        entry = keras.Input((4,))
        inner = keras.Model(entry, [keras.layers.Dense(2)(entry), keras.layers.Dense(2)(entry)], name="fork")
        return keras.layers.Add()(inner(x))

    with pytest.raises(UnsupportedLayer, match=r"'fork' \(.*\): an inner model with 2 outputs"):
        from_keras(model_with(keras, (4,), draw))


def test_two_inputs_are_refused_by_name(keras: Any) -> None:
    left, right = keras.Input((4,), name="left"), keras.Input((4,), name="right")
    with pytest.raises(LoadError, match=r"has 2 inputs \('left', 'right'\)"):
        from_keras(keras.Model([left, right], keras.layers.Add()([left, right])))


def test_every_function_taken_is_compared_with_keras() -> None:
    tried = {
        "Add", "Subtract", "Multiply", "TrueDivide", "Divide", "Negative", "Relu", "ReLU", "Relu6",
        "LeakyRelu", "Clip", "Maximum", "Minimum", "Concatenate", "Mean", "Reshape", "Transpose", "Softmax",
        "LogSoftmax",
        "Identity",
    }  # fmt: skip
    assert {name[4:] for name in CALLS if name.startswith("ops.")} <= tried
