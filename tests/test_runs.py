import signal

import numpy as np
import pytest

from neurodeploy.errors import DataError
from neurodeploy.recording import Recording, concatenate
from neurodeploy.runs import Interrupted, Partial, key_of, load_partial, run_in_chunks

X = np.arange(10.0)[:, None]


def session(x, first):
    """Doubles its input; spikes as often as the sample's index in the whole run."""
    index = first + np.arange(len(x))
    raster = {"a": np.array([[0, 1]], np.int32)} if first == 0 else {}
    return Recording(
        2 * x, np.zeros((len(x), 3), np.int16), {"a": index}, {"a": 5 * index}, raster,
        backend="test", steps=3, seconds=0.5,
    )  # fmt: skip


def stopping_at(sample):
    def stop(x, first):
        if first >= sample:
            raise KeyboardInterrupt
        return session(x, first)

    return stop


def run(session, partial=None, progress=None):
    return run_in_chunks(session, X, prepare=np.asarray, size=4, partial=partial, progress=progress)


def assert_same(a, b):
    assert np.array_equal(a.outputs, b.outputs)
    assert np.array_equal(a.decisions, b.decisions)
    for group in ("spikes", "synops", "raster"):
        assert getattr(a, group).keys() == getattr(b, group).keys()
        assert all(np.array_equal(v, getattr(b, group)[k]) for k, v in getattr(a, group).items())
    assert (a.backend, a.steps, a.seconds, a.seed, a.dt) == (b.backend, b.steps, b.seconds, b.seed, b.dt)


def test_chunks_are_told_where_they_begin_and_come_back_in_order():
    recording = run(session)
    assert np.array_equal(recording.outputs, 2 * X)
    assert np.array_equal(recording.spikes["a"], np.arange(10))
    assert recording.seconds == 1.5


def test_progress_goes_from_nothing_to_all():
    seen = []
    run(session, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(0, 10), (4, 10), (8, 10), (10, 10)]


def test_ctrl_c_twice_keeps_what_the_first_one_stopped(tmp_path, monkeypatch, ctrl_c):
    def impatient(parts):
        signal.raise_signal(signal.SIGINT)
        return concatenate(parts)

    monkeypatch.setattr("neurodeploy.runs.concatenate", impatient)
    with pytest.raises(KeyboardInterrupt):
        run(stopping_at(4), Partial(tmp_path / "r.npz", "key"))
    assert len(load_partial(tmp_path / "r.npz", "key")) == 4


@pytest.mark.parametrize("stop", [4, 8])
def test_an_interrupted_and_resumed_run_equals_an_uninterrupted_one(tmp_path, stop):
    path = tmp_path / "r.partial.npz"
    with pytest.raises(Interrupted, match=f"after {stop} of 10"):
        run(stopping_at(stop), Partial(path, "key"))
    assert len(load_partial(path, "key")) == stop
    assert_same(run(session, Partial(path, "key", resume=True)), run(session))
    assert list(tmp_path.iterdir()) == []


def test_without_the_word_resume_a_run_begins_anew(tmp_path):
    path = tmp_path / "r.partial.npz"
    with pytest.raises(Interrupted):
        run(stopping_at(4), Partial(path, "key"))
    seen = []
    run(session, Partial(path, "key"), progress=lambda done, total: seen.append(done))
    assert seen[0] == 0


def test_an_interruption_before_the_first_chunk_leaves_nothing(tmp_path):
    with pytest.raises(Interrupted) as stop:
        run(stopping_at(0), Partial(tmp_path / "r.partial.npz", "key"))
    assert stop.value.recording is None
    assert list(tmp_path.iterdir()) == []


def test_another_runs_partial_recording_is_not_resumed(tmp_path):
    path = tmp_path / "r.partial.npz"
    with pytest.raises(Interrupted):
        run(stopping_at(4), Partial(path, "key"))
    with pytest.raises(DataError, match="left from another run"):
        run(session, Partial(path, "other key", resume=True))


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"\x80\x04K\x01."])
def test_a_damaged_partial_recording_is_refused(tmp_path, content):
    path = tmp_path / "r.partial.npz"
    path.write_bytes(content)
    with pytest.raises(DataError, match="damaged"):
        run(session, Partial(path, "key", resume=True))


def test_a_long_run_is_saved_while_it_goes_on(tmp_path, monkeypatch):
    monkeypatch.setattr("neurodeploy.runs.SAVE_EVERY", 0.0)
    path = tmp_path / "r.partial.npz"

    def killed_at_8(x, first):
        if first == 8:
            raise RuntimeError("power failure")
        return session(x, first)

    with pytest.raises(RuntimeError):
        run(killed_at_8, Partial(path, "key"))
    assert len(load_partial(path, "key")) == 8


def test_the_key_depends_on_samples_and_options():
    keys = {key_of(X, steps=3), key_of(X, steps=4), key_of(X[:9], steps=3), key_of(X + 1, steps=3)}
    assert len(keys) == 4
    assert key_of(X.copy(), steps=3) in keys
