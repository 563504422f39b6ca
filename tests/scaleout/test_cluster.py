"""Runs on Dask's workers: as in one piece, also where workers are killed or the user stops the run."""

import json
import logging
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

import neurodeploy as nd
from neurodeploy.arrays import Stored
from neurodeploy.cli import main
from neurodeploy.demo_data import digits
from neurodeploy.errors import ClusterError, DataError, MissingExtra, OptionError
from neurodeploy.kernels.build import cores
from neurodeploy.runs import Interrupted
from neurodeploy.scaleout import cluster
from neurodeploy.scaleout.cluster import connect
from neurodeploy.testing import assert_same_recording

ROOT = Path(__file__).resolve().parents[2]
pytest.importorskip("distributed", reason="needs Dask: pip install 'neurodeploy[dask]'")
STEPS, WORKERS = 150, 3


@pytest.fixture(scope="module")
def program():
    data = digits()
    graph = nd.convert(nd.load(ROOT / "models" / "digits_mlp.keras"), calibration=data.x_train)
    return nd.compile(graph, input_coding="poisson", steps=STEPS)


@pytest.fixture(scope="module")
def x():
    return np.concatenate([digits().x_test] * 4)


@pytest.fixture(scope="module")
def serial(program, x):
    return nd.run(program, x, steps=STEPS, seed=3)


@pytest.fixture(scope="module")
def client():
    with connect(workers=WORKERS) as client:
        client.wait_for_workers(WORKERS)
        yield client


def pids(client):
    return set(client.run(os.getpid).values())


def test_three_workers_give_what_one_process_gives(client, program, x, serial):
    assert_same_recording(nd.run(program, x, steps=STEPS, seed=3, dask=client), serial)


@pytest.mark.parametrize("workers", [1, 2])
def test_workers_of_its_own_give_it_too_and_end_with_the_run(program, x, serial, workers):
    assert_same_recording(nd.run(program, x, steps=STEPS, seed=3, workers=workers), serial)


def test_a_cluster_is_found_by_its_address(client, program, x):
    there = nd.run(program, x[:300], steps=9, dask=client.scheduler.address)
    assert_same_recording(there, nd.run(program, x[:300], steps=9))


def test_floats_are_the_same_too(client, program, x):
    one = nd.run(program.graph, x, backend="rate")
    assert_same_recording(nd.run(program.graph, x, backend="rate", dask=client), one)


def test_a_sweep_shares_one_cluster(client, program, x):
    over = {"steps": (8, 9), "backend": ("rate", "loihi-emulator")}
    there = nd.sweep(program.graph, x[:300], over, dask=client)
    for trial, here in zip(there, nd.sweep(program.graph, x[:300], over), strict=True):
        assert_same_recording(trial.recording, here.recording)


