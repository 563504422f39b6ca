"""ND4xx: what a number format cannot hold."""

from __future__ import annotations

from neurodeploy.diagnostics import Rule
from neurodeploy.rules.words import ERROR, NOTE, RANGE, RATE, WALL, WARNING

NO_WEIGHT_EXPONENT = Rule(
    "ND401", "no-weight-exponent", ERROR, RANGE,
    "the threshold becomes {used:,} mantissa codes at the smallest weight exponent; {target} holds "
    "{limit:,}",
    why="Weights and threshold share one scale: with the threshold in its register, the weights would "
    "vanish.",
    remedy="Scale weights up or the threshold down; neurodeploy convert MODEL -o FILE.nd --calibration "
    "D.npz balances them.",
    example="a threshold of 1 with weights of 1e-6",
)  # fmt: skip
NOT_FINITE = Rule(
    "ND402", "not-finite", ERROR, RANGE,
    "{used:,} of {count:,} values of {parameter} are not finite; the first is {value} at {where}",
    why="A NaN or an infinity has no integer form; it usually means that training diverged.",
    remedy="Train again with a lower rate or clipped gradients, and look at this layer first; neurodeploy "
    "check MODEL says whether all is finite.",
    example="a Dense layer with a NaN in its kernel",
)  # fmt: skip
WEIGHT_ROUNDING = Rule(
    "ND403", "weight-rounding", WARNING, RANGE,
    "rounding to {bits} bits moves the weights from '{source}' by {used:.1%} of their typical size; "
    "{limit:.0%} is tolerated",
    why="Weights share one step per layer; a few large weights leave few steps for all others.",
    remedy="Give the layer all {most} bits there are (--layer-bits '{layer}={most}') where it has fewer, or "
    "adapt it to its rounding: neurodeploy tune FILE.nd --data D.npz -o TUNED.nd.",
    example="a layer with one weight of 100 and all others near 0.1",
)  # fmt: skip
OWN_SYNAPSES = Rule(
    "ND434", "own-synapse-rounding", WARNING, RANGE,
    "rounding moves {part}, which '{source}' brings, by {used:.1%} of {of}; {limit:.0%} is tolerated",
    why="Where the chip resets to zero and the network by subtraction, the compiler adds synapses: a "
    "neuron's own spike takes its threshold off, and the spikes of a clock bring its bias. They keep all "
    "bits there are, whatever --weight-bits and --layer-bits say, and share one scale with the layer's "
    "weights.",
    remedy="Make the layer's largest weights smaller beside its threshold: convert with a lower --rate; a "
    "read-out keeps more bits in shorter runs (--steps).",
    example="weights of 100 thresholds beside a bias of a tenth",
)  # fmt: skip
WEIGHT_BITS_LOST = Rule(
    "ND404", "weight-bits-lost", WARNING, RANGE,
    "weights from '{source}' keep {used} of {limit} bits: their exponent is {exponent}",
    why="The accumulator takes whole multiples of a fixed step. A large threshold, bias or neighbouring "
    "weight leaves "
    "small weights few of them.",
    remedy="Lower the ratio of threshold or bias to weights (a higher --rate of convert lowers "
    "thresholds), or scale the weaker projection up.",
    example="a threshold 5,000 times the largest weight",
)  # fmt: skip
WEAK_PROJECTION = Rule(
    "ND417", "weak-projection", NOTE, RANGE,
    "weights from '{source}' are {used:.0f} times weaker than their neighbours; nengo-loihi would make "
    "them {factor:g} "
    "times too strong, here they keep their size",
    why="nengo-loihi limits the exponent of a weak projection without taking that back from its scale.",
    remedy="Nothing to do. --match nengo-loihi of check, run and deploy lays out its numbers instead.",
    example="two layers into one, with largest weights 1 and 1/300",
)  # fmt: skip
THRESHOLD_RANGE = Rule(
    "ND406", "threshold-range", ERROR, RANGE,
    "the threshold becomes {used:,} mantissa codes; {target} holds {least} to {limit:,}",
    why="Where the threshold rounds to nothing every input fires; where it saturates none does.",
    remedy="Bring weights and threshold closer together: neurodeploy convert MODEL -o FILE.nd "
    "--calibration D.npz balances them.",
    example="weights of 1e6 with a threshold of 1",
)  # fmt: skip
BIAS_RANGE = Rule(
    "ND407", "bias-range", ERROR, RANGE,
    "the bias becomes {used:,}; {target} holds up to {limit:,}",
    why="A bias is a mantissa of 12 bits and an exponent of at most 7.",
    remedy="Lower the bias, or scale weights, bias and threshold down together: neurodeploy convert MODEL "
    "-o FILE.nd --calibration D.npz balances them.",
    example="a bias 1e6 times the threshold",
)  # fmt: skip
BIAS_ROUNDING = Rule(
    "ND408", "bias-rounding", WARNING, RANGE,
    "rounding moves the biases by {used:.1%} of their size (RMS); {limit:.0%} is tolerated",
    why="Bias and weights share one scale; a bias far below the smallest weight step disappears.",
    remedy="Scale the layer's weights, bias and threshold up together, drop the bias, or adapt the network "
    "to its rounding: neurodeploy tune FILE.nd --data D.npz -o TUNED.nd.",
    example="biases of 1e-7 next to weights of 1",
)  # fmt: skip
DECAY_RANGE = Rule(
    "ND409", "decay-range", ERROR, RANGE,
    "a {which} time constant of {used:.4g} s decays by less than half a code per step; {target} holds up "
    "to {limit:.4g} s",
    why="A decay that rounds to 0 never forgets: the neuron becomes an integrator.",
    remedy="Shorten the time constant, lengthen the step (--dt, where a NIR file is read), or use neurons "
    "without a leak: convert --neuron if.",
    example="tau_mem = 10 s at a step of 1 ms on Loihi",
)  # fmt: skip
DECAY_ROUNDING = Rule(
    "ND410", "decay-rounding", WARNING, RANGE,
    "a {which} time constant of {tau:.4g} s becomes {got:.4g} s, {used:.1%} off; {limit:.0%} is tolerated",
    why="A decay is a whole number of codes; slow decays have few of them.",
    remedy="Shorten the time constant, choose one near what the chip has, or use neurons without a leak: "
    "convert --neuron if.",
    example="tau_mem = 1 s at a step of 1 ms: 4 codes",
)  # fmt: skip
REFRACTORY_RANGE = Rule(
    "ND411", "refractory-range", ERROR, RANGE,
    "{used} refractory steps, the spike's own included; {target} holds {least} to {limit}",
    why="The counter of a compartment has a fixed width.",
    remedy="Shorten the refractory time, or lengthen the step (--dt, where a NIR file is read).",
    example="a refractory time of 0.1 s at a step of 1 ms",
)  # fmt: skip
INPUT_OVERFLOW = Rule(
    "ND413", "input-overflow", WARNING, RANGE,
    "if all its inputs spiked at once, a neuron would receive {used:,}; its accumulator wraps at "
    "{limit:,}{more}",
    why="The accumulator of a step wraps around: too much excitation becomes inhibition.",
    remedy="{drive}. To lower it, convert with a lower --rate, or a higher --percentile.",
    example="200 inputs of the largest weight",
)  # fmt: skip
INPUT_OVERFLOWS = Rule(
    "ND426", "input-overflows", ERROR, RANGE,
    "calibration samples drive a neuron with {used:,} in one step; its accumulator wraps at {limit:,}",
    why="The accumulator of a step wraps around: too much excitation becomes inhibition.",
    remedy="Make the drive of a step smaller: convert with a lower --rate, or a higher --percentile.",
    example="a read-out of 3,000 inputs that all spike in every step",
)  # fmt: skip
CURRENT_OVERFLOW = Rule(
    "ND414", "current-overflow", WARNING, RANGE,
    "a current that decays slowly can reach {used:,}; its register wraps at {limit:,}",
    why="What arrives in many steps piles up in the current; where it wraps, its sign changes.",
    remedy="Shorten tau_syn where the network was made, or lower the drive: convert with a lower --rate.",
    example="tau_syn = 1 s with 50 strong inputs",
)  # fmt: skip
READOUT_RANGE = Rule(
    "ND415", "readout-range", WARNING, RANGE,
    "over {steps} steps the read-out may reach {used:,.0f}; its membrane is cut at {limit:,}",
    why="The decision is read from a membrane that must not reach the threshold register's end: there it "
    "would spike "
    "and fall to 0.",
    remedy="Run fewer steps (--steps), or convert with --output spikes.",
    example="a read-out driven by 30 thresholds per step for 1,000 steps",
)  # fmt: skip
READOUT_BITS = Rule(
    "ND424", "readout-bits", WARNING, RANGE,
    "read-out weights keep {used} of {limit} bits, so that {steps} steps fit the membrane",
    why="The membrane sums the drive of a whole run in a register of fixed width; a long run leaves small "
    "steps.",
    remedy="Run fewer steps (--steps), calibrate with samples like the ones it will see (convert "
    "--calibration), or convert with --output spikes.",
    example="a run of 10,000 steps",
)  # fmt: skip
NO_SIGN_BIT = Rule(
    "ND428", "no-sign-bit", ERROR, RANGE,
    "weights of both signs in {used} bit; {limit} bits are needed",
    why="A sign takes one bit.",
    remedy="Compile with --weight-bits {limit} or more.",
    example="--weight-bits 1 with positive and negative weights",
)  # fmt: skip
DEAD_UNITS = Rule(
    "ND423", "dead-units", WARNING, RANGE,
    "{used:,} of {count:,} neurons stayed silent on calibration data although the source model used them",
    why="Their rate is below one spike per run, so their part of the result is missing.",
    remedy="Convert for more steps (--steps), with more calibration samples (--calibration), or for a "
    "higher --rate.",
    example="a layer converted with 10 steps",
)  # fmt: skip
SATURATED_UNITS = Rule(
    "ND427", "saturated-units", NOTE, RATE,
    "{used:,} of {count:,} neurons spiked in nearly every step on calibration data",
    why="A neuron spikes once per step at most; what exceeds that is lost.",
    remedy="Convert with a lower --rate or a higher --percentile.",
    example="a layer balanced on too few samples",
)  # fmt: skip
SIGN_PER_SOURCE = Rule(
    "ND405", "sign-per-source", ERROR, WALL,
    "{used:,} of {count:,} neurons have outgoing weights of both signs; {target} keeps one sign per source",
    why="The sign belongs to the source neuron, not to the synapse.",
    remedy="Train with non-negative weights per source (Dale's rule), double those neurons, one per sign, "
    "or choose another part (neurodeploy targets).",
    example="any ordinary dense layer on ODIN",
)  # fmt: skip
SHIFT_DECAY = Rule(
    "ND420", "shift-decay-range", ERROR, RANGE,
    "a {which} time constant of {used:.4g} steps; a decay by bit shift of {target} reaches {limit:,}",
    why="The decay takes off v >> k, with k in a small field.",
    remedy="Shorten the time constant, or lengthen the step (--dt, where a NIR file is read).",
    example="tau_mem = 100 s at a step of 1 ms on Xylo",
)  # fmt: skip
THRESHOLD_BELOW_WEIGHTS = Rule(
    "ND421", "threshold-below-weights", WARNING, RANGE,
    "the largest weight is {used:.3g} times the threshold",
    why="One spike makes several on a part that handles events one by one, or loses what exceeds the "
    "threshold.",
    remedy="Convert with a lower --rate, so that a spike adds less than a threshold.",
    example="a weight of 2 with a threshold of 1 on Speck",
)  # fmt: skip
MEMBRANE_FLOOR = Rule(
    "ND429", "membrane-floor", WARNING, RANGE,
    "{used:,} of {count:,} neurons have negative inputs, and their membrane stops at {limit}",
    why="What pulls a membrane below its floor is forgotten, so inhibition counts only above it.",
    remedy="Train with weights that are not negative, or choose another part (neurodeploy targets); what "
    "is lost shows only on the part itself.",
    example="any layer with negative weights on ODIN",
)  # fmt: skip
MEMBRANE_CLAMPED = Rule(
    "ND433", "membrane-clamped", WARNING, RANGE,
    "calibration samples pull a membrane down to {used:,} in a run of {steps:,} steps; {target} stops it at "
    "{limit:,}",
    why="A membrane that falls further stays at the end of its register, so later excitation lifts it sooner "
    "than it should.",
    remedy="Run fewer steps (--steps), or convert with --neuron lif, whose leak brings membranes back.",
    example="a neuron that is inhibited by a threshold per step for 10,000 steps",
)  # fmt: skip
WEIGHTS_UNDER_THRESHOLD = Rule(
    "ND431", "weights-under-threshold", WARNING, RANGE,
    "the largest weight is {used:,} of {limit:,} codes where the threshold ends its register ({threshold:,})",
    why="Weights and threshold share one scale; a high threshold leaves weights few codes.",
    remedy="Scale weights up or the threshold down: neurodeploy convert MODEL -o FILE.nd --calibration "
    "D.npz balances them.",
    example="a threshold of 100 weights on ODIN, whose threshold has 8 bits and whose weights have 3",
)  # fmt: skip
WEIGHTS_NARROWED = Rule(
    "ND432", "weights-narrowed", NOTE, RANGE,
    "weights of {used} bits in place of {before}: {blocks} blocks in place of {blocks_before}, {cores} cores "
    "in place of {cores_before}, rounding error {error:.1%} in place of {error_before:.1%}",
    why="The network did not fit, and narrower weights were allowed (--min-weight-bits).",
    remedy="Compare the accuracy (check --min-weight-bits N --data D.npz does), keep bits in chosen layers "
    "(--layer-bits LAYER=N for others), or choose a larger --target.",
    example="a dense net of 150 cores for a chip of 128",
)  # fmt: skip
NO_THRESHOLD = Rule(
    "ND425", "no-threshold", ERROR, RANGE,
    "a threshold of {used:.3g}; a neuron at rest, at {limit}, spikes by itself ({count:,} of {size:,})",
    why="A membrane at rest is above a threshold that is not positive; such a neuron spikes in every step.",
    remedy="Convert again with calibration data, which sets thresholds: neurodeploy convert MODEL -o "
    "FILE.nd --calibration D.npz.",
    example="a layer whose threshold is 0",
)  # fmt: skip
SILENT_POPULATION = Rule(
    "ND430", "silent-population", WARNING, RANGE,
    "none of {used:,} neurons can ever spike: no positive weight and no positive bias leads to them",
    why="Whatever enters, such membranes do not rise, and the layers behind hear nothing.",
    remedy="Look at the layer's weights, and at the bits they were rounded to (--layer-bits '{layer}=8').",
    example="a layer whose weights are all zero, or all negative",
)  # fmt: skip
