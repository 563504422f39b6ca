"""README is true: tables are the code's, sessions print what it shows, Python runs, links lead somewhere."""

import re

import numpy as np
import pytest

from tools.data_folder import MISSING
from tools.generate_docs import PART, README, ROOT, SESSION, TABLES, mnist, with_sessions, with_tables

TEXT = README.read_text(encoding="utf-8")


def shape_of(text):
    """What stays the same on every machine: the words, not the numbers, digests and column widths."""
    words = re.sub(r"\b[0-9a-f]{16}\b|[0-9][0-9,.]*", "#", text)
    return re.sub(r"[ ]+", " ", re.sub(r"-{2,}", "--", words))


def test_tables_in_the_readme_are_as_the_code_has_them():
    assert with_tables(TEXT) == TEXT, "run: python tools/generate_docs.py"


def test_every_table_is_in_the_readme_and_every_part_is_known():
    parts = [part["name"] for part in PART.finditer(TEXT)]
    assert {name for name in parts if not name.startswith(SESSION)} == set(TABLES)


@pytest.mark.parametrize("session", [p["name"] for p in PART.finditer(TEXT) if p["name"].startswith(SESSION)])
def test_a_session_prints_what_the_readme_shows(session):
    if "mnist" in session and mnist() is None:
        pytest.skip(MISSING.format(name="mnist.npz"))
    now = with_sessions(TEXT, only=session)
    assert shape_of(now) == shape_of(TEXT), "run: python tools/generate_docs.py --sessions"


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
