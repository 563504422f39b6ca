"""What the kernel does to `LANES` neurons at a time, as functions of jitted code."""

from __future__ import annotations

from typing import Any

from neurodeploy.kernels.lanes import (
    I1,
    I8,
    I16,
    I32,
    I64,
    Memory,
    Vector,
    cgutils,
    clip,
    constant,
    decay,
    intrinsic,
    ir,
    plus,
    types,
    wrap,
)  # fmt: skip
from neurodeploy.kernels.rows import LANES, PACK


def make_add_windows(count: int) -> Any:
    """Make ``add_windows(acc, base, windows, weights, k)`` for `count` vectors.

    It adds the 8-bit weights of windows ``k`` and following to the 16-bit accumulators at their places.
    """

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        memory = Memory(context, builder, signature, args)
        _, base, _, _, k = args
        for i in range(count):
            here = builder.add(plus(builder, k, i), plus(builder, k, i))
            at = builder.add(base, builder.sext(memory.scalar(2, here), I64))
            vector = builder.sext(memory.scalar(2, plus(builder, here, 1)), I64)
            weights = memory.load_wide(3, builder.mul(vector, ir.Constant(I64, LANES)), I8, I16)
            memory.store(memory.load(0, at, I16) + weights, 0, at, I16)
        return context.get_dummy_value()

    def add_windows(typing: Any, acc: Any, base: Any, windows: Any, weights: Any, k: Any) -> Any:
        return types.void(acc, types.int64, windows, weights, types.int64), codegen

    return intrinsic(add_windows)


def _add_packed(typing: Any, acc: Any, base: Any, words: Any, k: Any) -> Any:
    """``add_packed(acc, base, words, k)``: add `PACK` single synapses of one word each."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        memory = Memory(context, builder, signature, args)
        _, base, _, k = args
        for i in range(PACK):
            word = memory.scalar(2, plus(builder, k, i))
            at = builder.add(base, builder.zext(builder.lshr(word, ir.Constant(I32, 8)), I64))
            address = memory.address(0, at)
            weight = builder.sext(builder.trunc(word, I8), I16)
            builder.store(builder.add(builder.load(address), weight), address)
        return context.get_dummy_value()

    return types.void(acc, types.int64, words, types.int64), codegen


def make_add_rows(count: int) -> Any:
    """Make ``add_rows(acc, at, weights, origin, stride, spikes, first, n)`` for `count` vectors side by side.

    It adds the 8-bit weights from ``origin + stride * spikes[i]`` on, for the `n` spikes from `first` on. The
    sums stay in registers meanwhile.
    """

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        memory = Memory(context, builder, signature, args)
        _, at, _, origin, stride, _, first, n = args
        sums = [cgutils.alloca_once(builder, ir.VectorType(I16, LANES)) for _ in range(count)]
        for k, total in enumerate(sums):
            builder.store(memory.load(0, plus(builder, at, k * LANES), I16).value, total)
        with cgutils.for_range(builder, n, intp=I64) as loop:
            spike = builder.sext(memory.scalar(5, builder.add(first, loop.index)), I64)
            row = builder.add(origin, builder.mul(stride, spike))
            for k, total in enumerate(sums):
                weights = memory.load_wide(2, plus(builder, row, k * LANES), I8, I16)
                builder.store(builder.add(builder.load(total), weights.value), total)
        for k, total in enumerate(sums):
            memory.store(Vector(builder, builder.load(total)), 0, plus(builder, at, k * LANES), I16)
        return context.get_dummy_value()

    def add_rows(
        typing: Any,
        acc: Any,
        at: Any,
        weights: Any,
        origin: Any,
        stride: Any,
        spikes: Any,
        first: Any,
        n: Any,
    ) -> Any:
        long = types.int64
        return types.void(acc, long, weights, long, long, spikes, long, long), codegen

    return intrinsic(add_rows)


FEW = 8
"""Weights of one sample's own that are handled at a time; rows of them are often short."""


def _few(builder: Any, address: Any) -> Vector:
    """Load `FEW` numbers."""
    kind = ir.VectorType(I32, FEW)
    return Vector(builder, builder.load(builder.bitcast(address, kind.as_pointer()), align=4))


