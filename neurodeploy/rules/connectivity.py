"""ND5xx: who can be connected to whom."""

from __future__ import annotations

from neurodeploy.diagnostics import Rule
from neurodeploy.rules.words import CAPACITY, ERROR, NOTE, RANGE, WALL, WARNING

FAN_IN = Rule(
    "ND501", "fan-in-exceeded", ERROR, WALL,
    "a neuron has {used:,} inputs; {target} allows {limit:,}{more}",
    why="A neuron's inputs are one column of a crossbar or one list of fixed length; more chips do not "
    "help.",
    remedy="Prune the layer's weights, use smaller kernels or fewer channels, insert a smaller layer "
    "before it, or choose another part (neurodeploy targets).",
    example="a dense layer of 784 inputs on TrueNorth, which has 256",
)  # fmt: skip
FAN_OUT = Rule(
    "ND502", "fan-out-exceeded", ERROR, WALL,
    "a neuron feeds {used:,} others; {target} allows {limit:,}{more}",
    why="A neuron's targets are one row of a crossbar or one list of fixed length.",
    remedy="Prune, narrow the next layer, double the neuron, each copy with half of the targets, or choose "
    "another part (neurodeploy targets).",
    example="a layer of 100 neurons that all see one input on Xylo Audio 2, which allows 64",
)  # fmt: skip
AXON_ID_RANGE = Rule(
    "ND503", "axon-id-range", ERROR, RANGE,
    "axon {used:,} of a core; {kind} axons have ids up to {limit:,}",
    why="The id of an axon is a field of fixed width in every spike. The compiler has cut the layer as far "
    "as it can: one neuron listens to more axons than that.",
    remedy="Let a neuron listen to less: smaller kernels, or fewer inputs. --pop-axons pop32 has longer ids, "
    "and takes two output entries in place of one.",
    example="1,500 source pixels through pop16 axons",
)  # fmt: skip
TOO_MANY_WEIGHTS = Rule(
    "ND515", "too-many-different-weights", ERROR, WALL,
    "a neuron needs {used:,} different weights; {target} gives it {limit:,}{more}",
    why="A synapse is one bit; its strength is looked up by the type of the axon, and there are few types.",
    remedy="Train with weights of few values (ternary, or one magnitude), or choose another target "
    "(neurodeploy targets).",
    example="any layer of real-valued weights on TrueNorth, which has 4 per neuron",
)  # fmt: skip
TOO_MANY_TARGET_CORES = Rule(
    "ND516", "too-many-target-cores", ERROR, WALL,
    "a neuron must reach {used:,} cores; {target} lets it reach {limit:,}{more}",
    why="A neuron sends to one axon of one core; every further copy takes another neuron.",
    remedy="Keep the next layer within one core, double the neurons, or choose another target (neurodeploy "
    "targets).",
    example="a neuron that feeds a layer of 300 neurons on TrueNorth",
)  # fmt: skip
INDEX_RANGE = Rule(
    "ND504", "index-range", ERROR, RANGE,
    "a synapse leads to compartment {used:,} of its block; an index of {target} goes up to {limit:,}",
    why="The target of a synapse is a field of fixed width in its entry.",
    remedy="Let nd.compile cut the population into smaller blocks, so that targets lie closer together.",
    example="5,000 compartments behind one axon, where an index has 12 bits",
)  # fmt: skip
BASE_RANGE = Rule(
    "ND505", "base-range", ERROR, RANGE,
    "an axon starts at compartment {used:,}; {target} starts axons at up to {limit:,}",
    why="Where the targets of an axon begin is a field of fixed width.",
    remedy="Lay the rest of the offset into the indices, as nd.compile does.",
    example="a base of 256 on Loihi 1",
)  # fmt: skip
BASE_MULTIPLE = Rule(
    "ND514", "base-multiple", ERROR, RANGE,
    "an axon starts at compartment {used:,}; {kind} axons of {target} start at multiples of {limit}",
    why="The field counts in steps of several compartments; nengo-loihi ends in an AttributeError here.",
    remedy="Lay the rest of the offset into the indices, as nd.compile does.",
    example="a base of 2 of a pop16 axon on Loihi 1",
)  # fmt: skip
TOO_MANY_ATOMS = Rule(
    "ND506", "too-many-atoms", ERROR, RANGE,
    "{used:,} sources share one axon; {kind} axons of {target} tell {limit:,} apart",
    why="A spike carries the number of its source within the axon in a field of fixed width.",
    remedy="Use --pop-axons pop32, or split the channels over more axons.",
    example="64 channels through one pop16 axon on Loihi 1, which tells 32 apart",
)  # fmt: skip
SEVERAL_POPULATIONS = Rule(
    "ND507", "several-populations", WARNING, WALL,
    "{count:,} of {size:,} neurons have other neighbours, or another atom, on the shared axons to one layer "
    "than to the next; {target} keeps one population per neuron",
    why="What a neuron sends over shared axons is looked up by the population it belongs to, and it belongs "
    "to one. nengo-loihi's board code takes the first it meets, without a word; emulators do not mind.",
    remedy="Put the same pooling before both layers, or give one of them a population of its own; "
    "neurodeploy check takes the changed model before it is trained.",
    example="one layer that feeds a convolution, and an average pool with a convolution",
)  # fmt: skip
DELAY_RANGE = Rule(
    "ND508", "delay-range", ERROR, RANGE,
    "spikes of '{source_layer}' are to arrive {used} steps late; {target} delays by {limit} at most",
    why="A delay is a field of fixed width in every synapse. What exceeds it is not cut short unasked: that "
    "would be another network.",
    remedy="Shorten the delay, let spikes pass through a further population, which adds a step, or allow it "
    "to be cut short (--clip-delays).",
    example="a delay of 63 steps on Loihi 1, which has 62",
)  # fmt: skip
COUPLED_LIMIT = Rule(
    "ND509", "delays-times-neurons", ERROR, CAPACITY,
    "{used:,} {what} on one core ({form}); {target} has {limit:,}{more}",
    why="Every neuron keeps what is still to arrive in a slot for each step of the longest delay.",
    remedy="Shorten the longest delay to the next narrower field (--clip-delays cuts what no field holds), "
    "or make the layer smaller.",
    example="512 compartments with delays of 5 bits on Loihi 1",
)  # fmt: skip
NO_DELAYS = Rule(
    "ND510", "no-delays", ERROR, WALL,
    "spikes of '{source_layer}' are to arrive {used} steps late; {target} has no delays",
    why="Spikes act when they arrive; the part keeps none back.",
    remedy="Leave the delays out and train again, or choose another target (neurodeploy targets).",
    example="a network with delays on BrainScaleS-2",
)  # fmt: skip
DELAY_CLIPPED = Rule(
    "ND518", "delay-clipped", WARNING, RANGE,
    "spikes of '{source_layer}' arrive {limit} steps late in place of {used}: {target} delays by no more",
    why="A delay is a field of fixed width, and --clip-delays allows to cut what exceeds it.",
    remedy="Compare what the network answers: neurodeploy run FILE.nd --data D.npz --clip-delays, and on a "
    "backend without that limit.",
    example="a delay of 80 steps on Loihi 1 with --clip-delays",
)  # fmt: skip
DELAYED_BIAS = Rule(
    "ND519", "delayed-bias", NOTE, RANGE,
    "the bias of this layer lies before a delay of {used} steps, and acts from the first step on",
    why="A bias is a constant of the neurons behind; only spikes wait in synapses.",
    remedy="Put the delay before the layer's weights, or mind that the first steps differ.",
    example="a dense layer with bias, then a delay",
)  # fmt: skip
