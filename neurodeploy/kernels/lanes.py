"""Vector steps the compiler is not left to find: `LANES` neurons at a time, written in LLVM's own vectors.

LLVM lowers them to whatever registers the machine has (AVX-512, AVX2, SSE, NEON). Import needs Numba, so only the compiled
kernel imports this.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from neurodeploy.kernels.layout import LANES

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


class Memory:
    """Loads and stores of vectors in the arrays of a jitted function."""

    def __init__(self, context: Any, builder: Any, signature: Any, args: Any) -> None:
        self.context, self.builder = context, builder
        self.args = list(zip(signature.args, args, strict=True))

    def pointer(self, array: int, at: Any, lane: Any) -> Any:
        """Address of element `at` (a value) of array argument `array`, as a vector."""
        kind, value = self.args[array]
        data = self.context.make_array(kind)(self.context, self.builder, value).data
        return self.builder.bitcast(self.builder.gep(data, [at]), ir.VectorType(lane, LANES).as_pointer())

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

    def scalar(self, array: int, at: Any) -> Any:
        """Load one number."""
        kind, value = self.args[array]
        data = self.context.make_array(kind)(self.context, self.builder, value).data
        return self.builder.load(self.builder.gep(data, [at]))

    def splat(self, value: Any) -> Vector:
        """Put a 32-bit number into every lane."""
        kind = ir.VectorType(I32, LANES)
        vector = self.builder.insert_element(ir.Constant(kind, ir.Undefined), value, ir.Constant(I32, 0))
        mask = ir.Constant(ir.VectorType(I32, LANES), [0] * LANES)
        return Vector(
            self.builder, self.builder.shuffle_vector(vector, ir.Constant(kind, ir.Undefined), mask)
        )


def _add_vector(typing: Any, acc: Any, at: Any, weights: Any, p: Any) -> Any:
    """``add_vector(acc, at, weights, p)``: add a vector of 8-bit weights to 16-bit accumulators."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        memory = Memory(context, builder, signature, args)
        total = memory.load(0, args[1], I16) + memory.load_wide(2, args[3], I8, I16)
        memory.store(total, 0, args[1], I16)
        return context.get_dummy_value()

    return types.void(acc, types.int64, weights, types.int64), codegen


def make_add_rows(count: int) -> Any:
    """Make ``add_rows(acc, at, weights, origin, stride, spikes, first, n)`` for `count` vectors side by side.

    It adds the 8-bit weights from ``origin + stride * spikes[i]`` on, for the `n` spikes from `first` on. The sums stay in
    registers meanwhile.
    """

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        memory = Memory(context, builder, signature, args)
        _, at, _, origin, stride, _, first, n = args
        sums = [cgutils.alloca_once(builder, ir.VectorType(I16, LANES)) for _ in range(count)]
        for k, total in enumerate(sums):
            builder.store(memory.load(0, _plus(builder, at, k * LANES), I16).value, total)
        with cgutils.for_range(builder, n, intp=I64) as loop:
            spike = builder.sext(memory.scalar(5, builder.add(first, loop.index)), I64)
            row = builder.add(origin, builder.mul(stride, spike))
            for k, total in enumerate(sums):
                weights = memory.load_wide(2, _plus(builder, row, k * LANES), I8, I16)
                builder.store(builder.add(builder.load(total), weights.value), total)
        for k, total in enumerate(sums):
            memory.store(Vector(builder, builder.load(total)), 0, _plus(builder, at, k * LANES), I16)
        return context.get_dummy_value()

    def add_rows(typing: Any, acc: Any, at: Any, weights: Any, origin: Any, stride: Any, spikes: Any, first: Any,
                 n: Any) -> Any:  # fmt: skip
        long = types.int64
        return types.void(acc, long, weights, long, long, spikes, long, long), codegen

    return intrinsic(add_rows)


def _plus(builder: Any, value: Any, number: int) -> Any:
    return builder.add(value, ir.Constant(I64, number))


