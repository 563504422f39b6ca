"""ND6xx: the learning engine of the part can run the rule."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from neurodeploy.compiler.checks.finding import as_far_as_known
from neurodeploy.diagnostics import Diagnostic, Place, Severity
from neurodeploy.diagnostics import Rule as Finding
from neurodeploy.learning import widths
from neurodeploy.learning.description import Rule
from neurodeploy.learning.notation import Product
from neurodeploy.rules import hardware
from neurodeploy.rules import plasticity as rules
from neurodeploy.targets import Limit, Target

Check = Callable[[Rule, Target, Place], Iterator[Diagnostic]]
IN_WORDS = {"imposed": "imposed-trace", "neuron": "neuron-trace", "partner": "neuron-trace"}
"""How hardware files call the sources of traces that are no spike trains."""


def check_rule(rule: Rule, target: Target, *, place: Place | None = None) -> list[Diagnostic]:
    """Check a learning rule against a target's learning engine.

    Parameters
    ----------
    rule : Rule
    target : Target
    place : Place, optional
        The plastic layer.

    Returns
    -------
    list of Diagnostic
        Everything the engine cannot do, what loses precision, and which of its limits nobody published.
    """
    where = place or Place(layer=rule.name)
    if not target.is_true("learning.supported"):
        return [rules.NO_LEARNING_ENGINE.at(where, rule=rule.name, target=target.id)]
    form = target.limit("learning.rule_form")
    if form.known and form.value == "arbitrary":
        return []
    if form.known and form.value != "sum-of-products":
        return [_at(rules.OTHER_RULE_FORM, where, form, target, rule=rule.name)]
    return [finding for check in CHECKS for finding in check(rule, target, where)]


def expressible(rule: Rule, target: Target) -> Literal["yes", "no", "unknown"]:
    """Say whether a target's engine can run a rule; unknown where no engine is published."""
    found = check_rule(rule, target)
    if any(d.severity is Severity.ERROR for d in found):
        return "no"
    return "yes" if target.limit("learning.rule_form").known else "unknown"


def dependencies(rule: Rule, target: Target, place: Place) -> Iterator[Diagnostic]:
    """Check that every product names one of the engine's dependencies."""
    limit = target.limit("learning.dependencies")
    for variable, product in _products(rule):
        found = product.dependency
        if found is None or (limit.known and found.variable.rstrip("0123456789") not in _stems(limit)):
            yield _at(
                rules.PRODUCT_WITHOUT_DEPENDENCY, place, limit, target,
                product=str(product), variable=variable,
            )  # fmt: skip


def factors(rule: Rule, target: Target, place: Place) -> Iterator[Diagnostic]:
    """Check that every factor but ``u_k`` is one of the engine's."""
    limit = target.limit("learning.factors")
    for variable, product in _products(rule):
        odd = [f.variable for f in product.factors if f.variable[0] != "u"]
        odd = [v for v in dict.fromkeys(odd) if limit.known and v not in limit.value]
        if odd:
            yield _at(
                rules.FACTOR_NOT_ON_PART, place, limit, target,
                product=str(product), variable=variable, used=", ".join(odd),
            )  # fmt: skip


def decimations(rule: Rule, target: Target, place: Place) -> Iterator[Diagnostic]:
    """Check that all ``u_k`` are one, and ``k <= limit``."""
    used = sorted({k for _, product in _products(rule) for k in product.decimations})
    if len(used) > 1 and target.is_true("learning.decimation_shared") is not False:
        shared = target.limit("learning.decimation_shared")
        yield _at(rules.SEVERAL_DECIMATIONS, place, shared, target, used=" and ".join(f"u{k}" for k in used))
    limit = target.limit("learning.decimation_max")
    if used and limit.known and used[-1] > limit.value:
        yield _at(rules.DECIMATION_RANGE, place, limit, target, used=used[-1])


def epochs(rule: Rule, target: Target, place: Place) -> Iterator[Diagnostic]:
    """Check ``lowest <= epoch <= limit``."""
    limit, lowest = target.limit("learning.epoch_max_steps"), target.number("learning.epoch_min_steps") or 1
    if limit.known and not lowest <= rule.epoch <= limit.value:
        yield _at(rules.LEARNING_EPOCH, place, limit, target, used=rule.epoch, lowest=lowest)


def scales(rule: Rule, target: Target, place: Place) -> Iterator[Diagnostic]:
    """Check that mantissas fit their bits, and then ``exponent >= limit``."""
    bits, low = target.limit("learning.mantissa_bits"), target.limit("learning.lr_exponent_min")
    for variable, product in _products(rule):
        facts = {"product": str(product), "variable": variable}
        mantissa, exponent = widths.normal(product)
        width = mantissa.bit_length()
        if bits.known and width > bits.value:
            yield _at(rules.LEARNING_MANTISSA, place, bits, target, used=width, **facts)
        elif low.known and exponent < low.value:
            yield _at(rules.LEARNING_EXPONENT, place, low, target, used=exponent, **facts)


def constants(rule: Rule, target: Target, place: Place) -> Iterator[Diagnostic]:
    """Check that constants inside of factors fit their bits."""
    limit = target.limit("learning.constant_bits")
    for variable, product in _products(rule):
        for factor in product.factors:
            used = abs(factor.plus).bit_length()
            if limit.known and used > limit.value:
                yield _at(
                    rules.LEARNING_CONSTANT, place, limit, target,
                    factor=str(factor), variable=variable, used=used,
                )  # fmt: skip


