"""The table of learning rules that README shows: what each reached in each tier, from committed JSON.

An empty cell says why; a bar that was missed is marked. Nothing here is typed by hand but bars and reasons.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).resolve().parent / "results" / "rules"
MEASURED = RESULTS.parents[2] / "neurodeploy" / "learning" / "measured.json"
NO_SETTLING = "circuit built and tested; not measured"
SIGNS = "signs of weights are copied by the host"
NO_ERROR = "hidden layers never hear of an error"
NO_DECAY = "feedback grows: the slowest decay of an engine forgets in 128 samples"
UNSTABLE = "unstable: on its way it falls from 93 to 83 %"
NO_GATES = "no circuit: its gating chain is not built"
NO_RULE = "not written"
NO_NETWORK = "the update is written and tested; no network is built around it"
NO_REWARD = "its circuit learns small tasks from a reward; outputs fell silent or tied on MNIST: not measured"
OFFLINE = "reads copies of weights: never on a chip"

WHOLE = 60000
MARGIN = 0.5
"""Points by which features that were found must beat a random encoder."""
FEATURES = ("r-stdp", "stdp", "oja", "bcm", "voja")
NEW_BAR, LOST_BAR = 0.85, 1.5

ROWS: dict[str, tuple[float | None, float | None, str, str]] = {
    "delta": (None, None, "layers below stay as drawn: the control", ""),
    "dfa": (98.1, 97.2, "", ""),
    "sign-dfa": (98.1, 97.2, "", ""),
    "erbp": (98.1, 97.2, "", ""),
    "drtp": (96.5, 95.5, "", NO_ERROR),
    "fa": (98.0, 97.0, "", ""),
    "kolen-pollack": (98.3, 97.3, "", NO_DECAY),
    "backprop": (98.4, None, "control, not local", OFFLINE),
    "local-fa": (98.0, 97.0, "", ""),
    "sign-symmetry": (98.3, 97.3, "", SIGNS),
    "hunsberger": (98.0, 97.0, "diverged at a rate of 0.3; lower ones not measured", ""),
    "superspike": (None, 96.8, "", "one filter of the paper's two, one learning rate for all"),
    "e-prop": (None, 96.8, "", ""),
    "dendrites": (96.8, 96.5, "", ""),
    "emstdp": (None, 97.0, "", UNSTABLE),
    "generec": (97.5, 96.5, "", NO_SETTLING),
    "chl": (97.5, 96.5, "", NO_SETTLING),
    "random-chl": (97.5, 96.5, "", NO_SETTLING),
    "equilibrium": (97.8, 96.5, "", NO_SETTLING),
    "nbp": (None, None, "", NO_GATES),
    "r-stdp": (None, 94.0, NO_NETWORK, NO_REWARD),
    "stdp": (None, None, NO_NETWORK, ""),
    "oja": (None, None, NO_NETWORK, NO_SETTLING),
    "bcm": (None, None, NO_NETWORK, NO_SETTLING),
    "voja": (None, None, NO_NETWORK, ""),
}
"""Bars in R and C, and why there is no figure in either."""


def matrix() -> tuple[list[str], list[list[Any]]]:
    """Return head and rows of the table."""
    rows = []
    for name, (bar_r, bar_c, why_r, why_c) in ROWS.items():
        spiking = _spiking(name)
        rows.append([name, _cell(name, "R", bar_r, why_r), spiking, _cell(name, "C", bar_c, why_c)])
    return ["rule", "R, rates in floats", "S, spiking in Nengo", "C, the chip's integers"], rows


def controls() -> tuple[list[str], list[list[Any]]]:
    """Return every measured run in tier C, with what it cost."""
    rows = []
    for path in sorted(RESULTS.glob("*-C-*.json")):
        found = json.loads(path.read_text(encoding="utf-8"))
        run = found["runs"][0]
        cost = run["per_sample"]
        rows.append([
            found["rule"], "-".join(map(str, found["sizes"][1:-1])), found["numbers"]["mechanism"],
            found["control"],
            f"{len(found['runs'])} x {found['epochs']}",
            f"{found['samples']:,}", _percent(found), f"{run['samples_per_second']:,.0f}",
            f"{cost['spikes']:,.0f}",
            f"{cost['synops']:,.0f}", f"{cost['weights_changed']:,.0f}",
            " ".join(_fits(found)) or "-",
        ])  # fmt: skip
    head = ["rule", "hidden layers", "error", "control", "seeds x epochs", "samples", "test, %"]
    return [*head, "samples/s", "spikes", "synaptic events", "weights changed", "expressible on"], rows


def in_time() -> tuple[list[str], list[list[Any]]]:
    """Return what recurrent layers of spiking neurons reached on MNIST row by row, with their controls."""
    rows = []
    for path in sorted(RESULTS.glob("*-rows-R-*.json")):
        found = json.loads(path.read_text(encoding="utf-8"))
        rows.append([
            found["rule"], "-".join(map(str, found["sizes"][1:-1])), found["control"],
            f"{len(found['runs'])} x {found['epochs']}", f"{found['samples']:,}", _percent(found),
            f"{found['runs'][0]['spikes_per_step'][0]:.3f}",
        ])  # fmt: skip
    head = ["rule", "recurrent neurons", "control", "seeds x epochs", "samples", "test, %"]
    return [*head, "spikes per neuron and step"], rows


def continual() -> tuple[list[str], list[list[Any]]]:
    """Return what became of nine classes when a tenth was learned."""
    rows = []
    for path in sorted(RESULTS.glob("continual-*.json")):
        found = json.loads(path.read_text(encoding="utf-8"))
        met = found["after"]["new"] >= NEW_BAR and 100 * found["lost"] < LOST_BAR
        rows.append([
            found["data"], found["examples"], len(found["runs"]), f"{100 * found['after']['new']:.1f}",
            f"{100 * found['after']['old']:.1f}", f"{100 * found['lost']:.2f}",
            "met" if met else "**missed**",
        ])  # fmt: skip
    head = ["data", "examples", "seeds", "new class, %", "nine others, %", "points lost by these"]
    return [*head, f"bar: {100 * NEW_BAR:.0f} %, under {LOST_BAR} points"], rows


def measured() -> dict[str, dict[str, str]]:
    """Return mean accuracies by rule and tier, for ``neurodeploy rules``."""
    found: dict[str, dict[str, str]] = {}
    for name in ROWS:
        for tier in "RC":
            if best := _best(name, tier):
                found.setdefault(name, {})[tier + _chips(best)] = f"{100 * best['mean']:.2f} %"
    return found


def write_measured() -> None:
    """Put them beside the rules."""
    MEASURED.write_text(json.dumps(measured(), indent=1) + "\n", encoding="utf-8")


def _fits(found: dict[str, Any]) -> list[str]:
    """Return the chips whose engines can express what was run; none where the host copied anything."""
    fits = {} if "copied" in found.get("host", "") else found["runs"][0].get("expressible", {})
    return sorted(chip for chip, answers in fits.items() if answers == ["yes"])


def _chips(found: dict[str, Any]) -> str:
    """Return them in brackets; nothing in floats."""
    names = _fits(found)
    return f" ({', '.join(names)})" if names else ""


def _best(name: str, tier: str) -> dict[str, Any] | None:
    """Return the best run of those of most samples and seeds, over two hidden layers of any width.

    Features that are found without labels are one layer.
    """
    widths = r"\d+" if name in FEATURES else r"\d+-\d+"
    told = [
        json.loads(path.read_text(encoding="utf-8"))
        for path in sorted(RESULTS.glob(f"{name}-{tier}-*.json"))
        if re.fullmatch(rf"{re.escape(name)}-{tier}-{widths}\.json", path.name)
    ]
    return max(told, key=lambda f: (f["samples"], len(f["runs"]), f["mean"]), default=None)


def _cell(name: str, tier: str, bar: float | None, why: str) -> str:
    best = _best(name, tier)
    if best is None:
        return (f"- ({why or 'not measured'})") + (f"; bar {bar}" if bar else "")
    text = f"{_percent(best)} ({len(best['runs'])} seeds, {best['epochs']} epochs)"
    text = text.replace("(1 seeds", "(1 seed").replace(" 1 epochs", " 1 epoch")
    if best["sizes"][1:-1] not in ([200, 200], [200]):
        text = text.replace(")", f", {'-'.join(map(str, best['sizes'][1:-1]))} hidden)")
    text += _chips(best)
    if best["samples"] < WHOLE:
        text += f", {best['samples']:,} samples only"
    if why:
        text += f", {why}"
    if "random_encoder" in best:
        text += _beside_random(best)
    if bar is None:
        return text
    return text + (f"; bar {bar}" if 100 * best["mean"] >= bar else f"; **misses bar {bar}**")


def _beside_random(found: dict[str, Any]) -> str:
    """Return what a random encoder of equal size reached, and whether the margin is met."""
    more = 100 * (found["mean"] - found["random_encoder"])
    text = f", {found['sizes'][1]} features; random encoder {100 * found['random_encoder']:.2f} ({more:+.2f})"
    return text + ("" if more >= MARGIN else f"; **misses {MARGIN} points more**")


def _percent(found: dict[str, Any]) -> str:
    spread = f" ± {100 * found['spread']:.2f}" if len(found["runs"]) > 1 else ""
    return f"{100 * found['mean']:.2f}{spread}"


IN_NENGO = {
    "delta": "not measured on MNIST",
    "dfa": "not measured on MNIST",
    "e-prop": "not measured on MNIST",
    "superspike": "not measured on MNIST",
    "hunsberger": "network built and tested; not measured on MNIST",
}
"""Rules that there is a Nengo form of."""


def _spiking(name: str) -> str:
    return IN_NENGO.get(name, f"- ({NO_RULE})")
