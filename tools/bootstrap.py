"""From a bare Python to a running demonstration, or to a green test suite, in one command.

    python3 tools/bootstrap.py demo
    python3 tools/bootstrap.py test

Makes an environment of its own in ``.venv``, installs the pinned dependencies of ``tools/constraints`` and
the project (editable) into it, and runs the command there. A second call uses what is there; a change of the
dependencies, of the pins, of the Python or of the checkout's place makes it anew, and so does an
installation that did not come to its end. Options it does not know are passed on to the command. Standard
library only; uv is used where it is on the PATH, otherwise venv and pip.

This file must *parse* on every Python 3, so that a Python that is too old can be told so.
"""

import argparse
import contextlib
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from importlib.util import find_spec

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PINS = os.path.join(ROOT, "tools", "constraints")
OLDEST = (3, 11)
NEWEST = (3, 14)
MARKER = "made-by-bootstrap"  # a folder without it is not ours to replace
STAMP = "installed-by-bootstrap"  # written last: without it the installation did not end
DISK_GIB = 5
BUILD_TOOLS = ["setuptools", "wheel", "hatchling", "editables"]


class TroubleError(Exception):
    """Something the user can mend; the message ends in the command that does."""


def name_of(version):
    """Write a version as people do: (3, 11, 2) is 3.11."""
    return "{}.{}".format(*version[:2])


def version_of(python):
    """Ask a Python for its version; None if it does not run, as pyenv's stand-ins for what is not chosen."""
    try:
        told = subprocess.check_output(
            [python, "-c", "import sys; print(*sys.version_info[:2])"], stderr=subprocess.DEVNULL, timeout=60
        )
        return tuple(map(int, told.split()))
    except (OSError, ValueError, subprocess.SubprocessError):
        return None


def runs(name):
    """Whether a Python of this name, as python3.12, is on the PATH, runs, and is what its name says."""
    path = shutil.which(name)
    return path is not None and version_of(path) == tuple(map(int, name[len("python") :].split(".")))


def check_version(version, executable, runs=runs):
    """Refuse a Python without pins, naming one that is there and would do."""
    if OLDEST <= tuple(version[:2]) <= NEWEST:
        return
    too = "older than 3.11, the oldest" if tuple(version[:2]) < OLDEST else "newer than the newest"
    found = [name for name in ("python3.13", "python3.12", "python3.11") if runs(name)]
    if found:
        mend = f"{found[0]} tools/bootstrap.py (it is on this machine)"
    else:
        mend = "python3.11 or newer, from: apt-get install python3.11-venv, or: uv python install 3.13"
    raise TroubleError(f"{executable} is Python {name_of(version)}, {too} neurodeploy runs on; use: {mend}")


def check_tools(version, uv, has=find_spec):
    """Refuse a Python that cannot make environments (Debian splits that part off), unless uv is there."""
    missing = [] if uv else [name for name in ("venv", "ensurepip") if has(name) is None]
    if missing:
        package = f"python{name_of(version)}-venv"
        raise TroubleError(
            f"this Python {name_of(version)} cannot make environments, it lacks {' and '.join(missing)}; "
            f"on Debian and Ubuntu run as root: apt-get install -y {package}"
        )


def state_of(env, stamp):
    """Tell whether an environment is ready, must be made, or something else is in its place."""
    if not os.path.isdir(env):
        return "foreign" if os.path.lexists(env) else "make"
    if not os.listdir(env):
        return "make"
    if not os.path.isfile(os.path.join(env, MARKER)):
        return "foreign"
    with contextlib.suppress(OSError), open(os.path.join(env, STAMP), encoding="utf-8") as file:
        if file.read() == stamp and os.path.exists(python_in(env)):
            return "ready"
    return "make"


def stamp_of(pyproject, pins, version, root):
    """Digest all that decides what is installed: dependencies, pins, Python, and where the checkout is."""
    import tomllib

    tables = tomllib.loads(pyproject)
    chosen = [tables["project"], tables["build-system"], pins, list(version), root]
    return hashlib.sha256(json.dumps(chosen, sort_keys=True).encode()).hexdigest()


def python_in(env):
    """Path of an environment's Python."""
    return os.path.join(env, *(["Scripts", "python.exe"] if os.name == "nt" else ["bin", "python"]))


def install_commands(env, pins_path, pins, uv):
    """Commands that fill an empty folder, in order.

    The sdist of nengo-dl asks for a setuptools that does not run on Python 3.12 and later, so nothing is
    built in isolation: the pinned build tools come first and build everything. Its line among the pins says
    whether this Python can have it.
    """
    python = python_in(env)
    if uv:
        make = [uv, "venv", "--allow-existing", "--python", sys.executable, env]
        install = [uv, "pip", "install", "--python", python, "--compile-bytecode"]
    else:
        make = [sys.executable, "-m", "venv", env]
        install = [python, "-m", "pip", "install", "--progress-bar", "off"]
    install += ["--constraint", pins_path]
    apart = [line for line in pins.split() if line.startswith("nengo-dl==")]
    return [
        make,
        [*install, *BUILD_TOOLS],
        [*install, "--no-build-isolation", "--editable", ROOT + "[dl,dev]", *apart],
    ]


