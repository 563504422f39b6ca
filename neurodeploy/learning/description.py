"""A learning rule as a chip would run it: updates, traces, epochs, and what has to reach the synapse."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from neurodeploy.errors import OptionError
from neurodeploy.learning.notation import TRACES, Update, print_updates, variables
from neurodeploy.learning.text import parse

Source = Literal["spikes", "partner", "imposed", "neuron"]
"""Own spikes; those of the compartment that the neuron belongs to; written by the chip's embedded processor;
computed by the neuron's own program."""
Path = Literal[
    "none",
    "local",
    "layered",
    "direct",
    "direct-signs",
    "ensembles",
    "output",
    "settling",
    "gated",
    "label",
    "reward",
]
"""Where a third factor comes from: nowhere, the neuron's own target, the layer above, the output error, its
signs, that error down a chain of ensembles, the output itself, all layers above while the network settles,
the layer above through a chain of gates, the label, one number for all."""
Weights = Literal["none", "fixed", "signs", "learned", "copied"]
"""Of the way back: none, drawn once, the forward weights' signs, learned locally, the forward weights."""
Mechanism = Literal["none", "imposed-trace", "two-phase", "phase-sign", "neuron-trace", "two-traces"]
"""How a third factor enters the synapse."""


@dataclass(frozen=True)
class Trace:
    """A filtered spike train, ``z <- exp(-1/tau) z + impulse`` at a spike, or a value from elsewhere.

    Parameters
    ----------
    variable : str
        ``x1``, ``x2`` (pre) or ``y1``, ``y2``, ``y3`` (post).
    tau : float
        In steps; 0 for a value from elsewhere.
    impulse : float
        In codes.
    source : str
    """

    variable: str
    tau: float = 0.0
    impulse: float = 0.0
    source: Source = "spikes"


@dataclass(frozen=True)
class Phase:
    """A part of a sample's presentation.

    Parameters
    ----------
    name : str
    steps : int
    reward : int
        Value of ``r1``.
    feedback : bool
        Whether the way back is open.
    collect : int
        1, 0 or -1: how what reaches an apical compartment counts.
    show : bool
        Whether neurons write the errors that they collected; otherwise they write that there is none.
    """

    name: str
    steps: int
    reward: int = 0
    feedback: bool = False
    collect: int = 1
    show: bool = True


@dataclass(frozen=True)
class Feedback:
    """What must come back to a plastic neuron, and how; and whether slopes of layers between belong to it."""

    path: Path = "none"
    weights: Weights = "none"
    mechanism: Mechanism = "none"
    slopes: bool = True


@dataclass(frozen=True)
class Rule:
    """A learning rule in the form that learning engines run.

    Parameters
    ----------
    name : str
    updates : tuple of Update
    traces : tuple of Trace
        One for every trace that the updates read.
    epoch : int
        Steps between two runs of the engine.
    feedback : Feedback
    phases : tuple of Phase
        Of one sample; empty where the rule learns all the time.
    layers : str
        Which layers it changes, in words.
    """

    name: str
    updates: tuple[Update, ...]
    traces: tuple[Trace, ...] = ()
    epoch: int = 1
    feedback: Feedback = Feedback()
    phases: tuple[Phase, ...] = ()
    layers: str = "all"

    def __post_init__(self) -> None:
        given = [t.variable for t in self.traces]
        odd = [v for v in given if v not in TRACES or given.count(v) > 1]
        if odd:
            raise OptionError(f"rule '{self.name}': '{odd[0]}' is not a trace, or is described twice")
        missing = [v for v in variables(self.updates) if v in TRACES and v not in given]
        if missing:
            raise OptionError(
                f"rule '{self.name}' reads {', '.join(missing)}, of which no time constant is given"
            )
        unread = [v for v in given if v not in variables(self.updates)]
        if unread:
            raise OptionError(f"rule '{self.name}' never reads trace {', '.join(unread)}")
        if self.epoch < 1:
            raise OptionError(f"rule '{self.name}': an epoch has at least 1 step, not {self.epoch}")

    @property
    def text(self) -> str:
        """The updates in the notation."""
        return print_updates(self.updates)

    def trace(self, variable: str) -> Trace:
        """Return a trace by its name."""
        return next(t for t in self.traces if t.variable == variable)


def describe(name: str, text: str, *traces: Trace, epoch: int = 1, **rest: object) -> Rule:
    """Make a rule from the text of its updates.

    Parameters
    ----------
    name, text : str
    *traces : Trace
    epoch : int
    **rest
        As `Rule` takes them.

    Raises
    ------
    OptionError
        If the text is not in the notation, or a trace is missing, unread or given twice.
    """
    return Rule(name, parse(text), traces, epoch, **rest)  # type: ignore[arg-type]