def test_killed_workers_lose_nothing(client, program, x, serial, tmp_path):
    killed = []

    def kill(done, total):
        """Kill one worker after the first shard, and all there are after half of them."""
        if (done and not killed) or (done > total // 2 and len(killed) == 1):
            killed.extend(sorted(pids(client))[: None if killed else 1])
            for pid in killed[-WORKERS:]:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

    partial = tmp_path / "run.npz"
    recording = nd.run(program, x, steps=STEPS, seed=3, dask=client, progress=kill, partial=partial)
    assert_same_recording(recording, serial)
    assert len(killed) > 1
    client.wait_for_workers(1)
    assert not pids(client) & set(killed), "a nanny starts others in their place"
    assert list(tmp_path.iterdir()) == []


def test_a_run_stopped_on_workers_goes_on_without_them(client, program, x, serial, tmp_path):
    def stop(done, total):
        if done:
            raise KeyboardInterrupt

    options = {"steps": STEPS, "seed": 3, "partial": tmp_path / "run.npz"}
    with pytest.raises(Interrupted) as stopped:
        nd.run(program, x, dask=client, progress=stop, **options)
    assert 0 < stopped.value.done < len(x)
    seen = []
    recording = nd.run(program, x, resume=True, progress=lambda done, total: seen.append(done), **options)
    assert seen[0] == stopped.value.done
    assert_same_recording(recording, serial)
    assert list(tmp_path.iterdir()) == []


def test_workers_share_the_cores(client):
    assert set(client.run(cores).values()) == {max(1, cores() // WORKERS)}


def test_no_more_samples_are_read_than_workers_need(client, program, x):
    read, ahead = [0], []

    def rows(start, stop):
        read[0] = stop
        return x[start:stop]

    stored = Stored("x", x.shape, x.dtype, rows)
    assert stored.survey[0] is None  # looks through it
    nd.run(program, stored, steps=9, dask=client, progress=lambda done, _: ahead.append(read[0] - done))
    assert 0 < max(ahead[1:]) <= cluster.AHEAD * WORKERS * 128


def test_an_error_of_the_users_is_theirs_on_workers_too(client, program, x):
    with pytest.raises(OptionError, match="steps is 0"):
        nd.run(program, x, steps=0, dask=client)
    with pytest.raises(DataError, match="63 values"):
        nd.run(program, np.zeros((4, 63)), dask=client)


def test_a_cluster_that_is_not_there_is_one_message(monkeypatch):
    monkeypatch.setattr(cluster, "CONNECT", 0.3)
    nobody = r"no Dask scheduler answers at 'tcp://127\.0\.0\.1:9'"
    with pytest.raises(ClusterError, match=nobody), connect(dask="tcp://127.0.0.1:9"):
        pass


@pytest.mark.parametrize(
    ("options", "message"),
    [({}, "one of the two"), ({"workers": 1, "dask": "a"}, "one of the two"), ({"workers": 0}, "at least 1")],
)
def test_workers_are_asked_for_in_one_way(options, message):
    with pytest.raises(OptionError, match=message), connect(**options):
        pass


def test_without_dask_there_is_one_sentence(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    install = r"needs distributed.*pip install 'neurodeploy\[dask\]'"
    with pytest.raises(MissingExtra, match=install), connect(workers=1):
        pass


# --- from the command line --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def folder(tmp_path_factory, program, x):
    here = tmp_path_factory.mktemp("scaleout")
    np.savez(here / "test.npz", x=x, y=np.concatenate([digits().y_test] * 4))
    nd.save(program.graph, here / "mlp.nd")
    return here


def figures(path):
    return {k: v for k, v in json.loads(path.read_text()).items() if "second" not in k}


def test_ctrl_c_at_a_terminal_leaves_shards_and_resuming_gives_the_whole(folder, tmp_path, ctrl_c):
    argv = ["run", folder / "mlp.nd", "--data", folder / "test.npz", "--backend", "nengo-loihi",
            "--limit", "48", "--steps", "20", "--json"]  # fmt: skip
    argv, out = [str(a) for a in argv], tmp_path / "run.json"
    running = subprocess.Popen(
        [sys.executable, "-m", "neurodeploy", *argv, str(out), "--workers", "2"],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    while not list(tmp_path.rglob("0*.npz")) and running.poll() is None:
        time.sleep(0.02)
    os.killpg(running.pid, signal.SIGINT)  # as a terminal does it: the whole group
    _, err = running.communicate(timeout=60)
    assert running.returncode == 130, err
    assert "Traceback" not in err
    assert "--resume goes on" in err
    assert main([*argv, str(out), "--resume"]) == 0
    assert [p.name for p in tmp_path.iterdir()] == ["run.json"]
    assert main([*argv, str(tmp_path / "whole.json")]) == 0
    assert figures(out) == figures(tmp_path / "whole.json")


def test_no_logger_of_dask_speaks_to_our_user_and_all_have_their_levels_back():
    pytest.importorskip("distributed")
    own = logging.getLogger("distributed.client")  # has a level of its own, of Dask's configuration
    before = own.level
    with cluster._quiet():
        assert not own.isEnabledFor(logging.CRITICAL)
        assert not logging.getLogger("distributed.scheduler").isEnabledFor(logging.CRITICAL)
    assert own.level == before
