"""How wide factors and products of a learning rule are in an engine's registers.

References
----------
.. [1] Lava, ``magma/core/learning/constants.py``: widths of factors; a sign counts as a bit.
"""

from __future__ import annotations

from neurodeploy.learning.notation import Factor, Product

BITS = {"w": 8, "d": 6, "t": 8}
"""Magnitude bits of the synaptic variables."""
TRACE_BITS = 7
REWARD_BITS = 1
"""A reward is a flag here; how wide Loihi's is nobody published."""


def top(variable: str) -> int:
    """Return the largest magnitude of a variable."""
    if variable in BITS:
        return int(2 ** BITS[variable] - 1)
    return 1 if variable in ("x0", "y0") or variable[0] in "ur" else int(2**TRACE_BITS - 1)


def factor_width(factor: Factor) -> int:
    """Return the bits of a factor with its constant; those that may be negative have one for the sign."""
    signed = factor.variable in ("w", "t") or factor.plus < 0
    if factor.sign:
        return 1
    return (top(factor.variable) + abs(factor.plus)).bit_length() + signed


def product_width(product: Product) -> int:
    """Return the bits of a product without its scale; its dependency takes none."""
    return sum(factor_width(f) for f in product.others)


def overflow(product: Product, *, mantissa: int, accumulator: int = 15) -> int:
    """Return by how many bits a product is shifted right so that its widest value fits.

    Parameters
    ----------
    product : Product
    mantissa : int
        Bits of the scale's mantissa.
    accumulator : int
        Magnitude bits.
    """
    return max(0, product_width(product) + mantissa - accumulator)


def largest(product: Product) -> float:
    """Return the largest magnitude of a product with its scale."""
    size = abs(product.mantissa) * 2.0**product.exponent
    for f in product.factors:
        size *= 1 if f.sign else top(f.variable) + abs(f.plus)
    return size


def normal(product: Product) -> tuple[int, int]:
    """Return the scale with an odd mantissa, and its exponent."""
    mantissa, exponent = abs(product.mantissa), product.exponent
    while mantissa % 2 == 0:
        mantissa, exponent = mantissa // 2, exponent + 1
    return mantissa, exponent
