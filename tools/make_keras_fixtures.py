#!/usr/bin/env python3
"""Write the small Keras files in tests/data/, with the Keras that is installed; run once per version.

    python tools/make_keras_fixtures.py tests/data              # keras
    python tools/make_keras_fixtures.py tests/data --legacy     # tf_keras

The network is the same for every version: names that mislead (a convolution called "dense", dense layers
of one shape out of alphabetical order), weights and samples from a seed, outputs as that Keras computes them.
"""

from __future__ import annotations

import argparse
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

SEED = 7


def network(keras: Any, sequential: bool) -> Any:
    """Build the network, as a chain or through the functional interface."""
    layers = keras.layers
    entry = keras.Input((6, 7, 1), name="pixels")
    rest = [
        layers.Conv2D(3, 3, strides=2, padding="same", use_bias=False, name="dense"),
        layers.BatchNormalization(name="norm"),
        layers.ReLU(name="act"),
        layers.AveragePooling2D(2, padding="same", name="pool"),
        layers.Flatten(name="flat"),
        layers.Dropout(0.5, name="drop"),
        layers.Dense(5, activation="relu", name="first"),
        layers.Dense(5, name="zz"),
        layers.Dense(5, activation="relu", name="aa"),
        layers.Dense(3, activation="softmax", name="last"),
    ]
    if sequential:
        return keras.Sequential([entry, *rest], name="net")
    x = entry
    for layer in rest:
        x = layer(x)
    return keras.Model(entry, x, name="net")


def deflate(path: Path) -> None:
    """Compress the members of a zip, whose bytes stay as Keras wrote them."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, content in members.items():
            archive.writestr(name, content)


def main() -> int:
    """Write `keras-VERSION.keras` (functional), `.h5` (sequential) and `.npz` (samples and outputs)."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--legacy", action="store_true", help="use tf_keras")
    options = parser.parse_args()
    if options.legacy:
        import tf_keras as keras
    else:
        import keras
    stem = options.folder / f"keras-{keras.__version__}"
    rng = np.random.default_rng(SEED)
    samples = rng.normal(size=(8, 6, 7, 1)).astype(np.float32)
    zipped, plain = network(keras, sequential=False), network(keras, sequential=True)
    weights = [
        rng.uniform(0.2, 2.0, w.shape) if w.ndim == 1 and w.size == 3 else rng.normal(size=w.shape)
        for w in zipped.get_weights()
    ]
    for model in (zipped, plain):
        model.set_weights(weights)
    path = stem.with_name(stem.name + ".keras")
    old = {"save_format": "keras_v3"} if keras.__version__.startswith("2.12") else {}
    zipped.save(path, **old)
    deflate(path)
    plain.save(stem.with_name(stem.name + ".h5"))
    outputs = np.asarray(zipped(samples))
    assert np.allclose(outputs, np.asarray(plain(samples)))
    np.savez_compressed(stem.with_name(stem.name + ".npz"), x=samples, outputs=outputs)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
