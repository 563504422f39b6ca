"""ND26x: what the largest loss of accuracy on the ladder is due to, each with what it was measured by."""

from __future__ import annotations

from neurodeploy.diagnostics import Rule
from neurodeploy.rules.words import RANGE, RATE, WALL, WARNING

SATURATION = Rule(
    "ND261", "lost-to-saturation", WARNING, RATE,
    "{used:.2f} of {limit:.2f} points come back when neurons may spike several times in a step; {share:.1%} "
    "of the values in '{where}' ask for more than one",
    why="A neuron spikes once per step at most, so activations above its threshold all look alike.",
    remedy="neurodeploy convert {model} -o {file} --calibration D.npz --rate {rate:g} --percentile 99.99 "
    "gives the largest activations a lower rate.",
    example="a layer balanced to the median of its activations",
)  # fmt: skip
DEAD_UNITS = Rule(
    "ND262", "lost-to-dead-units", WARNING, RATE,
    "{used:.2f} of {limit:.2f} points go when the source loses the {count:,} neurons that never spike; "
    "'{where}' has {silent:,} of them, which carry {share:.1%} of its activity",
    why="A neuron whose drive never reaches the threshold within a run says nothing, however long it runs.",
    remedy="neurodeploy convert {model} -o {file} --calibration D.npz --rate {rate:g} raises the rates.",
    example="a network converted with --rate 0.01 and run for 64 steps",
)  # fmt: skip
FEW_STEPS = Rule(
    "ND263", "lost-to-few-steps", WARNING, RATE,
    "{used:.2f} of {limit:.2f} points come back in a run of {longer:,} steps in place of {steps:,}; the "
    "read-out's error falls from {error:.1%} to {error_longer:.1%}",
    why="A rate is a number of spikes over a number of steps; a short run has few values to choose from.",
    remedy="neurodeploy convert {model} -o {file} --calibration D.npz --steps {enough} makes runs longer.",
    example="8 steps for a network of 10 classes that are hard to tell apart",
)  # fmt: skip
WEIGHT_ROUNDING = Rule(
    "ND264", "lost-to-weight-rounding", WARNING, RANGE,
    "{used:.2f} of {limit:.2f} points go when nothing but weights is rounded; in '{where}' rounding to "
    "{bits} bits moves them by {share:.1%} of their typical size",
    why="Weights of a layer share one step; a few large ones, or few bits, leave small weights no codes.",
    remedy="Let weights use all bits of the chip (--weight-bits 8), or adapt them to their rounding with "
    "neurodeploy tune {file} --data D.npz -o TUNED.nd.",
    example="a network compiled with --weight-bits 2",
)  # fmt: skip
THRESHOLD_RANGE = Rule(
    "ND265", "lost-to-threshold-range", WARNING, RANGE,
    "{used:.2f} of {limit:.2f} points go when nothing but thresholds, biases and decays is rounded; those "
    "of '{where}' move by {share:.1%}",
    why="Threshold, bias and weights share one scale; large weights leave a threshold few codes.",
    remedy="neurodeploy convert {model} -o {file} --calibration D.npz --rate {rate:g} makes what a spike "
    "adds smaller against the threshold.",
    example="a layer whose weights are far larger than its threshold",
)  # fmt: skip
TRANSIENT = Rule(
    "ND266", "lost-to-transient", WARNING, RATE,
    "{used:.2f} of {limit:.2f} points come back when the first {steps:,} steps are not counted; a spike "
    "takes {depth} steps to reach the read-out",
    why="Membranes start at rest and spikes arrive one step later per layer, while biases act from the first "
    "step.",
    remedy="neurodeploy convert {model} -o {file} --calibration D.npz --steps {enough} makes runs longer, so "
    "that their start weighs less.",
    example="16 steps for a network of 10 layers",
)  # fmt: skip
POOLING = Rule(
    "ND267", "lost-to-pooling", WARNING, WALL,
    "{used:.2f} of {limit:.2f} points are lost in '{where}': its error is {share:.1%}, and {before:.1%} in "
    "front of it",
    why="Spikes have no maximum; its spiking form chooses by rates it knows only in part.",
    remedy="neurodeploy convert {model} -o {file} --calibration D.npz --steps {enough} makes runs longer; a "
    "model trained with average pooling or strides in place of '{where}' has no such loss.",
    example="a MaxPooling2D behind a layer of low rates",
)  # fmt: skip
RESIDUAL_IMBALANCE = Rule(
    "ND268", "lost-to-residual-imbalance", WARNING, RANGE,
    "{used:.2f} of {limit:.2f} points come back when the branches into '{where}' are weighted as in the "
    "source; '{strong}' weighs {share:.2f} times as much as '{weak}'",
    why="Branches that are added have to speak in the same unit; a spike of one must not stand for more.",
    remedy="neurodeploy convert {model} -o {file} --calibration D.npz balances the branches anew; take "
    "samples like the ones it will see.",
    example="an Add of a convolution's output and a skip connection of other rates",
)  # fmt: skip
OVERFLOW = Rule(
    "ND269", "lost-to-overflow", WARNING, RANGE,
    "{used:.2f} of {limit:.2f} points are lost in the {count:,} samples in which an accumulator wrapped",
    why="The accumulators of the chip wrap around: too much excitation becomes inhibition.",
    remedy="neurodeploy convert {model} -o {file} --calibration D.npz --rate {rate:g} lowers the drive of a "
    "step.",
    example="a read-out of 3,000 inputs that all spike in one step",
)  # fmt: skip
ENCODER = Rule(
    "ND271", "lost-to-encoder", WARNING, RATE,
    "{used:.2f} of {limit:.2f} points go when nothing but the encoder resets to zero, as on the chip; in "
    "floats it keeps what exceeds its threshold",
    why="With input coding 'bias' the encoder lies on the chip, where a spike sets its membrane to zero: a "
    "rate of 0.6 comes out as 0.5.",
    remedy="neurodeploy run {file} --data D.npz --input-coding rate lets the host send the spikes.",
    example="grey values that enter as biases of neurons that reset to zero",
)  # fmt: skip
NO_CAUSE = Rule(
    "ND270", "lost-without-cause", WARNING, RANGE,
    "{used:.2f} points are lost on the rung '{rung}', and none of {tried} experiments explains half of "
    "them",
    why="Each known cause was taken away, or added alone, and the loss stayed.",
    remedy="Look at the layer with the largest error, and tune the network: neurodeploy tune FILE.nd "
    "--data D.npz -o TUNED.nd.",
    example="errors of many layers that add up",
)  # fmt: skip
