"""ND6xx: can this chip learn by this rule, and did it."""

from __future__ import annotations

from neurodeploy.diagnostics import Rule
from neurodeploy.rules.words import ERROR, INFO, NOTE, RANGE, RATE, WARNING

LEARNING_RATE_VANISHES = Rule(
    "ND601", "learning-rate-vanishes", ERROR, RATE,
    "a spike would raise its trace by {used:.3g}; the register's smallest step is {limit:.3g}, so no "
    "weight would change",
    why="On Loihi the learning rate is part of the trace's increment, which has 7 bits behind the point. "
    "Below "
    "that it is zero, and nothing says so.",
    remedy="Raise the learning rate at least {factor:.3g} times.",
    example="rate=1e-5 where weights are around 20",
)  # fmt: skip
LEARNING_RATE_SATURATES = Rule(
    "ND602", "learning-rate-saturates", WARNING, RATE,
    "a spike would raise its trace by {used:.4g}; the register holds {limit:.4g}, so learning is slower "
    "than "
    "asked for",
    why="On Loihi the learning rate is part of the trace's increment, which has 7 bits before the point.",
    remedy="Lower the learning rate, or shorten its trace (tau).",
    example="rate=10 where weights are around 20",
)  # fmt: skip
LEARNED_WEIGHTS_SATURATE = Rule(
    "ND603", "learned-weights-saturate", WARNING, RANGE,
    "{used} of {limit} {unit} ended at the largest code a plastic synapse has",
    why="A weight at the end of its range cannot grow further, whatever the error says.",
    remedy="Lower the learning rate, or show fewer samples.",
    example="many passes over few samples",
)  # fmt: skip
TRACE_SPIKES_LOST = Rule(
    "ND604", "trace-spikes-lost", NOTE, INFO,
    "{used} {unit} came within one renewal of their trace, 2 steps, and counted once",
    why="A trace takes one spike per input and renewal; neurons that fire more often learn more slowly.",
    remedy="Convert with a lower peak rate if the busiest neurons matter.",
    example="a hidden neuron at 0.5 spikes per step",
)  # fmt: skip
