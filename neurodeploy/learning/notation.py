"""The sum-of-products notation of learning engines as values: ``dw = 2^-4*u7*x1*t`` and what it is made of.

Every update is a sum, every term a product of a scale ``mantissa * 2^exponent`` and factors that one synapse
knows: spikes, traces, its own variables, a reward. Who reads the text is `learning.text`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

DEPENDENCIES = ("x0", "y0", *(f"u{k}" for k in range(10)))
"""What makes a product be evaluated: a spike before, a spike behind, every ``2^k`` epochs."""
TRACES = ("x1", "x2", "y1", "y2", "y3")
SYNAPTIC = ("w", "d", "t")
"""Weight, delay and tag."""
REWARDS = ("r0", "r1")
VARIABLES = (*DEPENDENCIES, *TRACES, *SYNAPTIC, *REWARDS)


@dataclass(frozen=True)
class Factor:
    """A variable, perhaps with a constant, perhaps only its sign: ``x1``, ``(y2-64)``, ``sgn(w)``.

    Parameters
    ----------
    variable : str
        One of `VARIABLES`.
    plus : int
        Added to it.
    sign : bool
        Whether only the sign of the sum counts: -1, 0 or 1.
    """

    variable: str
    plus: int = 0
    sign: bool = False

    def __str__(self) -> str:
        inner = f"{self.variable}{self.plus:+d}" if self.plus else self.variable
        if self.sign:
            return f"sgn({inner})"
        return f"({inner})" if self.plus else inner


@dataclass(frozen=True)
class Product:
    """One term: ``mantissa * 2^exponent`` times factors, in the order in which they were written."""

    mantissa: int
    exponent: int
    factors: tuple[Factor, ...]

    @property
    def dependency(self) -> Factor | None:
        """The factor that says when the product is evaluated: the first that can."""
        return next((f for f in self.factors if f.variable in DEPENDENCIES and f == Factor(f.variable)), None)

    @property
    def others(self) -> tuple[Factor, ...]:
        """All factors but the dependency."""
        at = next((i for i, f in enumerate(self.factors) if f is self.dependency), len(self.factors))
        return self.factors[:at] + self.factors[at + 1 :]

    @property
    def decimations(self) -> tuple[int, ...]:
        """Every k of a factor ``u_k``."""
        return tuple(int(f.variable[1]) for f in self.factors if f.variable[0] == "u")

    def __str__(self) -> str:
        size = abs(self.mantissa)
        scale = [str(size)] if size != 1 else []
        scale += [f"2^{self.exponent}"] if self.exponent else []
        parts = [*scale, *map(str, self.factors)] or ["1"]
        return ("-" if self.mantissa < 0 else "") + "*".join(parts)


@dataclass(frozen=True)
class Update:
    """What is added to one synaptic variable: ``dw``, ``dd`` or ``dt`` and its products."""

    target: Literal["w", "d", "t"]
    products: tuple[Product, ...]

    def __str__(self) -> str:
        text = " + ".join(map(str, self.products)).replace("+ -", "- ")
        return f"d{self.target} = {text}"


def variables(updates: tuple[Update, ...]) -> tuple[str, ...]:
    """Return every variable that is read, each once, in the order of `VARIABLES`."""
    read = {f.variable for update in updates for product in update.products for f in product.factors}
    return tuple(v for v in VARIABLES if v in read)


def print_updates(updates: tuple[Update, ...]) -> str:
    """Write updates, one per line, so that `text.parse` reads the same back."""
    return "\n".join(map(str, updates))
