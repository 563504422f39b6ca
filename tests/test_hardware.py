"""Hardware files load, every number has unit, source and grade, and mistakes are named with their line."""

import re
import tokenize
from pathlib import Path

import pytest

from neurodeploy import targets
from neurodeploy.errors import TargetError, VerifyError
from neurodeploy.targets.schema import FIELDS, GRADES

ROOT = Path(__file__).resolve().parents[1]
NAMES = targets.names()

CHIP = """schema = 1
id = "toy"
name = "Toy"
kind = "chip"
status = "documents-only"
mapping = "cores"

[sources.paper]
title = "A paper"

[chip]
cores = { value = 4, src = "paper:p1", grade = "documented" }

[[core_class]]
name = "small"
count = { value = 3, src = "paper:p1", grade = "documented" }
neurons = { value = 10, src = "paper:p2", grade = "documented" }
[[core_class]]
name = "large"
count = { value = 1, src = "paper:p1", grade = "documented" }
neurons = { value = 20, src = "paper:p2", grade = "documented" }
"""
BOARD = """schema = 1
id = "toy-board"
name = "Toy board"
kind = "board"
status = "documents-only"

[sources.paper]
title = "A paper"

[board]
chip = "toy"
chips = { value = 2, src = "paper:p3", grade = "documented" }
"""


def load(tmp_path, text, name="toy"):
    path = tmp_path / f"{name}.toml"
    path.write_text(text)
    return targets.target(str(path))


@pytest.mark.parametrize("name", NAMES)
def test_every_file_loads_and_every_number_has_unit_source_and_grade(name):
    found = targets.target(name)
    assert found.id == name
    facts = [*found.facts.values(), *(f for c in found.core_classes for f in c.facts.values())]
    assert facts
    for fact in facts:
        assert fact.src.partition(":")[0] in found.sources, fact.path
        if fact.known:
            assert fact.grade in GRADES, fact.path
        if fact.known and isinstance(fact.value, int | float) and not isinstance(fact.value, bool):
            assert fact.unit, fact.path


def test_the_loihi_boards_are_there():
    boards = {"kapoho-bay": 2, "wolf-mountain": 4, "nahuku-8": 8, "nahuku-32": 32, "pohoiki-springs": 768}
    for name, chips in boards.items():
        board = targets.target(name)
        assert (board.chip, board.number("board.chips")) == ("loihi1", chips)
        assert board.number("core.compartments") == targets.target("loihi1").number("core.compartments")


def test_a_digest_names_the_facts_and_nothing_else(tmp_path):
    first = load(tmp_path, CHIP)
    again = load(tmp_path, CHIP + "\n# a comment\n")
    other = load(tmp_path, CHIP.replace("value = 20", "value = 21"))
    assert first.digest() == again.digest() != other.digest()
    assert first.with_limits(core__neurons=19).digest() != first.digest()


def test_limits_are_values_with_their_evidence(tmp_path):
    limit = load(tmp_path, CHIP).limit("core.neurons")
    assert (limit.value, limit.unit, limit.src, limit.grade) == (20, "neurons", "paper:p2", "documented")
    assert load(tmp_path, CHIP).limit("core.in_axons").unknown
    with pytest.raises(VerifyError, match="in_axon"):
        load(tmp_path, CHIP).limit("core.in_axon")


def test_core_classes_keep_their_own_facts(tmp_path):
    classes = load(tmp_path, CHIP).core_classes
    assert [(c.name, c.facts["core.neurons"].value) for c in classes] == [("small", 10), ("large", 20)]


