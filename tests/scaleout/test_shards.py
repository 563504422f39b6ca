"""Runs in shards: any size, any order, any end, the same recording."""

import itertools
import signal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurodeploy.errors import DataError
from neurodeploy.recording import Recording
from neurodeploy.runs import Interrupted, Partial, save_partial
from neurodeploy.scaleout import shards
from neurodeploy.scaleout.shards import Shard, folder_of, in_folder, missing, run_in_shards, shard_size
from neurodeploy.testing import assert_same_recording

X = np.arange(22.0)[:, None]
CHUNK = 4


def run(x, first):
    """Doubles its input; spikes as often as the sample's index in the whole run."""
    index = first + np.arange(len(x))
    raster = {"a": np.array([[0, first]], np.int32)}
    return Recording(2 * x, np.zeros((len(x), 3), np.int16), {"a": index}, {"a": 5 * index}, raster, steps=3)


def forwards(tasks):
    return ((shard, run(x, shard.start)) for shard, x in tasks)


def backwards(tasks):
    return iter(list(forwards(tasks))[::-1])


def stopping_after(count, how=KeyboardInterrupt):
    def engine(tasks):
        yield from itertools.islice(forwards(tasks), count)
        raise how

    return engine


@pytest.fixture
def partial(tmp_path):
    return Partial(tmp_path / "run.json.partial.npz", "key", resume=True)


@pytest.mark.parametrize("engine", [forwards, backwards])
@pytest.mark.parametrize("size", [4, 8, 20, 24])
def test_the_recording_is_that_of_one_piece(engine, size, partial):
    for kept in (None, partial):
        assert_same_recording(run_in_shards(engine, X, size=size, partial=kept), run(X, 0))
    assert list(partial.path.parent.iterdir()) == []


def test_a_shard_whose_writing_ctrl_c_waited_for_counts_as_done(partial, monkeypatch, ctrl_c):
    def interrupted(*args):
        save_partial(*args)
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(shards, "save_partial", interrupted)
    with pytest.raises(Interrupted, match="after 8 of 22") as stop:
        run_in_shards(forwards, X, size=8, partial=partial)
    assert len(stop.value.recording) == 8
    assert in_folder(partial.path) == [Shard(0, 8)]


@given(
    done=st.lists(st.integers(0, 24), unique=True, max_size=8).map(sorted),
    total=st.integers(1, 100), size=st.integers(1, 5),
)  # fmt: skip
def test_what_is_missing_covers_every_sample_once_and_begins_at_chunks(done, total, size):
    kept = [Shard(CHUNK * k, min(CHUNK * (k + 1), total)) for k in done if CHUNK * k < total]
    found = list(missing(kept, total, CHUNK * size))
    covered = sorted(i for shard in [*kept, *found] for i in range(shard.start, shard.stop))
    assert covered == list(range(total))
    assert all(shard.start % CHUNK == 0 and 0 < len(shard) <= CHUNK * size for shard in found)


@pytest.mark.parametrize("how", [KeyboardInterrupt, RuntimeError])
@pytest.mark.parametrize("sizes", [(4, 4), (4, 12), (8, 4)])
def test_a_run_that_stops_in_any_way_goes_on_with_shards_of_any_size(partial, how, sizes):
    before, after = sizes
    with pytest.raises((Interrupted, RuntimeError)):
        run_in_shards(stopping_after(2, how), X, size=before, partial=partial)
    assert in_folder(partial.path) == [Shard(0, before), Shard(before, 2 * before)]
    seen = []
    whole = run_in_shards(
        forwards, X, size=after, partial=partial, progress=lambda done, total: seen.append(done)
    )
    assert seen[0] == 2 * before
    assert_same_recording(whole, run(X, 0))
    assert list(partial.path.parent.iterdir()) == []


def test_an_interruption_tells_what_is_done_up_to_the_first_gap(partial):
    def gap(tasks):
        first, _, third = itertools.islice(forwards(tasks), 3)
        yield from (first, third)
        raise KeyboardInterrupt

    for kept in (None, partial):
        with pytest.raises(Interrupted, match="after 8 of 22 samples") as stop:
            run_in_shards(gap, X, size=4, partial=kept)
        assert_same_recording(stop.value.recording, run(X[:4], 0))


def test_a_damaged_shard_is_done_again_and_another_runs_is_refused(partial):
    with pytest.raises(Interrupted):
        run_in_shards(stopping_after(3), X, size=4, partial=partial)
    broken = folder_of(partial.path) / Shard(4, 8).name
    broken.write_bytes(broken.read_bytes()[:100])
    with pytest.raises(DataError, match="left from another run"):
        run_in_shards(forwards, X, size=4, partial=Partial(partial.path, "other", resume=True))
    assert_same_recording(run_in_shards(forwards, X, size=4, partial=partial), run(X, 0))


def test_what_a_run_without_shards_left_is_taken_over(partial):
    save_partial(partial.path, "key", run(X[:8], 0))
    seen = []
    whole = run_in_shards(
        forwards, X, size=4, partial=partial, progress=lambda done, total: seen.append(done)
    )
    assert seen[0] == 8
    assert_same_recording(whole, run(X, 0))


def test_without_the_word_resume_shards_are_removed_and_strangers_files_stay(partial):
    with pytest.raises(Interrupted):
        run_in_shards(stopping_after(2), X, size=4, partial=partial)
    (folder_of(partial.path) / "thesis.tex").write_text("...")
    seen = []
    anew = Partial(partial.path, "key")
    run_in_shards(forwards, X, size=4, partial=anew, progress=lambda done, total: seen.append(done))
    assert seen[0] == 0
    assert [p.name for p in partial.path.parent.rglob("*.*") if p.is_file()] == ["thesis.tex"]


def test_seconds_are_the_wall_time_of_all_that_was_done(partial, monkeypatch):
    clock = itertools.count()
    monkeypatch.setattr(shards.time, "monotonic", lambda: next(clock))
    with pytest.raises(Interrupted):
        run_in_shards(stopping_after(2), X, size=4, partial=partial)
    assert run_in_shards(forwards, X, size=4, partial=partial).seconds == 6


def test_shards_are_whole_chunks_small_enough_to_share_out_and_to_hold():
    many = np.zeros((100_000, 10), np.uint8)
    assert shard_size(many, chunk=128, workers=2) == 128 * shards.CHUNKS
    assert shard_size(many[:2048], chunk=128, workers=2) == 256
    assert shard_size(many[:100], chunk=128, workers=2) == 128
    wide = np.broadcast_to(np.uint8(0), (100_000, shards.BYTES // 256))
    assert shard_size(wide, chunk=128, workers=2) == 256
