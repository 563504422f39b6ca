"""Outputs of the command line: never over an input, nor over each other; links and streams stay."""

import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

import neurodeploy as nd
from neurodeploy.cli import main
from neurodeploy.errors import OutputError
from neurodeploy.files import write_beside
from tools.golden import network

ROOT = Path(__file__).resolve().parents[1]
MLP = ROOT / "models" / "digits_mlp.keras"
RUN = ["run", "net.nd", "--data", "data.npz", "--backend", "rate"]


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder with a network, samples and a run's figures in it."""
    monkeypatch.chdir(tmp_path)
    nd.save(network(), "net.nd")
    x = np.linspace(0, 1, 24).reshape(6, 4)
    np.savez("data.npz", x=x, y=np.arange(6) % 3)
    assert main([*RUN, "--json", "run.json"]) == 0
    return tmp_path


def content(folder):
    return {
        str(p.relative_to(folder)): os.readlink(p) if p.is_symlink() else p.read_bytes()
        for p in folder.rglob("*")
        if p.is_symlink() or p.is_file()
    }


def refused(place, capsys, *argv):
    before = content(place)
    capsys.readouterr()
    assert main([str(a) for a in argv]) == 2
    out, err = capsys.readouterr()
    assert content(place) == before
    assert out == ""
    assert err.count("\n") == 1
    return err


# --- inputs and other outputs -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ([*RUN, "--json", "net.nd"], "--json would overwrite FILE"),
        ([*RUN, "--json", "./net.nd"], "--json would overwrite FILE"),
        ([*RUN, "--json", "link.nd"], "--json would overwrite FILE"),
        ([*RUN, "--json", "hard.nd"], "--json would overwrite FILE"),
        ([*RUN, "--outputs", "data.npz"], "--outputs would overwrite --data"),
        ([*RUN, "--json", "new", "--outputs", "new"], "--outputs would overwrite --json"),
        ([*RUN, "--json", "new", "--outputs", "new.partial.npz"], "would overwrite --outputs"),
        ([*RUN, "--target", "chip.toml", "--json", "chip.toml"], "--json would overwrite --target"),
        (["run", MLP, "--data", "data.npz", "--calibration", "c.npz", "--json", "c.npz"], "--calibration"),
        (["run", "net.nd", "--data", "data.zarr", "--json", "data.zarr/zarr.json"], "overwrite --data"),
        (["learn", "net.nd", "--data", "data.npz", "--rule", "pes", "-o", "net.nd"], "would overwrite FILE"),
        (["convert", "link.nd", "-o", "net.nd"], "-o would overwrite MODEL"),
        (["convert", MLP, "--calibration", "data.npz", "-o", "data.npz"], "would overwrite --calibration"),
        (["report", "out/report.json", "-o", "out"], "report.json would overwrite RUN.json"),
        (["report", "out/report.json", "-o", "out/../out"], "report.json would overwrite RUN.json"),
        (["demo", "-o", "demo"], "demo.png would overwrite the embedded model"),
    ],
    ids=lambda value: " ".join(map(str, value)) if isinstance(value, list) else "",
)  # fmt: skip
def test_an_output_in_the_place_of_an_input_or_of_another_output(place, capsys, monkeypatch, argv, message):
    Path("link.nd").symlink_to("net.nd")
    Path("hard.nd").hardlink_to("net.nd")
    for name in ("c.npz", "chip.toml"):
        Path(name).write_text("")
    for name in ("data.zarr", "demo", "out"):
        Path(name).mkdir()
    Path("data.zarr/zarr.json").write_text("{}")
    Path("out/report.json").write_bytes(Path("run.json").read_bytes())
    embedded = place / "model.keras"
    embedded.write_text("a model")
    Path("demo/demo.png").symlink_to(embedded)
    monkeypatch.setattr("neurodeploy.cli.demo.model_path", lambda name: embedded)
    assert message in refused(place, capsys, *argv)


def test_a_bundle_does_not_take_away_what_somebody_has_put_into_its_folder(place, capsys):
    assert main(["deploy", "net.nd", "-o", "bundle"]) == 0
    assert main(["deploy", "net.nd", "-o", "bundle"]) == 0
    Path("bundle/net.nd").write_bytes(Path("net.nd").read_bytes())
    assert "'net.nd' in it is not of the bundle" in refused(
        place, capsys, "deploy", "bundle/net.nd", "-o", "bundle"
    )


def test_a_bundle_does_not_take_the_place_of_the_folder_one_is_in(place, capsys):
    Path("here").mkdir()
    os.chdir("here")
    assert "name another" in refused(place, capsys, "deploy", "../net.nd", "-o", ".")


@pytest.mark.parametrize("name", ["learned.txt", "learned"])
def test_learning_writes_only_what_a_run_can_read(place, capsys, name):
    argv = ["learn", "net.nd", "--data", "data.npz", "--rule", "pes", "-o", name]
    assert "written as .nd" in refused(place, capsys, *argv)


def test_a_folder_is_an_input_only_where_it_is_one_of_zarr(place, capsys):
    assert "is a folder" in refused(place, capsys, "convert", ".", "-o", "new.nd")


# --- links ------------------------------------------------------------------------------------------------


