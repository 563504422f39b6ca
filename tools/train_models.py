#!/usr/bin/env python3
"""Train the models in models/ and write their cards. Needs the extra "dl" (TensorFlow, Keras 3).

    python tools/train_models.py digits_mlp digits_cnn
    python tools/train_models.py mnist_cnn --mnist mnist.npz

Seeds are fixed and TensorFlow runs its deterministic kernels, so that the same machine writes the same bytes.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import os
import platform
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from neurodeploy.demo_data import digits  # noqa: E402
from neurodeploy.files import write_beside  # noqa: E402

SEED = 0
EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time a zip member can have


@dataclass(frozen=True, eq=False)
class Data:
    """Samples (B, ...) from 0 to 1 and labels (B,); the words are for the card."""

    x_train: np.ndarray
    y_train: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray
    words: str


@dataclass(frozen=True)
class Recipe:
    """How one model is made."""

    build: Callable[[Any], Any]
    data: Callable[[argparse.Namespace], Data]
    epochs: int
    batch: int
    shift: int
    about: str
    command: str


def digits_mlp(keras: Any) -> Any:
    """Build 64-64-32-10."""
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((64,), name="pixels"),
            layers.Dense(64, activation="relu", name="fc1"),
            layers.Dropout(0.2, name="drop1"),
            layers.Dense(32, activation="relu", name="fc2"),
            layers.Dense(10, activation="softmax", name="digit"),
        ],
        name="digits_mlp",
    )


def digits_cnn(keras: Any) -> Any:
    """Build two convolutions with batch norm and average pooling, 1536 hidden neurons."""
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((8, 8, 1), name="pixels"),
            layers.Conv2D(16, 3, padding="same", use_bias=False, name="conv1"),
            layers.BatchNormalization(name="norm1"),
            layers.ReLU(name="relu1"),
            layers.AveragePooling2D(2, name="pool1"),
            layers.Conv2D(32, 3, padding="same", use_bias=False, name="conv2"),
            layers.BatchNormalization(name="norm2"),
            layers.ReLU(name="relu2"),
            layers.Flatten(name="flat"),
            layers.Dropout(0.3, name="drop"),
            layers.Dense(10, activation="softmax", name="digit"),
        ],
        name="digits_cnn",
    )


def mnist_cnn(keras: Any) -> Any:
    """Build three strided convolutions with batch norm, 4880 hidden neurons."""
    layers = keras.layers

    def block(filters: int, stride: int, number: int) -> list[Any]:
        return [
            layers.Conv2D(filters, 3, strides=stride, use_bias=False, name=f"conv{number}"),
            layers.BatchNormalization(name=f"norm{number}"),
            layers.ReLU(name=f"relu{number}"),
        ]

    return keras.Sequential(
        [
            keras.Input((28, 28, 1), name="pixels"),
            *block(16, 2, 1),
            *block(32, 2, 2),
            *block(64, 1, 3),
            layers.Flatten(name="flat"),
            layers.Dropout(0.3, name="drop"),
            layers.Dense(10, activation="softmax", name="digit"),
        ],
        name="mnist_cnn",
    )


def digits_data(flat: bool) -> Callable[[argparse.Namespace], Data]:
    """Return the digits, as vectors or as images with a channel axis."""

    def load(options: argparse.Namespace) -> Data:
        split = digits(seed=SEED)
        shape = (64,) if flat else (8, 8, 1)
        return Data(
            split.x_train.reshape(-1, *shape),
            split.y_train,
            split.x_test.reshape(-1, *shape),
            split.y_test,
            "The 1797 digits of 8x8 grey values that scikit-learn ships (UCI optical recognition of "
            "handwritten digits), 0 to 16 divided by 16. `neurodeploy.demo_data.digits(seed=0)` draws 360 of "
            "them for testing; the other 1437 are trained on.",
        )

    return load


def mnist_data(options: argparse.Namespace) -> Data:
    """Return MNIST from the file that the command line names, or from Keras' own loader."""
    if options.mnist:
        with np.load(options.mnist, allow_pickle=False) as arrays:
            x_train, y_train, x_test, y_test = (arrays[k] for k in ("x_train", "y_train", "x_test", "y_test"))
    else:
        import keras

        (x_train, y_train), (x_test, y_test) = keras.datasets.mnist.load_data()
    return Data(
        x_train[..., None].astype(np.float32) / 255,
        y_train.astype(np.int64),
        x_test[..., None].astype(np.float32) / 255,
        y_test.astype(np.int64),
        "MNIST (LeCun, Cortes, Burges), 28x28 grey values 0 to 255 divided by 255: 60000 training images, "
        "accuracy on the 10000 test images.",
    )


def shifted(x: np.ndarray, rng: np.random.Generator, most: int) -> np.ndarray:
    """Move each image by up to `most` pixels either way, zeros coming in."""
    if most == 0:
        return x
    side = x.shape[1:3]
    wide = np.pad(x, ((0, 0), (most, most), (most, most), (0, 0)))
    at = rng.integers(0, 2 * most + 1, size=(len(x), 2))
    return np.stack([w[a : a + side[0], b : b + side[1]] for w, (a, b) in zip(wide, at, strict=True)])


