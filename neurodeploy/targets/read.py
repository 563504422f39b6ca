"""Reading a hardware file: TOML in, facts out, every mistake with its file and line."""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from neurodeploy.diagnostics import Diagnostic, Place, Rule, render
from neurodeploy.errors import TargetError
from neurodeploy.rules import hardware as rules
from neurodeploy.targets.facts import Limit, Rival
from neurodeploy.targets.fields import ABSENT, Field
from neurodeploy.targets.schema import (
    COUPLED_FORMS,
    COUPLED_KEYS,
    COUPLED_LIMIT,
    COUPLED_TERMS,
    ERRATUM_KEYS,
    FACT_KEYS,
    FIELDS,
    GRADES,
    HEADER,
    KINDS,
    MAPPINGS,
    RIVAL_KEYS,
    SCHEMA,
    SOURCE_KEYS,
    STATUS,
)

TABLES = tuple(dict.fromkeys(path.partition(".")[0] for path in FIELDS if not path.startswith("core.")))

_TABLE = re.compile(r"^\s*(\[\[?)\s*([^\]]+?)\s*\]")
_KEY = re.compile(r"^\s*([A-Za-z0-9_-]+)\s*=")


@dataclass
class Sheet:
    """One hardware file as read: header, sources and facts by path, and the line of each key."""

    path: Path
    header: dict[str, Any] = field(default_factory=dict)
    chip: str = ""
    sources: dict[str, dict[str, str]] = field(default_factory=dict)
    facts: dict[str, Limit] = field(default_factory=dict)
    core_classes: list[tuple[str, dict[str, Limit]]] = field(default_factory=list)
    coupled: list[tuple[str, str, tuple[str, ...], Limit]] = field(default_factory=list)
    errata: list[dict[str, str]] = field(default_factory=list)
    lines: dict[str, int] = field(default_factory=dict)
    faults: list[Diagnostic] = field(default_factory=list)

    def fault(self, rule: Rule, key: str, **facts: Any) -> None:
        """Note a mistake under a key."""
        line = next((self.lines[k] for k in _outwards(key) if k in self.lines), 1)
        self.faults.append(rule.at(Place(layer=f"{self.path.name}:{line}"), key=key, **facts))

    def refusal(self) -> TargetError:
        """Make the error that names every mistake."""
        in_file = sorted(self.faults, key=lambda d: int(d.place.layer.rpartition(":")[2]))
        told = "\n".join(render(d, concise=True) for d in in_file)
        return TargetError(f"'{self.path}' does not follow the hardware schema\n{told}")

    def raise_for_faults(self) -> Sheet:
        """Return the sheet if it follows the schema, else raise `TargetError` with all its mistakes."""
        if self.faults:
            raise self.refusal()
        return self


def read(path: Path) -> Sheet:
    """Read and validate one hardware file.

    Raises
    ------
    TargetError
        With every mistake in the file, each with its line.
    """
    try:
        text = path.read_text(encoding="utf-8")
        data = tomllib.loads(text)
    except (OSError, UnicodeDecodeError) as error:
        raise TargetError(f"cannot read hardware file '{path}': {error}") from error
    except tomllib.TOMLDecodeError as error:
        line = re.search(r"line (\d+)", str(error))
        where = f"{path.name}:{line.group(1) if line else 1}"
        fault = rules.MALFORMED_HARDWARE_FILE.at(Place(layer=where), key="", fault=f"is not TOML: {error}")
        raise TargetError(
            f"'{path}' does not follow the hardware schema\n{render(fault, concise=True)}"
        ) from error
    sheet = Sheet(path, lines=_lines(text))
    if _follows_this_schema(sheet, data):
        _read_header(sheet, data)
        _read_sources(sheet, data.pop("sources", {}))
        _read_tables(sheet, data)
    return sheet.raise_for_faults()


def _outwards(key: str) -> Iterator[str]:
    """Yield a key, then the tables around it."""
    parts = key.split(".")
    for end in range(len(parts), 0, -1):
        yield ".".join(parts[:end])


def _lines(text: str) -> dict[str, int]:
    """Line of every key, under its dotted path; the n-th table of an array is ``name[n]``."""
    lines: dict[str, int] = {}
    count: dict[str, int] = {}
    table = ""
    for number, line in enumerate(text.splitlines(), start=1):
        if head := _TABLE.match(line):
            name = head.group(2)
            root, _, rest = name.partition(".")
            if head.group(1) == "[[":
                count[name] = count.get(name, -1) + 1
                table = f"{name}[{count[name]}]"
            elif root in count:
                table = f"{root}[{count[root]}].{rest}"
            else:
                table = name
            lines.setdefault(table, number)
        elif key := _KEY.match(line):
            lines.setdefault(f"{table}.{key.group(1)}" if table else key.group(1), number)
    return lines


