"""The processor's matrix unit, and whole horizons of `LANES` neurons, as functions of jitted code.

Products go to Intel's AMX, where the processor has it and the system lends it; elsewhere `available` is false
and nothing calls them. Importing this module needs Numba.
"""

from __future__ import annotations

import ctypes
import functools
import importlib
import os
import sys
from typing import Any

from neurodeploy.kernels.intrinsics import overflow_flags
from neurodeploy.kernels.lanes import (
    I8,
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
    leak,
    plus,
    types,
    wrap,
)  # fmt: skip
from neurodeploy.kernels.rows import LANES
from neurodeploy.kernels.tiles import BLOCK, SOURCES

TILE = 16
"""Rows of the matrix unit's registers, steps or fours of sources; each holds 16 numbers of 32 bits."""
PASS = 2 * TILE
"""Steps per product."""
BANK = 64 * SOURCES
"""Bytes of the spikes of `SOURCES` sources in a horizon of 64 steps."""
UNIT = "NEURODEPLOY_MATRIX_UNIT"
"""Environment variable: 0 turns the matrix unit off."""
FEATURES = ("amx-tile", "amx-int8")
"""As LLVM calls what is needed."""
_ARCH_PRCTL, _REQUEST, _TILE_DATA = 158, 0x1023, 18
"""Linux on x86-64: the call by which a process asks for the registers, and their number."""


@functools.cache
def in_target() -> bool:
    """Whether code for the matrix unit can be made: the processor that Numba compiles for has one.

    That is this one unless ``NUMBA_CPU_NAME`` and ``NUMBA_CPU_FEATURES`` name another.
    """
    target = importlib.import_module("numba.core.registry").cpu_target.target_context
    *_, features = target.codegen().magic_tuple()
    found = {f"+{name}" for name in FEATURES} <= set(features.split(","))
    return sys.platform == "linux" and sys.maxsize > 2**32 and found


def lent() -> bool:
    """Ask the system to let this process use the matrix unit."""
    return bool(ctypes.CDLL(None).syscall(_ARCH_PRCTL, _REQUEST, _TILE_DATA) == 0)


@functools.cache
def available() -> bool:
    """Whether products go to the matrix unit: it is not turned off, can be compiled for, and is lent."""
    return os.environ.get(UNIT) != "0" and in_target() and lent()


def _unit(builder: Any, name: str, *args: Any) -> None:
    """Call an instruction of the matrix unit, or nothing where code for it cannot be made."""
    if in_target():
        kind = ir.FunctionType(ir.VoidType(), [arg.type for arg in args])
        builder.call(cgutils.get_or_insert_function(builder.module, kind, f"llvm.x86.{name}"), args)


def _register(number: int) -> Any:
    return ir.Constant(I8, number)


def _bytes(builder: Any, address: Any) -> Any:
    return builder.bitcast(address, I8.as_pointer())


def _begin(typing: Any, shapes: Any) -> Any:
    """``begin(shapes)``: set up the matrix unit; 64 bytes tell the shapes of its registers."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        memory = Memory(context, builder, signature, args)
        _unit(builder, "ldtilecfg", _bytes(builder, memory.address(0, ir.Constant(I64, 0))))
        return context.get_dummy_value()

    return types.void(shapes), codegen


def _end(typing: Any) -> Any:
    """``end()``: give the matrix unit back."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        _unit(builder, "tilerelease")
        return context.get_dummy_value()

    return types.void(), codegen


