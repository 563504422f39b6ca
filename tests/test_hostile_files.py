"""Spiking networks that somebody else wrote: whatever is in the file, one clear message and exit 2."""

import json
from pathlib import Path

import h5py
import numpy as np
import pytest

from neurodeploy import store
from neurodeploy.cli import main
from neurodeploy.errors import LoadError
from tools.golden import network

NAN, INF = float("nan"), float("inf")


@pytest.fixture
def damaged(tmp_path, monkeypatch):
    """Return a function that writes the network, changed."""
    monkeypatch.chdir(tmp_path)
    np.savez("data.npz", x=np.linspace(0, 1, 8).reshape(2, 4))

    def write(change):
        store.save(network(), "net.nd")
        with h5py.File("net.nd", "r+") as file:
            change(file)
        return "net.nd"

    return write


def refused(capsys):
    """See that there is one message, on one line, without what a terminal obeys."""
    capsys.readouterr()
    assert main(["run", "net.nd", "--data", "data.npz", "--backend", "rate"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("neurodeploy: 'net.nd'"), err
    assert err.count("\n") == 1, err
    assert err[:-1].isprintable()
    assert "bug" not in err


def entry(**changes):
    """Change entries of the JSON text; ``node`` changes those of the hidden population."""

    def change(file):
        extras = json.loads(file["neurodeploy/graph"][()])
        at = next(i for i, node in enumerate(extras["nodes"]) if node["name"] == "hidden.relu")
        extras["nodes"][at]["fields"].update(changes.get("fields", {}))
        extras["nodes"][at]["notes"].update(changes.get("notes", {}))
        extras["nodes"][at].update(changes.get("node", {}))
        extras["nodes"][0]["fields"].update(changes.get("first", {}))
        extras["meta"].update(changes.get("more", {}))
        extras.update({name: changes[name] for name in ("dt", "name", "meta", "nodes") if name in changes})
        text = json.dumps(extras).encode()
        del file["neurodeploy/graph"]
        file["neurodeploy/graph"] = np.bytes_(text)

    return change


def array(name, values):
    def change(file):
        del file[name]
        file[name] = values

    return change


RELU = "node/nodes/hidden.relu"


@pytest.mark.parametrize(
    "changes",
    [
        {"dt": 0}, {"dt": -1e-3}, {"dt": NAN}, {"dt": INF}, {"dt": "1"}, {"dt": None}, {"dt": 10**400},
        {"name": 5}, {"name": None}, {"name": "\x1b[31mred"}, {"name": "a\nb"}, {"name": "\u202egnp.exe"},
        {"name": "\ud800"},
        {"meta": []}, {"meta": None}, {"more": {"steps": -3}}, {"more": {"steps": 0}},
        {"more": {"steps": "x"}}, {"more": {"steps": 2.5}}, {"more": {"steps": NAN}},
        {"more": {"steps": [1]}},
        {"more": {"divide_by": 0}}, {"more": {"divide_by": -1}}, {"more": {"divide_by": NAN}},
        {"more": {"divide_by": "2"}}, {"more": {"rate": 0}}, {"more": {"source": {"a": 1}}},
        {"more": {"source": "\x1b]0;x\x07"}}, {"more": {"\x1b": 1}},
        {"nodes": 3}, {"nodes": []}, {"nodes": [3]}, {"nodes": [{}]},
        {"node": {"unit": NAN}}, {"node": {"unit": INF}}, {"node": {"unit": "x"}}, {"node": {"unit": None}},
        {"node": {"name": 3}}, {"node": {"name": "hidden"}}, {"node": {"name": "../../etc"}},
        {"node": {"origin": 3}}, {"node": {"origin": "\x07"}}, {"node": {"layer": None}},
        {"node": {"layer": "\x9b2J"}}, {"node": {"notes": []}}, {"node": {"shapes": []}},
        {"node": {"shapes": {"v_threshold": "x"}}}, {"node": {"shapes": {"v_threshold": [-1]}}},
        {"node": {"shapes": {"v_threshold": [1 << 60]}}},
        {"node": {"fields": []}},
        {"notes": {"peak_drive": "x"}}, {"notes": {"peak_drive": NAN}}, {"notes": {"gain": []}},
        {"notes": {"nef": 0}}, {"notes": {"rate_mean": True}},
        {"fields": {"reset": "explode"}}, {"fields": {"reset": 5}}, {"fields": {"refractory": -1}},
        {"fields": {"refractory": 1e300}}, {"fields": {"refractory": "x"}},
        {"first": {"shape": [-4]}}, {"first": {"shape": []}}, {"first": {"shape": [1 << 62, 1 << 62]}},
        {"first": {"shape": "abc"}}, {"first": {"sample_shape": [5]}}, {"first": {"axes": [1]}},
        {"first": {"axes": [0, 0]}},
    ],
    ids=ascii,
)  # fmt: skip
def test_an_entry_of_another_type_or_value(damaged, capsys, changes):
    damaged(entry(**changes))
    refused(capsys)


@pytest.mark.parametrize("values", [NAN, INF, -INF, "text", np.ones(0), 1j], ids=str)
def test_an_array_of_another_type_or_value(damaged, capsys, values):
    damaged(array(f"{RELU}/v_threshold", np.full(6, values) if isinstance(values, float) else values))
    refused(capsys)


@pytest.mark.parametrize("values", [np.full((6, 4), NAN), np.ones((6, 5)), np.ones(24)], ids=np.shape)
def test_weights_of_another_shape_or_value(damaged, capsys, values):
    damaged(array("node/nodes/hidden/weight", values))
    refused(capsys)


def external_link(file):
    del file[f"{RELU}/r"]
    file[f"{RELU}/r"] = h5py.ExternalLink("/etc/passwd", "/")


def soft_link(file):
    del file[f"{RELU}/r"]
    file[f"{RELU}/r"] = h5py.SoftLink("/node/edges")


def dangling_link(file):
    file["neurodeploy/more"] = h5py.SoftLink("/nowhere")


def group_in_itself(file):
    file["node/nodes/round"] = file["node"]


def external_data(file):
    del file[f"{RELU}/r"]
    file.create_dataset(f"{RELU}/r", (6,), "f8", external=[("/etc/passwd", 0, 48)])


def huge(file):
    del file[f"{RELU}/r"]
    file.create_dataset(f"{RELU}/r", (1 << 40,), "f8", chunks=(1024,))


def half_huge(file):
    """Below the most that is read at once, and nothing of it in the file."""
    del file[f"{RELU}/r"]
    file.create_dataset(f"{RELU}/r", (1 << 28,), "f8", chunks=(1024,))


def reference(file):
    file["neurodeploy/reference"] = file["node"].ref


def later_version(file):
    array("neurodeploy/version", 99)(file)


def many_versions(file):
    array("neurodeploy/version", np.arange(3))(file)


def other_edges(file):
    array("node/edges", np.array([[b"input", b"nowhere"]]))(file)


def flat_edges(file):
    array("node/edges", np.arange(4))(file)


def numbers_for_text(file):
    array("neurodeploy/graph", 5)(file)


def broken_text(file):
    array("neurodeploy/graph", np.bytes_(b"\xff\xfe{"))(file)


def deep_text(file):
    array("neurodeploy/graph", np.bytes_(b"[" * 60_000))(file)


def unknown_op(file):
    array(f"{RELU}/type", np.bytes_(b"__import__"))(file)


@pytest.mark.parametrize(
    "change",
    [
        external_link, soft_link, dangling_link, group_in_itself, external_data, huge, half_huge, reference,
        later_version, many_versions, other_edges, flat_edges, numbers_for_text, broken_text, deep_text,
        unknown_op,
    ],
)  # fmt: skip
def test_a_file_of_another_build(damaged, capsys, change):
    damaged(change)
    refused(capsys)


def test_an_edge_back_into_the_network_is_legal_and_a_ring_without_input_is_not(damaged):
    def ring(file):
        edges = file["node/edges"][()].tolist()
        edges = [e for e in edges if e[1] != b"hidden"] + [[b"hidden.relu", b"hidden"]]
        array("node/edges", np.array(edges))(file)

    with pytest.raises(LoadError, match="has no input that comes before it"):
        store.load(damaged(ring))


def test_a_name_that_is_not_text_in_any_encoding_reaches_no_output(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    name = "\udcff net"
    keras = Path(__file__).resolve().parents[1] / "models" / "digits_mlp.keras"
    Path(f"{name}.keras").write_bytes(keras.read_bytes())
    assert main(["convert", f"{name}.keras", "-o", f"{name}.nd"]) == 0
    assert r"\udcff net.nd" in capsys.readouterr().out
    graph = store.load(f"{name}.nd")
    assert graph.name == "? net"
    assert graph.meta["source"] == "? net.keras"
