"""Which module may import which, and how little `import neurodeploy` costs."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
HEAVY = {"tensorflow", "keras", "nengo", "nengo_loihi", "nengo_dl", "numba", "matplotlib", "scipy", "h5py"}


def run(*arguments):
    return subprocess.run([sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True, check=False)


def best_of_three(*arguments):
    """Seconds of the fastest of three runs; other work on the machine can only add to them."""
    seconds = []
    for _ in range(3):
        started = time.perf_counter()
        assert run(*arguments).returncode == 0
        seconds.append(time.perf_counter() - started)
    return min(seconds)


def test_every_module_imports_from_lower_floors_only():
    pytest.importorskip("importlinter")
    program = "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports())"
    done = run("-c", program)
    assert done.returncode == 0, done.stdout + done.stderr


def test_importing_the_package_imports_nothing_heavy():
    done = run("-c", "import sys, neurodeploy; print(*sys.modules)")
    assert done.returncode == 0, done.stderr
    assert {name.split(".")[0] for name in done.stdout.split()} & HEAVY == set()


def test_importing_the_package_takes_less_than_a_quarter_second():
    bare = best_of_three("-c", "pass")
    assert best_of_three("-c", "import neurodeploy") - bare < 0.25


def test_help_answers_within_half_a_second():
    assert best_of_three("-m", "neurodeploy", "--help") < 0.5


def test_public_names_are_exactly_what_can_be_imported():
    code = "from neurodeploy import *; import neurodeploy; print(set(neurodeploy.__all__) - set(dir()))"
    done = run("-c", code)
    assert (done.returncode, done.stdout) == (0, "set()\n"), done.stderr
