"""Everything a user can get wrong: exit 2, one message, no traceback, nothing left behind."""

import json
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest

from neurodeploy.cli import main

MODELS = Path(__file__).resolve().parents[1] / "models"
MLP = MODELS / "digits_mlp.keras"
X, Y = np.linspace(0, 1, 12 * 64).reshape(12, 8, 8), np.arange(12) % 10


@pytest.fixture(scope="module")
def converted(tmp_path_factory):
    """A spiking network, made once."""
    folder = tmp_path_factory.mktemp("converted")
    np.savez(folder / "calibration.npz", x_train=X)
    assert (
        main(
            ["convert", str(MLP), "-o", str(folder / "mlp.nd"), "--calibration", f"{folder}/calibration.npz"]
        )
        == 0
    )
    return folder / "mlp.nd"


@pytest.fixture
def place(tmp_path, monkeypatch):
    """An empty folder to work in, with good data in it."""
    monkeypatch.chdir(tmp_path)
    np.savez("good.npz", x=X, y=Y)
    return tmp_path


@pytest.fixture
def refused(place, capsys):
    """Run a command that must fail, and return its one message."""

    def run(*argv, code=2):
        before = listing(place)
        capsys.readouterr()
        assert main([str(a) for a in argv]) == code
        out, err = capsys.readouterr()
        assert "Traceback" not in err + out
        assert listing(place) == before, "a file was left behind"
        messages = [line for line in err.splitlines() if line.startswith("neurodeploy: ")]
        assert len(messages) == 1, err
        return err

    return run


def listing(folder):
    return {p.relative_to(folder): p.stat().st_mtime_ns for p in folder.rglob("*")}


