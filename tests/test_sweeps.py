"""Every combination of some options: the same as single runs, kept until all are done."""

import json
from pathlib import Path

import numpy as np
import pytest

import neurodeploy as nd
from neurodeploy import sweeps
from neurodeploy.cli import main
from neurodeploy.demo_data import digits
from neurodeploy.errors import OptionError
from neurodeploy.runs import Interrupted
from neurodeploy.testing import assert_same_recording

ROOT = Path(__file__).resolve().parents[1]
X, Y = digits().x_test[:40], digits().y_test[:40]
OVER = {"steps": (8, 16), "seed": (0, 1)}


@pytest.fixture(scope="module")
def graph():
    return nd.convert(nd.load(ROOT / "models" / "digits_mlp.keras"), calibration=digits().x_train)


@pytest.fixture
def place(tmp_path, monkeypatch, graph):
    monkeypatch.chdir(tmp_path)
    nd.save(graph, "mlp.nd")
    np.savez("test.npz", x=X, y=Y)
    return tmp_path


def test_a_trial_is_what_a_run_of_its_own_gives(graph):
    trials = nd.sweep(graph, X, OVER, input_coding="poisson")
    assert [dict(t.options) for t in trials] == [{"steps": n, "seed": s} for n in (8, 16) for s in (0, 1)]
    for trial in trials:
        alone = nd.run(graph, X, input_coding="poisson", **trial.options)
        assert_same_recording(trial.recording, alone)


def test_progress_counts_the_samples_of_all_trials(graph):
    seen = []
    nd.sweep(graph, X, OVER, progress=lambda done, total: seen.append((done, total)))
    assert seen[0] == (0, 160)
    assert seen[-1] == (160, 160)
    assert seen == sorted(seen)


def test_a_sweep_that_was_stopped_goes_on_where_it_was(graph, tmp_path):
    def stop(done, total):
        if done > 80:
            raise KeyboardInterrupt

    with pytest.raises(Interrupted, match="after 120 of 160"):
        nd.sweep(graph, X, OVER, partial=tmp_path / "kept", progress=stop)
    assert len(list((tmp_path / "kept").iterdir())) >= 2
    seen = []
    trials = nd.sweep(graph, X, OVER, partial=tmp_path / "kept", resume=True,
                      progress=lambda done, total: seen.append(done))  # fmt: skip
    assert seen == [120, 120, 160]
    for trial, fresh in zip(trials, nd.sweep(graph, X, OVER), strict=True):
        assert_same_recording(trial.recording, fresh.recording)
    assert list(tmp_path.iterdir()) == []


def test_a_target_that_is_too_small_is_told_and_the_others_run(graph):
    small = nd.target("loihi1").with_limits(core__in_axons=8, synapse__axon_kinds__pop32__atoms_max=1)
    trials = nd.sweep(graph, X, {"target": ("loihi1", small)}, steps=8)
    assert [t.recording is None for t in trials] == [False, True]
    assert "ND302" in trials[1].fault


@pytest.mark.parametrize(
    ("over", "message"),
    [({"colour": (1,)}, "'colour' cannot be swept; these can: backend"), ({"seed": ()}, "has no values"),
     ({"steps": (8, 0)}, "steps is 0"), ({"backend": ("rate", "abacus")}, "there is no backend 'abacus'")],
)  # fmt: skip
def test_a_sweep_that_makes_no_sense_is_refused_before_anything_runs(graph, over, message, monkeypatch):
    monkeypatch.setattr(sweeps, "run_job", lambda *a, **k: pytest.fail("the work has begun"))
    with pytest.raises(OptionError, match=message):
        nd.sweep(graph, X, over)


def test_the_command_prints_a_table_and_writes_all_of_it(place, capsys):
    argv = ["run", "mlp.nd", "--data", "test.npz", "--sweep", "steps=8,16", "--sweep", "backend=rate,nengo",
            "--json", "s.json"]  # fmt: skip
    assert main(argv) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == [
        "steps",
        "backend",
        "accuracy",
        "spikes/sample",
        "synops/sample",
        "cores",
        "seconds",
    ]
    assert [line.split()[:2] for line in lines[2:]] == [
        [n, b] for n in ("8", "16") for b in ("rate", "nengo")
    ]
    written = json.loads(Path("s.json").read_text())
    assert written["format"] == "neurodeploy sweep 1"
    alone = nd.run(nd.load("mlp.nd"), X, backend="nengo", steps=16).accuracy(Y)
    assert written["trials"][3]["accuracy"] == alone
    assert sorted(p.name for p in place.iterdir()) == ["mlp.nd", "s.json", "test.npz"]


@pytest.mark.parametrize(
    ("argv", "message"),
    [(["--sweep", "steps"], "'steps' is no sweep; write OPTION=VALUE,VALUE with one of backend"),
     (["--sweep", "colour=red"], "'colour=red' is no sweep"),
     (["--sweep", "steps=8,many"], "'many' is not a whole number"),
     (["--sweep", "seed=1", "--sweep", "seed=2"], "swept twice"),
     (["--sweep", "seed=1,2", "--outputs", "o.npz"], "not of a sweep"),
     (["--workers", "0"], "0 is too small"),
     (["--workers", "2", "--dask", "tcp://somewhere:1"], "not allowed with")],
)  # fmt: skip
def test_a_command_that_makes_no_sense_is_one_message(place, capsys, argv, message):
    assert main(["run", "mlp.nd", "--data", "test.npz", *argv]) == 2
    err = capsys.readouterr().err
    assert message in err
    assert err.count("\n") == 1
    assert len(list(place.iterdir())) == 2