def train(recipe: Recipe, data: Data, keras: Any) -> Any:
    """Return the trained model; the held-out samples are not looked at."""
    keras.utils.set_random_seed(SEED)
    model = recipe.build(keras)
    steps = recipe.epochs * -(-len(data.x_train) // recipe.batch)
    rate = keras.optimizers.schedules.CosineDecay(2e-3, steps)
    model.compile(keras.optimizers.Adam(rate), "sparse_categorical_crossentropy", metrics=["accuracy"])
    rng = np.random.default_rng(SEED)
    for epoch in range(recipe.epochs):
        order = rng.permutation(len(data.x_train))
        x = shifted(data.x_train[order], rng, recipe.shift).astype(np.float32)
        seen = model.fit(x, data.y_train[order], batch_size=recipe.batch, shuffle=False, verbose=0)
        if epoch % max(1, recipe.epochs // 10) == 0 or epoch == recipe.epochs - 1:
            percent = 100 * seen.history["accuracy"][-1]
            print(f"  epoch {epoch + 1}/{recipe.epochs}: {percent:.2f} % of the training samples")
    return model


def keras_bytes(model: Any, keras: Any) -> bytes:
    """Return the model as a .keras file without optimizer state, times and memory addresses."""
    bare = keras.models.clone_model(model)
    bare.set_weights(model.get_weights())
    with tempfile.TemporaryDirectory() as folder:
        raw = Path(folder, "model.keras")
        bare.save(raw)
        with zipfile.ZipFile(raw) as archive:
            members = {name: archive.read(name) for name in archive.namelist()}
    meta = json.loads(members["metadata.json"])
    members["metadata.json"] = json.dumps({**meta, "date_saved": "1980-01-01@00:00:00"}).encode()
    members["config.json"] = json.dumps(without_ids(json.loads(members["config.json"]))).encode()
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in sorted(members):
            info = zipfile.ZipInfo(name, EPOCH)
            info.external_attr = 0o644 << 16
            archive.writestr(info, members[name], zipfile.ZIP_DEFLATED, 9)
    return buffer.getvalue()


def without_ids(value: Any) -> Any:
    """Drop `shared_object_id`, which is an address in memory and changes from run to run."""
    if isinstance(value, dict):
        return {k: without_ids(v) for k, v in value.items() if k != "shared_object_id"}
    return [without_ids(v) for v in value] if isinstance(value, list) else value


def accuracy(path: Path, data: Data, keras: Any) -> float:
    """Return the share of held-out samples that the model in the file gets right, in percent."""
    model = keras.models.load_model(path)
    choice = model.predict(data.x_test.astype(np.float32), batch_size=500, verbose=0).argmax(-1)
    return float(100.0 * (choice == data.y_test).mean())


def card(name: str, recipe: Recipe, data: Data, percent: float, file: bytes, model: Any) -> str:
    """Return the model's card as Markdown."""
    rows = [
        f"| {layer.name} | {type(layer).__name__} | {' x '.join(map(str, layer.output.shape[1:]))} "
        f"| {layer.count_params()} |"
        for layer in model.layers
    ]
    import keras
    import tensorflow as tf

    return "\n".join(
        [
            f"# {name}",
            "",
            recipe.about,
            "",
            f"- **Accuracy** (Keras, float32): {percent:.2f} % of {len(data.x_test)} held-out samples, "
            "measured by the script on the file as it lies here.",
            f"- **Data**: {data.words}",
            f"- **Training**: {recipe.epochs} epochs, batches of {recipe.batch}, Adam with cosine decay from "
            f"0.002, seed {SEED}" + (f", images moved by up to {recipe.shift} px." if recipe.shift else "."),
            f"- **Command**: `{recipe.command}`",
            f"- **File**: {len(file)} bytes, SHA-256 `{hashlib.sha256(file).hexdigest()}`, written with "
            f"Keras {keras.__version__}, TensorFlow {tf.__version__}, Python {platform.python_version()}; "
            "another machine or version may round differently and give another digest.",
            "",
            "| layer | kind | output | parameters |",
            "|---|---|---|---|",
            *rows,
            "",
        ]
    )


RECIPES = {
    "digits_mlp": Recipe(
        digits_mlp, digits_data(flat=True), 120, 64, 0,
        "A small perceptron for 8x8 handwritten digits: 96 hidden neurons.",
        "python tools/train_models.py digits_mlp",
    ),
    "digits_cnn": Recipe(
        digits_cnn, digits_data(flat=False), 80, 64, 1,
        "A small convolutional network for 8x8 handwritten digits: batch norm (folded when converted), "
        "average pooling, 1536 hidden neurons. The model of `neurodeploy demo`.",
        "python tools/train_models.py digits_cnn",
    ),
    "mnist_cnn": Recipe(
        mnist_cnn, mnist_data, 8, 128, 1,
        "A convolutional network for 28x28 handwritten digits: strides in place of pooling, batch norm "
        "(folded when converted), 4880 hidden neurons.",
        "python tools/train_models.py mnist_cnn --mnist mnist.npz",
    ),
}  # fmt: skip


def main() -> int:
    """Train what the command line names."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("names", nargs="*", choices=[[], *RECIPES], help=", ".join(RECIPES))
    parser.add_argument("--mnist", type=Path, help="mnist.npz as Keras has it; else Keras' own loader")
    options = parser.parse_args()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ["KERAS_BACKEND"] = "tensorflow"
    import keras
    import tensorflow as tf

    tf.config.experimental.enable_op_determinism()
    for name in options.names or RECIPES:
        recipe = RECIPES[name]
        start = time.perf_counter()
        data = recipe.data(options)
        print(f"{name}: {len(data.x_train)} samples, {len(data.x_test)} held out")
        model = train(recipe, data, keras)
        content = keras_bytes(model, keras)
        path = write_beside(ROOT / "models" / f"{name}.keras", lambda p, c=content: p.write_bytes(c))
        percent = accuracy(path, data, keras)
        text = card(name, recipe, data, percent, content, model)
        write_beside(path.with_suffix(".md"), lambda p, t=text: p.write_text(t))
        print(f"  {percent:.2f} %, {len(content)} bytes, {time.perf_counter() - start:.0f} s, {path}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
