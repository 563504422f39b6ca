"""Mistakes planted in the real hardware files: each is refused with file and line, none is an exception."""

import random
import re
from pathlib import Path

import pytest

from neurodeploy import targets
from neurodeploy.errors import TargetError

NAMES = targets.names()
FACT = re.compile(
    r"^(?P<key>[a-z_0-9]+) = \{ value = (?P<value>.*?), src = \"(?P<src>[^\"]+)\"(?P<rest>.*)\}$"
)
PLANTED = {
    "an unknown key": (lambda m: m[0].replace(m["key"], f"{m['key']}_x", 1), "ND802"),
    "an unknown word beside a value": (lambda m: m[0].replace("src =", 'scr = "x", src =', 1), "ND802"),
    "no source": (lambda m: m[0].replace(f', src = "{m["src"]}"', "", 1), "ND803"),
    "a source that is not there": (lambda m: m[0].replace(m["src"], f"nobody:{m['src']}", 1), "ND803"),
    "an unknown grade": (lambda m: re.sub(r'grade = "\w+"', 'grade = "sure"', m[0]), "ND803"),
    "a value of no type": (lambda m: m[0].replace(f"value = {m['value']}", "value = 1979-05-27", 1), "ND801"),
    "a number by itself": (lambda m: f"{m['key']} = {m['value']}", "ND803"),
}
JUNK = (
    "-1", "3.5", "nan", '"x"', "true", "[]", "[[1, 2]]", "{}", "{ value = 1 }", "1979-05-27",
    "{ value = [] }", '{ value = 3, src = 5, grade = ["code"], conflict = 3 }',
)  # fmt: skip
TABLES = (
    "[x]", "[[coupled]]", "[core]", "[sources]", "[[sources]]", "[[chip]]", "[core_class]", "[[erratum]]",
    "[learning.x]", "[board]",
)  # fmt: skip


def refusal(tmp_path: Path, name: str, text: str) -> str:
    path = tmp_path / f"{name}.toml"
    path.write_text(text, encoding="utf-8")
    try:
        targets.target(str(path)).digest()
    except TargetError as error:
        return str(error)
    finally:
        path.unlink()
    return ""


