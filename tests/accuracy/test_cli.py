"""``run --ladder`` and ``report``: the ladder travels in the run's file."""

import dataclasses
import json

import numpy as np
import pytest

import neurodeploy as nd
from neurodeploy.cli import main
from neurodeploy.cli.demo import model_path
from neurodeploy.demo_data import digits


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with the digits, a converted network, and the same without its source."""
    here, data = tmp_path_factory.mktemp("ladder"), digits()
    np.savez(here / "digits.npz", x_train=data.x_train, x_test=data.x_test[:60], y_test=data.y_test[:60])
    mlp = nd.convert(nd.load(model_path("digits_mlp")), calibration=data.x_train)
    nd.save(mlp, here / "mlp.nd")
    nd.save(dataclasses.replace(mlp, source=None), here / "bare.nd")
    return here


def call(*argv, code=0):
    assert main([str(a) for a in argv]) == code


def test_a_run_prints_its_ladder_and_keeps_it_and_the_report_draws_it(folder, capsys):
    call("run", folder / "mlp.nd", "--data", folder / "digits.npz", "--ladder", "--limit", 30,
         "--json", folder / "run.json")  # fmt: skip
    assert "accuracy ladder of digits_mlp for loihi1: 30 samples, 64 steps" in capsys.readouterr().out
    figures = json.loads((folder / "run.json").read_text())
    assert len(figures["ladder"]["rungs"]) == 6
    call("report", folder / "run.json", "-o", folder / "report")
    assert "accuracy ladder" in capsys.readouterr().out
    assert {p.name for p in (folder / "report").iterdir()} == {
        "report.png", "ladder.png", "report.json", "report.txt",
    }  # fmt: skip
    assert "ladder" in json.loads((folder / "report" / "report.json").read_text())


def test_a_network_without_its_source_takes_it_from_the_command_line(folder, capsys):
    run = ("run", folder / "bare.nd", "--data", folder / "digits.npz", "--ladder", "--limit", 10)
    call(*run, code=2)
    assert "name it with --source" in capsys.readouterr().err
    call(*run, "--source", model_path("digits_mlp"))
    assert "accuracy ladder" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (("--source", "x.keras"), "--source is for --ladder"),
        (("--ladder", "--sweep", "steps=8,16"), "not of a sweep"),
    ],
)
def test_options_that_do_not_go_together_are_refused(folder, options, why, capsys):
    call("run", folder / "mlp.nd", "--data", folder / "digits.npz", *options, code=2)
    assert why in capsys.readouterr().err


def test_a_trained_model_has_no_ladder_before_it_is_converted(folder, capsys):
    call("run", model_path("digits_mlp"), "--data", folder / "digits.npz", "--backend", "rate", "--ladder",
         code=2)  # fmt: skip
    assert "is not converted" in capsys.readouterr().err


def test_convert_rounds_on_calibration_samples(folder):
    model, data = model_path("digits_mlp"), folder / "digits.npz"
    out = folder / "four.nd"
    call("convert", model, "--calibration", data, "-o", out, "--rounding", "adaptive", "--weight-bits", 4)
    graph = nd.load(out)
    assert (graph.meta["rounding"], graph.meta["weight_bits"]) == ("adaptive", 4)


def test_adaptive_rounding_without_samples_is_refused(folder, capsys):
    call("convert", model_path("digits_mlp"), "-o", folder / "none.nd", "--rounding", "adaptive", code=2)
    assert "--rounding adaptive measures on training samples" in capsys.readouterr().err
    assert not (folder / "none.nd").exists()
