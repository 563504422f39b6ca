"""What a NIR file leaves open, as options: the length of a step, the unit of time, reset, discretisation.

NIR describes neurons by differential equations. The tools that write it step them in ways of their own, and
the file does not say which; whoever reads it has to.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from neurodeploy.errors import LoadError, OptionError

Floats = npt.NDArray[np.float64]

RESETS = ("zero", "subtract", "subtract-late", "zero-late")
DECAYS = ("exact", "euler", "rockpool", "sinabs")


@dataclass(frozen=True)
class Reading:
    """How the equations of a file are stepped.

    Parameters
    ----------
    dt : float
        Length of a step, in seconds.
    reset : str
        What follows a spike: ``zero`` sets v to v_reset, ``subtract`` takes the threshold off at once,
        ``subtract-late`` in the next step, after the leak; ``zero-late`` holds v at v_reset in the next step,
        whose input is lost. Empty where nothing in the file resets.
    decay : str
        What a leaky variable keeps in a step, and what it takes in of its input. With ``a = dt/tau`` and
        ``k = exp(-a)``: ``exact`` keeps k and takes ``(1 - k) r``, ``euler`` keeps ``1 - a`` and takes
        ``a r``, ``rockpool`` keeps k and takes ``a r / k``, ``sinabs`` keeps k and takes r.
    time_unit : float
        Seconds per unit of time in the file.
    per_step : bool
        Whether what integrates without a leak takes r times its input in every step, however long that is.
    """

    dt: float
    reset: str = ""
    decay: str = "exact"
    time_unit: float = 1.0
    per_step: bool = False


WRITERS: dict[str, Reading] = {
    "norse": Reading(1e-3, "zero", "euler", per_step=True),
    "rockpool": Reading(1e-3, "subtract", "rockpool"),
    "sinabs": Reading(1e-3, "subtract", "sinabs", time_unit=1e-3),
    "snntorch": Reading(1e-4, "subtract-late", "euler"),
}
"""How the tools step what they export, at their defaults. sinabs counts time in steps."""


def reading_of(
    label: str,
    *,
    resets: bool,
    dt: float | None = None,
    reset: str | None = None,
    decay: str | None = None,
    time_unit: float | None = None,
    written_by: str | None = None,
) -> Reading:
    """Put together how a file is read; refuse to guess.

    Parameters
    ----------
    label : str
        What messages call the file.
    resets : bool
        Whether anything in it resets after a spike.
    dt, reset, decay, time_unit
        As `Reading` has them; each wins over what `written_by` implies.
    written_by : str, optional
        One of `WRITERS`.

    Raises
    ------
    LoadError
        If the step or the reset is not known.
    OptionError
        If a value makes no sense.
    """
    _check_words(reset, decay, written_by)
    for name, value in (("dt", dt), ("time_unit", time_unit)):
        if value is not None and not (math.isfinite(value) and value > 0):
            raise OptionError(f"{name} {value} is not a positive number of seconds")
    base = WRITERS[written_by] if written_by else None
    missing = [] if dt or base else ["how long a step is (--dt SECONDS)"]
    if resets and not (reset or base):
        missing.append(f"what follows a spike (--reset {', '.join(RESETS)})")
    if missing:
        raise LoadError(
            f"'{label}' does not say {' nor '.join(missing)}; say it where the file is converted, or "
            f"which tool wrote it: neurodeploy convert {label} -o OUT.nd --written-by {', '.join(WRITERS)}"
        )
    told = {"dt": dt, "reset": reset, "decay": decay, "time_unit": time_unit}
    given = {name: value for name, value in told.items() if value is not None}
    return dataclasses.replace(base or Reading(math.nan), **given)  # type: ignore[arg-type]


def _check_words(reset: str | None, decay: str | None, written_by: str | None) -> None:
    for what, word, words in (
        ("reset", reset, RESETS), ("decay", decay, DECAYS), ("writer", written_by, tuple(WRITERS)),
    ):  # fmt: skip
        if word is not None and word not in words:
            raise OptionError(f"{what} '{word}' is unknown; choose from {', '.join(words)}")


@dataclass(frozen=True)
class Leak:
    """A time constant as ours, which decays exactly, and what that asks of the input's factor.

    Parameters
    ----------
    tau : ndarray of float64
        In seconds; 0 keeps nothing.
    gain : ndarray of float64
        Factor on the resistance.
    drift : ndarray of float64
        Factor on the leak potential.
    keep : ndarray of float64
        Share that is kept in a step.
    """

    tau: Floats
    gain: Floats
    drift: Floats
    keep: Floats


def leak(tau: Floats, reading: Reading) -> Leak:
    """Translate a time constant of a file.

    Raises
    ------
    ValueError
        If it is not positive, or shorter than a step of Euler's method can follow.
    """
    tau = np.asarray(tau, dtype=np.float64) * reading.time_unit
    if not np.isfinite(tau).all() or tau.min() <= 0:
        raise ValueError(f"a time constant is {_odd(tau)} s; finite ones above 0 are taken")
    share, one = reading.dt / tau, np.ones_like(tau)
    if reading.decay == "euler":
        keep = 1 - share
        if keep.min() < -1e-9:
            raise ValueError(
                f"a time constant of {tau.min():g} s is shorter than the step of {reading.dt:g} s, which "
                "Euler's method cannot follow; give a shorter --dt, or --decay exact"
            )
        with np.errstate(divide="ignore"):
            ours = np.where(keep > 0, -reading.dt / np.log(np.maximum(keep, 0.0)), 0.0)
        return Leak(ours, one, one, np.maximum(keep, 0.0))
    keep, taken = np.exp(-share), -np.expm1(-share)
    if reading.decay == "exact":
        return Leak(tau, one, one, keep)
    gain = share / keep / taken if reading.decay == "rockpool" else one / taken
    return Leak(tau, gain, one / taken, keep)


def _odd(values: Floats) -> float:
    wrong = values[~(np.isfinite(values) & (values > 0))]
    return float(wrong.flat[0])