def _below(builder: Any, count: Any) -> Vector:
    """Mask of the first of `FEW` lanes."""
    numbers = Vector(builder, ir.Constant(ir.VectorType(I32, FEW), list(range(FEW))))
    return numbers < _splat_few(builder, builder.trunc(count, I32))


def _splat_few(builder: Any, value: Any) -> Vector:
    kind = ir.VectorType(I32, FEW)
    vector = builder.insert_element(ir.Constant(kind, ir.Undefined), value, ir.Constant(I32, 0))
    return Vector(
        builder, builder.shuffle_vector(vector, vector, ir.Constant(ir.VectorType(I32, FEW), [0] * FEW))
    )


def _add_own_rows(
    typing: Any, q: Any, at: Any, learned: Any, origin: Any, stride: Any, left: Any, rows: Any, offset: Any,
    spikes: Any, first: Any, n: Any,
) -> Any:  # fmt: skip
    """``add_own_rows(q, at, learned, origin, stride, left, rows, offset, spikes, first, n)``.

    Adds up to `FEW` weights (``left``, if those are fewer) from ``origin + stride * axon`` on for the `n`
    spikes from `first` on that have an axon; the first column of ``rows`` says which. The sums stay in a
    register meanwhile. All of `FEW` are read: `room.aligned` has more than it was asked for.
    """

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        memory = Memory(context, builder, signature, args)
        _, at, _, origin, stride, left, _, offset, _, first, n = args
        kind = ir.VectorType(I32, FEW)
        zero = Vector(builder, constant(kind, 0))
        total = cgutils.alloca_once(builder, kind)
        builder.store(zero.value, total)
        with cgutils.for_range(builder, n, intp=I64) as loop:
            spike = builder.sext(memory.scalar(8, builder.add(first, loop.index)), I64)
            line = builder.shl(builder.add(offset, spike), ir.Constant(I64, 2))
            axon = builder.sext(memory.scalar(6, line), I64)
            there = builder.icmp_signed(">=", axon, ir.Constant(I64, 0))
            row = builder.select(there, axon, ir.Constant(I64, 0))
            weights = _few(builder, memory.address(2, builder.add(origin, builder.mul(stride, row))))
            weights = Vector(builder, builder.select(there, weights.value, zero.value))
            builder.store(builder.add(builder.load(total), weights.value), total)
        found = _below(builder, left).where(Vector(builder, builder.load(total)), zero)
        place = memory.address(0, at)
        sums = _few(builder, place) + found
        builder.store(sums.value, builder.bitcast(place, kind.as_pointer()), align=4)
        return context.get_dummy_value()

    long = types.int64
    return types.void(q, long, learned, long, long, long, rows, long, spikes, long, long), codegen


