"""A learning circuit as flat tables: what the kernel of `online_loops` reads, and what it changes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from neurodeploy.errors import OptionError
from neurodeploy.learning import engine, widths
from neurodeploy.learning.arithmetic import DEFAULT, Arithmetic
from neurodeploy.learning.circuit import WEIGHT_SHIFT, Circuit, Population, Projection
from neurodeploy.learning.description import Rule, Trace
from neurodeploy.learning.notation import Factor, Product, Update, variables

Array = npt.NDArray[Any]

ROLES = {"neurons": 0, "data": 1, "label": 2, "constant": 3}
X0, Y0, TRACE, W, D, T, REWARD, NEVER, ERROR, SLOPE = range(10)
"""Kinds of factors. Of traces that neurons write, ``y3`` is the phase's flag, ``y2`` their error, ``y1`` a
pseudo-derivative."""
BEFORE, BEHIND, SYNAPSE = range(3)
"""Where a factor is known."""
MOST = 255
"""Spikes that are counted."""
FULL_MATRIX, PER_POST, PER_PRE = range(3)
"""How a synaptic variable is kept: where all synapses of a neuron must agree on it, once per neuron."""


@dataclass
class Tables:
    """Numbers only, row after row.

    ``populations``: start, size, threshold, floor, role, whether linear, start of the partner or its own,
    whether a spike subtracts, first pseudo-derivative, how many, their shift, spikes of the first phase that
    leave it a slope. ``projections``: source, target, I, O, first weight, shift, learning layer or -1,
    whether apical, gated, one to one. ``phases``: steps, reward, how apical input counts, if errors show.
    ``layers``: projection, first trace, traces, first update, updates, how d is kept, first d, how t is kept,
    first t, whether numbers are shared.
    ``traces``: start neuron, size, first value, population. ``updates``: variable, first product,
    products, fine bits, lost bits, low, high, place in the rule. ``products``: mantissa, shift, decimation or
    -1, first factor, factors, whether it needs a spike before, and behind. ``factors``: kind, first value,
    where it is known, plus, sign. Every ``write_period`` steps neurons write errors and pseudo-derivatives; 0
    for never.
    """

    populations: Array
    rates: Array
    offsets: Array
    phases: Array
    projections: Array
    layers: Array
    traces: Array
    luts: Array
    updates: Array
    products: Array
    factors: Array
    slopes: Array
    readout: int
    error_shift: int
    error_half: int
    error_leak: int
    write_period: int


@dataclass
class State:
    """Everything that changes while a circuit learns.

    Parameters
    ----------
    v, q : ndarray of int32, shape (N,)
    drive : ndarray of int64, shape (N,)
        How far sources are.
    apical : ndarray of int32, shape (N,)
        Errors collected.
    active : ndarray of uint8, shape (N,)
        Spikes of the first phase, up to `MOST`; after it 0 where they are too many to have a slope.
    fired : ndarray of uint8, shape (N,)
        Who spiked in the last step.
    traces, d, t : ndarray of int32
    w : ndarray of int16
    clock : ndarray of int64, shape (2,)
        Seed, and steps learned.
    """

    v: Array
    q: Array
    fired: Array
    drive: Array
    apical: Array
    active: Array
    traces: Array
    w: Array
    d: Array
    t: Array
    clock: Array
    counters: Array = field(default_factory=lambda: np.zeros(4, np.int64))

    def copy(self) -> State:
        """Return the same state on its own."""
        return State(**{k: v.copy() for k, v in vars(self).items()})


def tables(circuit: Circuit, *, seed: int = 0, arithmetic: Arithmetic = DEFAULT) -> tuple[Tables, State]:
    """Lay a circuit out.

    Parameters
    ----------
    circuit : Circuit
    seed : int
        Of stochastic rounding.
    arithmetic : Arithmetic

    Raises
    ------
    OptionError
        If a rule is of a kind that the kernel does not run; `learning.engine` does.
    """
    return _Builder(circuit, arithmetic).build(seed)


class _Builder:
    """Collects rows."""

    def __init__(self, circuit: Circuit, how: Arithmetic) -> None:
        self.circuit, self.how = circuit, how
        self.rows: dict[str, list[list[int]]] = {
            k: [] for k in ("projections", "layers", "traces", "updates", "products", "factors")
        }
        self.luts: list[Array] = []
        self.weights: list[Array] = []
        self.used = {"traces": 0, "d": 0, "t": 0, "w": 0}
        sizes = [p.size for p in circuit.populations]
        self.starts = dict(
            zip([p.name for p in circuit.populations], np.cumsum([0, *sizes[:-1]]).tolist(), strict=True)
        )
        self.names = [p.name for p in circuit.populations]
        self.slopes: list[int] = []
        self.write_period = 0

    def build(self, seed: int) -> tuple[Tables, State]:
        c = self.circuit
        for j in c.projections:
            self.projection(j)
        n = sum(p.size for p in c.populations)
        offsets = [np.zeros(p.size, np.int64) if p.offsets is None else p.offsets for p in c.populations]
        silent = (0,) * len(c.phases)
        rows = [self.population(p) for p in c.populations]
        found = Tables(
            populations=_table(rows),
            rates=np.array([p.rates or silent for p in c.populations], np.int64),
            offsets=np.concatenate(offsets).astype(np.int64),
            phases=_table([[p.steps, p.reward, p.collect, int(p.show)] for p in c.phases]),
            luts=np.array(self.luts, np.int64).reshape(-1, 2, 128, 2),
            readout=self.names.index(c.readout),
            slopes=np.array([*self.slopes, 0], np.int64),
            error_shift=c.error_shift,
            error_half=c.error_half,
            error_leak=c.error_leak,
            write_period=self.write_period,
            **{k: _table(rows) for k, rows in self.rows.items()},
        )
        synaptic = {k: np.zeros(self.used[k] + 1, np.int32) for k in ("traces", "d", "t")}
        state = State(
            v=np.zeros(n, np.int32),
            q=np.zeros(n, np.int32),
            fired=np.zeros(n, np.uint8),
            drive=np.zeros(n, np.int64),
            apical=np.zeros(n, np.int32),
            active=np.zeros(n, np.uint8),
            w=np.concatenate(self.weights).astype(np.int16),
            clock=np.array([seed, 0], np.int64),
            **synaptic,
        )
        return found, state

    def population(self, p: Population) -> list[int]:
        first = len(self.slopes)
        self.slopes += p.slopes
        return [
            self.starts[p.name], p.size, p.threshold, p.floor, ROLES[p.role], int(p.linear),
            self.starts[p.partner or p.name], int(p.subtract), first, len(p.slopes), p.slope_shift,
            p.busy or MOST,
        ]  # fmt: skip

    def projection(self, j: Projection) -> None:
        size = j.weight.size
        layer = -1 if j.rule is None else len(self.rows["layers"])
        self.rows["projections"].append(
            [
                self.names.index(j.source), self.names.index(j.target), j.weight.shape[1], j.weight.shape[0],
                self.used["w"], WEIGHT_SHIFT + j.exponent, layer, int(j.apical), int(j.gated),
                int(j.one_to_one),
            ]
        )  # fmt: skip
        self.used["w"] += size
        self.weights.append(np.ascontiguousarray(j.weight.T).ravel())
        if j.rule is not None:
            self.layer(j, j.rule, len(self.rows["projections"]) - 1)

    def layer(self, j: Projection, rule: Rule, at: int) -> None:
        _check(rule, self.how)
        first_trace, first_update = len(self.rows["traces"]), len(self.rows["updates"])
        numbered = {}
        for trace in [t for t in rule.traces if t.source in ("spikes", "partner")]:
            numbered[trace.variable] = self.used["traces"]
            self.trace(j, trace)
        kinds = {v: _kept(rule, v, self.how) for v in ("d", "t")}
        sizes = {FULL_MATRIX: j.weight.size, PER_POST: j.weight.shape[0], PER_PRE: j.weight.shape[1]}
        row = [at, first_trace, len(numbered), first_update, len(rule.updates)]
        places = {}
        for v in ("d", "t"):
            row += [kinds[v], self.used[v]]
            places[v] = (kinds[v], self.used[v])
            self.used[v] += sizes[kinds[v]]
        self.rows["layers"].append([*row, int(self.how.rounding == "shared")])
        for update in _in_order(rule):
            self.update(rule, update, numbered, places)

    def trace(self, j: Projection, trace: Trace) -> None:
        end = self.circuit[j.source if trace.variable[0] == "x" else j.target]
        population = self.circuit[end.partner] if trace.source == "partner" else end
        self.rows["traces"].append(
            [
                self.starts[population.name],
                population.size,
                self.used["traces"],
                self.names.index(population.name),
            ]
        )
        self.used["traces"] += population.size
        self.luts.append(_lut(trace, self.how))

    def update(
        self, rule: Rule, update: Update, numbered: dict[str, int], places: dict[str, tuple[int, int]]
    ) -> None:
        name = update.target
        fine, lost = engine.ACCUMULATOR - widths.BITS[name], int(name == "w")
        low, high = engine.bounds(name, "mixed", self.how)
        self.rows["updates"].append(
            [
                {"w": W, "d": D, "t": T}[name], len(self.rows["products"]), len(update.products), fine, lost,
                -(-low >> lost), high >> lost, rule.updates.index(update),
            ]
        )  # fmt: skip
        for product in update.products:
            self.product(product, fine, numbered, places)

    def product(
        self, product: Product, fine: int, numbered: dict[str, int], places: dict[str, tuple[int, int]]
    ) -> None:
        shift = product_shift(product, fine, self.how)
        k = max(product.decimations, default=-1)
        factors = [f for f in product.factors if f.variable[0] != "u"]
        spikes = [int(Factor(v) in factors) for v in ("x0", "y0")]
        if any(f.variable in ("y1", "y2") and f.variable not in numbered for f in factors):
            period = 2 ** max(k, 0)
            self.write_period = min(self.write_period or period, period)
        self.rows["products"].append(
            [product.mantissa, shift, k, len(self.rows["factors"]), len(factors), *spikes]
        )
        for f in factors:
            self.rows["factors"].append([*_factor(f, numbered, places), f.plus, int(f.sign)])


def product_shift(product: Product, fine: int, how: Arithmetic) -> int:
    """Return by how many bits a product is shifted left on its way into the accumulator."""
    over = widths.overflow(product, mantissa=how.mantissa_bits, accumulator=engine.ACCUMULATOR) * how.overflow
    return product.exponent + (fine if how.literal == "weight" else 0) - over


def _table(rows: list[list[int]]) -> Array:
    return np.array(rows, np.int64).reshape(len(rows), -1 if rows else 16)


def _factor(f: Factor, numbered: dict[str, int], places: dict[str, tuple[int, int]]) -> list[int]:
    """Return kind, first value and where a factor is known."""
    v = f.variable
    if v in ("x0", "y0"):
        return [X0 if v == "x0" else Y0, 0, BEFORE if v == "x0" else BEHIND]
    if v in ("d", "t"):
        kind, first = places[v]
        where = {FULL_MATRIX: SYNAPSE, PER_POST: BEHIND, PER_PRE: BEFORE}[kind]
        return [D if v == "d" else T, first, where]
    if v in numbered:
        return [TRACE, numbered[v], BEFORE if v[0] == "x" else BEHIND]
    other = {"w": [W, 0, SYNAPSE], "r0": [NEVER, 0, BEFORE]}
    other |= {"y2": [ERROR, 0, BEHIND], "y1": [SLOPE, 0, BEHIND]}
    return other.get(v, [REWARD, 0, BEFORE])


def _check(rule: Rule, how: Arithmetic) -> None:
    if rule.epoch != 1:
        raise OptionError(
            f"rule '{rule.name}' has epochs of {rule.epoch} steps; this kernel runs epochs of 1"
        )
    imposed = [t.variable for t in rule.traces if t.source == "imposed"]
    imposed += [t.variable for t in rule.traces if t.source == "neuron" and t.variable[0] != "y"]
    if imposed:
        raise OptionError(f"rule '{rule.name}' reads {imposed[0]}, which software would have to write")
    own = {t.variable for t in rule.traces if t.source == "spikes" and t.variable[0] == "y"}
    if any(t.source == "partner" for t in rule.traces) and (own or "y0" in variables(rule.updates)):
        raise OptionError(f"rule '{rule.name}' reads spikes of a neuron and of a compartment of it")
    slips = (how.rounding, how.decimation, how.clip, how.negative_exponent)
    if {"away", "xor", "beyond", "zero"} & {*slips}:
        raise OptionError(f"this kernel does not compute with {how.differences()}; learning.engine does")
    absent = [v for v in variables(rule.updates) if v in how.without]
    if absent:
        raise OptionError(
            f"rule '{rule.name}' reads {', '.join(absent)}, which this arithmetic does not have"
        )
    for u in rule.updates:
        for p in u.products:
            if p.dependency is None or len(p.decimations) > 1:
                raise OptionError(f"'{p}' needs exactly one dependency x0, y0 or u0")


def _reads(update: Update) -> set[str]:
    return {f.variable for p in update.products for f in p.factors}


def _in_order(rule: Rule) -> list[Update]:
    """Sort updates so that each is done before what it reads is changed."""
    left, done = list(rule.updates), list[Update]()
    while left:
        free = [u for u in left if not any(u.target in _reads(o) for o in left if o is not u)]
        if not free:
            raise OptionError(f"updates of rule '{rule.name}' read each other; learning.engine runs them")
        done.append(free[0])
        left.remove(free[0])
    return done


def _kept(rule: Rule, name: str, how: Arithmetic) -> int:
    """Say whether a variable is the same at all synapses of a neuron: no rounding, nothing of the others."""
    update = next((u for u in rule.updates if u.target == name), None)
    if update is None:
        return PER_POST
    fine = engine.ACCUMULATOR - widths.BITS[name]
    if any(product_shift(p, fine, how) < fine for p in update.products):
        return FULL_MATRIX
    read = {v for v in _reads(update) if v[0] not in "ur" and v != name}
    if read <= {"y0", "y1", "y2", "y3"}:  # y3 may be the phase's flag, which is the same everywhere
        return PER_POST
    return PER_PRE if read <= {"x0", "x1", "x2"} else FULL_MATRIX


def _lut(trace: Trace, how: Arithmetic) -> Array:
    """For every code, with and without a spike: the next, and the numbers below which it is one more."""
    keep, impulse = engine.keep(trace, 1, how), engine.impulse(trace, how)
    found = np.zeros((2, 128, 2), np.int64)
    for spike in (0, 1):
        for z in range(128):
            rest, whole = np.modf(float(z) * keep + impulse * spike)
            found[spike, z] = int(whole), int(np.ceil(rest * 2.0**32))
    return found
