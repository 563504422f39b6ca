"""The command line as a user meets it, from a trained model to a report."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from neurodeploy.cli import main
from neurodeploy.demo_data import digits
from neurodeploy.recording import Recording
from neurodeploy.runs import save_partial

ROOT = Path(__file__).resolve().parents[1]
MLP = ROOT / "models" / "digits_mlp.keras"
KEYS = {"accuracy", "samples", "steps", "backend", "target", "seed", "seconds", "spikes_per_sample",
        "synops_per_sample"}  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with the digits and a converted model."""
    here, data = tmp_path_factory.mktemp("cli"), digits()
    np.savez(here / "train.npz", x_train=data.x_train, y_train=data.y_train)
    np.savez(here / "test.npz", x=data.x_test, y=data.y_test)
    np.savez(here / "mixed.npz", x_train=data.x_train, x_test=data.x_test, y_test=data.y_test)
    np.savez(here / "bare.npz", x_test=data.x_test)
    call("convert", MLP, "-o", here / "mlp.nd", "--calibration", here / "train.npz")
    return here


def call(*argv, code=0):
    assert main([str(a) for a in argv]) == code


def run(folder, *argv, file="mlp.nd", data="test.npz"):
    """Run and return the JSON it wrote."""
    call("run", folder / file, "--data", folder / data, "--json", folder / "run.json", *argv)
    return json.loads((folder / "run.json").read_text())


def without_time(figures):
    return {k: v for k, v in figures.items() if "second" not in k}


@pytest.mark.parametrize("backend", ["loihi-emulator", "nengo", "rate"])
def test_a_converted_model_keeps_its_accuracy_on_every_backend(folder, backend):
    figures = run(folder, "--backend", backend, "--limit", 120)
    assert figures.keys() >= KEYS
    assert figures["accuracy"] >= 0.95
    assert (figures["samples"], figures["backend"]) == (120, backend)
    assert figures["target"] == ("loihi1" if backend == "loihi-emulator" else None)


def test_backend_rate_takes_the_trained_model_itself(folder):
    figures = run(folder, "--backend", "rate", file=MLP)
    assert figures["accuracy"] == pytest.approx(0.9889, abs=1e-4)
    assert figures["steps"] == 1


def test_a_run_ten_times_as_long_as_the_conversion_keeps_the_accuracy(folder):
    short, long = (run(folder, "--limit", 100, *steps) for steps in ((), ("--steps", 640)))
    assert short["steps"] == 64
    assert long["accuracy"] >= short["accuracy"] - 0.02


def test_a_trained_model_is_converted_on_the_way_if_there_is_calibration(folder):
    on_the_way = run(folder, "--limit", 50, "--calibration", folder / "train.npz", file=MLP)
    assert without_time(on_the_way) == without_time(run(folder, "--limit", 50))


def test_outputs_are_written_per_sample_and_class(folder):
    run(folder, "--limit", 7, "--outputs", folder / "out.npz")
    with np.load(folder / "out.npz") as out:
        assert out.files == ["outputs"]
        assert out["outputs"].shape == (7, 10)


def test_the_same_command_gives_the_same_figures(folder):
    options = ("--limit", 30, "--input-coding", "poisson", "--seed", 3)
    assert without_time(run(folder, *options)) == without_time(run(folder, *options))


def test_another_seed_gives_other_poisson_spikes(folder):
    one, two = (run(folder, "--limit", 5, "--input-coding", "poisson", "--seed", s) for s in (1, 2))
    assert one["raster"] != two["raster"]


def test_keys_of_keras_data_files_are_understood_and_limits_hold(folder):
    assert (
        without_time(run(folder, "--limit", 20, data="mixed.npz"))["accuracy"]
        == run(folder, "--limit", 20)["accuracy"]
    )


def test_without_labels_there_is_no_accuracy_but_predictions(folder, capsys):
    figures = run(folder, "--limit", 5, data="bare.npz")
    assert figures["accuracy"] is None
    assert len(figures["predictions"]) == 5
    assert "predictions " + " ".join(map(str, figures["predictions"])) in capsys.readouterr().out


def test_dividing_undoes_multiplying(folder):
    data = digits()
    np.savez(folder / "grey.npz", x=(16 * data.x_test).astype(np.uint8), y=data.y_test)
    divided = run(folder, "--limit", 40, "--divide-by", 16, data="grey.npz")
    assert divided["accuracy"] == run(folder, "--limit", 40)["accuracy"]


def test_a_division_told_to_convert_is_kept_with_the_network(folder):
    data = digits()
    np.savez(folder / "grey.npz", x=16 * data.x_train[:200], y=data.y_train[:200])
    call("convert", MLP, "-o", folder / "grey.nd", "--calibration", folder / "grey.npz", "--divide-by", 16)
    assert run(folder, file="grey.nd", data="grey.npz")["accuracy"] > 0.95


