"""What tools/bootstrap.py decides: which Python, which folder, which commands."""

import ast
import importlib.util
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "tools" / "bootstrap.py"
PIN = re.compile(r"[a-z0-9-]+==[0-9][0-9a-z.]*")


@pytest.fixture(scope="module")
def bootstrap():
    spec = importlib.util.spec_from_file_location("bootstrap", SOURCE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def nothing(name):
    return False


def everything(name):
    return True


def test_it_parses_on_an_old_python_so_that_the_sentence_is_printed():
    ast.parse(SOURCE.read_text(), feature_version=(3, 6))


@pytest.mark.parametrize("version", [(3, 11, 0), (3, 12, 1), (3, 13, 0), (3, 14, 9)])
def test_python_with_pins_is_taken(bootstrap, version):
    bootstrap.check_version(version, "python3", nothing)


@pytest.mark.parametrize("version", [(3, 6, 15), (3, 10, 13), (3, 15, 0), (4, 0, 0)])
def test_python_without_pins_gets_one_sentence_with_a_command(bootstrap, version):
    with pytest.raises(bootstrap.TroubleError) as error:
        bootstrap.check_version(version, "python3", nothing)
    assert "apt-get install python3.11-venv" in str(error.value)
    assert "\n" not in str(error.value)


def test_python_that_is_too_old_names_the_one_that_is_there(bootstrap):
    with pytest.raises(bootstrap.TroubleError, match=r"Python 3\.9, older .*python3\.13 tools/bootstrap"):
        bootstrap.check_version((3, 9, 2), "/usr/bin/python3", everything)


@pytest.mark.parametrize(
    ("script", "is_one"),
    [
        ("echo 3 12", True),
        ("echo 3 9", False),
        ("echo 'pyenv: python3.12: command not found' >&2; exit 127", False),
        ("echo hello", False),
    ],
)
def test_a_python_is_named_only_if_it_runs(bootstrap, tmp_path, monkeypatch, script, is_one):
    python = tmp_path / "python3.12"
    python.write_text(f"#!/bin/sh\n{script}\n")
    python.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    assert bootstrap.runs("python3.12") is is_one
    assert not bootstrap.runs("python9.9")


def test_python_without_ensurepip_gets_the_package_of_its_own_version(bootstrap):
    def no_ensurepip(name):
        return None if name == "ensurepip" else object()

    with pytest.raises(bootstrap.TroubleError, match=r"lacks ensurepip.*apt-get install -y python3\.12-venv"):
        bootstrap.check_tools((3, 12, 3), None, no_ensurepip)
    bootstrap.check_tools((3, 12, 3), "/usr/bin/uv", no_ensurepip)


def make_env(bootstrap, folder, *, marker=True, stamp=None, python=True):
    folder.mkdir()
    if python:
        python_path = Path(bootstrap.python_in(str(folder)))
        python_path.parent.mkdir()
        python_path.touch()
    if marker:
        (folder / bootstrap.MARKER).touch()
    if stamp is not None:
        (folder / bootstrap.STAMP).write_text(stamp)
    return str(folder)


def test_finished_environment_is_used_again(bootstrap, tmp_path):
    env = make_env(bootstrap, tmp_path / "env", stamp="abc")
    assert bootstrap.state_of(env, "abc") == "ready"


@pytest.mark.parametrize(
    "made",
    [
        pytest.param({"stamp": None}, id="installation was interrupted"),
        pytest.param({"stamp": "old"}, id="dependencies changed"),
        pytest.param({"stamp": "abc", "python": False}, id="its Python was removed"),
    ],
)
def test_environment_that_does_not_fit_is_made_again(bootstrap, tmp_path, made):
    assert bootstrap.state_of(make_env(bootstrap, tmp_path / "env", **made), "abc") == "make"


def test_missing_or_empty_folder_is_made(bootstrap, tmp_path):
    assert bootstrap.state_of(str(tmp_path / "none"), "abc") == "make"
    assert bootstrap.state_of(str(tmp_path), "abc") == "make"


def test_a_file_in_the_place_of_the_environment_is_left_alone(bootstrap, tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to("nowhere")
    assert bootstrap.state_of(str(tmp_path / "file"), "abc") == "foreign"
    assert bootstrap.state_of(str(tmp_path / "link"), "abc") == "foreign"


def test_disk_space_is_that_of_the_folder_above_what_has_to_be_made(bootstrap, tmp_path):
    bootstrap.check_disk(str(tmp_path / "not" / "made" / "yet"), free=bootstrap.DISK_GIB << 30)
    with pytest.raises(bootstrap.TroubleError, match=f"{tmp_path} has"):
        bootstrap.check_disk(str(tmp_path / "not" / "made" / "yet"), free=1)


@pytest.mark.parametrize("inside", ["", "/inside"])
def test_an_environment_that_cannot_be_made_is_one_sentence(tmp_path, inside):
    (tmp_path / "file").touch()
    command = [sys.executable, str(SOURCE), "test", "--env", f"{tmp_path}/file{inside}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert "--env FOLDER" in done.stderr.splitlines()[-1]
    assert (tmp_path / "file").is_file()


def test_environment_somebody_else_made_is_left_alone(bootstrap, tmp_path):
    env = make_env(bootstrap, tmp_path / "env", marker=False, stamp="abc")
    assert bootstrap.state_of(env, "abc") == "foreign"


def test_stamp_changes_with_what_is_installed_and_with_nothing_else(bootstrap):
    toml = '[project]\nname = "x"\n[build-system]\nrequires = []\n[tool.ruff]\nline-length = {}\n'
    same = bootstrap.stamp_of(toml.format(100), "a==1", (3, 11, 1), "/here")
    assert bootstrap.stamp_of(toml.format(110), "a==1", (3, 11, 1), "/here") == same
    for other in [
        (toml.format(100).replace("x", "y"), "a==1", (3, 11, 1), "/here"),
        (toml.format(100), "a==2", (3, 11, 1), "/here"),
        (toml.format(100), "a==1", (3, 11, 2), "/here"),
        (toml.format(100), "a==1", (3, 11, 1), "/there"),
    ]:
        assert bootstrap.stamp_of(*other) != same


@pytest.mark.parametrize("uv", [None, "/usr/bin/uv"])
def test_build_tools_come_before_what_is_built_with_them(bootstrap, uv):
    make, tools, project = bootstrap.install_commands("/env", "pins.txt", "a==1\nnengo-dl==3.6.0\n", uv)
    assert make[-1] == "/env"
    assert tools[-4:] == bootstrap.BUILD_TOOLS
    assert project[-1] == "nengo-dl==3.6.0"
    assert "--no-build-isolation" in project
    assert all("pins.txt" in command for command in (tools, project))


def test_nengo_dl_is_left_out_where_it_has_no_pin(bootstrap):
    *_, project = bootstrap.install_commands("/env", "pins.txt", "a==1\n", None)
    assert project[-1].endswith("[dl,dev]")


def test_installing_writes_bytecode_and_ignores_paths_of_other_environments(bootstrap):
    environ = {"PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": "/x", "VIRTUAL_ENV": "/y", "HOME": "/root"}
    cleaned = bootstrap.clean_environ(environ)
    assert cleaned["HOME"] == "/root"
    assert not {"PYTHONDONTWRITEBYTECODE", "PYTHONPATH", "VIRTUAL_ENV"} & set(cleaned)


def test_full_disk_is_said_before_anything_is_installed(bootstrap, tmp_path):
    bootstrap.check_disk(str(tmp_path), free=bootstrap.DISK_GIB << 30)
    with pytest.raises(bootstrap.TroubleError, match=r"5\.0 GiB free.*--env"):
        bootstrap.check_disk(str(tmp_path), free=(bootstrap.DISK_GIB << 30) - 1)


def test_failed_step_ends_in_the_log_and_leaves_no_stamp(bootstrap, tmp_path, monkeypatch):
    failing = [sys.executable, "-c", "print('no network here'); raise SystemExit(1)"]
    monkeypatch.setattr(bootstrap, "install_commands", lambda *arguments: [failing])
    monkeypatch.setattr(bootstrap, "check_disk", lambda folder: None)
    env = str(tmp_path / "env")
    with pytest.raises(bootstrap.TroubleError, match="no network here"):
        bootstrap.make(env, "abc", "pins.txt", "")
    assert bootstrap.state_of(env, "abc") == "make"


def test_options_it_does_not_know_go_to_the_command(bootstrap):
    options, passed_on = bootstrap.parse(["test", "--env", "here", "-k", "floors", "--lf"])
    assert (options.command, options.env) == ("test", "here")
    assert passed_on == ["-k", "floors", "--lf"]


def test_unknown_python_exits_with_2_and_one_sentence(tmp_path):
    command = [sys.executable, str(SOURCE), "test", "--python", "python9.9", "--env", str(tmp_path / "env")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "env").exists()


def test_help_names_both_commands():
    done = subprocess.run([sys.executable, str(SOURCE), "--help"], capture_output=True, text=True, check=True)
    assert "bootstrap.py demo" in done.stdout
    assert "bootstrap.py test" in done.stdout


def test_every_supported_python_has_plain_pins(bootstrap):
    for minor in range(bootstrap.OLDEST[1], bootstrap.NEWEST[1] + 1):
        lines = (ROOT / "tools" / "constraints" / f"py3{minor}.txt").read_text().splitlines()
        odd = [line for line in lines if not line.startswith("#") and not PIN.fullmatch(line)]
        assert odd == []


def test_every_direct_dependency_is_pinned():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    chosen = ("dl", "dask", "zarr", "dev", "test")
    wanted = [*project["dependencies"], *(line for extra in chosen for line in extras[extra])]
    names = {re.match(r"[A-Za-z0-9-]+", line).group() for line in wanted} - {"neurodeploy"}
    for minor in (11, 12, 13):
        pins = (ROOT / "tools" / "constraints" / f"py3{minor}.txt").read_text().splitlines()
        assert names - {line.split("==")[0] for line in pins} == set()
