"""Findings as SARIF 2.1.0, the format that code hosts and editors show.

References
----------
.. [1] OASIS (2020), Static Analysis Results Interchange Format, version 2.1.0.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from importlib import metadata
from typing import Any

from neurodeploy.diagnostics import Diagnostic, Place, Rule, Severity, in_order
from neurodeploy.program import Program
from neurodeploy.rules import RULES
from neurodeploy.rules.hardware import LIMIT_NOT_PUBLISHED

SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
LEVEL = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.NOTE: "note"}
UNCHECKED = (LIMIT_NOT_PUBLISHED.code,)
"""Findings that say that something could not be decided."""


def to_sarif(program: Program, diagnostics: Iterable[Diagnostic] | None = None) -> str:
    """Write the findings of a program.

    Parameters
    ----------
    program : Program
    diagnostics : iterable of Diagnostic, optional
        Those of the program by default.

    Returns
    -------
    str
        JSON text.
    """
    found = in_order(program.diagnostics if diagnostics is None else diagnostics)
    codes = sorted({d.code for d in found})
    run = {
        "tool": {"driver": {**_driver(), "rules": [_rule(RULES[code]) for code in codes if code in RULES]}},
        "artifacts": [{"location": {"uri": _source(program)}}],
        "columnKind": "unicodeCodePoints",
        "results": [_result(program, d, codes) for d in found],
        "properties": {"target": program.target.id, "graph": program.graph.digest()},
    }
    return json.dumps({"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}, indent=2) + "\n"


def _driver() -> dict[str, Any]:
    try:
        version = metadata.version("neurodeploy")
    except metadata.PackageNotFoundError:  # run from a checkout
        version = "0"
    return {"name": "neurodeploy", "semanticVersion": version}


def _rule(rule: Rule) -> dict[str, Any]:
    return {
        "id": rule.code,
        "name": "".join(word.capitalize() for word in rule.name.split("-")),
        "shortDescription": {"text": rule.name.replace("-", " ")},
        "fullDescription": {"text": rule.why},
        "help": {"text": f"neurodeploy explain {rule.code}. Example: {rule.example}"},
        "defaultConfiguration": {"level": LEVEL[rule.severity]},
        "properties": {"kind": rule.kind.value},
    }


def _result(program: Program, d: Diagnostic, codes: list[str]) -> dict[str, Any]:
    unchecked = d.code in UNCHECKED
    result: dict[str, Any] = {
        "ruleId": d.code,
        "kind": "open" if unchecked else "fail",
        "level": "none" if unchecked else LEVEL[d.severity],
        "message": {"text": f"{d.message}. {d.remedy}" if d.remedy else d.message},
        "locations": [
            {
                "physicalLocation": {"artifactLocation": {"uri": _source(program), "index": 0}},
                "logicalLocations": _logical(d.place),
            }
        ],
        "partialFingerprints": {"neurodeploy/v1": fingerprint(d)},
        "properties": {key: value for key, value in d.as_dict().items() if key in ("kind", "facts", "place")},
    }
    if d.code in RULES:
        result["ruleIndex"] = codes.index(d.code)
    if "waived" in d.facts:
        result["suppressions"] = [{"kind": "external", "justification": str(d.facts["waived"])}]
    return result


def _logical(place: Place) -> list[dict[str, Any]]:
    """Name the layer, then what is inside it, each with its full path."""
    parts = [place.layer or "model", place.node, place.block]
    parts += [f"core {place.core}"] if place.core is not None else []
    names = [name for i, name in enumerate(parts) if name and (i == 0 or name != parts[i - 1])]
    return [
        {
            "name": name,
            "fullyQualifiedName": "/".join(names[: i + 1]),
            "kind": "module" if i == 0 else "object",
        }
        for i, name in enumerate(names)
    ]


def fingerprint(d: Diagnostic) -> str:
    """Name a finding by what and where it is, not by its numbers, which change."""
    return hashlib.sha256(f"{d.code}/{d.place.layer}/{d.place.node}".encode()).hexdigest()


def _source(program: Program) -> str:
    return str(program.graph.meta.get("source") or f"{program.graph.name}.nd").replace(" ", "%20")
