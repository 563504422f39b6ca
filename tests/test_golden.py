"""What is printed, as text under review; tools/golden.py writes it anew."""

import pytest

from tools.golden import CASES, FOLDER


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_printed_text_is_as_reviewed(case):
    assert f"{case().rstrip()}\n" == (FOLDER / f"{case.__name__}.txt").read_text(encoding="utf-8")


def test_every_golden_file_has_a_case():
    assert {path.stem for path in FOLDER.iterdir()} == {case.__name__ for case in CASES}
