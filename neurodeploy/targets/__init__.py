"""Target: what one chip or board can do, read from `hardware/*.toml`. No limit is written anywhere else.

A board names its chip and inherits its facts. The files lie inside the installed package; in a checkout or an
editable install they lie beside it.
"""

from __future__ import annotations

import dataclasses
import difflib
import functools
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from neurodeploy.errors import TargetError, VerifyError
from neurodeploy.rules import hardware as rules
from neurodeploy.targets.facts import Limit, Rival
from neurodeploy.targets.read import Sheet, read
from neurodeploy.targets.schema import BOARD_TABLES, FIELDS

__all__ = ["CoreClass", "Coupled", "Limit", "Rival", "Target", "names", "target"]


@dataclass(frozen=True)
class CoreClass:
    """One kind of core on a chip."""

    name: str
    facts: Mapping[str, Limit]


@dataclass(frozen=True)
class Coupled:
    """A limit on a combination of values, as ``compartments * 2**delay_bits <= limit``."""

    name: str
    form: str
    terms: tuple[str, ...]
    limit: Limit


@dataclass(frozen=True, eq=False)
class Target:
    """A chip or a board.

    Parameters
    ----------
    id, name : str
        File stem and display name.
    kind : {"chip", "board", "template"}
    status : str
        How far it was checked: ``emulated``, ``checked-on-silicon``, ``documents-only``, ``announced``,
        ``not-spiking``.
    mapping : str
        How networks are laid out on it: ``cores``, ``layer-engines``, ``processors``, ``crossbar``,
        ``ensemble``.
    chip : str
        Id of the chip; its own id unless it is a board.
    facts : mapping of str to Limit
        By schema path, as ``core.compartments``; a value of a core class is here if all classes agree.
    core_classes : tuple of CoreClass
    coupled : tuple of Coupled
    sources : mapping of str to mapping
    errata : tuple of mapping
    """

    id: str
    name: str
    kind: str
    status: str
    mapping: str
    chip: str
    facts: Mapping[str, Limit]
    core_classes: tuple[CoreClass, ...] = ()
    coupled: tuple[Coupled, ...] = ()
    sources: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    errata: tuple[Mapping[str, str], ...] = ()
    vendor: str = ""
    year: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "facts", MappingProxyType(dict(self.facts)))

    def limit(self, path: str) -> Limit:
        """Return a fact; one that the file leaves out is ``"unknown"``.

        Parameters
        ----------
        path : str
            In the schema, as ``core.compartments`` or ``synapse.weight.exponent_min``.
        """
        if path not in FIELDS:
            raise VerifyError(f"'{path}' is not in the hardware schema")
        return self.facts.get(path, Limit("unknown", FIELDS[path].unit, path=path))

    def number(self, path: str) -> int | None:
        """Return a whole number, or None where there is no known limit."""
        found = self.limit(path)
        return int(found.value) if found.known else None

    def require(self, path: str) -> int:
        """Return a whole number that a pass cannot work without.

        Raises
        ------
        TargetError
            If the hardware file does not give it.
        """
        found = self.number(path)
        if found is None:
            raise TargetError(
                f"target '{self.id}' gives no '{path}', which the compiler needs to lay a network out; "
                f"add it to hardware/{self.chip}.toml or choose another target"
            )
        return found

    def words(self, path: str) -> tuple[Any, ...]:
        """Return a list of words or numbers; empty where unknown."""
        found = self.limit(path)
        return tuple(found.value) if found.known else ()

    def is_true(self, path: str) -> bool | None:
        """Return a yes or no, or None where unknown."""
        found = self.limit(path)
        return bool(found.value) if found.known else None

    def with_limits(self, **values: Any) -> Target:
        """Return a target with other values, dots written as double underscores.

        For what-if questions and boundary tests: ``target.with_limits(core__compartments=10)``.
        """
        facts = dict(self.facts)
        for name, value in values.items():
            path = name.replace("__", ".")
            facts[path] = dataclasses.replace(self.limit(path), value=value, grade="documented", conflict=())
        return dataclasses.replace(self, facts=facts)

    def digest(self) -> str:
        """SHA-256 over all facts, as hexadecimal text."""
        record = [
            *(getattr(self, name) for name in ("id", "name", "kind", "status", "mapping", "chip")),
            {path: dataclasses.astuple(limit) for path, limit in self.facts.items()},
            [(c.name, {k: dataclasses.astuple(v) for k, v in c.facts.items()}) for c in self.core_classes],
            [dataclasses.astuple(c) for c in self.coupled],
        ]
        return hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()


def folder() -> Path:
    """Return the folder of hardware files."""
    inside = Path(__file__).resolve().parents[1] / "hardware"
    beside = Path(__file__).resolve().parents[2] / "hardware"
    return inside if inside.is_dir() else beside


def names() -> tuple[str, ...]:
    """Return the ids of all targets, sorted."""
    return tuple(sorted(path.stem for path in folder().glob("*.toml")))


