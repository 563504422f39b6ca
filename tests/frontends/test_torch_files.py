"""Exported programs of PyTorch, and files that are none, without PyTorch."""

from __future__ import annotations

import functools
import json
import operator
import pickle
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from neurodeploy.errors import LoadError
from neurodeploy.frontends.dispatch import load
from neurodeploy.frontends.torch import archive, load_pt2
from neurodeploy.ir.evaluate import evaluate
from neurodeploy.ir.verify import verify
from tests.frontends.test_keras_files import places

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT / "tests" / "data"
FILES = sorted(DATA.glob("torch-*.pt2"))
GOOD = FILES[-1]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_program_agrees_with_the_torch_that_wrote_it(path: Path) -> None:
    graph = verify(load(path), form="rate")
    with np.load(path.with_suffix(".npz")) as stored:
        outputs = evaluate(graph, graph.prepare(stored["x"]))
        np.testing.assert_allclose(outputs, stored["outputs"], rtol=0, atol=1e-5)


def test_nodes_remember_the_users_modules() -> None:
    graph = load_pt2(GOOD)
    names = [(n.name, n.origin, n.layer, n.op.kind) for n in graph]
    assert names[:6] == [
        ("input", "x", "Input", "Input"),
        ("stem", "stem", "Conv2d", "Conv2d"),
        ("relu6", "relu6", "relu6", "ReLU"),
        ("block.conv", "block.conv", "Conv2d", "Conv2d"),
        ("block.norm", "block.norm", "BatchNorm2d", "BatchNorm"),
        ("block.add_", "block.add_", "add_", "Identity"),
    ]
    assert [n.name for n in graph if n.origin == "block.conv"] == ["block.conv", "block.conv.1"]
    assert graph.meta == {"framework": "PyTorch 2.13.0+cpu", "source": GOOD.name}


