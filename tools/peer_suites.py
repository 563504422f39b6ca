"""Run nengo-loihi's and nengo-dl's own test suites under the import adapter and write down what passed.

The wheels hold the tests but not what they need around them (``conftest.py``, ``setup.cfg``, the ten digits
of ``mnist10.pkl``), so the suites run from checkouts at the release tags, below one folder:

    git clone --branch v1.1.0 https://github.com/nengo/nengo-loihi SOURCE/nengo-loihi
    git clone --branch v3.6.0 https://github.com/nengo/nengo-dl SOURCE/nengo-dl
    pip install '.[dl,peers]'
    python tools/peer_suites.py --source SOURCE

The package code in a checkout must be the installed release, file by file; otherwise nothing runs. The suites
are older than the libraries they meet, so some tests fail by their own code. Each such cause is mended from
outside, by a pytest plugin made in a temporary folder, and named in the result (MENDED). What still fails is
named too, with its reason (KNOWN); a failure without one makes this command exit with 1. A test known
to fail now and then (FLAKY) is run again when it fails, and named as passed on a second run.
"""

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ElementTree
from collections import Counter
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RESULTS = Path(__file__).resolve().parent / "results" / "peer_suites.json"
SUITES = {
    "nengo-loihi": ("nengo_loihi", "v1.1.0", ["--target", "sim"]),
    "nengo-dl": ("nengo_dl", "v3.6.0", []),
}
STACK = "nengo nengo-loihi nengo-dl nengo-extras tensorflow tf-keras keras numpy scipy"
THEIR_TEST_TOOLS = ("pytest_rng", "pytest_allclose", "pytest_plt", "click")

MENDED = {
    "pytest.warns(None)": "pytest 7 removed it; it now records warnings, as pytest 6 did",
    "nengo._vendor.npconv2d": "nengo 4 keeps these reference convolutions in nengo.builder.transforms",
    "nengo.networks.Oscillator, .Integrator": "nengo 4 dropped both networks; the tests get equivalent ones",
    "tf.keras": "the tests build Keras 2 layers; TF_USE_LEGACY_KERAS=1 gives them tf_keras under that name",
    "tests that start a second Python": "they import nengo_dl there, so the adapter runs in that process too",
}
KNOWN = {
    "test_nengo_version_check": "asserts that nengo is at most 3.2.0, the newest release when it was written",
}
FLAKY = {
    "test_sequential": "float32 outputs of some initial weights differ by 3e-8, the test allows 1e-8",
}

PLUGIN = '''
"""Mends the test code of two suites that are older than pytest 7 and nengo 4."""
import sys
import types

import nengo
import pytest
from _pytest.recwarn import WarningsRecorder
from nengo.builder import transforms

import neurodeploy.backends.adapter as adapter

adapter.nengo_dl_module()
adapter.nengo_loihi_module()

_warns = pytest.warns
def warns(expected=Warning, *args, **kwargs):
    return WarningsRecorder(_ispytest=True) if expected is None else _warns(expected, *args, **kwargs)
pytest.warns = warns

conv2d = types.ModuleType("nengo._vendor.npconv2d.conv2d")
conv2d.conv2d, conv2d.conv2d_gradx = transforms.conv2d, transforms.conv2d_gradx
npconv2d = types.ModuleType("nengo._vendor.npconv2d")
npconv2d.conv2d = nengo._vendor.npconv2d = conv2d
nengo._vendor.npconv2d = npconv2d
sys.modules.update({"nengo._vendor.npconv2d": npconv2d, "nengo._vendor.npconv2d.conv2d": conv2d})

def recurrent(tau, n_neurons, dimensions, transform, **kwargs):
    with nengo.Network(**kwargs) as net:
        net.input = nengo.Node(size_in=dimensions)
        net.ensemble = nengo.Ensemble(n_neurons, dimensions=dimensions)
        nengo.Connection(net.ensemble, net.ensemble, synapse=tau, transform=transform)
        nengo.Connection(net.input, net.ensemble, synapse=None, transform=tau)
    return net

def Integrator(recurrent_tau, n_neurons, dimensions, **kwargs):
    return recurrent(recurrent_tau, n_neurons, dimensions, 1, **kwargs)

def Oscillator(recurrent_tau, frequency, n_neurons, **kwargs):
    turn = frequency * recurrent_tau
    return recurrent(recurrent_tau, n_neurons, 2, [[1, -turn], [turn, 1]], **kwargs)

nengo.networks.Integrator, nengo.networks.Oscillator = Integrator, Oscillator
'''
IN_EVERY_PYTHON = "import neurodeploy.backends.adapter as adapter\nadapter.nengo_dl_module()\n"


def check_source(source, suite):
    """Say what is wrong with a checkout, or return None."""
    package, tag, _ = SUITES[suite]
    checkout = source / suite
    if not (checkout / "conftest.py").is_file():
        clone = f"git clone --branch {tag} https://github.com/nengo/{suite} {checkout}"
        return f"{checkout} is not a checkout of {suite}; make one with: {clone}"
    installed = Path(find_spec(package).origin).parent
    for file in sorted(installed.rglob("*.py")):
        mine = checkout / package / file.relative_to(installed)
        if not mine.is_file() or mine.read_text() != file.read_text():
            return f"{mine} differs from the installed {suite}; check out the release: git checkout {tag}"
    return None