def _follows_this_schema(sheet: Sheet, data: dict[str, Any]) -> bool:
    """Whether keys mean what they mean here; a file without a number is read to find its other faults."""
    version = data.get("schema")
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        sheet.fault(rules.MALFORMED_HARDWARE_FILE, "schema", fault="has no 'schema' number")
    elif version > SCHEMA:
        sheet.fault(rules.SCHEMA_TOO_NEW, "schema", used=version, limit=SCHEMA, unit="schema")
        return False
    return True


def _read_header(sheet: Sheet, data: dict[str, Any]) -> None:
    for key in HEADER:
        if key in data:
            sheet.header[key] = data.pop(key)
    for key in ("id", "name", "kind", "status"):
        if not isinstance(sheet.header.get(key), str):
            sheet.fault(rules.MALFORMED_HARDWARE_FILE, key, fault=f"has no text '{key}'")
    _check_types(sheet)
    _check_header(sheet)


def _check_types(sheet: Sheet) -> None:
    for key in ("vendor", "mapping", "process", "like"):
        if not isinstance(sheet.header.get(key, ""), str):
            sheet.fault(rules.MALFORMED_HARDWARE_FILE, key, fault=f"has a '{key}' that is not text")
    year = sheet.header.get("year", 0)
    if not isinstance(year, int) or isinstance(year, bool):
        sheet.fault(rules.MALFORMED_HARDWARE_FILE, "year", fault="has a 'year' that is not a whole number")


def _check_header(sheet: Sheet) -> None:
    for key, words in (("kind", KINDS), ("status", STATUS), ("mapping", MAPPINGS)):
        word = sheet.header.get(key)
        if isinstance(word, str) and word not in words:
            sheet.fault(rules.UNKNOWN_HARDWARE_WORD, key, word=repr(word), words=", ".join(words))
    if isinstance(name := sheet.header.get("id"), str) and name != sheet.path.stem:
        sheet.fault(
            rules.MALFORMED_HARDWARE_FILE,
            "id",
            fault=f"says id = {name!r} in a file named '{sheet.path.name}'",
        )
    if sheet.header.get("kind") == "board" and "like" in sheet.header:
        sheet.fault(
            rules.MALFORMED_HARDWARE_FILE, "like", fault="is a board; it has a chip and is like no other"
        )
    elif sheet.header.get("kind") != "board" and not {"mapping", "like"} & set(sheet.header):
        sheet.fault(rules.MALFORMED_HARDWARE_FILE, "id", fault="has no 'mapping'")


def _read_sources(sheet: Sheet, sources: Any) -> None:
    if not isinstance(sources, dict):
        sheet.fault(rules.MALFORMED_HARDWARE_FILE, "sources", fault="has 'sources' that are no table")
        return
    for key, source in sources.items():
        path = f"sources.{key}"
        if not isinstance(source, dict) or not isinstance(source.get("title"), str):
            sheet.fault(rules.MALFORMED_HARDWARE_FILE, path, fault=f"gives source '{key}' no title")
            continue
        for name in source:
            if name not in SOURCE_KEYS:
                _unknown(sheet, f"{path}.{name}", name, SOURCE_KEYS)
        sheet.sources[key] = source


