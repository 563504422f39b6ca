"""ND2xx: what a model asks for that a part cannot do."""

from __future__ import annotations

from neurodeploy.diagnostics import Rule
from neurodeploy.rules.words import ERROR, INFO, RANGE, WALL, WARNING

NOT_A_SPIKING_CHIP = Rule(
    "ND201", "not-a-spiking-chip", ERROR, WALL,
    "{target} does not run spiking networks (status '{status}')",
    why="The part is announced only, or computes without membranes and spikes.",
    remedy="Choose another target: neurodeploy targets.",
    example="a target whose file says status = 'announced'",
)  # fmt: skip
UNSUPPORTED_NEURON = Rule(
    "ND203", "unsupported-neuron", ERROR, WALL,
    "{target} has no '{model}' neurons; it has {models}",
    why="Neuron models are circuits or microcode; a chip runs the ones it was built for.",
    remedy="Convert with one of {models}.",
    example="a current-based LIF on a chip that integrates and fires only",
)  # fmt: skip
UNSUPPORTED_RESET = Rule(
    "ND204", "unsupported-reset", ERROR, WALL,
    "reset by '{reset}' is not what {target} does after a spike; it knows {resets}",
    why="What is left of the membrane after a spike decides the next one: another reset is another network.",
    remedy="Convert with reset to zero (--neuron if), and balance again.",
    example="a population of IF with reset by subtraction on Loihi 1, where it takes {cost} compartments a "
    "neuron",
)  # fmt: skip
RESET_OFF_ZERO = Rule(
    "ND222", "reset-off-zero", ERROR, WALL,
    "the membrane resets to {used:g}, not to 0, where {target} resets",
    why="The reset level is wired; a shifted membrane would also start at another level.",
    remedy="Convert with v_reset = 0; shift v_leak and v_threshold by the same amount.",
    example="a NIR graph with v_reset = -0.1",
)  # fmt: skip
NOTHING_ON_CHIP = Rule(
    "ND217", "nothing-on-chip", ERROR, INFO,
    "no population lies on the chip",
    why="There is nothing to compile: the network ends with its encoder.",
    remedy="Convert a model with at least one layer behind its input.",
    example="a model whose only layer is its input",
)  # fmt: skip
HARD_RESET_ENCODER = Rule(
    "ND223", "hard-reset-encoder", WARNING, RANGE,
    "the encoder resets by subtraction, and {target} resets to zero: a rate of r spikes per step comes out "
    "as "
    "1/ceil(1/r)",
    why="With input coding 'bias' the encoder lies on the chip, whose reset drops what exceeds the "
    "threshold.",
    remedy="Use input coding 'rate' (encoder on the host), or more steps at a lower input rate.",
    example="an input of 0.6 fires every second step, as 0.5 does",
)  # fmt: skip
MIXED_CORE_PARAMETER = Rule(
    "ND215", "mixed-core-parameter", ERROR, WALL,
    "neurons of one population differ in {parameter}, which {target} keeps once per core",
    why="Some registers exist once per core; every compartment of the core shares them.",
    remedy="Give all neurons of the layer the same value, or split the layer by value.",
    example="decays of 0 and 4096 in one layer",
)  # fmt: skip
