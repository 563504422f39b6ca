"""Forms in which several rules reach a chip's synapses."""

from __future__ import annotations

import dataclasses
from typing import Literal

from neurodeploy.learning import widths
from neurodeploy.learning.description import Feedback, Phase, Rule, Trace, describe

PHASE_STEPS = 64
TAU = 64.0
IMPULSE = 8.0


def signed_tag(
    name: str,
    feedback: Feedback,
    *,
    reward: Literal["r1", "y3"] = "r1",
    more: str = "",
    layers: str = "all",
    counted: Literal["y0", "x0"] = "y0",
    partner: bool = False,
) -> Rule:
    """Describe a rule in two phases: the tag counts spikes of the second less those of the first.

    Parameters
    ----------
    name : str
    feedback : Feedback
    reward : {"r1", "y3"}
        What is 1 in the second phase: the chip's reward, or a trace that neurons write.
    more : str
        Further products of ``dw``, with their sign.
    layers : str
    counted : {"y0", "x0"}
        Whose spikes the tag counts; the trace is that of the other neuron. ``x0`` is for synapses of the way
        back, whose error sits before them.

    partner : bool
        Whether the trace is that of the neuron whose compartment the synapse ends at.

    Notes
    -----
    ``dt = 2 r y0 - y0 - u7 t`` is exact: equal counts in both phases leave no weight change, whatever the
    time constants of traces. The products read the tag of the step before, so a spike in the last step of
    128 counts for the next sample.
    """
    flag = (Trace("y3", source="neuron"),) if reward == "y3" else ()
    other = "x1" if counted == "y0" else "y1"
    return describe(
        name,
        f"dt = 2*{reward}*{counted} - {counted} - u7*t\ndw = 2^-4*u7*{other}*t{more}",
        Trace(other, TAU, IMPULSE, "partner" if partner else "spikes"),
        *flag,
        epoch=1,
        feedback=feedback,
        phases=(Phase("forward", PHASE_STEPS), Phase("error", PHASE_STEPS, reward=1, feedback=True)),
        layers=layers,
    )


def neuron_trace(name: str, feedback: Feedback, *, layers: str = "all", wait: str = "u7") -> Rule:
    """Describe a rule whose error the neuron's own program collects and writes into ``y2``, 64 for none.

    Parameters
    ----------
    name : str
    feedback : Feedback
    layers : str
    wait : str
        The dependency: how often weights change.
    """
    return describe(
        name,
        f"dw = 2^-4*{wait}*x1*(y2-64)",
        Trace("x1", TAU, IMPULSE),
        Trace("y2", source="neuron"),
        epoch=1,
        feedback=dataclasses.replace(feedback, mechanism="neuron-trace"),
        phases=(Phase("forward", PHASE_STEPS), Phase("error", PHASE_STEPS, feedback=True)),
        layers=layers,
    )


def eligibility(
    name: str, feedback: Feedback, *, reward: Literal["r1", "y3"] = "r1", leaks: bool = False
) -> Rule:
    """Describe a rule whose tag sums what the synapse did to its neuron: ``x1`` times the pseudo-derivative.

    Parameters
    ----------
    name : str
    feedback : Feedback
    reward : {"r1", "y3"}
        With ``r1`` the form of Loihi 1: its neurons have no programs, so ``y1`` are spikes and ``y2`` is
        written by the chip's embedded processor.
    leaks : bool
        Whether the tag loses half of itself at every run of the engine, or all of it after a sample, where
        `reward` is 1; neurons show their errors then alone.

    Notes
    -----
    The scale of the flag's product makes up for the bits that an engine shifts it by, so that a tag is
    emptied exactly.
    """
    neuron = reward == "y3"
    wait = "u4"
    lost = max(0, widths.top(reward).bit_length() + 9 - 11)
    emptied = f"2^-1*{wait}*t" if leaks else f"2^{lost}*{wait}*{reward}*t" if lost else f"{wait}*{reward}*t"
    own = Trace("y1", source="neuron") if neuron else Trace("y1", TAU / 2, IMPULSE)
    flag = (Trace("y3", source="neuron"),) if neuron and not leaks else ()
    return describe(
        name,
        f"dt = 2^-4*{wait}*x1*y1 - {emptied}\ndw = 2^-4*{wait}*t*(y2-64)",
        Trace("x1", TAU / 2, IMPULSE),
        own,
        Trace("y2", source="neuron" if neuron else "imposed"),
        *flag,
        epoch=1,
        feedback=dataclasses.replace(feedback, mechanism="neuron-trace" if neuron else "imposed-trace"),
        phases=(Phase("forward", PHASE_STEPS), Phase("error", PHASE_STEPS, feedback=True)),
    )


def phase_sign(name: str, feedback: Feedback, *, reward: Literal["r1", "y3"] = "r1") -> Rule:
    """Describe Hebb's product of both ends' traces in the second phase, less that of the first.

    Parameters
    ----------
    name : str
    feedback : Feedback
    reward : {"r1", "y3"}
        What is 1 in the second phase.

    Notes
    -----
    ``dw = 2^-k ((x1 y1)_2 - (x1 y1)_1)`` at the end of both phases. At the end of each the tag keeps the
    product, rounded at random to 8 bits, with a minus; what is the same in both phases nearly cancels before
    the weight is rounded, and not after. Scales make up for the bits that an engine shifts products by.
    """
    flag = (Trace("y3", source="neuron"),) if reward == "y3" else ()
    wide = widths.top(reward).bit_length()
    kept, again = max(0, wide + 9 - 11), wide + 14 - 11
    return describe(
        name,
        f"dt = -2^-4*u6*x1*y1 - u6*t\ndw = 2^-2*u6*{reward}*t + 2^{again - kept - 9}*u6*{reward}*x1*y1",
        Trace("x1", TAU / 4, IMPULSE),
        Trace("y1", TAU / 4, IMPULSE),
        *flag,
        epoch=1,
        feedback=feedback,
        phases=(Phase("free", PHASE_STEPS), Phase("driven", PHASE_STEPS, reward=1, feedback=True)),
    )
