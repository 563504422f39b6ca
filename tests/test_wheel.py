"""The wheel holds everything the command needs, and nothing else."""

import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

from neurodeploy.cli.demo import MODEL

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Build the wheel with what is installed here; no index is asked for anything."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "pip", "wheel", "--no-build-isolation", "--no-deps", "--no-index"]
    command = [*build, "--wheel-dir", str(folder), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (built,) = folder.glob("neurodeploy-*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """Unpack the wheel into a folder of its own, beside the dependencies of this environment."""
    folder = tmp_path_factory.mktemp("installed")
    install = ["pip", "install", "--no-deps", "--no-index", "--quiet", "--target", str(folder), str(wheel)]
    subprocess.run([sys.executable, "-m", *install], check=True)
    return folder


def neurodeploy(installed, *arguments, cwd):
    """Run the installed command from another folder, with the checkout out of reach."""
    start = f"import sys; sys.path[:0] = [{str(installed)!r}, {sysconfig.get_path('purelib')!r}]; "
    start += "from neurodeploy.cli import main; sys.exit(main())"
    command = [sys.executable, "-I", "-S", "-c", start, *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)


def test_wheel_carries_the_hardware_files_and_the_demos_model_and_no_tests(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    assert "neurodeploy/hardware/loihi1.toml" in names
    models = {name.rpartition("/")[2] for name in names if name.startswith("neurodeploy/models/")}
    assert models == {f"{MODEL}.keras", f"{MODEL}.md"}
    assert {name.split("/")[0] for name in names} == {"neurodeploy", "neurodeploy-0.1.0.dist-info"}


def test_every_module_of_the_checkout_is_in_the_wheel(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    here = {str(path.relative_to(ROOT)) for path in (ROOT / "neurodeploy").rglob("*.py")}
    assert here <= names


def test_command_from_the_wheel_tells_its_version(installed, tmp_path):
    done = neurodeploy(installed, "--version", cwd=tmp_path)
    assert (done.returncode, done.stdout.split()) == (0, ["neurodeploy", "0.1.0"]), done.stderr


def test_command_from_the_wheel_finds_its_hardware_files(installed, tmp_path):
    done = neurodeploy(installed, "targets", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "loihi1" in done.stdout