def _put_products(typing: Any, products: Any, at: Any, factors: Any, k: Any, trace: Any) -> Any:
    """``put_products(products, at, factors, k, trace)``: write `FEW` products of a trace and factors."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        memory = Memory(context, builder, signature, args)
        _, at, _, k, trace = args
        found = _few(builder, memory.address(2, k)) * _splat_few(builder, trace)
        place = builder.bitcast(memory.address(0, at), found.value.type.as_pointer())
        builder.store(found.value, place, align=4)
        return context.get_dummy_value()

    return types.void(products, types.int64, factors, types.int64, types.int32), codegen


def _add_shifted(
    typing: Any, learned: Any, at: Any, products: Any, k: Any, up: Any, down: Any, left: Any, right: Any
) -> Any:
    """``add_shifted(learned, at, products, k, up, down, left, right)``: change `LANES` weights.

    Shifts them by ``up`` bits and back by ``down``, and adds products shifted by ``left`` and ``right``.
    """

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        memory = Memory(context, builder, signature, args)
        _, at, _, k, *shifts = args
        up, down, left, right = (memory.splat(bits) for bits in shifts)
        change = shift_right(memory.load(2, k) << left, right)
        memory.store(shift_right(memory.load(0, at) << up, down) + change, 0, at)
        return context.get_dummy_value()

    number = types.int32
    return types.void(learned, types.int64, products, types.int64, *(number,) * 4), codegen


def shift_right(x: Vector, bits: Vector) -> Vector:
    """Shift right, every lane by its own number of bits."""
    return Vector(x.builder, x.builder.ashr(x.value, bits.value))


add_own_rows, put_products = intrinsic(_add_own_rows), intrinsic(_put_products)
add_shifted = intrinsic(_add_shifted)


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
add_packed = intrinsic(_add_packed)
add_windows1 = make_add_windows(1)
add_windows2 = make_add_windows(2)
add_windows4 = make_add_windows(4)
add_rows = make_add_rows(1)
add_rows4 = make_add_rows(4)


def _integrate(
    typing: Any, acc: Any, q: Any, state: Any, bias: Any, at: Any, n: Any, shift: Any, keep: Any,
    threshold: Any, lower: Any, upper: Any,
) -> Any:  # fmt: skip
    """``integrate(acc, q, state, bias, at, n, shift, keep, threshold, lower, upper)``: step alike neurons.

    It takes what was accumulated at position ``at``, steps compartments of one kind, which keep all of v and
    of u only ``keep`` (0 or 1) of 4096, and returns their spikes as a mask. ``state`` holds u and v, ``n``
    apart. Equals `numerics.neurons.compartment_step` where neither u nor u plus bias can wrap. Bit 32 of the
    result tells that the input did.
    """

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        memory = Memory(context, builder, signature, args)
        at, n, shift, keep, threshold, lower, upper = args[4:]
        there = builder.add(at, n)
        given = memory.take(0, 1, at, shift)
        q = wrap(given, 21)
        u = memory.load(2, at)
        kept = ((u < 0).where(-u, u) >> 12) & memory.splat(builder.neg(keep))
        u = (u < 0).where(-kept, kept) + q
        v = memory.load(2, there) + u + memory.load(3, at)
        v = clip(v, memory.splat(lower), memory.splat(upper))
        fired = v > memory.splat(threshold)
        memory.store(u, 2, at)
        memory.store(fired.where(0, v), 2, there)
        return _flagged(builder, fired, given.differs(q))

    long, number = types.int64, types.int32
    arguments = (acc, q, state, bias, long, long, number, number, number, number, number)
    return types.uint64(*arguments), codegen


def _flagged(builder: Any, fired: Vector, *wraps: Vector) -> Any:
    """Put a mask of spikes into the lower half of a number, above it whether any lane of each mask is."""
    return builder.or_(fired.bits(), overflow_flags(builder, *wraps))


def overflow_flags(builder: Any, *wraps: Vector) -> Any:
    """Tell from bit 32 on whether any lane of each mask is set."""
    result = ir.Constant(I64, 0)
    for i, mask in enumerate(wraps):
        any_lane = builder.icmp_unsigned("!=", mask.bits(), ir.Constant(I64, 0))
        flag = builder.shl(builder.zext(any_lane, I64), ir.Constant(I64, 32 + i))
        result = builder.or_(result, flag)
    return result


def _step(
    typing: Any, acc: Any, q: Any, state: Any, bias: Any, neurons: Any, at: Any, n: Any, shift: Any
) -> Any:
    """``step(acc, q, state, bias, neurons, at, n, shift)``: step any compartments, as `integrate` does.

    ``neurons`` holds the rows of `Layout.neurons`, ``state`` u, v and wait, ``n`` apart. Equals
    `numerics.neurons.compartment_step`. Bits 32 to 34 of the result tell that the input, u, or u plus bias
    wrapped.
    """

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        memory = Memory(context, builder, signature, args)
        at, n, shift = args[5:]
        places = [builder.add(at, builder.mul(n, ir.Constant(I64, row))) for row in range(7)]
        keep_u, keep_v, _, threshold, refract, lower, upper = (memory.load(4, place) for place in places)
        u, v, wait = (memory.load(2, place) for place in places[:3])
        given = memory.take(0, 1, at, shift)
        q = wrap(given, 21)
        current = decay(u, keep_u) + q
        u = wrap(current, 23)
        drive = u + memory.load(3, at)
        wrapped = wrap(drive, 23)
        v = clip(decay(v, keep_v) + wrapped, lower, upper)
        v = (wait > 0).where(0, v)
        fired = v > threshold
        wait = fired.where(refract, wait) - 1
        for values, place in zip((u, fired.where(0, v), (wait < 0).where(0, wait)), places, strict=False):
            memory.store(values, 2, place)
        return _flagged(builder, fired, given.differs(q), current.differs(u), drive.differs(wrapped))

    return types.uint64(acc, q, state, bias, neurons, types.int64, types.int64, types.int32), codegen


integrate = intrinsic(_integrate)
step = intrinsic(_step)


def _some(typing: Any, values: Any, at: Any) -> Any:
    """``some(values, at)``: which of `LANES` numbers from ``at`` on are not zero, as bits."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        found = Memory(context, builder, signature, args).load(0, args[1])
        return found.differs(Vector(builder, constant(found.value.type, 0))).bits()

    return types.uint64(values, types.int64), codegen


