"""ND3xx: what a core, chip or board has too little of."""

from __future__ import annotations

from neurodeploy.diagnostics import Rule
from neurodeploy.rules.words import CAPACITY, ERROR, NOTE, WALL, WARNING

TOO_MANY_NEURONS = Rule(
    "ND301", "too-many-neurons", ERROR, CAPACITY,
    "{used:,} neurons on one core; {target} holds {limit:,}{more}",
    why="A core updates a fixed number of membrane states per step.",
    remedy="Let nd.compile cut the population, which gives blocks that fit, or make the layer smaller.",
    example="1,025 neurons in one block of Loihi 1",
)  # fmt: skip
TOO_MANY_INPUT_AXONS = Rule(
    "ND302", "too-many-input-axons", ERROR, WALL,
    "{used:,} input axons on one core; {target} has {limit:,}{more}",
    why="Every source neuron that sends to a core takes an entry in its table of input axons, or is one of "
    "the atoms of an entry. Splitting the layer does not help where each of its neurons listens to all of "
    "them, and partial sums over further neurons would not be the same sums: neurons pass on spikes.",
    remedy="Put a smaller layer, a pool or a stride before this one, or prune its inputs; neurodeploy "
    "check takes the changed model before it is trained.",
    example="a kernel of 65 x 65 on Loihi 1",
)  # fmt: skip
SOURCES_SHARE_AXONS = Rule(
    "ND333", "sources-share-axons", NOTE, CAPACITY,
    "{used:,} inputs arrive over {axons:,} input axons, {atoms} to an axon; a core of {target} has {limit:,}",
    why="An axon of a population tells its sources apart by a number, the atom, that travels with the spike. "
    "So a layer of more inputs than axons gets the same sums, to the last bit; nengo-loihi refuses such a "
    "layer.",
    remedy="Nothing needs to be done; {target} has been seen to do this for convolutions only.",
    example="a dense layer with 5,000 inputs on Loihi 1",
)  # fmt: skip
SYNAPSE_MEMORY_EXCEEDED = Rule(
    "ND303", "synapse-memory-exceeded", ERROR, CAPACITY,
    "{used:,} words of synapse memory on one core; {target} has {limit:,}{more}",
    why="Weights, indices and entry heads of all synapses into a core share one memory.",
    remedy="Give the layer fewer weight bits (--layer-bits '{layer}=4'), prune it, or make it narrower; "
    "the compiler has already split as far as it can.",
    example="a neuron with more than 100,000 inputs of 8 bits",
)  # fmt: skip
TOO_MANY_OUTPUT_AXONS = Rule(
    "ND304", "too-many-output-axons", ERROR, CAPACITY,
    "{used:,} output axon entries on one core; {target} has {limit:,}{more}",
    why="A core keeps one entry for every axon it feeds on every other core, two for shared weights, one "
    "more when the "
    "other core is on another chip.",
    remedy="Let the layers behind take fewer cores: with fewer weight bits (--min-weight-bits 4 finds "
    "where), or smaller. Convolutions that are not compiled with --pop-axons pop16 take half the entries "
    "with it, if no neuron listens to more axons than its ids reach.",
    example="a neuron that feeds more cores than there are entries",
)  # fmt: skip
TOO_MANY_COMPARTMENT_PROFILES = Rule(
    "ND305", "too-many-compartment-profiles", ERROR, CAPACITY,
    "{used} different sets of decays and refractory steps on one core; {target} has {limit} profiles{more}",
    why="Compartments refer to shared profiles for these values.",
    remedy="Give the neurons of the layer fewer different time constants; neurodeploy convert MODEL -o "
    "FILE.nd --neuron lif gives all the same.",
    example="a LIF layer with a time constant of its own for every neuron",
)  # fmt: skip
TOO_MANY_THRESHOLD_PROFILES = Rule(
    "ND306", "too-many-threshold-profiles", ERROR, CAPACITY,
    "{used} different thresholds on one core; {target} has {limit} threshold profiles{more}",
    why="Compartments refer to shared profiles for their threshold.",
    remedy="Scale weights instead of thresholds, so that the layer has one threshold; then neurodeploy "
    "check takes the network again.",
    example="a layer with a threshold of its own for every channel",
)  # fmt: skip
TOO_MANY_SYNAPSE_FORMATS = Rule(
    "ND307", "too-many-synapse-formats", ERROR, CAPACITY,
    "{used} synapse formats on one core; {target} has {limit}{more}",
    why="Width, exponent and indexing of synapses are kept in a small table.",
    remedy="Let fewer layers feed this one, or give them weights of like size; then neurodeploy check "
    "takes the network again.",
    example="16 layers of different weight exponents that feed one layer",
)  # fmt: skip
TOO_MANY_CORES = Rule(
    "ND309", "too-many-cores", ERROR, CAPACITY,
    "{used:,} cores are needed; {target} has {limit:,}{more}",
    why="A target that is a chip is one chip with its cores; a target that is a board has the cores of all "
    "its chips. Each block takes a core of its own, or shares one where there is room.",
    remedy="Boards of this chip that hold it: {boards}; name one with --target. Or let layers keep fewer "
    "bits (--min-weight-bits 4), or make the network smaller.",
    example="a network of 130 cores for target loihi1, or of 300 for Kapoho Bay (2 chips of 128 cores)",
)  # fmt: skip
SPANS_CHIPS = Rule(
    "ND328", "spans-chips", NOTE, CAPACITY,
    "{used:,} cores need {chips} chips of {limit:,}",
    why="Spikes between chips are slower and take one more output axon entry each.",
    remedy="Nothing needs to be done; a network that fits one chip is faster.",
    example="a network of 130 cores for target kapoho-bay",
)  # fmt: skip
ONLY_ON_ONE_CHIP = Rule(
    "ND330", "only-on-one-chip", ERROR, CAPACITY,
    "{used:,} output axon entries on one core, {offchip:,} of them because targets lie on other chips; "
    "{target} has {limit:,}{more}",
    why="An axon to a core on another chip takes one more entry; tools that count without it pass such a "
    "network and fail "
    "on the board.",
    remedy="Give layers fewer weight bits, so that they take fewer cores (--min-weight-bits 4 finds "
    "where), or make those behind this one smaller. Convolutions that are not compiled with "
    "--pop-axons pop16 take half the entries with it, if no neuron listens to more axons than its ids reach.",
    example="nengo-loihi accepts the model, NxSDK answers 'Number of AxonCfg registers exceeded'",
)  # fmt: skip
TOO_MANY_WORDS_PER_AXON = Rule(
    "ND316", "too-many-words-per-axon", ERROR, WALL,
    "the synapses of one axon take {used} words; {target} reads {limit} for one axon{more}",
    why="The length of an axon's list of synapses is a field of fixed width.",
    remedy="Give the layer fewer weight bits (--layer-bits '{layer}=4'), or make it smaller, so that one "
    "axon reaches fewer compartments.",
    example="one input that reaches 1,024 compartments through 8-bit weights with indices",
)  # fmt: skip
COST_MODELS_DISAGREE = Rule(
    "ND331", "cost-models-disagree", WARNING, CAPACITY,
    "{used:,} words of synapse memory as {model} counts, {other:,} as {target} is checked here; there are "
    "{limit:,}{more}",
    why="Two public tools count the words of a synapse differently, and only the maker's own compiler "
    "decides.",
    remedy="Leave some room if this is to run on a board: fewer weight bits (--layer-bits '{layer}=7'), or "
    "a smaller layer.",
    example="2,048 axons of 61 targets: 16,384 words in one model, 18,432 in the other",
)  # fmt: skip
TOO_MANY_AXONS_OFF_CHIP = Rule(
    "ND332", "too-many-axons-off-chip", WARNING, CAPACITY,
    "{used:,} output axon entries of one core lead to other chips; one tool allows {limit:,}{more}",
    why="An open tool for Loihi keeps a smaller table for other chips than for its own; no second source "
    "confirms it.",
    remedy="Give layers fewer weight bits (--weight-bits 6), so that they take fewer cores and chips, or "
    "make those behind this one smaller. Convolutions take half the entries with --pop-axons pop16.",
    example="a layer that feeds 1,100 axons on a second chip",
)  # fmt: skip
NO_ASSIGNMENT = Rule(
    "ND312", "no-assignment", ERROR, CAPACITY,
    "{used} layers ({layers}) share {limit} cores that are large enough for any of them",
    why="Cores are not alike; each layer fits one at a time, but there are too few of the kind these "
    "layers need.",
    remedy="Make one of them smaller (fewer features, or pool before it); neurodeploy check takes the "
    "changed model before it is trained.",
    example="three layers of 40 Ki kernel words on a part with two cores of 64 Ki",
)  # fmt: skip
KERNEL_MEMORY = Rule(
    "ND313", "kernel-memory-exceeded", ERROR, CAPACITY,
    "{used:,} words of kernel memory; the largest core of {target} has {limit:,}",
    why="Kernels are addressed by powers of two: channels x 2**(bits of taps + bits of features).",
    remedy="Fewer features or channels; a number just above a power of two costs twice as much. "
    "neurodeploy check takes the changed model before it is trained.",
    example="128 channels to 128 features of 3 x 3: 262,144 words",
)  # fmt: skip
NEURON_MEMORY = Rule(
    "ND314", "neuron-memory-exceeded", ERROR, CAPACITY,
    "{used:,} words of neuron memory; the core that comes closest on {target} has {limit:,}",
    why="Neurons are addressed by powers of two: features x 2**(bits of rows + bits of columns).",
    remedy="Pool before the layer, a larger stride, or fewer features; neurodeploy check takes the changed "
    "model before it is trained.",
    example="64 features of 64 x 64",
)  # fmt: skip
BIAS_MEMORY = Rule(
    "ND315", "bias-memory-exceeded", ERROR, CAPACITY,
    "{used:,} biases; a core of {target} has {limit:,}",
    why="Every feature keeps one bias.",
    remedy="Fewer features, or train without bias; neurodeploy check takes the changed model before it is "
    "trained.",
    example="a dense layer of 2,000 outputs with bias",
)  # fmt: skip
TOO_MANY_SYNAPSES = Rule(
    "ND317", "too-many-synapses", ERROR, CAPACITY,
    "{used:,} synapses in all; {target} has {limit:,}",
    why="All synapses of the part share its memory.",
    remedy="Prune or narrow the network, or choose a larger part (neurodeploy targets).",
    example="a dense layer of 1,000 x 1,000 on Xylo",
)  # fmt: skip
TOO_MANY_INPUTS = Rule(
    "ND318", "too-many-inputs", ERROR, WALL,
    "{used:,} inputs; {target} has {limit:,} input channels",
    why="Every input enters through a channel of its own.",
    remedy="Reduce the input (filter banks, pooling or a projection on the host), or choose another part "
    "(neurodeploy targets).",
    example="784 pixels on Xylo, which has 16 channels",
)  # fmt: skip
TOO_MANY_NEURONS_IN_ALL = Rule(
    "ND319", "too-many-neurons-in-all", ERROR, CAPACITY,
    "{used:,} neurons in all; {target} has {limit:,}",
    why="The part has a fixed number of neurons, and one core or array.",
    remedy="Make layers smaller, or choose a larger part (neurodeploy targets).",
    example="two layers of 200 neurons on ODIN, which has 256",
)  # fmt: skip
TOO_MANY_AT_THE_EDGE = Rule(
    "ND320", "too-many-at-the-edge", ERROR, CAPACITY,
    "{used:,} {which}; {target} connects {limit:,}",
    why="Only some neurons of the part have synapses to its inputs or outputs.",
    remedy="Put a smaller layer first or last, or choose another part (neurodeploy targets).",
    example="a first layer of 200 neurons on Xylo Audio 3, where the input reaches 128",
)  # fmt: skip
SHARED_PARAMETERS = Rule(
    "ND321", "shared-parameters", ERROR, CAPACITY,
    "{neurons:,} neurons take {used:,} places, because {shared} share decays and threshold; {target} has "
    "{limit:,}",
    why="Neurons are kept in groups with one set of parameters; a neuron with a set of its own leaves the "
    "rest of its group empty.",
    remedy="Give neurons the same time constants and thresholds, in groups or per layer; neurodeploy "
    "convert MODEL -o FILE.nd --neuron lif gives all the same time constant.",
    example="200 neurons with 200 time constants on ReckOn, where pairs share one",
)  # fmt: skip
SYNAPSE_BYTES = Rule(
    "ND323", "synapse-bytes", ERROR, CAPACITY,
    "synapses take {used:,} bytes, {bytes} each; {target} has {limit:,}",
    why="Synapses lie in the chip's own DRAM, from which cores fetch a row for every spike.",
    remedy="Prune, narrow layers, or choose a board with more chips as the --target (neurodeploy targets).",
    example="40 million synapses on one SpiNNaker chip",
)  # fmt: skip
