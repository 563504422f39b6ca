"""Vector steps the compiler is not left to find: `LANES` neurons at a time, written in LLVM's own vectors.

LLVM lowers them to whatever registers the machine has (AVX-512, AVX2, SSE, NEON). Importing this module needs
Numba, so only the compiled kernel does.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any, TypeVar

from neurodeploy.kernels.rows import LANES

numba: Any = importlib.import_module(
    "numba"
)  # its stubs know neither intrinsics nor what compiled code takes
ir: Any = importlib.import_module("llvmlite.ir")
cgutils: Any = importlib.import_module("numba.core.cgutils")
intrinsic: Any = importlib.import_module("numba.extending").intrinsic
types: Any = numba.types

F = TypeVar("F", bound=Callable[..., Any])


def jit(function: F) -> F:
    """Compile a function into the functions that call it, without reference counts."""
    compiled: F = numba.njit(nogil=True, inline="always", _nrt=False)(function)
    return compiled


def jit_apart(function: F) -> F:
    """Compile a function that stays one, for what is rare or called from several places."""
    compiled: F = numba.njit(nogil=True, _nrt=False)(function)
    return compiled


@jit
def shifted(x: Any, bits: Any) -> Any:
    """Shift left, or right where ``bits`` is negative."""
    if bits >= 0:
        return x << bits
    return x >> -bits


I1, I8, I16, I32, I64 = (ir.IntType(bits) for bits in (1, 8, 16, 32, 64))


class Vector:
    """An LLVM vector of 32-bit integers with Python's operators."""

    def __init__(self, builder: Any, value: Any) -> None:
        self.builder, self.value = builder, value

    def _lift(self, other: Vector | int) -> Any:
        return other.value if isinstance(other, Vector) else constant(self.value.type, other)

    def __add__(self, other: Vector | int) -> Vector:
        return Vector(self.builder, self.builder.add(self.value, self._lift(other)))

    def __sub__(self, other: Vector | int) -> Vector:
        return Vector(self.builder, self.builder.sub(self.value, self._lift(other)))

    def __mul__(self, other: Vector) -> Vector:
        return Vector(self.builder, self.builder.mul(self.value, self._lift(other)))

    def __and__(self, other: Vector | int) -> Vector:
        return Vector(self.builder, self.builder.and_(self.value, self._lift(other)))

    def __lshift__(self, other: Vector | int) -> Vector:
        return Vector(self.builder, self.builder.shl(self.value, self._lift(other)))

    def __rshift__(self, other: Vector | int) -> Vector:
        return Vector(self.builder, self.builder.ashr(self.value, self._lift(other)))

    def __neg__(self) -> Vector:
        return Vector(self.builder, self.builder.neg(self.value))

    def __or__(self, other: Vector) -> Vector:
        return Vector(self.builder, self.builder.or_(self.value, other.value))

    def __xor__(self, other: Vector) -> Vector:
        return Vector(self.builder, self.builder.xor(self.value, other.value))

    def differs(self, other: Vector) -> Vector:
        """Mask of the lanes that are not equal."""
        return Vector(self.builder, self.builder.icmp_signed("!=", self.value, other.value))

    def bits(self) -> Any:
        """Return this mask as a 64-bit number."""
        return self.builder.zext(self.builder.bitcast(self.value, ir.IntType(LANES)), I64)

    def __lt__(self, other: Vector | int) -> Vector:
        return Vector(self.builder, self.builder.icmp_signed("<", self.value, self._lift(other)))

    def __gt__(self, other: Vector | int) -> Vector:
        return Vector(self.builder, self.builder.icmp_signed(">", self.value, self._lift(other)))

    def where(self, yes: Vector | int, no: Vector) -> Vector:
        """Pick lanes by this mask."""
        picked = yes.value if isinstance(yes, Vector) else constant(no.value.type, yes)
        return Vector(self.builder, self.builder.select(self.value, picked, no.value))


