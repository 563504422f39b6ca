"""Which module may import which, and how little `import neurodeploy` costs."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

import neurodeploy

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "neurodeploy"
MODULES = sorted(PACKAGE.rglob("*.py"))
MODULE_LINES, FUNCTION_LINES = 400, 60
LONG = {
    "run_on_host.py": "travels into bundles as one file",
}
"""Modules and functions that may be longer, with the reason."""
PRINTING = {"run_on_host.py"}
"""Modules outside the command line that print: the script that goes into bundles is a program of its own."""
HEAVY = {"tensorflow", "keras", "nengo", "nengo_loihi", "nengo_dl", "numba", "matplotlib", "scipy", "h5py"}


def run(*arguments):
    return subprocess.run([sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True, check=False)


def best_of_three(*arguments):
    """Processor seconds of the fastest of three runs, which other work on the machine hardly changes.

    Nothing here waits, so on a machine with nothing else to do this is what a user waits.
    """
    seconds = []
    for _ in range(3):
        started = spent_by_children()
        assert run(*arguments).returncode == 0
        seconds.append(spent_by_children() - started)
    return min(seconds)


def spent_by_children():
    times = os.times()
    return times.children_user + times.children_system


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


def test_every_public_name_is_typed_where_checkers_look():
    tree = ast.parse((PACKAGE / "__init__.py").read_text(encoding="utf-8"))
    guarded = next(node for node in tree.body if isinstance(node, ast.If))
    typed = {alias.name for node in guarded.body for alias in node.names}
    assert typed | {"__version__"} == set(neurodeploy.__all__)


def test_no_module_is_longer_than_400_lines():
    lines = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in MODULES}
    assert {str(p): n for p, n in lines.items() if n > MODULE_LINES and p.name not in LONG} == {}


def test_no_function_is_longer_than_60_lines_without_its_docstring():
    long = {}
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef):
                body = node.body[1:] if ast.get_docstring(node) else node.body
                length = body[-1].end_lineno - body[0].lineno + 1 if body else 0
                long |= {f"{path.name}:{node.name}": length} if length > FUNCTION_LINES else {}
    assert {name: n for name, n in long.items() if name not in LONG} == {}


def test_nothing_prints_but_the_command_line():
    printing = []
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print":
                printing.append(path)
    assert {p.name for p in printing if p.parent != PACKAGE / "cli"} <= PRINTING
