"""ND3xx: every core, chip and board has room for what is put on it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from neurodeploy.compiler.checks.finding import at_limit, in_all, of_block
from neurodeploy.compiler.resources import OFF_CHIP, OUT_AXONS, CoreUse, Usage
from neurodeploy.diagnostics import Diagnostic, Place, Rule
from neurodeploy.program import Program
from neurodeploy.rules import capacity as rules
from neurodeploy.targets import names
from neurodeploy.targets import target as find_target

RULE_OF: dict[str, Rule] = {
    "compartments": rules.TOO_MANY_NEURONS,
    "input axons": rules.TOO_MANY_INPUT_AXONS,
    "synapse memory": rules.SYNAPSE_MEMORY_EXCEEDED,
    OFF_CHIP: rules.TOO_MANY_AXONS_OFF_CHIP,
    "words per axon": rules.TOO_MANY_WORDS_PER_AXON,
    "compartment profiles": rules.TOO_MANY_COMPARTMENT_PROFILES,
    "threshold profiles": rules.TOO_MANY_THRESHOLD_PROFILES,
    "synapse formats": rules.TOO_MANY_SYNAPSE_FORMATS,
}
"""What to report where a resource of a core is exceeded."""


def cores_hold_their_blocks(program: Program, usage: Usage) -> Iterator[Diagnostic]:
    """Check ``used <= limit`` for every resource of every core; the worst of a population speaks for all."""
    for resource, rule in RULE_OF.items():
        for rows in _by_population(program, usage):
            over = [row for row in rows if row.has(resource) and row[resource].over]
            if over:
                worst = max(over, key=lambda row: row[resource].used)
                use = worst[resource]
                yield at_limit(
                    rule, of_block(program, worst.block), use.limit, program,
                    used=use.used, cores=len(over), more=in_all(len(over)),
                )  # fmt: skip


def output_axons(program: Program, usage: Usage) -> Iterator[Diagnostic]:
    """Check ``entries <= limit`` on every core, those to other chips with their extra entry."""
    for rows in _by_population(program, usage):
        over = [row for row in rows if row[OUT_AXONS].over]
        if not over:
            continue
        worst = max(over, key=lambda row: row[OUT_AXONS].used)
        use, extra = worst[OUT_AXONS], worst.extra_offchip
        rule = rules.ONLY_ON_ONE_CHIP if use.used - extra <= use.limit.value else rules.TOO_MANY_OUTPUT_AXONS
        yield at_limit(
            rule, of_block(program, worst.block), use.limit, program,
            used=use.used, offchip=extra, cores=len(over), more=in_all(len(over)),
        )  # fmt: skip


def cost_models(program: Program, usage: Usage) -> Iterator[Diagnostic]:
    """Check that memory that fits as one public tool counts also fits as the other does."""
    for rows in _by_population(program, usage):
        for name in dict.fromkeys(use.resource for row in rows for use in row.uses):
            if not name.startswith("synapse memory ("):
                continue
            odd = [row for row in rows if row[name].over and not row["synapse memory"].over]
            if odd:
                worst = max(odd, key=lambda row: row[name].used)
                yield at_limit(
                    rules.COST_MODELS_DISAGREE, of_block(program, worst.block), worst[name].limit, program,
                    used=worst[name].used, other=worst["synapse memory"].used, model=name[16:-1],
                    cores=len(odd),
                )  # fmt: skip


def chips(program: Program, usage: Usage) -> Iterator[Diagnostic]:
    """Check ``cores <= chips x cores per chip`` on a board; a chip by itself only says how many it takes."""
    per_chip, board = program.target.limit("chip.cores"), program.target.limit("board.chips")
    used = len(set(program.cores))
    if not per_chip.known or used <= per_chip.value * (board.value if board.known else 1):
        return
    boards = fitting_boards(program)
    place = Place(layer="model")
    if board.known:
        room = per_chip.value * board.value
        yield at_limit(
            rules.TOO_MANY_CORES, place, dataclasses.replace(board, value=room, unit="cores"), program,
            used=used, boards=boards, more=f" on {board.value} chips of {per_chip.value}", chips=board.value,
        )  # fmt: skip
    else:
        need = -(-used // per_chip.value)
        yield at_limit(rules.SPANS_CHIPS, place, per_chip, program, used=used, chips=need, boards=boards)


def fitting_boards(program: Program) -> str:
    """Name the boards of this chip that have enough cores, smallest first."""
    found, needed = [], len(set(program.cores))
    for name in names():
        target = find_target(name)
        count, per_chip = target.number("board.chips"), target.number("chip.cores")
        if target.chip == program.target.chip and count and per_chip and needed <= count * per_chip:
            found.append((count, name))
    return ", ".join(name for _, name in sorted(found)) or "none is listed"


def _by_population(program: Program, usage: Usage) -> list[list[CoreUse]]:
    rows: dict[str, list[CoreUse]] = {}
    for row in usage.cores:
        rows.setdefault(program.blocks[row.block].population, []).append(row)
    return list(rows.values())


CHECKS = (cores_hold_their_blocks, output_axons, cost_models, chips)
