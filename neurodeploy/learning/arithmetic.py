"""What public emulators of Loihi's learning engine disagree on: each question an option, each answer named.

nengo-loihi's PES was matched to the chip by its authors; where it has no answer, what Intel's Lava does is
taken unless that is plainly a slip. `DEFAULT` says which.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Arithmetic:
    """How an engine computes.

    Parameters
    ----------
    mantissa_bits : int
        Of a product's scale, in the overflow shift.
    literal : {"weight", "accumulator"}
        Whether a scale of 1 changes a weight by one code, or the accumulator by one of its 2**7 per code.
    overflow : bool
        Whether a product is shifted right until its widest value fits the accumulator.
    negative_exponent : {"shift", "zero"}
        Whether a product is shifted right by a negative exponent, or becomes 0.
    rounding : {"synapse", "shared", "away"}
        One random number per synapse; one for all; the change is first rounded up in size.
    impulse : {"exact", "doubled", "whole"}
        What the bits behind an impulse's point are: a probability, twice that, nothing.
    decay : {"exponential", "linear"}
        ``exp(-1/tau)`` or ``1 - 1/tau`` per step.
    times : {"spike", "epoch"}
        Whether an impulse decays from its spike on, or counts whole at the end of the epoch.
    repeated : {"add", "once"}
        Whether further spikes of an epoch add to a trace.
    clip : {"symmetric", "beyond"}
        Lower bound of b bits: ``-(2**b - 1)`` or ``-2**b - 1``.
    decimation : {"power", "xor"}
        ``u_k`` at every ``2**k``-th epoch; or where ``(epoch % 2) xor k`` is 0.
    without : tuple of str
        Variables that there are not.
    """

    mantissa_bits: int = 4
    literal: Literal["weight", "accumulator"] = "weight"
    overflow: bool = True
    negative_exponent: Literal["shift", "zero"] = "shift"
    rounding: Literal["synapse", "shared", "away"] = "synapse"
    impulse: Literal["exact", "doubled", "whole"] = "exact"
    decay: Literal["exponential", "linear"] = "exponential"
    times: Literal["spike", "epoch"] = "spike"
    repeated: Literal["add", "once"] = "add"
    clip: Literal["symmetric", "beyond"] = "symmetric"
    decimation: Literal["power", "xor"] = "power"
    without: tuple[str, ...] = ()

    def differences(self) -> dict[str, object]:
        """Return the options that are not the default, for the card of a run."""
        return {
            f.name: getattr(self, f.name)
            for f in dataclasses.fields(self)
            if getattr(self, f.name) != getattr(DEFAULT, f.name)
        }


DEFAULT = Arithmetic()
NENGO_LOIHI = Arithmetic(
    mantissa_bits=3, times="epoch", repeated="once", without=("t", "d", "r0", "r1", "x2", "y2", "y3")
)
"""nengo-loihi 1.1, which has PES only."""
LAVA = Arithmetic(
    literal="accumulator",
    negative_exponent="zero",
    rounding="shared",
    impulse="doubled",
    clip="beyond",
    decimation="xor",
    without=("r0", "r1"),
)
"""Lava's fixed-point model in Python."""
BRIAN2_LOIHI = Arithmetic(
    overflow=False, rounding="away", impulse="whole", decay="linear", without=("t", "d", "r0", "r1")
)
"""brian2-loihi 0.5."""
EMULATORS = {"default": DEFAULT, "nengo-loihi": NENGO_LOIHI, "lava": LAVA, "brian2-loihi": BRIAN2_LOIHI}
