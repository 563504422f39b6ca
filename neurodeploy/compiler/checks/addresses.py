"""ND5xx: every number inside an address fits its field: indices, bases, atoms, populations and delays."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from neurodeploy.compiler.checks.finding import at_limit, in_all, of_block
from neurodeploy.compiler.cost import is_dense
from neurodeploy.compiler.counts.blocks import owners
from neurodeploy.compiler.counts.uses import Usage
from neurodeploy.diagnostics import Diagnostic, Place
from neurodeploy.program import Program, Synapses
from neurodeploy.rules import connectivity as rules
from neurodeploy.targets import Limit

Longs = npt.NDArray[np.int64]
UNSEEN = -1


def indices(program: Program, usage: Usage) -> Iterator[Diagnostic]:
    """Check ``index < 2**bits`` for the widest index field; whole rows store no indices."""
    limit = program.target.limit("synapse.index.bits")
    if not limit.known:
        return
    top = dataclasses.replace(limit, value=2 ** max(limit.value) - 1, unit="")
    for number, synapses in _worst(program, lambda s: 0 if is_dense(s) else _most(s.index)):
        if (used := _most(synapses.index)) > top.value:
            yield at_limit(rules.INDEX_RANGE, of_block(program, number), top, program, used=used)


def bases(program: Program, usage: Usage) -> Iterator[Diagnostic]:
    """Check ``base <= limit``, and that it is a multiple of what its kind of axon counts in."""
    limit = program.target.limit("synapse.index.base_max")
    for number, synapses in _worst(program, lambda s: _most(s.base)):
        if limit.known and (used := _most(synapses.base)) > limit.value:
            yield at_limit(rules.BASE_RANGE, of_block(program, number), limit, program, used=used)
    for number, block in enumerate(program.blocks):
        for s in block.synapses:
            step = program.target.limit(f"synapse.axon_kinds.{s.axon_kind}.base_multiple")
            odd = s.base[s.base % step.value != 0] if step.known else s.base[:0]
            if len(odd):
                facts = {"used": int(odd[0]), "kind": s.axon_kind}
                yield at_limit(rules.BASE_MULTIPLE, of_block(program, number), step, program, **facts)


def atoms(program: Program, usage: Usage) -> Iterator[Diagnostic]:
    """Check ``atom < limit`` for every kind of axon."""
    for number, synapses in _worst(program, lambda s: _most(s.atom)):
        kind = synapses.axon_kind
        limit = program.target.limit(f"synapse.axon_kinds.{kind}.atoms_max")
        used = _most(synapses.atom) + 1
        if limit.known and used > limit.value:
            place = of_block(program, number)
            yield at_limit(rules.TOO_MANY_ATOMS, place, limit, program, used=used, kind=kind)


def populations_per_compartment(program: Program, usage: Usage) -> Iterator[Diagnostic]:
    """Check that every neuron has the same neighbours and the same atom on all shared axons it feeds."""
    limit = program.target.limit("connectivity.populations_per_compartment")
    if not limit.known or limit.value != 1:
        return
    owner, seen, found = owners(program), dict[str, tuple[Longs, Longs]](), dict[str, Longs]()
    for block in program.blocks:
        for s in block.synapses:
            if s.axon_kind == "discrete" or s.source not in owner:
                continue
            here = np.where(s.axon >= 0, owner[s.source] * max(s.n_axons, 1) + s.axon, UNSEEN)
            if s.source not in seen:
                seen[s.source] = here, np.asarray(s.atom, np.int64)
                continue
            odd = _differs(here, s, *seen[s.source])
            if len(odd):
                found[s.source] = np.union1d(found.get(s.source, odd), odd)
    for name, odd in found.items():
        number = next(i for i in program.blocks_of(name) if np.isin(odd, program.blocks[i].neurons).any())
        yield at_limit(
            rules.SEVERAL_POPULATIONS, of_block(program, number), limit, program,
            used=2, count=len(odd), size=program.population(name).size,
        )  # fmt: skip


def _differs(here: Longs, synapses: Synapses, group: Longs, atom: Longs) -> Longs:
    """Return the neurons whose atom or neighbours are others than where they were seen first."""
    both = np.flatnonzero((here >= 0) & (group >= 0))
    if not len(both):
        return both
    alike = synapses.atom[both] == atom[both]
    for key, other in ((here[both], group[both]), (group[both], here[both])):
        _, first, number = np.unique(key, return_index=True, return_inverse=True)
        alike &= other == other[first][number.reshape(-1)]
    return np.asarray(both[~alike])


def delays(program: Program, usage: Usage) -> Iterator[Diagnostic]:
    """Check ``delay <= limit``, without the step that every spike takes."""
    limit, implicit = program.target.limit("delay.max_steps"), program.target.number("delay.implicit_steps")
    worst: dict[tuple[str, str], tuple[int, Place]] = {}
    for p in program.projections if not program.blocks else ():
        _keep(worst, p.source, p.delay, Place(layer=p.origin, node=p.target))
    for number, block in enumerate(program.blocks):
        for s in block.synapses:
            _keep(worst, s.source, s.delay, of_block(program, number))
    for (source, _), (steps, place) in worst.items():
        used = steps - (implicit or 0)
        facts = {"used": used, "source_layer": source}
        if limit.known and used > limit.value:
            yield at_limit(rules.DELAY_RANGE, place, limit, program, **facts)
        elif limit.value == "n/a" and steps > 1:
            yield rules.NO_DELAYS.at(
                place,
                **{**facts, "used": steps - 1},
                limit=0,
                unit="steps",
                source=limit.src,
                target=program.target.id,
            )


def _keep(worst: dict[tuple[str, str], tuple[int, Place]], source: str, steps: int, place: Place) -> None:
    key = (source, place.node)
    if key not in worst or steps > worst[key][0]:
        worst[key] = steps, place


def coupled_limits(program: Program, usage: Usage) -> Iterator[Diagnostic]:
    """Check the products that a file bounds, as ``compartments * 2**delay_bits <= limit``."""
    for coupled in program.target.coupled:
        for rows in usage.by_population():
            over = [row for row in rows if row.has(coupled.name) and row[coupled.name].over]
            if over:
                worst = max(over, key=lambda row: row[coupled.name].used)
                limit: Limit = worst[coupled.name].limit
                yield at_limit(
                    rules.COUPLED_LIMIT, worst.place, limit, program,
                    used=worst[coupled.name].used, what=coupled.name, form=" x ".join(coupled.terms),
                    more=in_all(len(over)),
                )  # fmt: skip


def _most(values: npt.NDArray[np.int32]) -> int:
    return int(values.max(initial=0))


def _worst(program: Program, size: object) -> Iterator[tuple[int, Synapses]]:
    """Yield for every population and kind of axon the synapses for which something is largest."""
    assert callable(size)
    worst: dict[tuple[str, str], tuple[int, int, Synapses]] = {}
    for number, block in enumerate(program.blocks):
        for s in block.synapses:
            key, value = (block.population, s.axon_kind), int(size(s))
            if key not in worst or value > worst[key][0]:
                worst[key] = value, number, s
    yield from ((number, s) for _, number, s in worst.values())


CHECKS = (indices, bases, atoms, populations_per_compartment, delays, coupled_limits)
