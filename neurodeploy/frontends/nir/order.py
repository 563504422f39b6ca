"""In which order the nodes of a graph are stepped: an edge that points backwards then takes one step."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

Edge = tuple[str, str]


def in_order(start: str, edges: Sequence[Edge]) -> list[str]:
    """Order the nodes that can be reached so that every one but the first follows one that feeds it.

    Reverse postorder of a depth-first search: only edges that close a loop point backwards.
    """
    follow = followers(edges)
    done: list[str] = []
    seen, stack = {start}, [(start, iter(follow.get(start, ())))]
    while stack:
        name, rest = stack[-1]
        fresh = next((n for n in rest if n not in seen), None)
        if fresh is None:
            done.append(name)
            stack.pop()
        else:
            seen.add(fresh)
            stack.append((fresh, iter(follow.get(fresh, ()))))
    return done[::-1]


def followers(edges: Iterable[Edge]) -> Mapping[str, list[str]]:
    """Return the targets of every node, in the order of the edges."""
    follow: dict[str, list[str]] = {}
    for src, dst in edges:
        follow.setdefault(src, []).append(dst)
    return follow


def instant_loop(names: Iterable[str], edges: Sequence[Edge]) -> list[str]:
    """Return nodes among those named that feed each other in a circle, or none."""
    left = _without_ends(set(names), edges)
    return sorted(_without_ends(left, [(dst, src) for src, dst in edges]))


def _without_ends(left: set[str], edges: Sequence[Edge]) -> set[str]:
    """Drop, one after the other, nodes that none of the rest feeds."""
    inside = [(src, dst) for src, dst in edges if src in left and dst in left]
    waiting = dict.fromkeys(left, 0)
    for _, dst in inside:
        waiting[dst] += 1
    follow = followers(inside)
    ready = [name for name, count in waiting.items() if count == 0]
    while ready:
        name = ready.pop()
        del waiting[name]
        for dst in follow.get(name, ()):
            waiting[dst] -= 1
            if waiting[dst] == 0:
                ready.append(dst)
    return set(waiting)
