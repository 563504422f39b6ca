"""Which of the six problems of back-propagation a rule solves, as found on the circuit that is built for it.

| code | problem | solved where |
| --- | --- | --- |
| W | weight transport | no weight of the way back is that of a synapse forward |
| D | derivative transport | slopes are written, or gate, where the neuron itself or its own compartment is |
| L | linear feedback | what reaches a plastic neuron from above are spikes of populations |
| S | spiking | synapses read spikes, traces of them, and what their own neuron writes |
| T | timing | every hop takes a step; partly where the phases of a sample come from outside |
| G | target | no label enters |

References
----------
.. [1] E. Hunsberger (2018), Spiking deep neural networks, PhD thesis, University of Waterloo: their names.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from neurodeploy.compiler.checks.plasticity import check_feedback
from neurodeploy.diagnostics import Place
from neurodeploy.errors import OptionError
from neurodeploy.learning import deep
from neurodeploy.learning.circuit import Circuit
from neurodeploy.learning.description import Rule
from neurodeploy.learning.notation import REWARDS, SYNAPTIC, TRACES, variables

SIZES = (6, 5, 4, 3)
SETUPS: tuple[dict[str, Any], ...] = (
    {"mechanism": "neuron-trace"},
    {"mechanism": "neuron-trace", "forward": 44, "reference": 36, "error": 36},
    {"mechanism": "neuron-trace", "free": -1},
    {},
)
"""Of which the first that a rule takes is what it is tested on."""
NOT_TESTED = "no circuit"


def solved(rule: Any) -> str:
    """Return the codes of what a rule solves, in brackets what it solves partly.

    Parameters
    ----------
    rule : CircuitRule
    """
    for told in SETUPS:
        try:
            made = deep.Setup(thresholds=(240, 240, 120), **told)
            wired = deep.circuit(rule, SIZES, rng=np.random.default_rng(0), setup=made)
        except OptionError:
            continue
        return " ".join(found(wired, rule.chip()))
    return NOT_TESTED


def found(circuit: Circuit, rule: Rule) -> list[str]:
    """Return the codes for a circuit."""
    rules = [j.rule for j in circuit.plastic if j.rule]
    codes = ["W"] if not _copies(circuit, rule) else []
    codes += ["D"] if all(_local(r) for r in rules) else []
    imposed = any(t.source == "imposed" for r in rules for t in r.traces)
    codes += [] if imposed else ["L", "S"]
    names = {p.name for p in circuit.phases} - {"reset", "lift"}
    codes.append("(T)" if len(names) > 1 else "T")
    labelled = any(p.role == "label" for p in circuit.populations)
    return codes if labelled else [*codes, "G"]


def _local(rule: Rule) -> bool:
    """Say whether a rule reads what its synapse has, and no trace of another neuron."""
    read = [v for v in variables(rule.updates) if v[0] != "u"]
    return all(v in (*TRACES, *SYNAPTIC, *REWARDS, "x0", "y0") for v in read)


def _copies(circuit: Circuit, rule: Rule) -> bool:
    """Say whether any other projection's weights are those of a plastic one, transposed."""
    for forward in circuit.plastic:
        for back in circuit.projections:
            if back is not forward and any(
                check_feedback(rule, forward.weight, back.weight, place=Place(layer=forward.target))
            ):
                return True
    return rule.feedback.weights in ("copied", "signs")
