"""Files of four Keras versions, and files that are no models, without any Keras."""

from __future__ import annotations

import functools
import hashlib
import io
import json
import operator
import pickle
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from neurodeploy.demo_data import digits
from neurodeploy.errors import LoadError, UnsupportedLayer
from neurodeploy.frontends.keras import layer_table, load_keras, reader
from neurodeploy.ir import ops
from neurodeploy.ir.evaluate import evaluate
from neurodeploy.ir.verify import verify

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT / "tests" / "data"
FILES = sorted(path.name for path in DATA.glob("keras-*") if path.suffix != ".npz")
ZIP, H5 = DATA / "keras-3.15.1.keras", DATA / "keras-3.15.1.h5"


@pytest.mark.parametrize("name", FILES)
def test_files_of_every_generation_agree_with_the_keras_that_wrote_them(name: str) -> None:
    graph = verify(load_keras(DATA / name), form="rate")
    with np.load((DATA / name).with_suffix(".npz")) as stored:
        outputs = evaluate(graph, graph.prepare(stored["x"]))
        np.testing.assert_allclose(outputs, stored["outputs"], rtol=0, atol=1e-5)


def test_the_stored_files_cover_both_generations_and_formats() -> None:
    assert {(name[6], name.rsplit(".", 1)[1]) for name in FILES} == {
        (g, s) for g in "23" for s in ("keras", "h5")
    }


def test_nodes_remember_the_users_names_and_kinds() -> None:
    graph = load_keras(ZIP)
    assert [(n.name, n.origin, n.layer, n.op.kind) for n in graph][:4] == [
        ("pixels", "pixels", "InputLayer", "Input"),
        ("dense", "dense", "Conv2D", "Conv2d"),
        ("norm", "norm", "BatchNormalization", "BatchNorm"),
        ("act", "act", "ReLU", "ReLU"),
    ]
    assert graph["first.relu"].origin == "first"
    assert graph.name == "keras-3.15.1"
    assert graph.meta == {"framework": "Keras 3.15.1", "source": "keras-3.15.1.keras"}


def test_samples_enter_in_the_users_layout() -> None:
    entry = load_keras(ZIP).input.op
    assert isinstance(entry, ops.Input)
    assert (entry.sample_shape, entry.shape, entry.axes) == ((6, 7, 1), (1, 6, 7), (2, 0, 1))


@pytest.mark.parametrize("name", ["digits_mlp", "digits_cnn"])
def test_the_digits_models_have_the_accuracy_on_their_cards(name: str) -> None:
    graph, split = load_keras(ROOT / "models" / f"{name}.keras"), digits()
    right = evaluate(graph, graph.prepare(split.x_test)).argmax(axis=1) == split.y_test
    card = (ROOT / "models" / f"{name}.md").read_text(encoding="utf-8")
    assert f"{100 * right.mean():.2f} % of 360" in card


def test_every_model_is_small_and_has_a_card_with_its_digest() -> None:
    for path in (ROOT / "models").glob("*.keras"):
        content = path.read_bytes()
        assert len(content) < 1 << 20
        assert f"`{hashlib.sha256(content).hexdigest()}`" in path.with_suffix(".md").read_text(
            encoding="utf-8"
        )