def constant(kind: Any, value: int) -> Any:
    """Return a vector with the same number in every lane."""
    return ir.Constant(kind, [value] * kind.count)


def wrap(x: Vector, bits: int) -> Vector:
    """As `numerics.fixed.wrap`."""
    return (x << (31 - bits)) >> (31 - bits)


def decay(x: Vector, keep: Vector) -> Vector:
    """As `numerics.fixed.decay_magnitude`."""
    size = (x < 0).where(-x, x)
    kept = (size >> 12) * keep + (((size & 4095) * keep) >> 12)
    return (x < 0).where(-kept, kept)


def leak(x: Vector) -> Vector:
    """As `decay` where 4095 of 4096 are kept: the size less one 4096th of it, rounded up."""
    up = ((x >> 31) ^ Vector(x.builder, constant(x.value.type, -1))) & 4095
    return x - ((x + up) >> 12)


def clip(x: Vector, lower: Vector, upper: Vector) -> Vector:
    """Keep lanes within bounds."""
    x = (x < lower).where(lower, x)
    return (x > upper).where(upper, x)


class Memory:
    """Loads and stores of vectors in the arrays of a jitted function."""

    def __init__(self, context: Any, builder: Any, signature: Any, args: Any) -> None:
        self.context, self.builder = context, builder
        self.args = list(zip(signature.args, args, strict=True))

    def pointer(self, array: int, at: Any, lane: Any) -> Any:
        """Address of element `at` (a value) of array argument `array`, as a vector."""
        return self.builder.bitcast(self.address(array, at), ir.VectorType(lane, LANES).as_pointer())

    def load(self, array: int, at: Any, lane: Any = I32) -> Vector:
        """Load a vector."""
        return Vector(self.builder, self.builder.load(self.pointer(array, at, lane), align=lane.width // 8))

    def store(self, vector: Vector, array: int, at: Any, lane: Any = I32) -> None:
        """Store a vector."""
        self.builder.store(vector.value, self.pointer(array, at, lane), align=lane.width // 8)

    def load_wide(self, array: int, at: Any, lane: Any, to: Any) -> Vector:
        """Load a vector of small integers and extend their sign."""
        return Vector(
            self.builder, self.builder.sext(self.load(array, at, lane).value, ir.VectorType(to, LANES))
        )

    def address(self, array: int, at: Any) -> Any:
        """Address of element `at` (a value) of array argument `array`."""
        kind, value = self.args[array]
        return self.builder.gep(self.context.make_array(kind)(self.context, self.builder, value).data, [at])

    def scalar(self, array: int, at: Any) -> Any:
        """Load one number."""
        return self.builder.load(self.address(array, at))

    def take(self, narrow: int, wide: int, at: Any, shift: Any) -> Vector:
        """Read what was accumulated, in 16 bits times two to the shift and in 32, and clear it."""
        total = (self.load_wide(narrow, at, I16, I32) << self.splat(shift)) + self.load(wide, at)
        self.store(Vector(self.builder, constant(ir.VectorType(I16, LANES), 0)), narrow, at, I16)
        self.store(Vector(self.builder, constant(ir.VectorType(I32, LANES), 0)), wide, at)
        return total

    def splat(self, value: Any) -> Vector:
        """Put a 32-bit number into every lane."""
        kind = ir.VectorType(I32, LANES)
        vector = self.builder.insert_element(ir.Constant(kind, ir.Undefined), value, ir.Constant(I32, 0))
        mask = ir.Constant(ir.VectorType(I32, LANES), [0] * LANES)
        return Vector(
            self.builder, self.builder.shuffle_vector(vector, ir.Constant(kind, ir.Undefined), mask)
        )


def plus(builder: Any, value: Any, number: int) -> Any:
    """Add a number known now to a 64-bit value."""
    return builder.add(value, ir.Constant(I64, number))