def traces(rule: Rule, target: Target, place: Place) -> Iterator[Diagnostic]:
    """Check impulses, time constants, and who writes a trace that is no spike train."""
    most, step = target.limit("learning.trace_impulse_max"), target.number("learning.impulse_fraction_bits")
    kinds = target.limit("learning.third_factors")
    smallest = 2.0 ** -(step or 0)
    for trace in rule.traces:
        facts = {"variable": trace.variable}
        if trace.source != "spikes":
            if kinds.known and IN_WORDS[trace.source] not in kinds.value:
                yield _at(
                    rules.THIRD_FACTOR_NOT_ON_PART, place, kinds, target,
                    used=IN_WORDS[trace.source], **facts,
                )  # fmt: skip
            continue
        if most.known and not smallest <= trace.impulse < most.value + 1:
            yield _at(rules.TRACE_IMPULSE, place, most, target, used=trace.impulse, lowest=smallest, **facts)
        whole = target.is_true("learning.tau_whole_steps") and trace.tau != int(trace.tau)
        lowest = target.limit("learning.tau_min_steps")
        if whole or trace.tau <= 0 or (lowest.known and trace.tau < lowest.value):
            bound = lowest if lowest.known else dataclasses.replace(lowest, value=1, grade="derived")
            yield _at(rules.TRACE_TIME_CONSTANT, place, bound, target, used=trace.tau, **facts)


def precision(rule: Rule, target: Target, place: Place) -> Iterator[Diagnostic]:
    """Check ``sum of widths + mantissa bits <= accumulator``, and that the largest value counts."""
    limit, mantissa = target.limit("learning.acc_bits"), target.number("learning.mantissa_bits")
    if not limit.known or mantissa is None:
        return
    magnitude = limit.value - 1
    for variable, product in _products(rule):
        facts = {"product": str(product), "variable": variable}
        used = widths.product_width(product) + mantissa
        lost = max(0, used - magnitude)
        largest = widths.largest(product) * 2.0 ** (magnitude - widths.BITS[variable] - lost)
        if largest < 1:
            yield _at(rules.PRODUCT_VANISHES, place, limit, target, used=largest, **facts)
        elif lost:
            yield _at(
                rules.PRODUCT_LOSES_BITS, place, dataclasses.replace(limit, value=magnitude), target,
                used=used, lost=lost, **facts,
            )  # fmt: skip


def unknown_limits(rule: Rule, target: Target, place: Place) -> Iterator[Diagnostic]:
    """Check that the limits that this rule would be held against are published."""
    for name in ("dependencies", "factors", "epoch_max_steps", "mantissa_bits", "acc_bits", "products_max"):
        limit = target.limit(f"learning.{name}")
        if limit.unknown:
            yield _at(hardware.LIMIT_NOT_PUBLISHED, place, limit, target, what=limit.path)


CHECKS: tuple[Check, ...] = (
    dependencies,
    factors,
    decimations,
    epochs,
    scales,
    constants,
    traces,
    precision,
    unknown_limits,
)


def check_core(
    target: Target, *, forward: int, backward: int, static: int, place: Place
) -> Iterator[Diagnostic]:
    """Check a plastic core's neighbours: ``forward + backward <= axons``, and nothing static beside it.

    Parameters
    ----------
    target : Target
    forward, backward : int
        Axons that bring inputs, and that bring the third factor.
    static : int
        Synapses on the core that do not learn.
    place : Place
    """
    limit = target.limit("core.in_axons")
    if limit.known and forward + backward > limit.value:
        yield _at(
            rules.FEEDBACK_AXONS, place, limit, target,
            used=forward + backward, forward=forward, backward=backward,
        )  # fmt: skip
    both = target.limit("learning.same_core_with_static")
    if static and both.known and not both.value:
        yield _at(rules.LEARNING_BESIDE_STATIC, place, both, target, used=static)


def check_feedback(
    rule: Rule, forward: npt.NDArray[Any], back: npt.NDArray[Any], *, place: Place
) -> Iterator[Diagnostic]:
    """Check that a way back is no scaled copy of the way forward, unless the rule says so.

    Parameters
    ----------
    rule : Rule
    forward : ndarray, shape (O, I)
    back : ndarray, shape (I, O)
    place : Place
    """
    if rule.feedback.weights == "copied" or back.shape != forward.T.shape or min(forward.shape) < 2:
        return
    size = float(np.linalg.norm(forward)) * float(np.linalg.norm(back))
    if size and float(np.sum(forward.T * back)) / size > 1 - 1e-9:
        yield rules.FEEDBACK_COPIES_WEIGHTS.at(place, layer=place.layer, rule=rule.name)


def _products(rule: Rule) -> Iterator[tuple[str, Product]]:
    for update in rule.updates:
        for product in update.products:
            yield update.target, product


def _stems(limit: Limit) -> set[str]:
    return {str(word).rstrip("0123456789") for word in limit.value}


def _at(finding: Finding, place: Place, limit: Limit, target: Target, **facts: Any) -> Diagnostic:
    """Make a finding; a source too weak to refuse a rule makes it a warning."""
    value = ", ".join(map(str, limit.value)) if isinstance(limit.value, tuple) else limit.value
    told = {
        "limit": value,
        "unit": limit.unit,
        "source": limit.src,
        "grade": limit.grade,
        "target": target.id,
    }
    found = finding.at(place, **{**told, **facts})
    return as_far_as_known(found, limit) if limit.known else found