def test_loading_imports_no_torch_and_opens_no_pickle() -> None:
    code = (
        "import sys, pickle; pickle.load = pickle.loads = pickle.Unpickler = None; "
        "from neurodeploy.frontends.dispatch import load; "
        f"load({str(GOOD)!r}); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


# --- files that are no programs -------------------------------------------------------------------------


def write(content: bytes) -> Callable[[Path], Any]:
    return lambda path: path.write_bytes(content)


def zipped(*names: str) -> Callable[[Path], Any]:
    def make(path: Path) -> None:
        with zipfile.ZipFile(path, "w") as file:
            for name in names:
                file.writestr(name, "{}")

    return make


def changed(end: str, edit: Callable[[Any], Any]) -> Callable[[Path], Any]:
    """Make the good archive with one of its descriptions changed."""

    def make(path: Path) -> None:
        with zipfile.ZipFile(GOOD) as old, zipfile.ZipFile(path, "w") as new:
            for name in old.namelist():
                data = old.read(name)
                if name.endswith(end):
                    value = json.loads(data)
                    edit(value)
                    data = json.dumps(value).encode()
                new.writestr(name, data)

    return make


def config(edit: Callable[[Any], Any]) -> Callable[[Path], Any]:
    return changed("weights_config.json", lambda value: edit(value["config"]["stem.weight"]))


def model(edit: Callable[[Any], Any]) -> Callable[[Path], Any]:
    return changed("models/model.json", lambda value: edit(value["graph_module"]))


def saturated(path: Path) -> None:
    with zipfile.ZipFile(GOOD) as old, zipfile.ZipFile(path, "w") as new:
        for name in old.namelist():
            data = old.read(name)
            new.writestr(name, np.full(36, np.inf, "<f4").tobytes() if name.endswith("weight_0") else data)


CHECKPOINT = r"a PyTorch checkpoint: a pickle, which can run any code.*torch\.export\.save"
BAD: dict[str, tuple[str, Callable[[Path], Any], str]] = {
    "empty": ("m.pt2", write(b""), "is empty"),
    "text": ("m.pt2", write(b"hello"), "not a zip file, so no exported program"),
    "pickle": ("m.pt2", write(pickle.dumps([1])), r"a pickle, which can run any code.*torch\.export\.save"),
    "checkpoint": ("m.pt", zipped("archive/data.pkl", "archive/data/0"), CHECKPOINT),
    "checkpoint by another suffix": ("m.pth", zipped("archive/data.pkl"), CHECKPOINT),
    "checkpoint renamed": ("m.pt2", zipped("archive/data.pkl"), CHECKPOINT),
    "old checkpoint": ("m.pt", write(pickle.dumps([1])), r"a pickle, .*torch\.export\.save"),
    "script": ("m.pt", zipped("m/constants.pkl", "m/code/m.py", "m/data.pkl"), "a TorchScript archive"),
    "old program": (
        "m.pt2", zipped("serialized_exported_program.json", "serialized_state_dict.json"), "before 2.9"),
    "other zip": ("m.pt2", zipped("a.txt"), "a zip file without an exported program"),
    "two programs": ("m.pt2", zipped("a/models/x.json", "a/models/y.json"), "an archive of 2 programs"),
    "cut": ("m.pt2", write(GOOD.read_bytes()[:-900]), "damaged or truncated"),
    "pickled weight": (
        "m.pt2", config(lambda w: w.update(use_pickle=True)), "'stem.weight' is stored as a pickle"),
    "large weight": (
        "m.pt2", config(lambda w: w["tensor_meta"]["sizes"].append({"as_int": 1 << 40})), "damaged"),
    "outside": (
        "m.pt2", config(lambda w: w["tensor_meta"]["storage_offset"].update(as_int=9)),
        "does not fit its 36"),
    "negative stride": (
        "m.pt2", config(lambda w: w["tensor_meta"]["strides"][0].update(as_int=-9)),
        "does not fit its 36"),
    "complex weight": ("m.pt2", config(lambda w: w["tensor_meta"].update(dtype=10)), "element type 10"),
    "infinite weight": ("m.pt2", saturated, "36 of 36 values of 'stem.weight' are NaN or infinite"),
    "open axis": (
        "m.pt2", model(lambda g: g["graph"]["tensor_values"]["x"]["sizes"].__setitem__(2, {"as_expr": {}})),
        "leave only the batch axis open"),
    "two outputs": ("m.pt2", model(lambda g: g["graph"]["outputs"].append({})), "1 inputs and 2 outputs"),
    "state": (
        "m.pt2", model(lambda g: g["signature"]["output_specs"].append({"buffer_mutation": {}})),
        "changes its own state"),
    "no way": (
        "m.pt2", model(lambda g: g["graph"]["outputs"][0]["as_tensor"].update(name="p_stem_weight")),
        "does not depend on the input"),
    "unknown operator": (
        "m.pt2", model(lambda g: g["graph"]["nodes"][1].update(target="torch.ops.mine.relu.default")),
        r"1 operator is not taken: 'relu6' \(torch\.ops\.mine\.relu\.default\): no such operator"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_what_is_no_program_is_refused_with_its_reason(case: str, tmp_path: Path) -> None:
    name, make, message = BAD[case]
    make(tmp_path / name)
    with pytest.raises(LoadError, match=message) as caught:
        load(tmp_path / name)
    assert str(caught.value).startswith(f"'{tmp_path / name}'")
    assert "\n" not in str(caught.value)


def test_a_description_that_unpacks_to_too_much_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with zipfile.ZipFile(GOOD) as file:
        size = max(info.file_size for info in file.infolist() if info.filename.endswith(".json"))
    monkeypatch.setattr(archive, "MAX_JSON_BYTES", size)
    load_pt2(GOOD)
    monkeypatch.setattr(archive, "MAX_JSON_BYTES", size - 1)
    with pytest.raises(LoadError, match=f"unpacks to more than {size - 1} bytes"):
        load_pt2(GOOD)


def test_a_damaged_byte_never_gives_another_kind_of_error(tmp_path: Path, rng: Any) -> None:
    content = GOOD.read_bytes()
    for at in rng.integers(0, len(content), 100):
        damaged = bytearray(content)
        damaged[at] ^= int(rng.integers(1, 256))
        (tmp_path / "m.pt2").write_bytes(damaged)
        try:
            verify(load_pt2(tmp_path / "m.pt2"))
        except LoadError:
            continue


def test_an_odd_value_in_a_description_never_gives_another_kind_of_error(tmp_path: Path, rng: Any) -> None:
    with zipfile.ZipFile(GOOD) as file:
        members = {name: file.read(name) for name in file.namelist()}
    key = next(name for name in members if name.endswith("models/model.json"))
    spots, odd = list(places(json.loads(members[key]))), (None, "x", -1, 0, [], {}, 1e9, True, [[1]])
    for spot in rng.integers(0, len(spots), 100):
        value = json.loads(members[key])
        *path, last = spots[spot]
        functools.reduce(operator.getitem, path, value)[last] = odd[rng.integers(len(odd))]
        with zipfile.ZipFile(tmp_path / "m.pt2", "w") as file:
            for name, data in {**members, key: json.dumps(value).encode()}.items():
                file.writestr(name, data)
        try:
            verify(load_pt2(tmp_path / "m.pt2"))
        except LoadError:
            continue
