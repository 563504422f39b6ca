"""ND5xx: who can be connected to whom."""

from __future__ import annotations

from neurodeploy.diagnostics import Rule
from neurodeploy.rules.words import ERROR, RANGE, WALL

FAN_IN = Rule(
    "ND501", "fan-in-exceeded", ERROR, WALL,
    "a neuron has {used:,} inputs; {target} allows {limit:,}{more}",
    why="A neuron's inputs are one column of a crossbar or one list of fixed length; more chips do not "
    "help.",
    remedy="Prune the layer's weights, use smaller kernels or fewer channels, or insert a smaller layer "
    "before it.",
    example="a dense layer of 784 inputs on TrueNorth, which has 256",
)  # fmt: skip
FAN_OUT = Rule(
    "ND502", "fan-out-exceeded", ERROR, WALL,
    "a neuron feeds {used:,} others; {target} allows {limit:,}{more}",
    why="A neuron's targets are one row of a crossbar or one list of fixed length.",
    remedy="Prune, narrow the next layer, or double the neuron, each copy with half of the targets.",
    example="a layer of 100 neurons that all see one input on Xylo Audio 2, which allows 64",
)  # fmt: skip
AXON_ID_RANGE = Rule(
    "ND503", "axon-id-range", ERROR, RANGE,
    "axon {used:,} of a core; {kind} axons have ids up to {limit:,}",
    why="The id of an axon is a field of fixed width in every spike.",
    remedy="Use pop32 axons (--pop-axons pop32), or fewer source pixels per core.",
    example="1,500 source pixels through pop16 axons",
)  # fmt: skip
TOO_MANY_WEIGHTS = Rule(
    "ND515", "too-many-different-weights", ERROR, WALL,
    "a neuron needs {used:,} different weights; {target} gives it {limit:,}{more}",
    why="A synapse is one bit; its strength is looked up by the type of the axon, and there are few types.",
    remedy="Train with weights of few values (ternary, or one magnitude), or choose another target.",
    example="any layer of real-valued weights on TrueNorth, which has 4 per neuron",
)  # fmt: skip
TOO_MANY_TARGET_CORES = Rule(
    "ND516", "too-many-target-cores", ERROR, WALL,
    "a neuron must reach {used:,} cores; {target} lets it reach {limit:,}{more}",
    why="A neuron sends to one axon of one core; every further copy takes another neuron.",
    remedy="Keep the next layer within one core, or double the neurons.",
    example="a neuron that feeds a layer of 300 neurons on TrueNorth",
)  # fmt: skip
