"""ND2xx: what a model asks for that a part cannot do."""

from __future__ import annotations

from neurodeploy.diagnostics import Rule
from neurodeploy.rules.words import ERROR, INFO, NOTE, RANGE, WALL, WARNING

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
    remedy="Convert with --neuron KIND for one of {models} (neurodeploy layers lists the kinds); where "
    "only the read-out has none, with --output spikes.",
    example="a current-based LIF on a chip that integrates and fires only",
)  # fmt: skip
SPIKES_OUT = "Convert with --output spikes: read-outs then are neurons like those of the other layers."
"""Remedy of `UNSUPPORTED_NEURON` where the population is a read-out."""
UNSUPPORTED_RESET = Rule(
    "ND204", "unsupported-reset", ERROR, WALL,
    "reset by '{reset}' is not what {target} does after a spike; it knows {resets}",
    why="What is left of the membrane after a spike decides the next one: another reset is another network.",
    remedy="Convert with a reset that the part knows (as --neuron {neuron}), and balance again.",
    example="leaky neurons with reset by subtraction on Loihi 1, where they take {cost} compartments each; "
    "without a leak the current does it",
)  # fmt: skip
RESET_OFF_ZERO = Rule(
    "ND222", "reset-off-zero", ERROR, WALL,
    "the membrane resets to {used:g}, not to 0, where {target} resets",
    why="The reset level is wired; a shifted membrane would also start at another level.",
    remedy="Write the file with v_reset = 0, with v_leak and v_threshold shifted as much, and read it "
    "again: neurodeploy convert FILE.nir -o FILE.nd.",
    example="a NIR graph with v_reset = -0.1",
)  # fmt: skip
NOTHING_ON_CHIP = Rule(
    "ND217", "nothing-on-chip", ERROR, INFO,
    "no population lies on the chip",
    why="There is nothing to compile: the network ends with its encoder.",
    remedy="Convert a model with at least one layer behind its input: neurodeploy convert MODEL -o "
    "FILE.nd.",
    example="a model whose only layer is its input",
)  # fmt: skip
HARD_RESET_ENCODER = Rule(
    "ND223", "hard-reset-encoder", WARNING, RANGE,
    "the encoder resets by subtraction, and {target} resets to zero: a rate of r spikes per step comes out "
    "as "
    "1/ceil(1/r)",
    why="With input coding 'bias' the encoder lies on the chip, whose reset drops what exceeds the "
    "threshold.",
    remedy="Let the host encode: --input-coding rate.",
    example="an input of 0.6 fires every second step, as 0.5 does",
)  # fmt: skip
MIXED_CORE_PARAMETER = Rule(
    "ND215", "mixed-core-parameter", ERROR, WALL,
    "neurons of one population differ in {parameter}, which {target} keeps once per core",
    why="Some registers exist once per core; every compartment of the core shares them.",
    remedy="Give all neurons of the layer the same value, or split the layer by value, where the network "
    "was made; then neurodeploy check takes it again.",
    example="decays of 0 and 4096 in one layer",
)  # fmt: skip
UNSUPPORTED_LAYER = Rule(
    "ND202", "unsupported-layer", ERROR, WALL,
    "{target} runs no {op} layers; it runs {ops}",
    why="The part has an engine for each kind of layer it knows, and none for others.",
    remedy="Replace the layer by one of {ops}, or choose a target with general synapses (neurodeploy "
    "targets).",
    example="max pooling on DYNAP-CNN",
)  # fmt: skip
LAYER_PARAMETER = Rule(
    "ND206", "layer-parameter", ERROR, WALL,
    "{parameter} {used}; {target} offers {limit}",
    why="A layer engine is built for certain kernels, strides and pools.",
    remedy="Change the layer's {parameter} to one of {limit}; neurodeploy check MODEL --target {target} "
    "takes the changed model before it is trained.",
    example="a stride of 3 on Speck, which has 1, 2, 4 and 8",
)  # fmt: skip
NOT_SQUARE = Rule(
    "ND207", "not-square", ERROR, WALL,
    "{parameter} {used} is not square, as {target} needs it",
    why="The engine has one register for both sides.",
    remedy="Pad the kernel with zeros to a square, or choose a square window; neurodeploy check takes the "
    "changed model before it is trained.",
    example="a convolution of 3 x 5 on Speck",
)  # fmt: skip
MAP_TOO_LARGE = Rule(
    "ND210", "map-too-large", ERROR, WALL,
    "{which} of {used}; {target} addresses up to {limit}",
    why="Row and column of an event are fields of fixed width.",
    remedy="Crop or downsample the input, or pool earlier; neurodeploy check takes the changed model "
    "before it is trained.",
    example="an image of 160 x 120 on a part that addresses 128 x 128",
)  # fmt: skip
TOO_MANY_OUTPUTS = Rule(
    "ND211", "too-many-outputs", ERROR, WALL,
    "{used:,} outputs; {target} reads out {limit:,}",
    why="The read-out has a fixed number of channels.",
    remedy="Merge classes, or choose a part that reads more out (neurodeploy targets).",
    example="ImageNet's 1,000 classes on Speck, which reads out 15",
)  # fmt: skip
NO_RECURRENCE = Rule(
    "ND213", "no-recurrence", ERROR, WALL,
    "'{used}' feeds back; {target} runs feed-forward networks only",
    why="Events in a loop can wait for each other forever where layers share buffers.",
    remedy="Unroll the loop into layers, or choose a target with recurrence (neurodeploy targets).",
    example="a layer that feeds itself on DYNAP-CNN",
)  # fmt: skip
TOO_MANY_DESTINATIONS = Rule(
    "ND214", "too-many-destinations", ERROR, WALL,
    "the layer feeds {used} others; {target} allows {limit}",
    why="An engine has a fixed number of destination registers.",
    remedy="Insert a layer that repeats its input, or drop a skip connection; neurodeploy check takes the "
    "changed model before it is trained.",
    example="a layer with three branches on Speck",
)  # fmt: skip
READOUT_CLASSES = Rule(
    "ND224", "readout-classes", WARNING, WALL,
    "{used:,} outputs; the part's own read-out decides between {limit:,} classes",
    why="The winner is one of a few codes; the spikes of every output still leave over the monitor bus.",
    remedy="Count output spikes on the host, merge classes, or choose another part (neurodeploy targets).",
    example="20 classes on Speck, whose read-out has 15",
)  # fmt: skip
KERNEL_WRITTEN_OUT = Rule(
    "ND212", "kernel-written-out", NOTE, WALL,
    "a convolution becomes {used:,} single synapses; shared, it would be {limit:,} weights",
    why="Pixels share a kernel only where the neurons of a channel have one threshold and one time constant, "
    "and where all that lies between two populations multiplies out to one convolution.",
    remedy="Give the neurons of a channel the same parameters.",
    example="a convolution into neurons whose time constant differs from pixel to pixel",
)  # fmt: skip
