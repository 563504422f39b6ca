"""Policy: what a project makes of findings. Some weigh more, some less, some are waived for a while."""

from __future__ import annotations

import dataclasses
import datetime
import difflib
import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from neurodeploy.diagnostics import Diagnostic, Kind, Place, Severity
from neurodeploy.errors import OptionError
from neurodeploy.program import Program
from neurodeploy.rules import RULES
from neurodeploy.rules import policy as rules

KEYS = ("code", "layer", "reason", "expires", "author")
NEVER_WAIVED = (Kind.WALL, Kind.CAPACITY)


@dataclass(frozen=True)
class Waiver:
    """One finding that a project accepts for a while.

    Parameters
    ----------
    code, layer : str
        Which finding, in which layer of the user's model; ``*`` is any layer.
    reason : str
    expires : date
        The last day on which it holds.
    author : str
    """

    code: str
    layer: str
    reason: str
    expires: datetime.date
    author: str = ""

    def covers(self, d: Diagnostic) -> bool:
        """Whether it speaks of a finding."""
        return d.code == self.code and self.layer in ("*", d.place.layer)


def read_waivers(path: str | Path) -> tuple[Waiver, ...]:
    """Read a waiver file: TOML with one ``[[waiver]]`` per finding.

    Raises
    ------
    OptionError
        If it cannot be read, a key is unknown or missing, or two waivers say the same.
    """
    try:
        data = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise OptionError(f"cannot read waivers '{path}': {error}") from error
    rows = data.pop("waiver", [])
    if data or not isinstance(rows, list):
        raise OptionError(
            f"'{path}' holds {', '.join(data) or 'no list'}; a waiver file holds [[waiver]] only"
        )
    waivers = tuple(_waiver(row, f"'{path}', waiver {i + 1}") for i, row in enumerate(rows))
    keys = [(w.code, w.layer) for w in waivers]
    for key in keys:
        if keys.count(key) > 1:
            raise OptionError(f"'{path}' waives {key[0]} for '{key[1]}' twice; keep one")
    return waivers


def _waiver(row: Any, where: str) -> Waiver:
    if not isinstance(row, dict):
        raise OptionError(f"{where} is not a table")
    if odd := [key for key in row if key not in KEYS]:
        near = difflib.get_close_matches(odd[0], KEYS, n=1)
        raise OptionError(
            f"{where}: unknown key '{odd[0]}'" + (f"; did you mean '{near[0]}'?" if near else "")
        )
    for key in KEYS[:3]:
        if not isinstance(row.get(key), str) or not row[key].strip():
            raise OptionError(f"{where} has no '{key}'")
    expires = row.get("expires")
    if not isinstance(expires, datetime.date) or isinstance(expires, datetime.datetime):
        raise OptionError(f"{where} has no date 'expires', as 2030-12-31 (without quotes)")
    known_code(row["code"])
    return Waiver(row["code"], row["layer"], row["reason"], expires, str(row.get("author", "")))


def known_code(code: str) -> str:
    """Return a code if the catalogue has it.

    Raises
    ------
    OptionError
        If it does not.
    """
    if code not in RULES:
        near = difflib.get_close_matches(code.upper(), RULES, n=1, cutoff=0.5)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise OptionError(f"there is no finding '{code}'{hint}")
    return code


def with_policy(
    program: Program,
    *,
    error: Iterable[str] = (),
    allow: Iterable[str] = (),
    waivers: Sequence[Waiver] = (),
    today: datetime.date | None = None,
) -> Program:
    """Return a program whose findings weigh as a project wants them to.

    Parameters
    ----------
    program : Program
    error, allow : iterable of str
        Codes that become errors, and codes that become notes. An error that becomes a note keeps the fact
        ``allowed``, so that no verdict calls its network one that fits.
    waivers : sequence of Waiver
        What they cover becomes a note with the reason, unless it is an error no agreement lifts. Expired and
        unused waivers become findings themselves.
    today : date, optional

    Raises
    ------
    OptionError
        If a code is not in the catalogue, or both an error and allowed.
    """
    errors, allowed = {known_code(c) for c in error}, {known_code(c) for c in allow}
    if both := sorted(errors & allowed):
        raise OptionError(f"{both[0]} cannot be both an error and allowed")
    now = today or datetime.date.today()
    held = [w for w in waivers if w.expires >= now]
    found: list[Diagnostic] = []
    for d in program.diagnostics:
        waiver = next((w for w in held if w.covers(d)), None)
        found += _weighed(d, waiver, errors, allowed)
    for w in waivers:
        facts = {"waived": w.code, "layer": w.layer, "expires": w.expires.isoformat()}
        if w.expires < now:
            found.append(rules.WAIVER_EXPIRED.at(Place(layer=w.layer), **facts))
        elif not any(w.covers(d) for d in program.diagnostics):
            found.append(rules.WAIVER_UNUSED.at(Place(layer=w.layer), **facts))
    return dataclasses.replace(program, diagnostics=tuple(found))


def _weighed(d: Diagnostic, waiver: Waiver | None, errors: set[str], allowed: set[str]) -> list[Diagnostic]:
    if waiver is not None and d.severity is Severity.ERROR and d.kind in NEVER_WAIVED:
        refusal = rules.NOT_WAIVABLE.at(d.place, waived=d.code, layer=d.place.layer, kind=d.kind.value)
        return [d, refusal]
    if waiver is not None:
        lifted = {"allowed": True} if d.severity is Severity.ERROR else {}
        facts = {**d.facts, **lifted, "waived": waiver.reason}
        message = f"{d.message} - waived until {waiver.expires}: {waiver.reason}"
        return [dataclasses.replace(d, severity=Severity.NOTE, facts=facts, message=message)]
    if d.code in errors:
        return [dataclasses.replace(d, severity=Severity.ERROR)]
    if d.code in allowed and d.severity is Severity.ERROR:
        return [dataclasses.replace(d, severity=Severity.NOTE, facts={**d.facts, "allowed": True})]
    if d.code in allowed:
        return [dataclasses.replace(d, severity=Severity.NOTE)]
    return [d]