def changed_config(source, target, change):
    """Copy a .keras file with its configuration changed."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for item in old.namelist():
            data = old.read(item)
            if item == "config.json":
                config = json.loads(data)
                change(config)
                data = json.dumps(config).encode()
            new.writestr(item, data)
    return target


def rename_class(config, old, new):
    for layer in config["config"]["layers"]:
        if layer["class_name"] == old:
            layer["class_name"] = new


# --- models -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("share", [0, 0.3, 0.95])
def test_a_truncated_model(refused, place, share):
    data = MLP.read_bytes()
    (place / "cut.keras").write_bytes(data[: int(share * len(data))])
    assert "cut.keras" in refused("convert", "cut.keras", "-o", "out.nd")


def test_a_truncated_spiking_network(refused, place, converted):
    data = converted.read_bytes()
    (place / "cut.nd").write_bytes(data[: len(data) // 2])
    assert "cut.nd" in refused("run", "cut.nd", "--data", "good.npz")


def test_a_model_with_a_wrong_suffix(refused, place):
    (place / "model.txt").write_bytes(MLP.read_bytes())
    assert "no kind of model file that is read; .keras, .h5" in refused("convert", "model.txt", "-o", "o.nd")


@pytest.mark.parametrize("name", ["model.pkl", "model.pt", "model.keras", "model.h5"])
def test_a_pickle_by_any_name(refused, place, name):
    with open(name, "wb") as file:
        pickle.dump({"weights": X}, file)
    assert "pickle" in refused("convert", name, "-o", "o.nd")


def test_a_model_that_is_not_there(refused):
    assert "'nowhere.keras' does not exist" in refused("convert", "nowhere.keras", "-o", "o.nd")


def test_a_folder_in_place_of_a_model(refused, place):
    (place / "folder.keras").mkdir()
    assert "is a folder" in refused("convert", "folder.keras", "-o", "o.nd")


def test_a_layer_that_is_not_taken_is_named_with_its_kind(refused, place):
    changed_config(MLP, "new.keras", lambda config: rename_class(config, "Dropout", "LSTM"))
    message = refused("convert", "new.keras", "-o", "o.nd")
    assert "drop1" in message
    assert "LSTM" in message


def test_nan_in_the_weights(refused, place):
    import io

    import h5py

    with zipfile.ZipFile(MLP) as old, zipfile.ZipFile("nan.keras", "w") as new:
        for item in old.namelist():
            data = old.read(item)
            if item.endswith(".h5"):
                buffer = io.BytesIO(data)
                with h5py.File(buffer, "r+") as file:
                    file["layers/dense/vars/0"][0, 0] = np.nan
                data = buffer.getvalue()
            new.writestr(item, data)
    message = refused("convert", "nan.keras", "-o", "o.nd")
    assert "fc1" in message
    assert "not finite" in message or "NaN" in message


# --- data -------------------------------------------------------------------------------------------------


def test_samples_of_another_size(refused, converted):
    np.savez("wide.npz", x=np.zeros((4, 9, 9)), y=Y[:4])
    message = refused("run", converted, "--data", "wide.npz")
    assert "81 values" in message
    assert "64" in message


def test_no_samples(refused, converted):
    np.savez("none.npz", x=X[:0], y=Y[:0])
    assert "there are no samples" in refused("run", converted, "--data", "none.npz")


def test_samples_that_are_not_finite(refused, converted):
    np.savez("inf.npz", x=np.where(X > 0.99, np.inf, X), y=Y)
    assert "not finite" in refused("run", converted, "--data", "inf.npz")


def test_labels_for_other_samples(refused, converted):
    np.savez("short.npz", x=X, y=Y[:7])
    assert "7 labels for 12 samples" in refused("run", converted, "--data", "short.npz")


def test_labels_of_classes_the_model_does_not_have(refused, converted):
    np.savez("more.npz", x=X, y=Y + 1)
    assert "label 10" in refused("run", converted, "--data", "more.npz")


def test_learning_without_labels(refused, converted):
    np.savez("bare.npz", x=X)
    assert "has no labels" in refused("learn", converted, "--data", "bare.npz", "--rule", "pes", "-o", "o.nd")


def test_calibration_on_test_samples(refused):
    np.savez("test.npz", x_test=X, y_test=Y)
    assert "x_test is for measuring" in refused("convert", MLP, "-o", "o.nd", "--calibration", "test.npz")


def test_objects_pickled_inside_an_npz(refused, converted):
    np.savez("objects.npz", x=np.array([{"a": 1}] * 3, dtype=object))
    assert "pickled objects" in refused("run", converted, "--data", "objects.npz")


@pytest.mark.parametrize("content", [b"", b"hello", b"PK\x03\x04", pickle.dumps([1, 2])])
def test_data_that_is_no_npz(refused, place, converted, content):
    (place / "bad.npz").write_bytes(content)
    assert "'bad.npz' is not a readable .npz file" in refused("run", converted, "--data", "bad.npz")


def test_data_that_is_not_there_or_a_folder(refused, place, converted):
    assert "does not exist" in refused("run", converted, "--data", "nowhere.npz")
    assert "is a folder" in refused("run", converted, "--data", place)


def test_samples_of_text(refused, converted):
    np.savez("text.npz", x=np.array(["a", "b"]))
    assert "not numbers" in refused("run", converted, "--data", "text.npz")


# --- options ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--steps", "-5", "-5 is too small, the least is 1"),
        ("--steps", "0", "0 is too small"),
        ("--steps", "many", "'many' is not a whole number"),
        ("--limit", "0", "0 is too small"),
        ("--seed", "-1", "-1 is too small"),
        ("--divide-by", "0", "0 is out of range"),
        ("--divide-by", "nan", "nan is out of range"),
        ("--divide-by", "-255", "-255 is out of range"),
        ("--backend", "spinnaker", "there is no backend 'spinnaker'"),
        ("--target", "loihi", "there is no target 'loihi'"),
        ("--input-coding", "phase", "'phase'"),
        ("--nef", "fc9", "fc9"),
        ("--outputs", "nowhere/o.npz", "cannot write 'nowhere/o.npz'"),
        ("--json", "nowhere/o.json", "cannot write 'nowhere/o.json'"),
        ("--json", ".", "it is a folder"),
        ("--calibration", "good.npz", "is converted already"),
        ("--colour", "red", "unrecognized arguments"),
    ],
)
def test_an_option_of_run_that_makes_no_sense(refused, converted, option, value, message):
    assert message in refused("run", converted, "--data", "good.npz", option, value)


def test_resuming_without_a_file_to_resume_from(refused, converted):
    assert "--json" in refused("run", converted, "--data", "good.npz", "--resume")


def test_running_a_trained_model_on_the_emulator_says_how_to_convert_it(refused):
    message = refused("run", MLP, "--data", "good.npz")
    assert f"neurodeploy convert {MLP} -o digits_mlp.nd --calibration D.npz" in message


@pytest.mark.parametrize("out", ["nowhere/o.nd", "good.npz/o.nd", ".", "o.txt"])
def test_an_output_that_cannot_be_written_is_found_before_the_work(refused, out, monkeypatch):
    monkeypatch.setattr("neurodeploy.stages.load", lambda *a: pytest.fail("the work has begun"))
    assert out in refused("convert", MLP, "-o", out)


@pytest.mark.parametrize(
    ("option", "value"),
    [("--neuron", "hodgkin-huxley"), ("--percentile", "0"), ("--percentile", "101"), ("--rate", "2")],
)
def test_an_option_of_convert_that_makes_no_sense(refused, option, value):
    message = refused("convert", MLP, "-o", "o.nd", "--calibration", "good.npz", option, value)
    assert value in message


def test_converting_what_is_converted(refused, converted):
    assert "is a spiking network already" in refused("convert", converted, "-o", "o.nd")


def test_an_unknown_rule(refused, converted):
    message = refused("learn", converted, "--data", "good.npz", "--rule", "backprop", "-o", "o.nd")
    assert "backprop" in message
    assert "pes" in message


def test_an_unknown_pass(refused, converted):
    assert "there is no pass 'fuse'" in refused("check", converted, "--print-after", "fuse")


@pytest.mark.parametrize(
    "command", [["run", "--data", "good.npz"], ["deploy", "-o", "bundle"]], ids=lambda c: c[0]
)
def test_a_chip_that_networks_can_only_be_checked_for(refused, place, converted, command):
    message = refused(command[0], converted, *command[1:], "--target", "spinnaker1")
    assert "networks for 'spinnaker1' can be checked, not run" in message
    assert "loihi1" in message


@pytest.mark.parametrize("content", ["schema = 1\nid = ", "id = 3", "schema = 1\nid = 'x'\ncolour = 'red'\n"])
def test_a_broken_hardware_file(refused, place, converted, content):
    (place / "chip.toml").write_text(content)
    assert "chip.toml" in refused("check", converted, "--target", "chip.toml")


# --- boards, reports, lookups -----------------------------------------------------------------------------


def test_a_board_that_is_not_there_leaves_the_bundle_and_says_where(place, converted, capsys):
    assert (
        main(["deploy", str(converted), "--target", "loihi1", "--board", "kapoho-bay", "-o", "bundle"]) == 2
    )
    err = capsys.readouterr().err
    assert "NxSDK is not installed" in err
    assert "'bundle'" in err
    assert "run_on_host.py --board kapoho-bay" in err
    assert (place / "bundle" / "manifest.json").is_file()


def test_an_unknown_board_leaves_no_bundle(refused, converted):
    assert "toaster" in refused(
        "deploy", converted, "--target", "loihi1", "--board", "toaster", "-o", "bundle"
    )


def test_a_bundle_in_somebody_elses_folder(refused, place, converted):
    (place / "mine").mkdir()
    (place / "mine" / "thesis.tex").write_text("...")
    assert "mine" in refused("deploy", converted, "--target", "loihi1", "-o", "mine")


@pytest.mark.parametrize(
    "content", ["", "{", "[1, 2]", '{"accuracy": 1.0}', '{"format": "neurodeploy run 1"}', "[" * 9999]
)
def test_a_report_of_something_else(refused, place, content):
    (place / "run.json").write_text(content)
    assert "run.json" in refused("report", "run.json", "-o", "out")


def test_more_steps_than_counters_hold(refused):
    assert "is too large" in refused("convert", MLP, "-o", "a.nd", "--steps", 10**20)


def test_a_division_that_leaves_nothing_finite(refused, converted):
    argv = ("run", converted, "--data", "good.npz", "--backend", "rate", "--divide-by", "1e-320")
    assert "are not finite" in refused(*argv)


def test_a_report_of_nothing(refused):
    assert "is not a file" in refused("report", "nowhere.json")


def test_an_unknown_finding(refused):
    assert "there is no finding 'ND000'" in refused("explain", "ND000")


@pytest.mark.parametrize("argv", [["frobnicate"], ["run"], ["convert", MLP]])
def test_a_command_that_is_not_complete(refused, argv):
    assert "--help" in refused(*argv)
