"""Models written by other people's tools, kept outside the repository, against their stored outputs."""

from __future__ import annotations

import numpy as np
import pytest

from neurodeploy import stages
from neurodeploy.errors import CompileError
from neurodeploy.frontends.dispatch import load
from neurodeploy.frontends.keras import load_keras
from neurodeploy.ir.evaluate import evaluate
from tools import data_folder

MODELS = data_folder.ROOT / "models"
INTEROP, MNIST = data_folder.interop(), data_folder.folder() / "mnist.npz"
pytestmark = pytest.mark.skipif(
    not INTEROP.is_dir() or not MNIST.is_file(),
    reason=f"no models of other tools at {INTEROP}, or no {MNIST}; see tools/data_folder.py",
)


KERAS = ["k2_cnn_bn.h5", "k2_cnn_bn.keras", "k3_mobilenet_mini.keras", "k3_seq_cnn.h5", "k3_seq_cnn.keras"]


@pytest.mark.parametrize("name", KERAS)
def test_keras_models_agree_with_their_stored_outputs(name: str) -> None:
    graph = load_keras(INTEROP / name)
    with np.load(MNIST) as mnist, np.load(INTEROP / f"{name.split('.')[0]}.ref.npz") as stored:
        outputs = evaluate(graph, graph.prepare(mnist["x_test"][:512] / 255.0))
        np.testing.assert_allclose(outputs, stored["logits"], rtol=0, atol=1e-4)


TORCH = ["torch_lenet.onnx", "torch_mlp.onnx", "torch_mlp.pt2", "torch_mlp_legacy.onnx"]


@pytest.mark.parametrize("name", TORCH)
def test_torch_models_agree_with_their_stored_outputs(name: str) -> None:
    graph, network = load(INTEROP / name), "lenet" if "lenet" in name else "mlp"
    with np.load(MNIST) as mnist, np.load(INTEROP / f"torch_{network}.ref.npz") as stored:
        outputs = evaluate(graph, graph.prepare(mnist["x_test"][:512] / 255.0))
        np.testing.assert_allclose(outputs, stored["logits"], rtol=0, atol=1e-4)


SLOW = ("k2_cnn_bn.h5", "k2_cnn_bn.keras", "k3_mobilenet_mini.keras", "k3_seq_cnn.h5")


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[pytest.mark.slow] if n in SLOW else []) for n in (*KERAS, *TORCH)]
)
def test_models_of_other_tools_keep_their_decisions_on_the_chips_emulator(name: str) -> None:
    graph = load(INTEROP / name)
    with np.load(MNIST) as mnist:
        x, train = mnist["x_test"][:50], mnist["x_train"][:200]
    spiking = stages.convert(graph, calibration=train, divide_by=255, steps=64, samples=32)
    recording = stages.run(stages.compile(spiking, "loihi1").raise_for_errors(), x)
    want = evaluate(graph, graph.prepare(x / 255.0)).argmax(axis=1)
    assert (recording.predictions == want).mean() >= 0.94


WRITTEN = {
    "nirpaper_cnn_sinabs.nir": ("sinabs", ""), "nirpaper_lif_norse.nir": ("norse", ""),
    "nirpaper_lif_rockpool.nir": ("rockpool", "ND204"), "snntorch_mlp.nir": ("snntorch", "ND204"),
    "nirpaper_braille_noDelay_noBias_subtract.nir": ("snntorch", "ND204"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRITTEN)
def test_networks_of_nir_run_on_the_chips_emulator_or_are_refused_with_a_remedy(name: str) -> None:
    written_by, code = WRITTEN[name]
    graph = stages.adopt(load(INTEROP / name, written_by=written_by), steps=8)
    program = stages.compile(graph, "loihi1")
    if code:
        with pytest.raises(CompileError, match=rf"(?s){code}.*help: "):
            program.raise_for_errors()
        return
    x = np.random.default_rng(0).random((2, *graph.shapes[graph.input.name]))
    assert np.isfinite(stages.run(program, x).outputs).all()


@pytest.mark.slow
def test_the_mnist_model_has_the_accuracy_on_its_card() -> None:
    graph = load_keras(MODELS / "mnist_cnn.keras")
    with np.load(MNIST) as mnist:
        x, y = mnist["x_test"] / 255.0, mnist["y_test"]
    parts = [slice(i, i + 500) for i in range(0, 10**4, 500)]
    right = [evaluate(graph, graph.prepare(x[part])).argmax(axis=1) == y[part] for part in parts]
    assert f"{100 * np.mean(right):.2f} % of 10000" in (MODELS / "mnist_cnn.md").read_text(encoding="utf-8")