def target(name: str) -> Target:
    """Return a target by its id, or read one from a hardware file.

    Parameters
    ----------
    name : str
        As listed by `names`, or a path that ends in ``.toml``; the chip of a board is looked up beside it
        first.

    Raises
    ------
    TargetError
        If there is none of that name, or its file does not follow the schema.
    """
    if str(name).endswith(".toml"):
        return _load(Path(name))
    if name not in names():
        near = difflib.get_close_matches(str(name), names(), n=1)
        hint = f" Did you mean '{near[0]}'?" if near else ""
        raise TargetError(f"there is no target '{name}'.{hint} Targets: {', '.join(names())}")
    return _load(folder() / f"{name}.toml")


def _load(path: Path) -> Target:
    try:
        stamp = path.stat().st_mtime_ns
    except OSError as error:
        raise TargetError(f"cannot read hardware file '{path}': {error.strerror}") from error
    return _load_once(path, stamp)


@functools.lru_cache(maxsize=64)
def _load_once(path: Path, stamp: int) -> Target:
    sheet = _with_base(read(path))
    if not sheet.chip:
        return _assemble(sheet, sheet)
    found = _beside(sheet, sheet.chip)
    if found is None:
        sheet.fault(rules.BOARD_WITHOUT_CHIP, "board.chip", chip=sheet.chip)
        raise sheet.refusal()
    chip = _with_base(read(found))
    _refuse_looser(sheet, chip)
    return _assemble(sheet, chip)


def _beside(sheet: Sheet, name: str) -> Path | None:
    """Find the file of another chip: beside this one first, then among ours."""
    candidates = [sheet.path.parent / f"{name}.toml", folder() / f"{name}.toml"]
    return next((c for c in candidates if c.is_file()), None)


def _with_base(sheet: Sheet) -> Sheet:
    """Return a sheet with what it does not say taken from the chip that it is like."""
    if "like" not in sheet.header:
        return sheet
    like = str(sheet.header["like"])
    found = _beside(sheet, like)
    base = read(found) if found is not None else None
    if base is None or base.chip or "like" in base.header:
        fault = f"is like '{like}', which has no hardware file of its own"
        sheet.fault(rules.MALFORMED_HARDWARE_FILE, "like", fault=fault)
        raise sheet.refusal()
    return dataclasses.replace(
        sheet,
        header={**base.header, **sheet.header},
        sources={**base.sources, **sheet.sources},
        facts={**base.facts, **sheet.facts},
        core_classes=sheet.core_classes or base.core_classes,
        coupled=sheet.coupled or base.coupled,
        errata=[*base.errata, *sheet.errata],
    )


def _refuse_looser(board: Sheet, chip: Sheet) -> None:
    for path, limit in {**board.facts, **_common(board)}.items():
        before = {**chip.facts, **_common(chip)}.get(path)
        if before is None or path.partition(".")[0] in BOARD_TABLES:
            continue
        if _looser(path, limit, before):
            key = path.replace("core.", "core_class[0].", 1) if path.startswith("core.") else path
            board.fault(rules.BOARD_LOOSENS_CHIP, key, used=limit.value, limit=before.value, chip=board.chip)
    board.raise_for_faults()


def _looser(path: str, board: Limit, chip: Limit) -> bool:
    if not chip.known:
        return False
    if not board.known:
        return True
    if isinstance(chip.value, tuple):
        return not set(board.value) <= set(chip.value)
    if isinstance(chip.value, bool | str):
        return bool(board.value != chip.value)
    name = path.rpartition(".")[2]
    lower_bound = name == "min" or "_min" in name or name.startswith("min_")
    return bool(board.value < chip.value if lower_bound else board.value > chip.value)


def _common(sheet: Sheet) -> dict[str, Limit]:
    """Facts on which all core classes agree; where they differ, the largest core's."""
    merged: dict[str, Limit] = {}
    for _, facts in sheet.core_classes:
        for path, limit in facts.items():
            before = merged.get(path)
            if before is None or (limit.known and before.known and limit.value > before.value):
                merged[path] = limit
    return merged


def _assemble(sheet: Sheet, chip: Sheet) -> Target:
    facts = {**_common(chip), **chip.facts, **_common(sheet), **sheet.facts}
    classes = sheet.core_classes or chip.core_classes
    header = {**chip.header, **sheet.header}
    return Target(
        id=header["id"],
        name=header["name"],
        kind=header["kind"],
        status=header["status"],
        mapping=header.get("mapping", "cores"),
        chip=sheet.chip or header["id"],
        facts=facts,
        core_classes=tuple(CoreClass(name, MappingProxyType(rows)) for name, rows in classes),
        coupled=tuple(Coupled(*row) for row in (sheet.coupled or chip.coupled)),
        sources=MappingProxyType({**chip.sources, **sheet.sources}),
        errata=tuple(MappingProxyType(row) for row in (*chip.errata, *(sheet.errata if sheet.chip else ()))),
        vendor=str(header.get("vendor", "")),
        year=int(header.get("year", 0)),
    )
