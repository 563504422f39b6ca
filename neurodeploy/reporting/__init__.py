"""Reports: the figures of a program or a run, as text, as a picture, as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from neurodeploy.errors import DataError
from neurodeploy.files import write_beside
from neurodeploy.reporting.figures import FORMAT
from neurodeploy.reporting.ladder import draw_ladder, ladder_text
from neurodeploy.reporting.text import run_text

__all__ = ["Report", "read_report"]

_KEYS = ("accuracy", "samples", "steps", "backend", "target", "seed", "seconds", "layers", "card")


@dataclass(frozen=True, eq=False)
class Report:
    """Figures that print themselves and write themselves.

    Parameters
    ----------
    figures : mapping
        As `figures.run_figures` makes them; plain JSON values.
    """

    figures: Mapping[str, Any]

    def __post_init__(self) -> None:
        object.__setattr__(self, "figures", MappingProxyType(dict(self.figures)))

    def __str__(self) -> str:
        text = run_text(self.figures)
        return f"{text}\n\n{ladder_text(self.figures['ladder'])}" if "ladder" in self.figures else text

    def to_json(self) -> str:
        """Return all figures as JSON text, one to a line."""
        lines = [f"{json.dumps(k)}: {json.dumps(v, allow_nan=False)}" for k, v in self.figures.items()]
        return "{\n" + ",\n".join(lines) + "\n}\n"

    def save(self, folder: Path) -> tuple[Path, ...]:
        """Write ``report.png``, ``.json`` and ``.txt`` into a folder, made if need be.

        With a ladder among the figures, ``ladder.png`` too.
        """
        from neurodeploy.reporting.picture import draw

        folder.mkdir(parents=True, exist_ok=True)
        rungs = self.figures.get("ladder")
        return (
            draw([self.figures], folder / "report.png"),
            *([draw_ladder(rungs, folder / "ladder.png")] if rungs else []),
            write_beside(folder / "report.json", lambda p: p.write_text(self.to_json(), encoding="utf-8")),
            write_beside(folder / "report.txt", lambda p: p.write_text(f"{self}\n", encoding="utf-8")),
        )


def read_report(path: Path) -> Report:
    """Read what ``run --json`` or `Report.save` wrote.

    Raises
    ------
    DataError
        If it is not such a file.
    """
    if not path.is_file():
        raise DataError(f"'{path}' is not a file; name what 'neurodeploy run --json' wrote")
    try:
        figures = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise DataError(f"'{path}' is not JSON: {error}") from None
    except OSError as error:
        raise DataError(f"'{path}' cannot be read: {error.strerror}") from None
    if not isinstance(figures, dict) or figures.get("format") != FORMAT:
        raise DataError(f"'{path}' is not a run of neurodeploy; name what 'neurodeploy run --json' wrote")
    missing = [key for key in _KEYS if key not in figures]
    if missing:
        raise DataError(f"'{path}' is a run with parts missing: {', '.join(missing)}")
    return Report(figures)