def _rows(sheet: Sheet, data: dict[str, Any], name: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """Take an array of tables out of a file, each with its number; anything else of that name is a fault."""
    rows = data.pop(name, [])
    if not isinstance(rows, list):
        sheet.fault(rules.MALFORMED_HARDWARE_FILE, name, fault=f"has '{name}', which is written [[{name}]]")
        return
    for number, row in enumerate(rows):
        if isinstance(row, dict):
            yield number, row
        else:
            sheet.fault(rules.MALFORMED_HARDWARE_FILE, name, fault=f"has a '{name}' that is no table")


def _read_tables(sheet: Sheet, data: dict[str, Any]) -> None:
    for number, row in _rows(sheet, data, "core_class"):
        name = row.pop("name", None)
        if not isinstance(name, str):
            sheet.fault(
                rules.MALFORMED_HARDWARE_FILE,
                f"core_class[{number}]",
                fault="has a core class without a name",
            )
            continue
        facts: dict[str, Limit] = {}
        _collect(sheet, row, "core", f"core_class[{number}]", facts)
        sheet.core_classes.append((name, facts))
    for number, row in _rows(sheet, data, "coupled"):
        _read_coupled(sheet, row, f"coupled[{number}]")
    for number, row in _rows(sheet, data, "erratum"):
        _read_erratum(sheet, row, f"erratum[{number}]")
    board = data.get("board")
    if isinstance(board, dict) and isinstance(board.get("chip"), str):
        sheet.chip = board.pop("chip")
    if sheet.header.get("kind") == "board" and not sheet.chip:
        sheet.fault(rules.MALFORMED_HARDWARE_FILE, "board", fault="is a board but names no chip")
    for table, rows in data.items():
        if isinstance(rows, dict) and table in TABLES:
            _collect(sheet, rows, table, table, sheet.facts)
        else:
            _unknown(sheet, table, table, (*HEADER, *TABLES))


def _collect(sheet: Sheet, rows: Mapping[str, Any], path: str, key: str, into: dict[str, Limit]) -> None:
    """Gather the facts of a table and of the tables in it."""
    for name, item in rows.items():
        here, line_key = f"{path}.{name}", f"{key}.{name}"
        if here in FIELDS:
            limit = _fact(sheet, item, here, line_key)
            if limit is not None:
                into[here] = limit
        elif isinstance(item, dict) and any(known.startswith(f"{here}.") for known in FIELDS):
            _collect(sheet, item, here, line_key, into)
        else:
            known = [f.rpartition(".")[2] for f in FIELDS if f.startswith(f"{path}.")]
            _unknown(sheet, line_key, name, known or [f.partition(".")[0] for f in FIELDS])


def _fact(sheet: Sheet, item: Any, path: str, key: str, spec: Field | None = None) -> Limit | None:
    spec = spec or FIELDS[path]
    if not isinstance(item, dict) or "value" not in item:
        sheet.fault(rules.UNSOURCED_NUMBER, key, fault=f"'{key}' gives no value, source and grade")
        return None
    for name in item:
        if name not in FACT_KEYS:
            _unknown(sheet, key, name, FACT_KEYS)
    value = item["value"]
    if fault := spec.fault(value):
        sheet.fault(rules.MALFORMED_HARDWARE_FILE, key, fault=f"'{key}': {fault}")
        return None
    _check_source(sheet, item.get("src"), key)
    absent = isinstance(value, str) and value in ABSENT
    grade = item.get("grade", "")
    if not absent and grade not in GRADES:
        fault = f"'{key}' has no grade" if not grade else f"'{key}' has the unknown grade {grade!r}"
        sheet.fault(rules.UNSOURCED_NUMBER, key, fault=f"{fault}; grades are {', '.join(GRADES)}")
    rivals = tuple(_rivals(sheet, item.get("conflict", []), spec, key))
    return Limit(
        _frozen(value), spec.unit, str(item.get("src", "")), grade, rivals, str(item.get("note", "")), path
    )


def _rivals(sheet: Sheet, rows: Any, spec: Any, key: str) -> Iterator[Rival]:
    for row in rows if isinstance(rows, list) else [rows]:
        if not isinstance(row, dict) or "value" not in row or spec.fault(row["value"]):
            sheet.fault(
                rules.MALFORMED_HARDWARE_FILE, key, fault=f"'{key}' has a rival without a fitting value"
            )
            continue
        for name in row:
            if name not in RIVAL_KEYS:
                _unknown(sheet, key, name, RIVAL_KEYS)
        _check_source(sheet, row.get("src"), key)
        yield Rival(_frozen(row["value"]), str(row.get("src", "")), str(row.get("note", "")))


def _check_source(sheet: Sheet, src: Any, key: str) -> None:
    if not isinstance(src, str) or not src:
        sheet.fault(rules.UNSOURCED_NUMBER, key, fault=f"'{key}' has no source")
    elif src.partition(":")[0] not in sheet.sources:
        sheet.fault(
            rules.UNSOURCED_NUMBER,
            key,
            fault=f"'{key}' cites '{src.partition(':')[0]}', which is not in [sources]",
        )


def _read_coupled(sheet: Sheet, row: dict[str, Any], key: str) -> None:
    for name in row:
        if name not in COUPLED_KEYS:
            _unknown(sheet, f"{key}.{name}", name, COUPLED_KEYS)
    terms, limit, form = row.get("terms"), row.get("limit"), row.get("form")
    known = isinstance(terms, list) and terms and all(t in COUPLED_TERMS for t in terms)
    if form not in COUPLED_FORMS or not known:
        sheet.fault(
            rules.MALFORMED_HARDWARE_FILE,
            key,
            fault=f"couples other than {' or '.join(COUPLED_FORMS)} over {', '.join(COUPLED_TERMS)}",
        )
        return
    assert isinstance(terms, list)
    before = len(sheet.faults)
    fact = _fact(sheet, limit, f"coupled.{row.get('name', '')}", f"{key}.limit", COUPLED_LIMIT)
    if fact is not None and len(sheet.faults) == before:
        sheet.coupled.append((str(row.get("name", "")), form, tuple(terms), fact))


def _read_erratum(sheet: Sheet, row: dict[str, Any], key: str) -> None:
    for name in row:
        if name not in ERRATUM_KEYS:
            _unknown(sheet, f"{key}.{name}", name, ERRATUM_KEYS)
    _check_source(sheet, row.get("src"), key)
    sheet.errata.append({k: str(v) for k, v in row.items()})


def _unknown(sheet: Sheet, key: str, name: str, known: Any) -> None:
    longer = [k for k in known if k.startswith(f"{name}_")]
    near = longer[:1] or difflib.get_close_matches(name, list(known), n=1)
    hint = f"; did you mean '{near[0]}'?" if near else ""
    sheet.fault(rules.UNKNOWN_HARDWARE_KEY, key, name=name, hint=hint)


def _frozen(value: Any) -> Any:
    return tuple(_frozen(v) for v in value) if isinstance(value, list) else value