def clean_environ(environ):
    """Drop what would lead an installation elsewhere, and the switch that leaves bytecode out.

    Without bytecode every start of the program compiles TensorFlow again, 9 s in place of 3.
    """
    drop = ("PYTHONDONTWRITEBYTECODE", "PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "PIP_TARGET", "PIP_PREFIX")
    kept = {name: value for name, value in environ.items() if name not in drop}
    return dict(kept, PIP_DISABLE_PIP_VERSION_CHECK="1", PIP_REQUIRE_VIRTUALENV="0")


def check_disk(folder, free=None):
    """Refuse to start an installation that will not fit; the folder may have to be made yet."""
    while not os.path.exists(folder):
        folder = os.path.dirname(folder)
    free = shutil.disk_usage(folder).free if free is None else free
    if free < DISK_GIB << 30:
        have = f"{free / (1 << 30):.1f} GiB"
        raise TroubleError(
            f"{folder} has {have} free and the environment needs {DISK_GIB} GiB; use: --env FOLDER"
        )


def run_logged(command, log):
    """Run one installation step; on a terminal, show on one line what it is at."""
    show = sys.stderr.isatty()
    pipe = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    with subprocess.Popen(command, env=clean_environ(os.environ), cwd=ROOT, **pipe) as process:
        for line in process.stdout:
            log.write(line)
            if show:
                sys.stderr.write(f"\r\033[K  {line.strip()[:76]}")
                sys.stderr.flush()
    if show:
        sys.stderr.write("\r\033[K")
    return process.returncode


def make(env, stamp, pins_path, pins):
    """Make the environment from nothing; the stamp comes last, so half of one is never taken for good."""
    uv = shutil.which("uv")
    check_tools(sys.version_info, uv)
    check_disk(os.path.dirname(env))
    started = time.time()
    say(f"making {env} with {'uv' if uv else 'pip'}: about 3 GB, a few minutes")
    shutil.rmtree(env, ignore_errors=True)
    os.makedirs(env)
    with open(os.path.join(env, MARKER), "w", encoding="utf-8") as file:
        file.write("tools/bootstrap.py replaces this folder when the dependencies change\n")
    log_path = os.path.join(env, "install.log")
    with open(log_path, "w", encoding="utf-8") as log:
        for command in install_commands(env, pins_path, pins, uv):
            if run_logged(command, log) != 0:
                log.flush()
                with open(log_path, encoding="utf-8") as file:
                    tail = "".join(file.readlines()[-12:])
                raise TroubleError(f"installation stopped; mend what the log says, then call again:\n{tail}")
    with open(os.path.join(env, STAMP), "w", encoding="utf-8") as file:
        file.write(stamp)
    say(f"installed in {time.time() - started:.0f} s")


def ensure(env):
    """Return when the environment is ready, making it first if need be."""
    pins_path = os.path.join(PINS, "py{}{}.txt".format(*sys.version_info[:2]))
    with open(pins_path, encoding="utf-8") as file:
        pins = file.read()
    with open(os.path.join(ROOT, "pyproject.toml"), encoding="utf-8") as file:
        stamp = stamp_of(file.read(), pins, sys.version_info[:3], ROOT)
    with only_one_at_a_time():
        state = state_of(env, stamp)
        if state == "foreign":
            raise TroubleError(f"{env} was not made by this command; remove it, or use: --env FOLDER")
        if state == "make":
            make(env, stamp, pins_path, pins)


@contextlib.contextmanager
def only_one_at_a_time():
    """Let a second call wait for the first, instead of both filling one folder."""
    with open(os.path.abspath(__file__), encoding="utf-8") as file:
        with contextlib.suppress(ImportError):  # no fcntl on Windows, and no waiting there
            import fcntl

            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                say("another call is installing; waiting for it")
                fcntl.flock(file, fcntl.LOCK_EX)
        yield


def say(sentence):
    """Write progress where it does not mix with results."""
    sys.stderr.write(f"bootstrap: {sentence}\n")
    sys.stderr.flush()


def parse(arguments):
    """Split the command line into ours and what is passed on to the command."""
    parser = argparse.ArgumentParser(
        prog="bootstrap.py",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("command", choices=["demo", "test"], help="neurodeploy demo, or pytest")
    parser.add_argument("--python", metavar="PYTHON", help="another Python, 3.11 or newer, by name or path")
    parser.add_argument("--env", metavar="FOLDER", default=os.path.join(ROOT, ".venv"), help="default: .venv")
    return parser.parse_known_args(arguments)


def main(arguments):
    """Make what is missing, then run the command; exit code 2 if that could not be done."""
    options, passed_on = parse(arguments)
    if options.python:
        other = shutil.which(options.python)
        if other is None or version_of(other) is None:
            what = "there is no Python" if other is None else "no Python runs that is called"
            raise TroubleError(f"{what} '{options.python}' on this machine; see: ls /usr/bin/python3*")
        command = [other, os.path.abspath(__file__), options.command, "--env", options.env, *passed_on]
        return subprocess.call(command)
    check_version(sys.version_info, sys.executable)
    env = os.path.abspath(options.env)
    ensure(env)
    python = python_in(env)
    program = ["-m", "neurodeploy", "demo"] if options.command == "demo" else ["-m", "pytest"]
    return subprocess.call([python, *program, *passed_on], cwd=ROOT)


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except TroubleError as trouble:
        say(str(trouble))
        sys.exit(2)
    except OSError as error:
        say("{}: {}; use: --env FOLDER".format(error.filename or "input or output", error.strerror))
        sys.exit(2)
    except KeyboardInterrupt:
        say("interrupted; the next call starts over where something is missing")
        sys.exit(130)
