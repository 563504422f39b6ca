"""ND3xx: every core, chip and board has room for what is put on it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from neurodeploy.compiler import fans
from neurodeploy.compiler.checks.finding import at_limit, in_all
from neurodeploy.compiler.counts import engines as engine_counts
from neurodeploy.compiler.counts import totals
from neurodeploy.compiler.counts.blocks import MEMORY, OFF_CHIP, OUT_AXONS
from neurodeploy.compiler.counts.uses import Usage
from neurodeploy.diagnostics import Diagnostic, Place, Rule
from neurodeploy.program import Program
from neurodeploy.rules import capacity as rules
from neurodeploy.rules.expressibility import TOO_MANY_OUTPUTS
from neurodeploy.targets import names
from neurodeploy.targets import target as find_target

RULE_OF: dict[str, Rule] = {
    "compartments": rules.TOO_MANY_NEURONS,
    "input axons": rules.TOO_MANY_INPUT_AXONS,
    MEMORY: rules.SYNAPSE_MEMORY_EXCEEDED,
    OFF_CHIP: rules.TOO_MANY_AXONS_OFF_CHIP,
    "words per axon": rules.TOO_MANY_WORDS_PER_AXON,
    engine_counts.KERNEL: rules.KERNEL_MEMORY,
    engine_counts.NEURONS: rules.NEURON_MEMORY,
    engine_counts.BIASES: rules.BIAS_MEMORY,
    "compartment profiles": rules.TOO_MANY_COMPARTMENT_PROFILES,
    "threshold profiles": rules.TOO_MANY_THRESHOLD_PROFILES,
    "synapse formats": rules.TOO_MANY_SYNAPSE_FORMATS,
}
"""What to report where a resource of a core is exceeded."""

WHOLE: dict[str, tuple[Rule, str]] = {
    "neurons in all": (rules.TOO_MANY_NEURONS_IN_ALL, ""),
    "synapses in all": (rules.TOO_MANY_SYNAPSES, ""),
    "input channels": (rules.TOO_MANY_INPUTS, ""),
    "output channels": (TOO_MANY_OUTPUTS, ""),
    "neurons fed by the input": (rules.TOO_MANY_AT_THE_EDGE, "neurons listen to the input"),
    "neurons that feed the output": (rules.TOO_MANY_AT_THE_EDGE, "neurons feed the output"),
}
"""What to report where the network as a whole exceeds a resource."""


def cores_hold_their_blocks(program: Program, usage: Usage) -> Iterator[Diagnostic]:
    """Check ``used <= limit`` for every resource of every core; the worst of a population speaks for all."""
    for resource, rule in RULE_OF.items():
        for rows in usage.by_population():
            over = [row for row in rows if row.has(resource) and row[resource].over]
            if over and not (resource == "input axons" and _column_is_over(program, over[0].population)):
                worst = max(over, key=lambda row: row[resource].used)
                use = worst[resource]
                yield at_limit(
                    rule, worst.place, use.limit, program,
                    used=use.used, cores=len(over), more=in_all(len(over)) + worst.shared_by,
                )  # fmt: skip


def _column_is_over(program: Program, name: str) -> bool:
    """Whether a single neuron listens to more than it may, which a finding of its own says."""
    column, axons = program.target.limit("connectivity.fan_in"), program.target.limit("core.in_axons")
    if not column.known or not axons.known or column.value > axons.value:
        return False
    return bool(fans.fan_in(program, program.population(name)).max(initial=0) > column.value)


def whole_network(program: Program, usage: Usage) -> Iterator[Diagnostic]:
    """Check ``used <= limit`` for what the network takes as a whole."""
    for use in usage.whole:
        if use.over and use.resource in WHOLE:
            rule, which = WHOLE[use.resource]
            yield at_limit(rule, Place(layer="model"), use.limit, program, used=use.used, which=which)


def engines(program: Program, usage: Usage) -> Iterator[Diagnostic]:
    """Check that every layer finds an engine of its own that is large enough."""
    if program.target.mapping != "layer-engines":
        return
    layers, cores = engine_counts.layers(program), engine_counts.core_list(program.target)
    fit = [[engine_counts.fits(layer, core) for core in cores] for layer in layers]
    possible = [row for row in fit if any(row)]
    names = [layer.neuron.origin for layer, row in zip(layers, fit, strict=True) if any(row)]
    stuck, room = engine_counts.blocking_set(possible)
    if stuck:
        limit = dataclasses.replace(program.target.limit("chip.cores"), value=room)
        yield at_limit(
            rules.NO_ASSIGNMENT, Place(layer=names[stuck[-1]]), limit, program,
            used=len(stuck), layers=", ".join(names[i] for i in stuck),
        )  # fmt: skip


def output_axons(program: Program, usage: Usage) -> Iterator[Diagnostic]:
    """Check ``entries <= limit`` on every core, those to other chips with their extra entry."""
    for rows in usage.by_population():
        over = [row for row in rows if row.has(OUT_AXONS) and row[OUT_AXONS].over]
        if not over:
            continue
        worst = max(over, key=lambda row: row[OUT_AXONS].used)
        use, extra = worst[OUT_AXONS], worst.extra_offchip
        rule = rules.ONLY_ON_ONE_CHIP if use.used - extra <= use.limit.value else rules.TOO_MANY_OUTPUT_AXONS
        yield at_limit(
            rule, worst.place, use.limit, program,
            used=use.used, offchip=extra, cores=len(over), more=in_all(len(over)) + worst.shared_by,
        )  # fmt: skip


def cost_models(program: Program, usage: Usage) -> Iterator[Diagnostic]:
    """Check that memory that fits as one public tool counts also fits as the other does."""
    for rows in usage.by_population():
        for name in dict.fromkeys(use.resource for row in rows for use in row.uses):
            if not name.startswith(f"{MEMORY} ("):
                continue
            odd = [row for row in rows if row[name].over and not row[MEMORY].over]
            if odd:
                worst = max(odd, key=lambda row: row[name].used)
                yield at_limit(
                    rules.COST_MODELS_DISAGREE, worst.place, worst[name].limit, program,
                    used=worst[name].used, other=worst[MEMORY].used, model=name[len(MEMORY) + 2 : -1],
                    cores=len(odd), more=in_all(len(odd)) + worst.shared_by,
                )  # fmt: skip


def chips(program: Program, usage: Usage) -> Iterator[Diagnostic]:
    """Check ``cores <= chips x cores per chip``; a target that is a chip is one, not a board of several."""
    per_chip, board = program.target.limit("chip.cores"), program.target.limit("board.chips")
    if program.target.mapping == "layer-engines" or not per_chip.known:
        return
    used, binding = totals.cores_needed(program)
    if program.blocks or usage.cores:
        used, binding = len({row.core for row in usage.cores}), "blocks"
    if used <= per_chip.value:
        return
    place, count = Place(layer="model"), board.value if board.known else 1
    if used <= per_chip.value * count:
        need = -(-used // per_chip.value)
        yield at_limit(rules.SPANS_CHIPS, place, per_chip, program, used=used, chips=need, binding=binding)
        return
    if per_chip.value == 1 and not board.known and not program.blocks:
        limit = dataclasses.replace(program.target.limit("core.neurons"), unit="neurons")
        neurons = sum(p.size for p in totals.on_chip(program))
        counted = program.target.limit("chip.neurons").known  # then the network as a whole was checked
        if limit.known and neurons > limit.value and binding == "neurons" and not counted:
            yield at_limit(rules.TOO_MANY_NEURONS_IN_ALL, place, limit, program, used=neurons)
        return
    room = dataclasses.replace(board if board.known else per_chip, value=per_chip.value * count, unit="cores")
    more = f" on {count} chips of {per_chip.value}" if board.known else ", on one chip"
    boards = fitting_boards(program, used)
    facts = {"used": used, "boards": boards, "binding": binding, "chips": count}
    yield at_limit(rules.TOO_MANY_CORES, place, room, program, more=more, **facts)


def fitting_boards(program: Program, needed: int) -> str:
    """Name the boards of this chip that have enough cores, smallest first."""
    found = []
    for name in names():
        target = find_target(name)
        count, per_chip = target.number("board.chips"), target.number("chip.cores")
        if target.chip == program.target.chip and count and per_chip and needed <= count * per_chip:
            found.append((count, name))
    return ", ".join(name for _, name in sorted(found)) or "none is listed"


CHECKS = (cores_hold_their_blocks, whole_network, engines, output_axons, cost_models, chips)