some = intrinsic(_some)


def _list_spikes(typing: Any, spikes: Any, count: Any, at: Any, mask: Any) -> Any:
    """``list_spikes(spikes, count, at, mask)``: write ``at + i`` for every bit i of the mask.

    Begins with entry `count`, returns the new count. May write up to `LANES` entries past the last one.
    """

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        memory = Memory(context, builder, signature, args)
        _, count, at, mask = args
        vector, bits = ir.VectorType(I32, HALF), ir.VectorType(I1, HALF)
        for half in range(LANES // HALF):
            part = builder.trunc(builder.lshr(mask, ir.Constant(I32, half * HALF)), ir.IntType(HALF))
            start = builder.add(builder.trunc(at, I32), ir.Constant(I32, half * HALF))
            lanes = builder.insert_element(ir.Constant(vector, ir.Undefined), start, ir.Constant(I32, 0))
            lanes = builder.shuffle_vector(lanes, lanes, ir.Constant(vector, [0] * HALF))
            lanes = builder.add(lanes, ir.Constant(vector, list(range(HALF))))
            count = _pack(builder, memory, lanes, builder.bitcast(part, bits), count)
        return count

    return types.int64(spikes, types.int64, types.int64, types.uint32), codegen


def _list_bits(typing: Any, spikes: Any, count: Any, trains: Any, places: Any, k: Any, t: Any) -> Any:
    """``list_bits(spikes, count, trains, places, k, t)``: list those of `HALF` neurons that spike.

    Of neurons ``k`` and following it writes the places of those whose train has bit ``t``, from entry
    ``count`` on; returns the new count. May write up to `HALF` entries past the last one.
    """

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        memory = Memory(context, builder, signature, args)
        _, count, _, _, k, t = args
        vector, bits = ir.VectorType(I32, HALF), ir.VectorType(I1, HALF)
        longs = ir.VectorType(I64, HALF)
        words = builder.load(builder.bitcast(memory.address(2, k), longs.as_pointer()), align=8)
        lanes = builder.load(builder.bitcast(memory.address(3, k), vector.as_pointer()), align=4)
        shift = builder.insert_element(ir.Constant(longs, ir.Undefined), t, ir.Constant(I32, 0))
        shift = builder.shuffle_vector(shift, shift, ir.Constant(vector, [0] * HALF))
        mask = builder.trunc(builder.lshr(words, shift), bits)
        return _pack(builder, memory, lanes, mask, count)

    return types.int64(spikes, types.int64, trains, places, types.int64, types.int64), codegen


def _pack(builder: Any, memory: Memory, lanes: Any, mask: Any, count: Any) -> Any:
    """Write the chosen lanes one after the other to entry `count` of array 0 on; return the new count."""
    vector, bits = ir.VectorType(I32, HALF), ir.VectorType(I1, HALF)
    form = ir.FunctionType(vector, [vector, bits, vector])
    name = f"llvm.experimental.vector.compress.v{HALF}i32"
    compress = cgutils.get_or_insert_function(builder.module, form, name)
    packed = builder.call(compress, [lanes, mask, ir.Constant(vector, ir.Undefined)])
    builder.store(packed, builder.bitcast(memory.address(0, count), vector.as_pointer()), align=4)
    number = builder.ctpop(builder.bitcast(mask, ir.IntType(HALF)))
    return builder.add(count, builder.zext(number, I64))


HALF = 16
"""Numbers `list_spikes` moves at a time: as many 32-bit ones as one register holds."""
list_spikes = intrinsic(_list_spikes)
list_bits = intrinsic(_list_bits)