def test_faults_are_listed_from_the_first_line_to_the_last(tmp_path):
    lines = (targets.folder() / "loihi1.toml").read_text(encoding="utf-8").splitlines()
    facts = [(i, m) for i, line in enumerate(lines) if (m := FACT.match(line))]
    for k, (i, m) in enumerate((facts[0], facts[len(facts) // 2], facts[-1])):
        lines[i] = PLANTED[("an unknown key", "no source", "a value of no type")[k]][0](m)
    told = refusal(tmp_path, "loihi1", "\n".join(lines))
    found = [int(number) for number in re.findall(r"loihi1\.toml:(\d+): error", told)]
    assert len(found) >= 3
    assert found == sorted(found)


@pytest.mark.parametrize("mistake", PLANTED)
@pytest.mark.parametrize("name", NAMES)
def test_a_planted_mistake_is_refused_with_file_and_line(mistake, name, tmp_path):
    lines = (targets.folder() / f"{name}.toml").read_text(encoding="utf-8").splitlines()
    plant, code = PLANTED[mistake]
    facts = [(i, m) for i, line in enumerate(lines) if (m := FACT.match(line))]
    if mistake == "an unknown grade":
        facts = [(i, m) for i, m in facts if "grade" in m["rest"]]
    for i, m in random.Random(name).sample(facts, min(3, len(facts))):
        text = "\n".join([*lines[:i], plant(m), *lines[i + 1 :]])
        message = refusal(tmp_path, name, text)
        assert f"{name}.toml:{i + 1}: error[{code}]" in message, (plant(m), message)


def mutated(lines, draw):
    """Return the lines with one to three accidents: lost, doubled, misspelt, torn."""
    lines = list(lines)
    for _ in range(draw.choice([1, 1, 2, 3])):
        i, here = draw.randrange(len(lines)), lines[draw.randrange(len(lines))]
        match draw.randrange(6):
            case 0:
                lines.pop(i)
            case 1:
                lines.insert(i, here)
            case 2:
                lines.insert(i, draw.choice(TABLES))
            case 3:
                lines[i] = f"{lines[i].split('=')[0]}= {draw.choice(JUNK)}"
            case 4:
                lines[i] = f"{draw.choice(['year', 'name', 'x.y', 'count'])} = {draw.choice(JUNK)}"
            case 5:
                lines[i] = lines[i].replace(draw.choice('[]{}"=,'), draw.choice('[]{}"=,#'), 1)
    return lines


@pytest.mark.parametrize("name", NAMES)
def test_no_accident_in_a_file_ends_in_anything_but_a_refusal(name, tmp_path):
    draw = random.Random(f"accidents in {name}")
    lines = (targets.folder() / f"{name}.toml").read_text(encoding="utf-8").splitlines()
    for _ in range(12):
        message = refusal(tmp_path, name, "\n".join(mutated(lines, draw)))
        assert not message or re.search(r"\.toml:\d+: error\[ND8\d\d\]", message), message


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("year = 2018", "year = nan"),
        ('vendor = "Intel"', "vendor = 5"),
        ("schema = 1", "schema = true"),
        ("[[core_class]]", "[core_class]"),
        ('form = "product_le"', 'form = "product_le"\nfrom = "x"'),
        ('terms = ["core.compartments", "2**delay_bits"]', "terms = 3"),
        ("supply_v = { value = 0.75", "supply_v = { value = inf"),
    ],
)
def test_headers_and_arrays_have_types_too(text, fault, tmp_path):
    whole = (targets.folder() / "loihi1.toml").read_text(encoding="utf-8")
    assert text in whole
    assert "loihi1.toml:" in refusal(tmp_path, "loihi1", whole.replace(text, fault, 1))


@pytest.mark.parametrize(
    ("name", "line", "wrong"),
    [
        ("loihi1", "cores = { value = 128", "cores = { value = 0"),
        ("loihi1", "compartments = { value = 1024", "compartments = { value = 0"),
        ("kapoho-bay", "chips = { value = 2", "chips = { value = 0"),
        ("odin", "bits = { value = [3]", "bits = { value = []"),
        ("odin", 'sign_modes = { value = ["per-source"]', "sign_modes = { value = []"),
    ],
)
def test_a_part_without_cores_neurons_or_values_is_refused(name, line, wrong, tmp_path):
    text = (targets.folder() / f"{name}.toml").read_text(encoding="utf-8")
    assert line in text
    number = text[: text.index(line)].count("\n") + 1
    assert f"{name}.toml:{number}: error[ND801]" in refusal(tmp_path, name, text.replace(line, wrong, 1))


HEADERS = {
    "no schema": ("schema = 1", "", "has no 'schema' number"),
    "a word that is none": ('kind = "chip"', 'kind = "chipp"', "error[ND811] 'kind' is 'chipp'"),
    "a kind that is a list": ('kind = "chip"', "kind = []", "has no text 'kind'"),
    "another id": ('id = "xylo-audio-2"', 'id = "xylo"', "says id = 'xylo'"),
    "a year in words": ("\n[", '\nyear = "last"\n[', "has a 'year' that is not a whole number"),
    "no name": ("name = ", "label = ", "has no text 'name'"),
}


@pytest.mark.parametrize("fault", HEADERS)
def test_a_fault_in_the_header_hides_no_other(fault, tmp_path):
    text = (targets.folder() / "xylo-audio-2.toml").read_text(encoding="utf-8")
    if fault == "a year in words":
        text = re.sub(r"(?m)^year = .*\n", "", text)
    old, new, message = HEADERS[fault]
    assert old in text
    text = text.replace(old, new, 1)
    lines = text.splitlines()
    facts = [i for i, line in enumerate(lines) if FACT.match(line)]
    first, last = facts[0], facts[-1]
    lines[first] = lines[first].replace(" = ", "_x = ", 1)
    lines[last] = re.sub(r'src = "[^"]+"', 'src = "nobody"', lines[last])
    found = refusal(tmp_path, "xylo-audio-2", "\n".join(lines))
    assert message in found
    assert f"xylo-audio-2.toml:{first + 1}: error[ND802]" in found
    assert f"xylo-audio-2.toml:{last + 1}: error[ND803]" in found
