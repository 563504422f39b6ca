"""Hardware files load, every number has unit, source and grade, and mistakes are named with their line."""

import re
import tokenize
from pathlib import Path

import pytest

from neurodeploy import targets
from neurodeploy.cli import main
from neurodeploy.errors import TargetError, VerifyError
from neurodeploy.reporting.catalogue import target_rows
from neurodeploy.targets.read import read
from neurodeploy.targets.schema import FIELDS, GRADES, SAID

ROOT = Path(__file__).resolve().parents[1]
NAMES = targets.names()
CHIPS = [name for name in NAMES if targets.target(name).kind != "board"]
BOARDS = {
    "loihi1": {"kapoho-bay": 2, "wolf-mountain": 4, "nahuku-8": 8, "nahuku-32": 32, "pohoiki-springs": 768},
    "loihi2": {"oheo-gulch": 1, "kapoho-point": 8, "hala-point": 1152},
    "spinnaker1": {"spinn3": 4, "spinn5": 48},
}

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


@pytest.mark.parametrize("name", CHIPS)
def test_what_nobody_knows_of_a_chip_is_written_down_as_unknown(name):
    found = targets.target(name)
    assert [path for path in SAID[found.mapping] if path not in found.facts] == []


@pytest.mark.parametrize("name", NAMES)
def test_every_source_of_a_file_is_cited(name):
    path = targets.folder() / f"{name}.toml"
    cited = set(re.findall(r'src = "([^":]+)', path.read_text(encoding="utf-8")))
    assert set(read(path).sources) == cited


@pytest.mark.parametrize("name", NAMES)
def test_rivals_differ_from_the_value_in_force(name):
    for fact in targets.target(name).facts.values():
        values = [fact.value, *(rival.value for rival in fact.conflict)]
        assert len(set(values)) == len(values), fact.path


def test_disagreements_between_sources_stay_visible():
    kernel = targets.target("speck2e").limit("layers.conv2d.kernel_max")
    assert (kernel.value, [rival.value for rival in kernel.conflict]) == (16, [15])
    assert [r.value for r in targets.target("kapoho-point").limit("board.chips").conflict] == [4]


def test_unknown_none_and_not_applicable_are_three_things():
    unknown = targets.target("loihi2").limit("core.in_axons")
    none = targets.target("loihi1").limit("connectivity.fan_in")
    nothing = targets.target("brainscales2").limit("delay.max_steps")
    assert [f.value for f in (unknown, none, nothing)] == ["unknown", "none", "n/a"]
    assert [f.unknown for f in (unknown, none, nothing)] == [True, False, False]
    assert not any(f.known for f in (unknown, none, nothing))


@pytest.mark.parametrize("chip", BOARDS)
def test_the_boards_of_a_chip_are_there_and_only_tighten(chip):
    found = {n: targets.target(n) for n in NAMES if n not in CHIPS and targets.target(n).chip == chip}
    assert {name: board.number("board.chips") for name, board in found.items()} == BOARDS[chip]
    for board in found.values():
        for path in ("core.compartments", "core.neurons", "chip.cores"):
            inherited = targets.target(chip).number(path)
            assert inherited is None or board.number(path) <= inherited


def test_the_chips_are_these():
    assert {*BOARDS, "spinnaker2", "truenorth", "akd1000", "dynap-cnn", "speck2e", "speck2f", "xylo-audio-2",
            "xylo-audio-3", "brainscales2", "odin", "reckon", "fpga"} == set(CHIPS)  # fmt: skip


def test_all_targets_are_listed(capsys):
    assert [row[0] for row in target_rows()[1]] == list(NAMES)
    assert main(["targets"]) == 0
    printed = capsys.readouterr().out
    assert all(re.search(rf"^{name} ", printed, re.MULTILINE) for name in NAMES)


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


VARIANT = """schema = 1
id = "toy-2"
name = "Toy 2"
kind = "chip"
status = "documents-only"
like = "toy"

[sources.brief]
title = "A brief"

[chip]
cores = { value = 5, src = "brief:p1", grade = "documented" }
"""


def test_a_chip_takes_what_it_does_not_say_from_the_one_it_is_like(tmp_path):
    load(tmp_path, CHIP)
    variant = load(tmp_path, VARIANT, "toy-2")
    assert (variant.chip, variant.mapping, variant.number("chip.cores")) == ("toy-2", "cores", 5)
    assert [c.facts["core.neurons"].value for c in variant.core_classes] == [10, 20]
    assert set(variant.sources) == {"paper", "brief"}


@pytest.mark.parametrize(
    ("text", "name", "line", "message"),
    [
        (VARIANT.replace('"toy"', '"tory"'), "toy-2", 6, "is like 'tory', which has no hardware file"),
        (VARIANT.replace('"toy"', '"toy-2"'), "toy-2", 6, "is like 'toy-2', which has no hardware file"),
        (BOARD.replace("[sources", 'like = "toy"\n\n[sources', 1), "toy-board", 7, "is a board"),
    ],
    ids=["nothing", "itself", "a board"],
)
def test_what_no_chip_can_be_like_is_refused(tmp_path, text, name, line, message):
    load(tmp_path, CHIP)
    with pytest.raises(TargetError, match=rf"{name}\.toml:{line}: error\[ND801\] .*{message}"):
        load(tmp_path, text, name)


def test_a_board_of_a_chip_that_is_like_another_inherits_both(tmp_path):
    load(tmp_path, CHIP)
    load(tmp_path, VARIANT, "toy-2")
    board = load(tmp_path, BOARD.replace('chip = "toy"', 'chip = "toy-2"'), "toy-board")
    assert (board.chip, board.number("chip.cores"), board.number("core.neurons")) == ("toy-2", 5, 20)


COUPLED = """
[[coupled]]
name = "ring buffers"
form = "product_le"
terms = ["core.neurons", "delay_slots"]
limit = { value = 64, src = "paper:p4", grade = "documented" }
"""


def test_a_limit_on_a_product_has_terms_and_evidence(tmp_path):
    (found,) = load(tmp_path, CHIP + COUPLED).coupled
    assert (found.terms, found.limit.value, found.limit.src) == (
        ("core.neurons", "delay_slots"),
        64,
        "paper:p4",
    )
    with pytest.raises(TargetError, match=r"toy\.toml:23: error\[ND801\] .*couples other than"):
        load(tmp_path, CHIP + COUPLED.replace("delay_slots", "delays"))
    with pytest.raises(TargetError, match=r"toy\.toml:27: error\[ND803\] .*cites 'book'"):
        load(tmp_path, CHIP + COUPLED.replace("paper:p4", "book:p4"))


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
        if {"compiler", "targets"} & set(path.relative_to(ROOT).parts):
            with path.open("rb") as file:
                for token in tokenize.tokenize(file.readline):
                    if token.type == tokenize.NUMBER and token.string.replace("_", "") in limits:
                        found.append(f"{path.relative_to(ROOT)}:{token.start[0]}: {token.string}")
    assert not found


def test_every_key_of_the_schema_is_spelt_in_lower_case():
    assert all(re.fullmatch(r"[a-z0-9_.-]+", path) for path in FIELDS)