def test_the_run_card_says_what_no_emulator_shows(folder, capsys):
    card = run(folder, "--limit", 3)["card"]
    assert card["arithmetic"].startswith("integers of the chip")
    assert card["cores"] >= 1
    assert card["not_verified_on_silicon"]
    assert "not verified on silicon" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("neuron", "steps", "told"),
    [("if", 15, True), ("if", 16, False), ("if", 17, True), ("if-soft", 15, False)],
)
def test_a_run_of_another_length_says_so_where_neurons_lose_charge(folder, capsys, neuron, steps, told):
    call("convert", MLP, "-o", folder / "short.nd", "--calibration", folder / "train.npz", "--steps", 16,
         "--neuron", neuron)  # fmt: skip
    call("run", folder / "short.nd", "--data", folder / "test.npz", "--limit", 2, "--steps", steps)
    assert ("was converted for 16 steps" in capsys.readouterr().err) is told


def test_results_go_to_stdout_and_everything_else_to_stderr(folder, capsys):
    call("check", MLP, "--format", "json")
    out, err = capsys.readouterr()
    assert json.loads(out)["format"] == "neurodeploy model 1"
    assert "no --calibration" in err


def test_check_prints_every_resource_of_every_core_also_when_it_fits(folder, capsys):
    call("check", folder / "mlp.nd")
    out = capsys.readouterr().out
    assert "of 1,024" in out
    assert "fits" in out.splitlines()[-1]


def test_check_finds_what_does_not_fit_and_exits_with_1(folder, tmp_path, capsys):
    text = (ROOT / "hardware" / "loihi1.toml").read_text().replace('id = "loihi1"', 'id = "small"')
    assert "in_axons = { value = 4096" in text
    text = text.replace("atoms_max = { value = 1024", "atoms_max = { value = 1")
    (tmp_path / "small.toml").write_text(text.replace("in_axons = { value = 4096", "in_axons = { value = 8"))
    call("check", folder / "mlp.nd", "--target", tmp_path / "small.toml", code=1)
    out = capsys.readouterr().out
    assert "error[ND302]" in out
    assert "97 input axons on one core; small has 8" in out  # 64 inputs, 32 of its own, a clock


def test_check_shows_the_program_after_a_pass(folder, capsys):
    call("check", folder / "mlp.nd", "--print-after", "lower")
    out = capsys.readouterr().out
    assert "projection encoder -> fc1" in out
    assert "float" in out


def test_a_report_has_the_figures_of_the_run_and_a_picture(folder, tmp_path, capsys):
    figures = run(folder, "--limit", 10)
    capsys.readouterr()
    call("report", folder / "run.json", "-o", tmp_path / "report")
    assert json.loads((tmp_path / "report" / "report.json").read_text()) == figures
    assert (tmp_path / "report" / "report.png").read_bytes().startswith(b"\x89PNG")
    assert capsys.readouterr().out == (tmp_path / "report" / "report.txt").read_text()


def test_learning_writes_a_network_that_runs_and_says_how_it_went(folder, capsys):
    data = digits()
    np.savez(folder / "moved.npz", x=data.x_train, y=(data.y_train + 1) % 10)
    call("learn", folder / "mlp.nd", "--data", folder / "moved.npz", "--rule", "pes", "--limit", 24,
         "--steps", 30, "-o", folder / "learned.nd")  # fmt: skip
    assert "quarter by quarter" in capsys.readouterr().out
    before, after = (run(folder, "--limit", 20, file=name) for name in ("mlp.nd", "learned.nd"))
    assert before["card"]["model_digest"] != after["card"]["model_digest"]
    assert before["layers"][:-1] == after["layers"][:-1], "only the last layer learns"


@pytest.mark.parametrize(
    "argv", [["targets"], ["layers"], ["explain", "ND801"], ["explain", "unsourced-number"], ["--version"]]
)
def test_lookups_answer_on_stdout(capsys, argv):
    call(*argv)
    out, err = capsys.readouterr()
    assert out.strip()
    assert not err


def test_doctor_tries_every_backend_and_names_what_is_missing(capsys, monkeypatch):
    from neurodeploy.backends.base import Listed
    from neurodeploy.cli import doctor

    absent = Listed("absent", "graph", "package_that_is_not_there:open_session", 8, needs="dl")
    chosen = {name: doctor.BACKENDS[name] for name in ("rate", "loihi-emulator")} | {"absent": absent}
    monkeypatch.setattr(doctor, "BACKENDS", chosen)
    monkeypatch.setattr("neurodeploy.backends.base.BACKENDS", chosen)
    call("doctor")
    out = capsys.readouterr().out
    assert len(re.findall(r"^(rate|loihi-emulator) +runs", out, re.MULTILINE)) == 2
    assert "pip install 'neurodeploy[dl]'" in out
    assert "NxSDK" in out


def test_whole_numbers_that_nobody_divides_are_pointed_out(folder, tmp_path, capsys):
    np.savez(tmp_path / "bytes.npz", x=np.full((20, 8, 8), 255, np.uint8))
    call("convert", MLP, "-o", tmp_path / "o.nd", "--calibration", tmp_path / "bytes.npz")
    assert "--divide-by 255" in capsys.readouterr().err


