"""Arguments of LoihiSimulator, checked before anything is built or run."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from neurodeploy.errors import OptionError

SEEDS = 2**32
"""Seeds of NumPy's `RandomState` are below this."""


def whole(value: Any) -> bool:
    """Whether a value is a whole number, and no truth value."""
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)


def checked_dt(dt: Any) -> float:
    """Return a step in seconds; refuse what is no finite number above 0."""
    try:
        seconds = float(dt)
    except (TypeError, ValueError):
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise OptionError(f"dt={dt!r}; give the seconds of a step, a finite number above 0")
    return seconds


def checked_seed(seed: Any, size: int) -> None:
    """Refuse a seed that is none for all samples."""
    if seed is not None and (not whole(seed) or not 0 <= seed <= SEEDS - size):
        raise OptionError(f"seed={seed!r} for {size} samples; give a whole number from 0 to {SEEDS - size}")


def checked_precompute(precompute: Any) -> None:
    """Refuse what is neither a truth value nor None."""
    if precompute is not None and not isinstance(precompute, (bool, np.bool_)):
        raise OptionError(f"precompute={precompute!r}; give True, False or None")


def checked_model(model: Any, dt: float) -> None:
    """Refuse a model that was made for steps of another length."""
    if getattr(model, "dt", dt) != dt:
        raise OptionError(f"dt={dt:g} s with a model that was made for dt={model.dt:g} s; give both the same")


def checked_steps(steps: Any) -> int:
    """Return a number of steps; refuse what is no whole number, or below 0."""
    if not isinstance(steps, (int, np.integer)):
        raise OptionError(f"steps={steps!r}; give a whole number of steps, or seconds to run()")
    if steps < 0:
        raise OptionError(f"steps={steps!r}; give a number of at least 0, time does not run backwards")
    return int(steps)


def check_seconds(seconds: Any) -> None:
    """Refuse what is no finite number; that it is not below 0 nengo-loihi checks."""
    try:
        finite = math.isfinite(seconds)
    except TypeError:
        finite = False
    if not finite:
        raise OptionError(f"time_in_seconds={seconds!r}; give a finite number of seconds")


def checked_size(n_samples: Any, target: str) -> int | None:
    """Return how many samples to run; refuse what is no whole number above 0, or a target that cannot."""
    if n_samples is None:
        return None
    if not whole(n_samples) or n_samples < 1 or target != "sim":
        raise OptionError(
            f"n_samples={n_samples!r} with target '{target}'; give a whole number of at least 1, and "
            "target 'sim'"
        )
    return int(n_samples)