def test_loading_imports_no_keras() -> None:
    code = (
        "import sys; from neurodeploy.frontends.keras import load_keras; "
        f"load_keras({str(ZIP)!r}); load_keras({str(H5)!r}); "
        "sys.exit(any(m in sys.modules for m in ('tensorflow', 'keras', 'tf_keras')))"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


def test_loading_twice_gives_the_same_digest() -> None:
    assert load_keras(ZIP).digest() == load_keras(ZIP).digest()


# --- files that are no models ---------------------------------------------------------------------------


def rezip(target: Path, source: Path = ZIP, **changes: Callable[[bytes], bytes] | None) -> Path:
    """Copy a zip with members changed; None leaves a member out."""
    names = {"config": "config.json", "weights": "model.weights.h5"}
    edits = {names[key]: change for key, change in changes.items()}
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            change = edits.get(name, bytes)
            if change is not None:
                new.writestr(name, change(old.read(name)))
    return target


def text(edit: Callable[[bytes], bytes]) -> Callable[[Path], Path]:
    """Make the good file with its configuration changed as bytes."""
    return lambda path: rezip(path, config=edit)


def config(edit: Callable[[list[dict[str, Any]]], Any]) -> Callable[[Path], Path]:
    """Make the good file with its list of layers changed."""

    def change(data: bytes) -> bytes:
        model = json.loads(data)
        edit(model["config"]["layers"])
        return json.dumps(model).encode()

    return text(change)


def weights(edit: Callable[[h5py.File], Any]) -> Callable[[Path], Path]:
    """Make the good file with its weights changed."""

    def change(data: bytes) -> bytes:
        buffer = io.BytesIO(data)
        with h5py.File(buffer, "r+") as file:
            edit(file)
        return buffer.getvalue()

    return lambda path: rezip(path, weights=change)


def write(content: bytes) -> Callable[[Path], Any]:
    return lambda path: path.write_bytes(content)


def zipped(**members: bytes) -> Callable[[Path], Any]:
    def make(path: Path) -> None:
        with zipfile.ZipFile(path, "w") as archive:
            for name, content in members.items():
                archive.writestr(name.replace("__", "/").replace("_dot_", "."), content)

    return make


def saved(save: Callable[..., None]) -> bytes:
    buffer = io.BytesIO()
    save(buffer, np.ones(3))
    return buffer.getvalue()


def only_weights(path: Path) -> None:
    with zipfile.ZipFile(ZIP) as archive:
        path.write_bytes(archive.read("model.weights.h5"))


def nir_file(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file.create_group("node")


BAD: dict[str, tuple[str, Callable[[Path], Any], str]] = {
    "missing": ("m.keras", lambda path: None, "does not exist"),
    "empty": ("m.keras", write(b""), "is empty"),
    "folder": ("m.keras", Path.mkdir, "is a folder, not a file"),
    "pickle": ("m.pkl", write(pickle.dumps({"a": 1})), "is a pickle, which can run any code"),
    "renamed pickle": ("m.keras", write(pickle.dumps([1])), "is a pickle"),
    "joblib": ("m.joblib", write(b"\x78\x9c rest"), "is a pickle"),
    "torch": ("m.pt", zipped(archive__data_dot_pkl=b"x"), "PyTorch.*never opened"),
    "npz": ("m.keras", lambda path: path.write_bytes(saved(np.savez)), "zip file without config.json"),
    "npy": ("m.h5", lambda path: path.write_bytes(saved(np.save)), "is a NumPy array"),
    "text": ("m.h5", write(b"hello, I am a model"), "neither a zip nor an HDF5 file"),
    "architecture": ("m.json", write(b'{"class_name": "Sequential"}'), "architecture without weights"),
    "weights only": ("m.weights.h5", only_weights, "weights without the architecture.*model.save"),
    "nir": ("m.h5", nir_file, "is a NIR graph"),
    "other hdf5": ("m.h5", lambda path: h5py.File(path, "w").close(), "no model_config"),
    "short zip": ("m.keras", write(ZIP.read_bytes()[:-300]), "damaged or truncated zip"),
    "short hdf5": ("m.h5", write(H5.read_bytes()[:9000]), "truncated"),
    "no weights": ("m.keras", lambda path: rezip(path, weights=None), "zip file without model.weights.h5"),
    "broken json": ("m.keras", text(lambda d: d[:-9]), "config.json' is not readable JSON"),
    "deep json": ("m.keras", text(lambda d: b"[" * 10**5), "is not readable JSON"),
    "json list": ("m.keras", text(lambda d: b"[1]"), "not a model's configuration"),
    "no class": ("m.keras", text(lambda d: b"{}"), "names no model class"),
    "subclassed": (
        "m.keras", text(lambda d: b'{"class_name": "Mine", "config": {}}'),
        "is a Mine, a model defined by its own Python code"),
    "layer without config": ("m.keras", config(lambda ls: ls[3].pop("config")), "configuration is broken"),
    "no layers": ("m.keras", config(list.clear), "configuration is broken"),
    "missing parameter": (
        "m.keras", config(lambda ls: ls[1]["config"].pop("filters")),
        r"layer 'dense' \(Conv2D\): the configuration lacks 'filters'"),
    "senseless parameter": (
        "m.keras", config(lambda ls: ls[1]["config"].update(strides=[0, 2])),
        r"layer 'dense' \(Conv2D\): the configuration does not fit"),
    "endless window": (
        "m.keras", config(lambda ls: ls[1]["config"].update(dilation_rate=[1, 10**12])),
        r"layer 'dense' \(Conv2D\): .* a window spans 2000000000001 values"),
    "shape mismatch": (
        "m.keras", config(lambda ls: ls[-1]["config"].update(units=4)),
        r"layer 'last' \(Dense\): kernel has shape \(5, 3\); the configuration asks for \(5, 4\)"),
    "missing weights": (
        "m.keras", weights(lambda f: f.__delitem__("layers/dense")),
        r"layer 'first' \(Dense\): weights found: none; the configuration asks for kernel \(12, 5\), bias"),
    "nan": (
        "m.keras", weights(lambda f: f["layers/conv2d/vars/0"].__setitem__(0, np.nan)),
        r"layer 'dense' \(Conv2D\): 9 of 27 values of kernel are NaN or infinite"),
    "soft link": (
        "m.keras", weights(lambda f: f.__setitem__("x", h5py.SoftLink("/layers"))),
        "SoftLink, which is not followed"),
    "odd member": ("m.keras", zipped(__up=b"1"), "with a path out of the archive"),
    "lambda": (
        "m.keras", config(lambda ls: ls[3].update(class_name="Lambda")),
        r"'act' \(Lambda\): it holds Python code, which is never run"),
    "unknown layer": (
        "m.keras", config(lambda ls: ls[3].update(class_name="Swirl")),
        r"'act' \(Swirl\): no such layer is known here"),
    "registered layer": (
        "m.keras", config(lambda ls: ls[3].update(registered_name="pkg>ReLU")),
        r"'act' \(ReLU\): a custom layer \(pkg>ReLU\)"),
    "quantised": (
        "m.keras", config(lambda ls: ls[7]["config"].update(dtype="int8_from_float32")),
        r"'first' \(Dense\): its weights are quantised"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_what_is_no_model_is_refused_with_its_reason(case: str, tmp_path: Path) -> None:
    name, make, message = BAD[case]
    make(tmp_path / name)
    with pytest.raises(LoadError, match=message) as caught:
        load_keras(tmp_path / name)
    assert str(caught.value).startswith(f"'{tmp_path / name}")
    assert "\n" not in str(caught.value)


def test_an_object_that_is_no_model_is_refused() -> None:
    with pytest.raises(LoadError, match="a dict is neither a path nor a Keras model"):
        load_keras({})


def test_a_member_that_unpacks_to_too_much_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with zipfile.ZipFile(ZIP) as archive:
        size = archive.getinfo("config.json").file_size
    monkeypatch.setattr(reader, "MAX_JSON_BYTES", size)
    load_keras(ZIP)
    monkeypatch.setattr(reader, "MAX_JSON_BYTES", size - 1)
    with pytest.raises(LoadError, match=f"config.json unpacks to {size} bytes; {size - 1} are taken"):
        load_keras(ZIP)


@pytest.mark.parametrize("source", [ZIP, H5], ids=["zip", "h5"])
def test_a_file_cut_anywhere_gives_one_clear_error(source: Path, tmp_path: Path) -> None:
    content = source.read_bytes()
    for end in range(1, len(content) - 8, len(content) // 40):
        (tmp_path / "cut").write_bytes(content[:end])
        with pytest.raises(LoadError):
            load_keras(tmp_path / "cut")


@pytest.mark.parametrize("source", [ZIP, H5], ids=["zip", "h5"])
def test_a_damaged_byte_never_gives_another_kind_of_error(source: Path, tmp_path: Path, rng: Any) -> None:
    content = source.read_bytes()
    for at in rng.integers(0, len(content), 60):
        damaged = bytearray(content)
        damaged[at] ^= int(rng.integers(1, 256))
        (tmp_path / "damaged").write_bytes(damaged)
        try:
            verify(load_keras(tmp_path / "damaged"))
        except LoadError:
            continue


def places(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if at:
        yield at
    for key in value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ():
        yield from places(value[key], (*at, key))


def test_an_odd_value_in_a_configuration_never_gives_another_kind_of_error(tmp_path: Path, rng: Any) -> None:
    with zipfile.ZipFile(ZIP) as archive:
        good = archive.read("config.json")
    spots, odd = list(places(json.loads(good))), (None, "x", -1, 0, [], {}, 1e9, 10**12, True, [None], [[1]])
    for spot in rng.integers(0, len(spots), 80):
        model = json.loads(good)
        *path, last = spots[spot]
        functools.reduce(operator.getitem, path, model)[last] = odd[rng.integers(len(odd))]
        changed = json.dumps(model).encode()
        text(lambda _, changed=changed: changed)(tmp_path / "m.keras")
        try:
            verify(load_keras(tmp_path / "m.keras"))
        except LoadError:
            continue


def test_nan_in_an_h5_file_names_the_layer(tmp_path: Path) -> None:
    shutil.copy(H5, tmp_path / "m.h5")
    with h5py.File(tmp_path / "m.h5", "r+") as file:
        file["model_weights/norm/net/norm/moving_variance"][1] = np.inf
    with pytest.raises(
        LoadError, match=r"layer 'norm' \(BatchNormalization\): 1 of 3 values of moving_variance"
    ):
        load_keras(tmp_path / "m.h5")


def test_every_refused_layer_is_named_in_one_message(tmp_path: Path) -> None:
    def edit(layers: list[dict[str, Any]]) -> None:
        layers[3]["config"]["threshold"] = 0.5
        layers[4]["class_name"] = "MaxPooling3D"
        layers[7]["config"]["activation"] = "tanh"

    config(edit)(tmp_path / "m.keras")
    found = r"3 layers .*'act' \(ReLU\): threshold=0.5.*'pool' \(MaxPooling3D\).*'first' \(Dense\).*'tanh'"
    with pytest.raises(UnsupportedLayer, match=found):
        load_keras(tmp_path / "m.keras")


def test_the_table_of_layers_has_each_layer_once_with_a_known_status() -> None:
    rows = layer_table()
    assert len({row.kind for row in rows}) == len(rows)
    assert {row.status for row in rows} == {"native", "rewritten", "dropped", "refused"}
    assert all(row.note for row in rows if row.status == "refused")