def _multiply(
    typing: Any, spikes: Any, entries: Any, low: Any, high: Any, blocks: Any, sums: Any, first: Any
) -> Any:
    """``multiply(spikes, entries, low, high, blocks, sums, first)``: sums of `LANES` targets in `PASS` steps.

    Adds up the products of entries ``low`` to ``high`` for the steps from ``first`` on, and writes them
    to the rows of ``sums`` after these steps.
    """

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        memory = Memory(context, builder, signature, args)
        _, _, low, high, _, _, first = args
        side, row = ir.Constant(I64, SOURCES), ir.Constant(I64, 4 * LANES)
        for number in range(4):
            _unit(builder, "tilezero", _register(number))
        with cgutils.for_range(builder, builder.sub(high, low), intp=I64) as loop:
            entry = builder.shl(builder.add(low, loop.index), ir.Constant(I64, 1))
            bank = builder.sext(memory.scalar(1, entry), I64)
            block = builder.sext(memory.scalar(1, plus(builder, entry, 1)), I64)
            here = builder.add(builder.mul(bank, ir.Constant(I64, BANK)), builder.mul(first, side))
            there = builder.mul(block, ir.Constant(I64, BLOCK))
            for half in range(2):
                at = plus(builder, here, half * TILE * SOURCES)
                _unit(
                    builder, "tileloadd64", _register(4 + half), _bytes(builder, memory.address(0, at)), side
                )
                at = plus(builder, there, half * BLOCK // 2)
                _unit(
                    builder, "tileloadd64", _register(6 + half), _bytes(builder, memory.address(4, at)), side
                )
            for number in range(4):
                operands = (_register(n) for n in (number, 4 + number // 2, 6 + number % 2))
                _unit(builder, "tdpbusd", *operands)
        after = builder.mul(plus(builder, first, 1), ir.Constant(I64, LANES))
        for number in range(4):
            at = plus(builder, after, number // 2 * TILE * LANES + number % 2 * LANES // 2)
            _unit(builder, "tilestored64", _register(number), _bytes(builder, memory.address(5, at)), row)
        return context.get_dummy_value()

    long = types.int64
    return types.void(spikes, entries, long, long, blocks, sums, long), codegen


def _column(
    typing: Any, sums: Any, cells: Any, neurons: Any, bias: Any, spikes: Any, at: Any, n: Any, bank: Any,
    steps: Any, shift: Any, loop: Any,
) -> Any:  # fmt: skip
    """``column(sums, cells, neurons, bias, spikes, at, n, bank, steps, shift, loop)``: many steps of `LANES`.

    Steps the neurons at position ``at`` as `intrinsics.step` does, and returns the same flags. Row 0 of
    ``sums`` is the input of the first step, the others hold it divided by two to ``shift``; to the latter
    comes ``loop`` where a neuron has just spiked. Spikes go to ``spikes`` as bytes from ``bank`` on.
    """

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        memory = Memory(context, builder, signature, args)
        horizon = Horizon(memory, builder, args)
        places = horizon.places
        keep_u, keep_v, _, threshold, refract, lower, upper = (memory.load(2, place) for place in places)
        wait, zero = Variable(builder, memory.load(1, places[2])), horizon.zero
        wrapped = [Variable(builder, zero) for _ in range(3)]
        u, v = horizon.u, horizon.v
        with cgutils.for_range(builder, args[8], intp=I64) as loop:
            given = horizon.given(loop.index)
            q = wrap(given, 21)
            current = decay(u.get(), keep_u) + q
            u.set(wrap(current, 23))
            drive = u.get() + horizon.bias
            limited = wrap(drive, 23)
            membrane = clip(decay(v.get(), keep_v) + limited, lower, upper)
            membrane = (wait.get() > 0).where(0, membrane)
            fired = membrane > threshold
            waits = fired.where(refract, wait.get()) - 1
            wait.set((waits < 0).where(0, waits))
            pairs = (given, q), (current, u.get()), (drive, limited)
            for seen, (whole, part) in zip(wrapped, pairs, strict=True):
                seen.set(seen.get() | (whole ^ part))
            horizon.take(loop.index, fired, membrane)
        for values, place in zip((u, v, wait), places, strict=False):
            memory.store(values.get(), 1, place)
        return overflow_flags(builder, *(seen.get().differs(zero) for seen in wrapped))

    return types.uint64(sums, cells, neurons, bias, spikes, *_HORIZON), codegen


def _column_accumulate(
    typing: Any, sums: Any, cells: Any, neurons: Any, bias: Any, spikes: Any, at: Any, n: Any, bank: Any,
    steps: Any, shift: Any, loop: Any,
) -> Any:  # fmt: skip
    """``column_accumulate(...)``: as `_column`, for neurons that `tiles.ACCUMULATE` describes.

    It does without wraps: there are none as long as current and bias keep well below their widths. Returns
    whether they did; otherwise the neurons' state is left as it was.
    """

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        memory = Memory(context, builder, signature, args)
        horizon = Horizon(memory, builder, args)
        threshold, u, v = memory.load(2, horizon.places[3]), horizon.u, horizon.v
        inputs, currents = Variable(builder, horizon.bias + NARROW), Variable(builder, u.get() + 2 * NARROW)
        with cgutils.for_range(builder, args[8], intp=I64) as loop:
            given = horizon.given(loop.index)
            u.set(leak(u.get()) + given)
            inputs.set(inputs.get() | (given + NARROW))
            currents.set(currents.get() | (u.get() + 2 * NARROW))
            before = v.get()
            rest = (before + ((before >> 31) & 4095)) >> 12
            membrane = rest + (u.get() + horizon.bias)
            horizon.take(loop.index, membrane > threshold, membrane)
        far = (inputs.get() & -(2 * NARROW)) | (currents.get() & -(4 * NARROW))
        far = far.differs(horizon.zero).bits()
        kept = builder.icmp_unsigned("==", far, ir.Constant(I64, 0))
        with builder.if_then(kept):
            for values, place in zip((u, v), horizon.places, strict=False):
                memory.store(values.get(), 1, place)
        return kept

    return types.boolean(sums, cells, neurons, bias, spikes, *_HORIZON), codegen


_HORIZON = (types.int64,) * 4 + (types.int32,) * 2
NARROW = 2**21
"""Bound of inputs and biases, and half that of currents: their sum stays below 2**23."""


class Horizon:
    """What both ways of stepping `LANES` neurons have in common: arguments, state, input, spikes."""

    def __init__(self, memory: Memory, builder: Any, args: Any) -> None:
        at, n, self.bank, _, shift, loop = args[5:]
        self.memory, self.builder = memory, builder
        self.places = [builder.add(at, builder.mul(n, ir.Constant(I64, row))) for row in range(7)]
        self.bias, self.loop, self.shift = memory.load(3, at), memory.splat(loop), memory.splat(shift)
        self.zero = Vector(builder, constant(ir.VectorType(I32, LANES), 0))
        self.u, self.v = (Variable(builder, memory.load(1, place)) for place in self.places[:2])
        self.up = Variable(builder, self.zero)
        self.fired = Variable(builder, self.zero > 0)

    def given(self, step: Any) -> Vector:
        """Input of a step."""
        row = self.builder.mul(step, ir.Constant(I64, LANES))
        given = self.memory.load(0, row) << self.up.get()
        self.up.set(self.shift)
        return self.fired.get().where(given + self.loop, given)

    def take(self, step: Any, fired: Vector, membrane: Vector) -> None:
        """Reset, and write down the spikes of a step."""
        self.v.set(fired.where(0, membrane))
        self.fired.set(fired)
        here = self.builder.add(self.bank, self.builder.mul(step, ir.Constant(I64, SOURCES)))
        spikes = self.builder.zext(fired.value, ir.VectorType(I8, LANES))
        self.memory.store(Vector(self.builder, spikes), 4, here, I8)


class Variable:
    """A vector that changes in a loop; the compiler keeps it in registers."""

    def __init__(self, builder: Any, start: Vector) -> None:
        self.builder = builder
        self.place = cgutils.alloca_once(builder, start.value.type)
        self.set(start)

    def get(self) -> Vector:
        """Read it."""
        return Vector(self.builder, self.builder.load(self.place))

    def set(self, vector: Vector) -> None:
        """Change it."""
        self.builder.store(vector.value, self.place)


def _mask_at(typing: Any, spikes: Any, at: Any) -> Any:
    """``mask_at(spikes, at)``: which of the `LANES` bytes from ``at`` on are not zero, as bits."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        memory = Memory(context, builder, signature, args)
        found = memory.load(0, args[1], I8)
        zero = Vector(builder, constant(ir.VectorType(I8, LANES), 0))
        return builder.trunc(found.differs(zero).bits(), I32)

    return types.uint32(spikes, types.int64), codegen


def _count_rows(typing: Any, spikes: Any, bank: Any, steps: Any, totals: Any, at: Any) -> Any:
    """``count_rows(spikes, bank, steps, totals, at)``: add up `LANES` sources' bytes over all steps."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        memory = Memory(context, builder, signature, args)
        _, bank, steps, _, at = args
        kind = ir.VectorType(I32, LANES)
        total = Variable(builder, Vector(builder, constant(kind, 0)))
        with cgutils.for_range(builder, steps, intp=I64) as loop:
            here = builder.add(bank, builder.mul(loop.index, ir.Constant(I64, SOURCES)))
            more = Vector(builder, builder.zext(memory.load(0, here, I8).value, kind))
            total.set(total.get() + more)
        memory.store(total.get(), 3, at)
        return context.get_dummy_value()

    return types.void(spikes, types.int64, types.int64, totals, types.int64), codegen


def _clear_rows(typing: Any, spikes: Any, bank: Any, steps: Any) -> Any:
    """``clear_rows(spikes, bank, steps)``: forget `LANES` sources' bytes of all steps."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        memory = Memory(context, builder, signature, args)
        zero = Vector(builder, constant(ir.VectorType(I8, LANES), 0))
        with cgutils.for_range(builder, args[2], intp=I64) as loop:
            here = builder.add(args[1], builder.mul(loop.index, ir.Constant(I64, SOURCES)))
            memory.store(zero, 0, here, I8)
        return context.get_dummy_value()

    return types.void(spikes, types.int64, types.int64), codegen


begin, end, multiply = intrinsic(_begin), intrinsic(_end), intrinsic(_multiply)
column, column_accumulate = intrinsic(_column), intrinsic(_column_accumulate)
mask_at, count_rows, clear_rows = intrinsic(_mask_at), intrinsic(_count_rows), intrinsic(_clear_rows)
