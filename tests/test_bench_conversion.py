"""The benchmark of conversion: its baseline computes the source, and what it compares is the same network."""

import json

import numpy as np
import pytest

from neurodeploy.conversion import fold
from neurodeploy.ir import ops
from neurodeploy.ir.evaluate import evaluate
from tests.conversion.graphs import chain, perceptron, residual
from tools import bench_conversion as bench


def data(rng, shape=(6,), count=300):
    x = rng.random((count, *shape))
    return {"x_train": x, "y_train": np.zeros(count, int), "x_test": x[:5], "y_test": np.zeros(5, int)}


def test_plain_balancing_scales_weights_and_keeps_the_function(rng):
    source, samples = perceptron((6, 8, 4), rng), data(rng)
    spiking = bench.plain(source, samples, 1.0, 32, 0)
    x = samples["x_test"]
    np.testing.assert_allclose(evaluate(spiking, x), evaluate(source, x), atol=1e-9)
    assert spiking[spiking.sources(spiking.output.name)[0]].notes["peak_drive"] > 0


def test_a_chain_is_written_out_layer_by_layer(rng):
    source = chain(
        ("in", ops.Input((1, 6, 6))), ("conv", ops.Conv2d(rng.normal(size=(2, 1, 3, 3)), np.zeros(2))),
        ("relu", ops.ReLU()), ("pool", ops.AvgPool2d((2, 2), (2, 2))), ("flat", ops.Flatten()),
        ("fc", ops.Affine(rng.normal(size=(3, 8)), np.zeros(3))), ("out", ops.Output((3,))),
    )  # fmt: skip
    layers, arrays = bench.as_chain(fold(source))
    assert [layer["kind"] for layer in layers] == ["Conv2d", "ReLU", "AvgPool2d", "Flatten", "Affine"]
    assert arrays[f"weight{layers[-1]['at']}"].shape == (3, 8)


def test_what_is_no_chain_is_not_compared(rng):
    with pytest.raises(ValueError, match="takes a sum"):
        bench.as_chain(fold(residual(rng)))


def test_images_in_class_folders_are_read_from_a_zip(tmp_path):
    image = pytest.importorskip("PIL.Image")
    import io
    import zipfile

    with zipfile.ZipFile(tmp_path / "d.zip", "w") as archive:
        for part in ("train", "test"):
            for name, value in (("cat", 10), ("dog", 200)):
                picture = io.BytesIO()
                image.fromarray(np.full((8, 8, 3), value, np.uint8)).save(picture, "jpeg")
                archive.writestr(f"{part}/{name}/0.jpg", picture.getvalue())
    read = bench.read(tmp_path / "d.zip")
    assert read["x_train"].shape == (2, 8, 8, 3)
    assert read["y_test"].tolist() == [0, 1]
    assert read["x_test"][1].mean() == pytest.approx(200, abs=3)


def test_a_measured_row_takes_its_place_among_others():
    rows = [{"steps": 16, "balancing": "ours", "lost": 1}, {"steps": 128, "balancing": "ours", "lost": 2}]
    before = {"model": "a", "runs": rows, "test_samples": 9}
    new = {"steps": 64, "balancing": "ours", "lost": 3}
    kept = bench.merged(before, {"model": "a", "test_samples": 9, "runs": [new]})
    assert [row["steps"] for row in kept["runs"]] == [16, 64, 128]
    again = bench.merged(kept, {"model": "a", "test_samples": 9, "runs": [{**new, "lost": 4}]})
    assert [row["lost"] for row in again["runs"]] == [1, 4, 2]


def test_rows_of_another_model_or_of_other_samples_go():
    before = {"model": "a", "runs": [{"steps": 16}], "test_samples": 9}
    for other in ({"model": "b", "test_samples": 9}, {"model": "a", "test_samples": 8}):
        piece = {**other, "runs": [{"steps": 64}]}
        assert bench.merged(before, piece) == piece


def test_results_of_two_runs_lie_beside_each_other(tmp_path, monkeypatch):
    monkeypatch.setattr(bench, "RESULTS", tmp_path / "results.json")
    bench.keep("net", "peers", {"tools": {"ours": {"runs": []}}})
    bench.keep("net", "peers", {"tools": {"theirs": {"runs": []}}})
    bench.keep("other", "emulator", {"runs": [{"steps": 16}]})
    models = json.loads(bench.RESULTS.read_text())["models"]
    assert list(models["net"]["peers"]["tools"]) == ["ours", "theirs"]
    assert models["other"]["emulator"]["runs"] == [{"steps": 16}]