def test_an_unexpected_exception_is_called_a_bug_and_shown_on_demand(folder, capsys, monkeypatch):
    monkeypatch.setattr("neurodeploy.stages.load", lambda *a: 1 / 0)
    call("check", folder / "mlp.nd", code=2)
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert "this is a bug in neurodeploy" in err
    assert "--debug" in err
    call("check", folder / "mlp.nd", "--debug", code=2)
    assert "ZeroDivisionError: division by zero" in capsys.readouterr().err


def test_too_little_memory_is_one_message(folder, capsys, monkeypatch):
    def full(*args):
        raise MemoryError

    monkeypatch.setattr("neurodeploy.stages.load", full)
    call("check", folder / "mlp.nd", code=2)
    assert capsys.readouterr().err.startswith("neurodeploy: not enough memory")


# --- as a process -----------------------------------------------------------------------------------------


def process(*argv, **options):
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | options
    return subprocess.Popen([sys.executable, *map(str, argv)], cwd=ROOT, text=True, **pipes)


def test_a_closed_pipe_is_no_error():
    layers = process("-m", "neurodeploy", "layers")
    layers.stdout.close()
    assert layers.wait(30) == 141
    assert layers.stderr.read() == ""
    layers.stderr.close()


def test_a_full_disk_is_one_message():
    with open("/dev/full", "w") as full:
        layers = process("-m", "neurodeploy", "layers", stdout=full)
        _, err = layers.communicate(timeout=30)
    assert layers.returncode == 2
    assert err == "neurodeploy: cannot write to standard output: No space left on device\n"


def test_ctrl_c_leaves_a_valid_part_and_resuming_gives_the_same_as_no_interruption(folder, tmp_path, ctrl_c):
    argv = ["run", folder / "mlp.nd", "--data", folder / "test.npz", "--backend", "nengo-loihi",
            "--limit", 40, "--steps", 30]  # fmt: skip
    call(*argv, "--json", tmp_path / "whole.json")
    # Saving after every chunk shows when the first is done, so that the signal comes in the middle.
    start = "import sys, neurodeploy.cli as c, neurodeploy.runs as r; r.SAVE_EVERY = 0; sys.exit(c.main())"
    out, part = tmp_path / "run.json", tmp_path / "run.json.partial.npz"
    running = process("-c", start, *argv, "--json", out)
    while not part.exists() and running.poll() is None:
        time.sleep(0.01)
    running.send_signal(signal.SIGINT)
    _, err = running.communicate(timeout=60)
    assert running.returncode == 130, err
    assert "Traceback" not in err
    assert "--resume" in err
    half = json.loads(out.read_text())
    assert not half["complete"]
    assert 0 < half["samples"] < half["samples_asked"] == 40
    assert half["accuracy"] is not None
    call("report", out)
    call(*argv, "--json", out, "--resume")
    assert without_time(json.loads(out.read_text())) == without_time(
        json.loads((tmp_path / "whole.json").read_text())
    )
    assert sorted(p.name for p in tmp_path.iterdir()) == ["run.json", "whole.json"]


def test_a_run_is_not_resumed_with_other_options(folder, tmp_path, capsys):
    out = tmp_path / "run.json"
    save_partial(
        f"{out}.partial.npz", "another run", Recording(np.zeros((2, 10)), np.zeros((2, 9), np.int16))
    )
    call("run", folder / "mlp.nd", "--data", folder / "test.npz", "--json", out, "--resume", code=2)
    assert "left from another run" in capsys.readouterr().err
    assert os.listdir(tmp_path) == ["run.json.partial.npz"]


def test_check_writes_sarif(folder, capsys):
    import json

    call("check", folder / "mlp.nd", "--format", "sarif")
    log = json.loads(capsys.readouterr().out)
    assert (log["version"], log["runs"][0]["tool"]["driver"]["name"]) == ("2.1.0", "neurodeploy")


def test_check_lets_a_project_weigh_findings(folder, tmp_path, capsys):
    small = folder / "mlp.nd", "--weight-bits", "2"
    call("check", *small, "--error", "ND403", code=1)
    call("check", *small, "--allow", "ND403")
    (tmp_path / "w.toml").write_text(
        '[[waiver]]\ncode = "ND403"\nlayer = "*"\nreason = "a test"\nexpires = 9999-12-31\n'
    )
    call("check", *small, "--waivers", tmp_path / "w.toml")
    assert "waived until 9999-12-31: a test" in capsys.readouterr().out


def test_check_times_its_passes(folder, capsys):
    call("check", folder / "mlp.nd", "--time-passes")
    assert "partition" in capsys.readouterr().err


def test_samples_in_another_scale_than_the_calibrations_are_named_in_text_and_json(folder, capsys):
    data = digits()
    np.savez(folder / "scaled.npz", x=data.x_test * 255, y=data.y_test)
    figures = run(folder, "--limit", 12, "--steps", 8, data="scaled.npz")
    out, err = capsys.readouterr()
    assert "warning[ND714]" in out
    assert "--divide-by 255" in err
    assert "ND714" in {f["code"] for f in figures["findings"]}
    figures = run(folder, "--limit", 12, "--steps", 8, "--divide-by", 255, data="scaled.npz")
    assert "ND714" not in {f["code"] for f in figures["findings"]}
    assert "ND714" not in "".join(capsys.readouterr())