def run_suite(source, suite, workers):
    """Run one suite in a copy of its checkout and return its figures."""
    package, tag, options = SUITES[suite]
    with tempfile.TemporaryDirectory() as temporary:
        scratch = Path(temporary)
        shutil.copytree(source / suite, scratch / "suite", ignore=shutil.ignore_patterns(".git", "docs"))
        (scratch / "peer_plugin.py").write_text(PLUGIN)
        (scratch / "in_every_python").mkdir()
        (scratch / "in_every_python" / "sitecustomize.py").write_text(IN_EVERY_PYTHON)
        path = [scratch / "suite", scratch / "in_every_python", scratch, ROOT]
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(map(str, path)),
            "TF_USE_LEGACY_KERAS": "1",
            "MPLBACKEND": "Agg",
        }
        report = scratch / "report.xml"
        command = [sys.executable, "-m", "pytest", package, "-p", "peer_plugin", "-q", f"--junitxml={report}"]
        command += [*options, *(["-n", str(workers)] if workers > 1 else [])]
        started = time.monotonic()
        subprocess.run(command, cwd=scratch / "suite", env=environment, check=False)
        seconds = round(time.monotonic() - started)
        figures = read_report(report)
        for name in [short_name(failure["test"]) for failure in figures["failures"]]:
            if name in FLAKY:
                subprocess.run([*command, "-k", name], cwd=scratch / "suite", env=environment, check=False)
                figures = take_second_run(figures, read_report(report), name)
        return {"suite": suite, "tag": tag, **figures, "seconds": seconds}


def short_name(test):
    """Name of a test function, without module, class and parameters."""
    return test.split("::")[-1].split("[")[0]


def take_second_run(figures, second, name):
    """Count a test as passed if it passed when run again, and say so."""
    if second["failed"] or not second["passed"]:
        return figures
    left = [failure for failure in figures["failures"] if short_name(failure["test"]) != name]
    moved = len(figures["failures"]) - len(left)
    return {
        **figures,
        "passed": figures["passed"] + moved,
        "failed": figures["failed"] - moved,
        "failures": left,
        "passed_on_second_run": [*figures["passed_on_second_run"], {"test": name, "reason": FLAKY[name]}],
    }


def read_report(report):
    """Count outcomes in a JUnit file; name every test that failed or was skipped.

    A failure has its reason where it is known, a skipped test the one its suite gives.
    """
    counts, failures, skips = Counter(), [], []
    for case in ElementTree.parse(report).iter("testcase"):
        outcome, message = outcome_of(case)
        counts[outcome] += 1
        test = f"{case.get('classname')}::{case.get('name')}"
        if outcome == "skipped":
            skips.append({"test": test, "reason": message})
        if outcome == "failed":
            failures.append({"test": test, "reason": KNOWN.get(short_name(test)), "message": message})
    outcomes = ("passed", "failed", "skipped", "xfailed")
    counted = {outcome: counts[outcome] for outcome in outcomes}
    return {**counted, "failures": failures, "passed_on_second_run": [], "skips": skips}


def outcome_of(case):
    """Return outcome and first line of the message of one test case."""
    for child in case:
        message = (child.get("message") or "").splitlines()[:1]
        if child.tag in ("failure", "error"):
            return "failed", "".join(message)
        if child.tag == "skipped":
            return ("xfailed" if "xfail" in (child.get("type") or "") else "skipped"), "".join(message)
    return "passed", ""


def write_results(entry):
    """Replace this environment's entry in the result file and keep the others."""
    entries = json.loads(RESULTS.read_text())["environments"] if RESULTS.is_file() else []
    entries = [other for other in entries if other["environment"] != entry["environment"]]
    entries = sorted([*entries, entry], key=lambda one: one["environment"])
    RESULTS.parent.mkdir(exist_ok=True)
    beside = RESULTS.with_suffix(".tmp")
    beside.write_text(json.dumps({"mended": MENDED, "environments": entries}, indent=2) + "\n")
    beside.replace(RESULTS)


def main():
    """Check the sources, run the suites, write the figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--source", type=Path, required=True, help="folder that holds the two checkouts")
    parser.add_argument("--suite", choices=list(SUITES), action="append", help="run this one, write nothing")
    parser.add_argument("--workers", type=int, default=1, help="processes; above 1 needs pytest-xdist")
    options = parser.parse_args()
    suites = options.suite or list(SUITES)
    missing = [name for name in THEIR_TEST_TOOLS if find_spec(name) is None]
    if missing:
        parser.error(f"{', '.join(missing)} not installed; add them with: pip install '.[dl,peers]'")
    for trouble in filter(None, (check_source(options.source, suite) for suite in suites)):
        parser.error(trouble)

    results = [run_suite(options.source.resolve(), suite, options.workers) for suite in suites]
    for result in results:
        print(json.dumps(result, indent=2))
    if not options.suite:
        write_results(
            {
                "environment": f"Python {platform.python_version()}, NumPy {version('numpy')}",
                "command": "python tools/peer_suites.py --source SOURCE",
                "machine": f"{platform.system()} {platform.machine()}, CPU only",
                "versions": {name: version(name) for name in STACK.split()},
                "suites": results,
            }
        )
    return int(any(failure["reason"] is None for result in results for failure in result["failures"]))


if __name__ == "__main__":
    sys.exit(main())
