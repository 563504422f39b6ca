"""README is true: tables are the code's, sessions print what it shows, Python runs, links lead somewhere."""

import json
import re
from itertools import zip_longest

import numpy as np
import pytest

from neurodeploy.cli import main
from neurodeploy.targets import target
from tools.data_folder import MISSING
from tools.generate_docs import (
    ARITHMETIC_OF,
    PART,
    README,
    ROOT,
    SESSION,
    TABLES,
    arithmetic,
    mnist,
    with_sessions,
    with_tables,
)  # fmt: skip

TEXT = README.read_text(encoding="utf-8")


SECONDS = re.compile(r"\b[0-9][0-9,.]* s\b")
FIGURE = re.compile(r"\b[0-9a-f]{16}\b|[0-9][0-9,]*(?:\.[0-9]+)?")


def without_times(text):
    """Return a text without what differs from run to run: seconds, and widths of columns that follow them."""
    lines, in_table = [], False
    for line in text.splitlines():
        in_table = (in_table or line.endswith("  seconds")) and bool(line.strip())
        shown = re.sub(r"[0-9.]+$", "# s", line) if in_table else SECONDS.sub("# s", line)
        lines.append(re.sub(r"-{2,}", "--", re.sub(r"[ ]+", " ", shown)))
    return "\n".join(lines)


def ordered_digests(text):
    """Return a text with digests by the order in which they appear."""
    seen = {}
    return re.sub(r"\b[0-9a-f]{16}\b", lambda d: f"digest {seen.setdefault(d[0], len(seen))}", text)


def differences(was, now, *, exact):
    """List what two sessions say differently, times apart.

    On a machine that adds floats in another order (`exact` is false) figures may differ by a hundredth and
    digests only have to be the same wherever they were the same.
    """
    was, now = without_times(was), without_times(now)
    if exact:
        return [pair for pair in zip_longest(was.splitlines(), now.splitlines()) if pair[0] != pair[1]]
    was, now = ordered_digests(was), ordered_digests(now)
    if FIGURE.sub("#", was) != FIGURE.sub("#", now):
        return [("words", "differ")]
    figures = [[float(f.replace(",", "")) for f in FIGURE.findall(text)] for text in (was, now)]
    return [(a, b) for a, b in zip(*figures, strict=True) if abs(a - b) > max(0.01 * abs(a), 0.5)]


def test_tables_in_the_readme_are_as_the_code_has_them():
    assert with_tables(TEXT) == TEXT, "run: python tools/generate_docs.py"


def test_networks_of_a_benchmark_are_not_called_like_models():
    models = {path.stem for path in (ROOT / "models").iterdir()}
    for name, *_ in TABLES["cores"]()[1]:
        assert name.replace(" ", "_") not in models


def test_every_table_is_in_the_readme_and_every_part_is_known():
    parts = [part["name"] for part in PART.finditer(TEXT)]
    assert {name for name in parts if not name.startswith(SESSION)} == set(TABLES)


@pytest.mark.parametrize("chip", ["akd1000", "loihi1", "dynap-cnn", "odin"])
def test_check_says_what_the_table_of_fits_says(chip, capsys, monkeypatch):
    monkeypatch.chdir(ROOT)
    main(["check", "models/digits_mlp.keras", "--output", "spikes", "--target", chip])
    printed = capsys.readouterr().out
    (row,) = [r for r in TABLES["fits"]()[1] if r[0] == target(chip).name]
    errors = ", ".join(sorted(set(re.findall(r"error\[(ND\d+)\]", printed))))
    verdict = printed.splitlines()[-1]
    assert row[1].startswith(errors or ("fits" if "loihi1: fits" in verdict else "no error"))
    assert errors or re.search(r"[0-9]+ cores?", row[1])[0] in verdict


@pytest.mark.parametrize("session", [p["name"] for p in PART.finditer(TEXT) if p["name"].startswith(SESSION)])
def test_a_session_prints_what_the_readme_shows(session):
    if "mnist" in session and mnist() is None:
        pytest.skip(MISSING.format(name="mnist.npz"))
    now = with_sessions(TEXT, only=session)
    exact = json.loads(ARITHMETIC_OF.read_text(encoding="utf-8"))["arithmetic"] == arithmetic()
    assert differences(TEXT, now, exact=exact) == [], "run: python tools/generate_docs.py --sessions"


SAID = """$ neurodeploy run
a on b: accuracy 99.40 %; 500 samples, 0.52 s
digest ca1ba617e13d5ad5
again ca1ba617e13d5ad5
backend  spikes  seconds
-------  ------  -------
rate        120   0.0202
"""


@pytest.mark.parametrize("exact", [True, False])
def test_seconds_alone_may_differ_in_a_session(exact):
    later = SAID.replace("0.52 s", "12.0 s").replace(" 0.0202", "   1.2").replace("-------\n", "-----\n")
    assert differences(SAID, later, exact=exact) == []


@pytest.mark.parametrize(
    ("was", "now", "anywhere"),
    [
        ("99.40 %", "98.40 %", True),
        ("500 samples", "600 samples", True),
        (" 120 ", " 130 ", True),
        (" 120 ", " 121 ", False),
        ("digest ca1ba617e13d5ad5", "digest 0a1ba617e13d5ad5", True),
        ("ca1ba617e13d5ad5", "0a1ba617e13d5ad5", False),
        ("accuracy", "error", True),
    ],
)
def test_every_other_figure_of_a_session_is_compared(was, now, anywhere):
    changed = SAID.replace(was, now)
    assert changed != SAID
    assert differences(SAID, changed, exact=True)
    assert bool(differences(SAID, changed, exact=False)) == anywhere


def test_accuracies_in_the_readme_are_within_a_point_of_each_other():
    demo = next(part["body"] for part in PART.finditer(TEXT) if part["name"] == "session-demo")
    accuracies = [float(share) for share in re.findall(r"([0-9.]+) %", demo)]
    assert len(accuracies) == 3
    assert max(accuracies) - min(accuracies) <= 1.0


def test_python_in_the_readme_runs(tmp_path, monkeypatch, capsys):
    if mnist() is None:
        pytest.skip(MISSING.format(name="mnist.npz"))
    code = re.search(r"```python\n(.*?)```", TEXT, re.DOTALL)[1].replace('"models/', f'"{ROOT}/models/')
    with np.load(mnist()) as data:
        names = {name: data[name][:2000] for name in ("x_train", "y_train", "x_test", "y_test")}
    monkeypatch.chdir(tmp_path)
    exec(code, names)  # our own README
    assert "mnist_cnn on loihi-emulator for loihi1: accuracy 99" in capsys.readouterr().out
    assert (tmp_path / "bundle" / "manifest.json").is_file()


def test_every_link_in_the_readme_leads_to_a_file():
    links = re.findall(r"\]\(([^)#:]+)\)", TEXT)
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_every_path_in_the_table_of_folders_exists():
    folders = re.findall(r"^\| `((?:neurodeploy|hardware)[\w/]*)` \|", TEXT, re.MULTILINE)
    assert len(folders) > 5
    assert [folder for folder in folders if not (ROOT / folder).is_dir()] == []
