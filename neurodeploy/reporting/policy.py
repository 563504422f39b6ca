"""Policy: what a project makes of findings. Some weigh more, some less, some are waived for a while.

What the checks report as an error stays one: such a network does not run on the part, or computes other
numbers there, whoever agrees to it. Warnings and notes are judgements, which a project may make for itself.
"""

from __future__ import annotations

import dataclasses
import datetime
import difflib
import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from neurodeploy.diagnostics import Diagnostic, Place, Severity
from neurodeploy.errors import OptionError
from neurodeploy.program import Program
from neurodeploy.reporting.catalogue import nearest_code
from neurodeploy.rules import RULES
from neurodeploy.rules import policy as rules

KEYS = ("code", "layer", "reason", "expires", "author")


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
        raise OptionError(f"there is no finding '{code}'{nearest_code(code)}")
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
        Codes that become errors, and codes that become notes.
    waivers : sequence of Waiver
        What they cover becomes a note with the reason, also where `error` would make it an error. Expired and
        unused waivers become findings themselves.
    today : date, optional

    Raises
    ------
    OptionError
        If a code is not in the catalogue, or both an error and allowed.

    Notes
    -----
    An error of the checks is lifted neither by `allow` nor by a waiver; to ask for it is an error too.
    """
    errors, allowed = {known_code(c) for c in error}, {known_code(c) for c in allow}
    if both := sorted(errors & allowed):
        raise OptionError(f"{both[0]} cannot be both an error and allowed")
    now = today or datetime.date.today()
    held = [w for w in waivers if w.expires >= now]
    found, refused = [], dict[tuple[str, str], Diagnostic]()
    for d in program.diagnostics:
        waiver = next((w for w in held if w.covers(d)), None)
        if d.severity is Severity.ERROR and (waiver or d.code in allowed):
            how = f"the waiver for '{waiver.layer}'" if waiver else f"--allow {d.code}"
            facts = {"waived": d.code, "layer": d.place.layer or "model", "how": how}
            refused.setdefault((d.code, d.place.layer), rules.NOT_WAIVABLE.at(d.place, **facts))
        found.append(_weighed(d, waiver, errors, allowed))
    for w in waivers:
        facts = {"waived": w.code, "layer": w.layer, "expires": w.expires.isoformat()}
        if w.expires < now:
            found.append(rules.WAIVER_EXPIRED.at(Place(layer=w.layer), **facts))
        elif not any(w.covers(d) for d in program.diagnostics):
            found.append(rules.WAIVER_UNUSED.at(Place(layer=w.layer), **facts))
    return dataclasses.replace(program, diagnostics=(*found, *refused.values()))


def _weighed(d: Diagnostic, waiver: Waiver | None, errors: set[str], allowed: set[str]) -> Diagnostic:
    if d.severity is Severity.ERROR:
        return d
    if waiver is not None:
        message = f"{d.message} - waived until {waiver.expires}: {waiver.reason}"
        facts = {**d.facts, "waived": waiver.reason}
        return dataclasses.replace(d, severity=Severity.NOTE, facts=facts, message=message)
    if d.code in errors:
        return dataclasses.replace(d, severity=Severity.ERROR)
    return dataclasses.replace(d, severity=Severity.NOTE) if d.code in allowed else d