def test_a_link_stays_one_and_what_it_leads_to_is_written(place):
    Path("there").mkdir()
    Path("there/old.json").write_text("old")
    Path("old.json").symlink_to("there/old.json")
    Path("new.json").symlink_to("there/new.json")
    for name in ("old.json", "new.json"):
        assert main([*RUN, "--json", name]) == 0
        assert Path(name).is_symlink()
        assert json.loads(Path("there", name).read_text())["samples"] == 6
    assert sorted(os.listdir("there")) == ["new.json", "old.json"]


def test_a_link_that_leads_round_is_refused(place, capsys):
    Path("round").symlink_to("round")
    assert "leads back to itself" in refused(place, capsys, *RUN, "--json", "round")


def test_a_file_that_is_replaced_keeps_its_permissions(tmp_path):
    out = tmp_path / "a"
    write_beside(out, lambda beside: beside.write_text("old"))
    assert out.stat().st_mode & 0o111 == 0
    out.chmod(0o600)
    write_beside(out, lambda beside: beside.write_text("new"))
    assert (out.read_text(), out.stat().st_mode & 0o777) == ("new", 0o600)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anything")
def test_a_write_protected_file_is_refused(tmp_path):
    out = tmp_path / "a"
    out.touch(0o400)
    with pytest.raises(OutputError, match="write-protected"):
        write_beside(out, lambda beside: beside.write_text("new"))


def test_a_name_as_long_as_names_can_be(tmp_path):
    out = tmp_path / f"{'a' * 250}.json"
    write_beside(out, lambda beside: beside.write_text("{}"))
    assert os.listdir(tmp_path) == [out.name]


# --- streams ----------------------------------------------------------------------------------------------


def command(*argv, **options):
    return subprocess.run(
        [sys.executable, "-P", "-m", "neurodeploy", *argv], timeout=120, check=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)}, **options,
    )  # fmt: skip


def test_figures_go_to_standard_output_alone(place):
    done = command(*RUN, "--json", "/dev/stdout", capture_output=True)
    assert json.loads(done.stdout)["samples"] == 6
    assert b"run card" in done.stderr


def test_a_file_that_standard_output_goes_to_is_added_to(place):
    with open("all.txt", "wb") as out:
        out.write(b"before\n")
        out.flush()
        command(*RUN, "--json", "/dev/stdout", "--outputs", "/dev/null", stdout=out, stderr=subprocess.PIPE)
    before, _, rest = Path("all.txt").read_text().partition("\n")
    assert before == "before"
    assert json.loads(rest)["samples"] == 6


def test_what_goes_to_the_null_device_is_gone_and_the_device_is_there(place):
    before = os.stat("/dev/null")
    Path("gone.nd").symlink_to("/dev/null")
    assert main([*RUN, "--json", "/dev/null", "--outputs", "/dev/null"]) == 0
    assert main(["convert", str(MLP), "-o", "gone.nd"]) == 0
    assert os.path.samestat(before, os.stat("/dev/null"))
    assert Path("gone.nd").is_symlink()


def test_a_pipe_with_a_name_takes_figures(place):
    os.mkfifo("pipe")
    got = []
    reader = threading.Thread(target=lambda: got.append(Path("pipe").read_text()))
    reader.start()
    assert main([*RUN, "--json", "pipe"]) == 0
    reader.join(60)
    assert json.loads(got[0])["samples"] == 6
    assert Path("pipe").is_fifo()


def test_there_is_nothing_to_resume_beside_a_stream(place, capsys):
    assert "--json as a file" in refused(place, capsys, *RUN, "--json", "/dev/null", "--resume")


def test_a_socket_is_refused(place, capsys):
    import socket

    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket")
        assert "neither a file nor a stream" in refused(place, capsys, *RUN, "--json", "socket")


# --- what is read from the outputs ------------------------------------------------------------------------


def test_a_report_is_written_also_if_nobody_reads_what_is_printed(place):
    pipe = subprocess.Popen(
        [sys.executable, "-P", "-m", "neurodeploy", "report", "run.json", "-o", "out"],
        env=os.environ | {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    pipe.stdout.close()
    assert pipe.wait(120) == 141
    assert sorted(os.listdir("out")) == ["report.json", "report.png", "report.txt"]


def test_escapes_in_a_file_do_not_reach_the_terminal(place, capsys):
    figures = json.loads(Path("run.json").read_text())
    figures["card"]["model"] = "\x1b]0;gotcha\x07"
    Path("bad.json").write_text(json.dumps(figures))
    assert main(["report", "bad.json"]) == 0
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert r"\x1b]0;gotcha\x07" in out


def test_resuming_where_nothing_was_left_is_told(place, capsys):
    assert main([*RUN, "--json", "new.json", "--resume"]) == 0
    assert "there is nothing to resume beside 'new.json'" in capsys.readouterr().err


def test_findings_as_json_are_json_also_with_a_pass_printed(place, capsys):
    assert main(["check", "net.nd", "--format", "json", "--print-after", "place"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["format"] == "neurodeploy model 1"
    assert "program golden for loihi1" in err


@pytest.mark.parametrize("backend", ["rate", "nengo"])
def test_a_chip_that_is_not_known_is_refused_also_where_none_is_needed(place, capsys, backend):
    argv = ["run", "net.nd", "--data", "data.npz", "--backend", backend, "--target", "foo"]
    assert "foo" in refused(place, capsys, *argv)
