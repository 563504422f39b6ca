"""Files are written whole, also under Ctrl-C, and never over an input or another output."""

import signal
import threading
import time
import zipfile

import pytest

from neurodeploy.files import new_group, new_hdf5, open_hdf5, uninterrupted, write_beside


def press_ctrl_c(beside):
    with zipfile.ZipFile(beside, "w") as archive:
        archive.writestr("before", b"x")
        signal.raise_signal(signal.SIGINT)
        archive.writestr("after", b"x")


def test_ctrl_c_waits_until_a_file_is_whole(tmp_path, ctrl_c):
    out = tmp_path / "a.npz"
    with pytest.raises(KeyboardInterrupt):
        write_beside(out, press_ctrl_c)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert zipfile.ZipFile(out).namelist() == ["before", "after"]
    assert list(tmp_path.iterdir()) == [out]


def test_ctrl_c_in_a_write_that_fails_is_not_lost(tmp_path, ctrl_c):
    def fail(beside):
        signal.raise_signal(signal.SIGINT)
        raise OSError("full")

    with pytest.raises(KeyboardInterrupt):
        write_beside(tmp_path / "a", fail)
    assert list(tmp_path.iterdir()) == []


def test_blocks_inside_each_other_hold_it_to_the_end_of_the_outermost(ctrl_c):
    steps = []

    @uninterrupted()
    def outer():
        with uninterrupted():
            signal.raise_signal(signal.SIGINT)
            steps.append("inner")
        steps.append("outer")

    with pytest.raises(KeyboardInterrupt):
        outer()
    assert steps == ["inner", "outer"]


def test_where_ctrl_c_is_ignored_it_stays_ignored(tmp_path, ctrl_c):
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    write_beside(tmp_path / "a.npz", press_ctrl_c)
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN


def test_other_threads_write_without_touching_signals(tmp_path):
    def write():
        write_beside(tmp_path / "a", lambda beside: beside.write_bytes(b"x"))

    thread = threading.Thread(target=write)
    thread.start()
    thread.join(60)
    assert [p.name for p in tmp_path.iterdir()] == ["a"]


def test_an_hdf5_file_says_nothing_of_when_it_was_made(tmp_path, monkeypatch):
    made = []
    for name in ("a.h5", "b.h5"):
        with new_hdf5(tmp_path / name) as file:
            inner = new_group(new_group(file, "größe"), "inner")
            inner.create_dataset("x", data=[1, 2], track_times=False)
        made.append((tmp_path / name).read_bytes())
        time.sleep(1.1)  # HDF5 counts whole seconds
    assert made[0] == made[1]
    with open_hdf5(tmp_path / "a.h5") as file:
        assert list(file["größe/inner/x"]) == [1, 2]
