"""Reports: the figures of a program or a run, as text, as a picture, as JSON."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType, NoneType
from typing import Any

from neurodeploy.errors import DataError, OutputError
from neurodeploy.files import write_beside
from neurodeploy.reporting.conversion import conversion_text
from neurodeploy.reporting.figures import FORMAT, MODEL_FORMAT
from neurodeploy.reporting.ladder import draw_ladder, ladder_text
from neurodeploy.reporting.text import layer_table, model_text, run_text

__all__ = ["REPORT_FILES", "Report", "read_report"]

REPORT_FILES = ("report.png", "ladder.png", "report.json", "report.txt")
"""What `Report.save` may write."""

_Kinds = Mapping[str, type | tuple[type, ...]]
_OF_RUN: _Kinds = {
    "accuracy": (int, float, NoneType), "samples": int, "samples_asked": int, "complete": bool, "steps": int,
    "backend": str, "target": (str, NoneType), "seed": int, "seconds": (int, float),
    "accuracy_over_steps": (list, NoneType), "raster": list,
}  # fmt: skip
_OF_ALL: _Kinds = {"layers": list, "card": dict}
_KEYS: Mapping[str, _Kinds] = {FORMAT: {**_OF_RUN, **_OF_ALL}, MODEL_FORMAT: _OF_ALL}
"""What a file of each format has to hold, and of which type."""
_ODD = (AttributeError, IndexError, KeyError, OverflowError, TypeError, ValueError)
"""What figures of another form than ours lead to."""


@dataclass(frozen=True, eq=False)
class Report:
    """Figures that print themselves and write themselves.

    Parameters
    ----------
    figures : mapping
        As `figures.run_figures` and `figures.model_figures` make them; plain JSON values.
    """

    figures: Mapping[str, Any]

    def __post_init__(self) -> None:
        object.__setattr__(self, "figures", MappingProxyType(dict(self.figures)))

    def __str__(self) -> str:
        text = run_text(self.figures) if self.of_run else model_text(self.figures, self.layers())
        return f"{text}\n\n{ladder_text(self.figures['ladder'])}" if "ladder" in self.figures else text

    def layers(self) -> str:
        """Write the table of layers; for a converted network, with what the conversion did to them."""
        layers, found = self.figures["layers"], self.figures.get("conversion")
        if found and "cores" not in self.figures:
            return conversion_text(layers, found)
        return layer_table(layers) if layers else ""

    @property
    def of_run(self) -> bool:
        """Whether these are figures of a run, not of a network or program that has not run."""
        return bool(self.figures["format"] == FORMAT)

    def to_json(self) -> str:
        """Return all figures as JSON text, one to a line."""
        lines = [f"{json.dumps(k)}: {json.dumps(v, allow_nan=False)}" for k, v in self.figures.items()]
        return "{\n" + ",\n".join(lines) + "\n}\n"

    def save(self, folder: str | os.PathLike[str]) -> tuple[Path, ...]:
        """Write ``report.png``, ``report.json`` and ``report.txt`` into a folder, made if need be.

        With a ladder among the figures, ``ladder.png`` too.

        Raises
        ------
        OutputError
            If they cannot be written.
        DataError
            If they were read from a file and are not as neurodeploy writes them.
        """
        folder = Path(folder)
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"cannot write folder '{folder}': {error.strerror}; name another") from error
        return (
            *self._draw(folder),
            write_beside(folder / "report.json", lambda p: p.write_text(self.to_json(), encoding="utf-8")),
            write_beside(folder / "report.txt", lambda p: p.write_text(f"{self}\n", encoding="utf-8")),
        )

    def _draw(self, folder: Path) -> list[Path]:
        from neurodeploy.reporting.picture import draw

        rungs = self.figures.get("ladder")
        try:
            drawn = [draw([self.figures], folder / "report.png")]
            return drawn + ([draw_ladder(rungs, folder / "ladder.png")] if rungs else [])
        except _ODD as error:
            raise DataError(f"these figures cannot be drawn: {type(error).__name__}: {error}") from error


def read_report(path: str | os.PathLike[str]) -> Report:
    """Read what ``run --json``, ``check --format json`` or `Report.save` wrote.

    Raises
    ------
    DataError
        If it is not such a file.
    """
    path = Path(path)
    if path.is_dir() or not path.exists():
        raise DataError(f"'{path}' is not a file; name what 'neurodeploy run --json' wrote")
    try:
        figures = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise DataError(f"'{path}' is not JSON: {error}") from None
    except OSError as error:
        raise DataError(f"'{path}' cannot be read: {error.strerror}") from None
    known = _KEYS.get(str(figures.get("format"))) if isinstance(figures, dict) else None
    if known is None:
        raise DataError(f"'{path}' is not a run of neurodeploy; name what 'neurodeploy run --json' wrote")
    missing = [key for key in known if key not in figures]
    if missing:
        raise DataError(f"'{path}' is a run with parts missing: {', '.join(missing)}")
    odd = [key for key, kind in known.items() if not isinstance(figures[key], kind)]
    try:
        if not odd:
            str(report := Report(figures))
            return report
    except _ODD as error:
        odd = [f"{type(error).__name__}: {error}"]
    raise DataError(f"'{path}' has parts that are not as neurodeploy writes them: {', '.join(odd)}")