FAULTS = {
    "not TOML": ("cores = { value = 4", "cores = { value = = 4", 12, "ND801", "is not TOML"),
    "an unknown key": ("cores =", "coress =", 12, "ND802", "'coress' is not a key .* did you mean 'cores'"),
    "an unknown table": ("[chip]", "[chips]", 11, "ND802", "'chips' is not a key"),
    "a unit left out": ("cores =", "sram =", 12, "ND802", "'sram' is not a key .* did you mean 'sram_bytes'"),
    "no source": (', src = "paper:p1", grade', ", grade", 12, "ND803", "has no source"),
    "a dangling source": (
        'src = "paper:p1"',
        'src = "book:p1"',
        12,
        "ND803",
        "cites 'book', which is not in",
    ),
    "no grade": (', grade = "documented" }', " }", 12, "ND803", "has no grade"),
    "an unknown grade": ('"documented" }', '"certain" }', 12, "ND803", "unknown grade 'certain'"),
    "a bare number": ("{ value = 4, ", "4 # {", 12, "ND803", "gives no value, source and grade"),
    "a wrong type": ("value = 4,", 'value = "four",', 12, "ND801", "'four' is not a whole number"),
    "an unknown word in the header": ('"cores"\n', '"coers"\n', 6, "ND811", "not one of cores"),
    "another id than the file": (
        'id = "toy"',
        'id = "tory"',
        2,
        "ND801",
        "'tory' in a file named 'toy.toml'",
    ),
    "a later schema": ("schema = 1", "schema = 2", 1, "ND809", "reads up to 1"),
    "no name": ('name = "Toy"\n', "", 1, "ND801", "has no text 'name'"),
}


@pytest.mark.parametrize(("old", "new", "line", "code", "message"), FAULTS.values(), ids=FAULTS)
def test_a_mistake_is_refused_with_file_and_line(tmp_path, old, new, line, code, message):
    assert old in CHIP
    with pytest.raises(TargetError, match=rf"toy\.toml:{line}: error\[{code}\] .*{message}"):
        load(tmp_path, CHIP.replace(old, new, 1))


def test_all_mistakes_of_a_file_are_named_at_once(tmp_path):
    text = CHIP.replace("cores =", "coress =").replace("neurons = { value = 20", "neurons = { value = -1")
    with pytest.raises(TargetError) as caught:
        load(tmp_path, text)
    assert "toy.toml:12:" in str(caught.value)
    assert "toy.toml:21:" in str(caught.value)


def test_a_board_inherits_its_chip(tmp_path):
    load(tmp_path, CHIP)
    board = load(tmp_path, BOARD, "toy-board")
    assert (board.chip, board.number("board.chips"), board.number("chip.cores")) == ("toy", 2, 4)


def test_a_board_may_tighten_but_not_loosen(tmp_path):
    load(tmp_path, CHIP)
    cores = '[chip]\ncores = {{ value = {}, src = "paper", grade = "documented" }}\n'
    assert load(tmp_path, BOARD + cores.format(3), "toy-board").number("chip.cores") == 3
    with pytest.raises(TargetError, match=r"toy-board\.toml:14: error\[ND810\] .* 5 on the board and 4"):
        load(tmp_path, BOARD + cores.format(5), "toy-board")


def test_a_board_without_its_chip_is_refused(tmp_path):
    with pytest.raises(
        TargetError, match=r"toy-board\.toml:11: error\[ND808\] .* 'toy' has no hardware file"
    ):
        load(tmp_path, BOARD, "toy-board")


def test_an_unknown_target_lists_those_there_are():
    with pytest.raises(TargetError, match=r"'loihi-1'. Did you mean 'loihi1'\? Targets: .*nahuku-32"):
        targets.target("loihi-1")


def test_a_file_that_is_not_there_is_one_clear_message(tmp_path):
    with pytest.raises(TargetError, match="cannot read hardware file"):
        targets.target(str(tmp_path / "nothing.toml"))


def test_no_limit_of_a_chip_is_written_in_the_compiler():
    limits = {
        str(f.value)
        for name in NAMES
        for f in targets.target(name).facts.values()
        if f.known and isinstance(f.value, int) and not isinstance(f.value, bool) and f.value > 100
    }
    found = []
    for path in sorted((ROOT / "neurodeploy").rglob("*.py")):
        if "compiler" in path.parts or "targets" in path.parts:
            with path.open("rb") as file:
                for token in tokenize.tokenize(file.readline):
                    if token.type == tokenize.NUMBER and token.string.replace("_", "") in limits:
                        found.append(f"{path.relative_to(ROOT)}:{token.start[0]}: {token.string}")
    assert not found


def test_every_key_of_the_schema_is_spelt_in_lower_case():
    assert all(re.fullmatch(r"[a-z0-9_.-]+", path) for path in FIELDS)