def _flush(typing: Any, acc: Any, at: Any, q: Any, shift: Any) -> Any:
    """``flush(acc, at, q, shift)``: move 16-bit accumulators into 32-bit ones, times two to the shift."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        memory = Memory(context, builder, signature, args)
        total = memory.load_wide(0, args[1], I16, I32) << memory.splat(args[3])
        memory.store(memory.load(2, args[1]) + total, 2, args[1])
        zero = Vector(builder, constant(ir.VectorType(I16, LANES), 0))
        memory.store(zero, 0, args[1], I16)
        return context.get_dummy_value()

    return types.void(acc, types.int64, q, types.int32), codegen


flush = intrinsic(_flush)
add_vector = intrinsic(_add_vector)
add_rows = make_add_rows(1)
add_rows4 = make_add_rows(4)


def make_update(*, general: bool, wide: bool) -> Any:
    """Make ``update(acc, q, state, neurons, bias, at, here, n, m, keep, shift)`` for `LANES` neurons.

    It takes what was accumulated at position ``at``, steps the compartments as `numerics.neurons.compartment_step` does, and
    returns the spikes as a 32-bit mask. ``state`` holds u, v and wait, ``m`` apart, from ``here``; ``neurons`` holds the rows
    of `Layout.neurons`, ``n`` apart; ``bias`` is separate because a sample or noise may change it.

    Parameters
    ----------
    general : bool
        Whether there are decays, refractory periods and sums that may wrap; otherwise ``keep`` (0 or 1, of 4096) is
        all that stays of the current.
    wide : bool
        Whether ``q`` holds a part of the input too.
    """

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        memory = Memory(context, builder, signature, args)
        at, here, n, m, keep, shift = args[5:]

        def parameter(row: int) -> Vector:
            return memory.load(3, builder.add(at, builder.mul(n, ir.Constant(I64, row))))

        def place(row: int) -> Any:
            return builder.add(here, builder.mul(m, ir.Constant(I64, row)))

        q = memory.load_wide(0, at, I16, I32) << memory.splat(shift)
        memory.store(Vector(builder, constant(ir.VectorType(I16, LANES), 0)), 0, at, I16)
        zero = Vector(builder, constant(ir.VectorType(I32, LANES), 0))
        if wide:
            q = q + memory.load(1, at)
            memory.store(zero, 1, at)
        u, v, bias = memory.load(2, place(0)), memory.load(2, place(1)), memory.load(4, at)
        if general:
            u = wrap(decay(u, parameter(0)) + wrap(q, 21), 23)
            v = decay(v, parameter(1)) + wrap(u + bias, 23)
        else:
            kept = ((u < 0).where(-u, u) >> 12) & memory.splat(builder.neg(keep))
            u = (u < 0).where(-kept, kept) + wrap(q, 21)
            v = v + u + bias
        lower, upper = parameter(5), parameter(6)
        v = (v < lower).where(lower, v)
        v = (v > upper).where(upper, v)
        if general:
            wait = memory.load(2, place(2))
            v = (wait > 0).where(0, v)
        fired = v > parameter(3)
        if general:
            wait = fired.where(parameter(4), wait) - 1
            memory.store((wait < 0).where(0, wait), 2, place(2))
        memory.store(u, 2, place(0))
        memory.store(fired.where(0, v), 2, place(1))
        return builder.bitcast(fired.value, I32)

    def update(typing: Any, acc: Any, q: Any, state: Any, neurons: Any, bias: Any, at: Any, here: Any, n: Any, m: Any,
               keep: Any, shift: Any) -> Any:  # fmt: skip
        longs = [types.int64] * 4
        return types.uint32(acc, q, state, neurons, bias, *longs, types.int32, types.int32), codegen

    return intrinsic(update)


integrate = make_update(general=False, wide=False)
integrate_wide = make_update(general=False, wide=True)
step = make_update(general=True, wide=True)


def _list_spikes(typing: Any, spikes: Any, count: Any, at: Any, mask: Any) -> Any:
    """``list_spikes(spikes, count, at, mask)``: write ``at + i`` for every bit i of the mask; return the new count.

    It may write up to `LANES` entries past the last one.
    """

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        memory = Memory(context, builder, signature, args)
        _, count, at, mask = args
        vector, bits = ir.VectorType(I32, HALF), ir.VectorType(I1, HALF)
        compress = cgutils.get_or_insert_function(
            builder.module,
            ir.FunctionType(vector, [vector, bits, vector]),
            f"llvm.experimental.vector.compress.v{HALF}i32",
        )
        for half in range(LANES // HALF):
            part = builder.trunc(builder.lshr(mask, ir.Constant(I32, half * HALF)), ir.IntType(HALF))
            start = builder.add(builder.trunc(at, I32), ir.Constant(I32, half * HALF))
            lanes = builder.insert_element(ir.Constant(vector, ir.Undefined), start, ir.Constant(I32, 0))
            lanes = builder.shuffle_vector(lanes, lanes, ir.Constant(vector, [0] * HALF))
            lanes = builder.add(lanes, ir.Constant(vector, list(range(HALF))))
            packed = builder.call(
                compress, [lanes, builder.bitcast(part, bits), ir.Constant(vector, ir.Undefined)]
            )
            kind, value = memory.args[0]
            data = context.make_array(kind)(context, builder, value).data
            builder.store(packed, builder.bitcast(builder.gep(data, [count]), vector.as_pointer()), align=4)
            count = builder.add(count, builder.zext(builder.ctpop(part), I64))
        return count

    return types.int64(spikes, types.int64, types.int64, types.uint32), codegen


HALF = 16
"""Numbers `list_spikes` moves at a time: as many 32-bit ones as one register holds."""
list_spikes = intrinsic(_list_spikes)


def _lowest_bit(typing: Any, mask: Any) -> Any:
    """``lowest_bit(mask)``: index of the lowest set bit of a mask that is not zero."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.cttz(args[0], cgutils.true_bit)

    return types.uint64(types.uint64), codegen


lowest_bit = intrinsic(_lowest_bit)
