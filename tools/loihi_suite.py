"""Run nengo-loihi's own test suite against our emulator and write down what passed.

    git clone --branch v1.1.0 https://github.com/nengo/nengo-loihi SOURCE/nengo-loihi
    pip install '.[dl,peers]'
    python tools/loihi_suite.py --source SOURCE

Three times, slow tests included: as it is; with `neurodeploy.LoihiSimulator` in place of
``nengo_loihi.Simulator``; and with both emulators in lock step in all networks the suite builds, every state
compared after every step (`tools/lock_step.py`). What passes as it is has to pass in the other two, or is
named below with its reason; otherwise this command exits with 1.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

from peer_suites import PLUGIN, ROOT, check_source, read_report

RESULTS = Path(__file__).resolve().parent / "results" / "loihi_suite.json"
MODES = {
    "as it is": (["peer_plugin"], {}),
    "LoihiSimulator": (["peer_plugin", "lock_step"], {"NEURODEPLOY_DROP_IN": "1"}),
    "lock step": (["peer_plugin", "lock_step"], {}),
}
EXCEPTIONS = {}
"""Tests that cannot apply to ours, by name, with the reason."""


def run(source, plugins, extra, options):
    """Run the suite once in a copy of its checkout."""
    with tempfile.TemporaryDirectory() as temporary:
        scratch = Path(temporary)
        leave = shutil.ignore_patterns(".git", "docs")
        shutil.copytree(source / "nengo-loihi", scratch / "suite", ignore=leave)
        (scratch / "peer_plugin.py").write_text(PLUGIN)
        path = [scratch / "suite", scratch, ROOT, ROOT / "tools"]
        report, figures = scratch / "report.xml", scratch / "figures.json"
        environment = {
            **os.environ,
            **extra,
            "PYTHONPATH": os.pathsep.join(map(str, path)),
            "TF_USE_LEGACY_KERAS": "1",
            "MPLBACKEND": "Agg",
            "NEURODEPLOY_FIGURES": str(figures),
        }
        command = [sys.executable, "-m", "pytest", "nengo_loihi", "-q", "--slow", "--target", "sim"]
        command += [f"--junitxml={report}"]
        command += [word for plugin in plugins for word in ("-p", plugin)]
        command += ["-k", options.select] if options.select else []
        started = time.monotonic()
        subprocess.run(command, cwd=scratch / "suite", env=environment, check=False)
        compared = json.loads(figures.read_text()) if "lock_step" in plugins and not extra else {}
        return {**read_report(report), "compared": compared, "seconds": round(time.monotonic() - started)}


def main():
    """Run all three and compare."""
    plain = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=plain)
    parser.add_argument("--source", type=Path, required=True, help="folder that holds the checkout")
    parser.add_argument("--select", help="as pytest's -k; writes nothing")
    options = parser.parse_args()
    trouble = check_source(options.source, "nengo-loihi")
    if trouble:
        parser.error(trouble)
    results = {name: run(options.source.resolve(), *mode, options) for name, mode in MODES.items()}
    failed = {name: {f["test"] for f in result["failures"]} for name, result in results.items()}
    ours = sorted((failed["LoihiSimulator"] | failed["lock step"]) - failed["as it is"])
    entry = {
        "command": "python tools/loihi_suite.py --source SOURCE",
        "tag": "v1.1.0",
        "versions": {name: version(name) for name in ("nengo", "nengo-loihi", "numpy", "numba")},
        "modes": results,
        "fails_only_with_ours": {test: EXCEPTIONS.get(test) for test in ours},
    }
    print(json.dumps(entry, indent=2))
    if not options.select:
        RESULTS.parent.mkdir(exist_ok=True)
        RESULTS.write_text(json.dumps(entry, indent=2) + "\n")
    return 1 if any(test not in EXCEPTIONS for test in ours) else 0


if __name__ == "__main__":
    sys.exit(main())
