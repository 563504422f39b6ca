"""ND6xx: can this chip learn by this rule, and did it."""

from __future__ import annotations

from neurodeploy.diagnostics import Rule
from neurodeploy.rules.words import CAPACITY, ERROR, INFO, NOTE, RANGE, RATE, WALL, WARNING

LEARNING_RATE_VANISHES = Rule(
    "ND601", "learning-rate-vanishes", ERROR, RATE,
    "a spike would raise its trace by {used:.3g}; the register's smallest step is {limit:.3g}, so no "
    "weight would change",
    why="On Loihi the learning rate is part of the trace's increment, which has 7 bits behind the point. "
    "Below "
    "that it is zero, and nothing says so.",
    remedy="Raise the learning rate (--rate of learn) at least {factor:.3g} times.",
    example="rate=1e-5 where weights are around 20",
)  # fmt: skip
LEARNING_RATE_SATURATES = Rule(
    "ND602", "learning-rate-saturates", WARNING, RATE,
    "a spike would raise its trace by {used:.4g}; the register holds {limit:.4g}, so learning is slower "
    "than "
    "asked for",
    why="On Loihi the learning rate is part of the trace's increment, which has 7 bits before the point.",
    remedy="Lower the learning rate (--rate of learn), or shorten its trace (tau).",
    example="rate=10 where weights are around 20",
)  # fmt: skip
LEARNED_WEIGHTS_SATURATE = Rule(
    "ND603", "learned-weights-saturate", WARNING, RANGE,
    "{used} of {limit} {unit} ended at the largest code a plastic synapse has",
    why="A weight at the end of its range cannot grow further, whatever the error says.",
    remedy="Lower the learning rate (--rate of learn), or show fewer samples (--limit, --passes).",
    example="many passes over few samples",
)  # fmt: skip
TRACE_SPIKES_LOST = Rule(
    "ND604", "trace-spikes-lost", NOTE, INFO,
    "{used} {unit} came within one renewal of their trace, 2 steps, and counted once",
    why="A trace takes one spike per input and renewal; neurons that fire more often learn more slowly.",
    remedy="Convert with a lower --rate if the busiest neurons matter.",
    example="a hidden neuron at 0.5 spikes per step",
)  # fmt: skip
NO_LEARNING_ENGINE = Rule(
    "ND605", "no-learning-engine", ERROR, WALL,
    "rule '{rule}' learns on the chip; {target} does not",
    why="Synapses without a learning engine keep the weights they were given.",
    remedy="Learn before deployment, or choose a target that learns: neurodeploy rules.",
    example="PES on Xylo",
)  # fmt: skip
OTHER_RULE_FORM = Rule(
    "ND606", "other-rule-form", ERROR, WALL,
    "rule '{rule}' is a sum of products; {target} learns by '{limit}'",
    why="A learning circuit computes the rule it was built for.",
    remedy="Choose a target whose rules are sums of products, or whose cores run programs (neurodeploy "
    "rules).",
    example="PES on a part that learns by SDSP only",
)  # fmt: skip
PRODUCT_WITHOUT_DEPENDENCY = Rule(
    "ND607", "product-without-dependency", ERROR, WALL,
    "'{product}' of d{variable} has none of {limit}, which say when it is evaluated",
    why="An engine visits a synapse at a spike or at the end of an epoch; a product names which.",
    remedy="Add a factor u0 (every epoch), x0 (spike before) or y0 (spike behind).",
    example="dw = -2^-6*w",
)  # fmt: skip
FACTOR_NOT_ON_PART = Rule(
    "ND608", "factor-not-on-part", ERROR, WALL,
    "'{product}' of d{variable} reads {used}; the engine of {target} reads {limit}",
    why="A factor is a register; the engine has those it was built with.",
    remedy="Write the rule with the factors there are; a reward r1 can be a trace y3 that neurons write.",
    example="dw = u0*r1*t on Loihi 2, whose public tools know no reward",
)  # fmt: skip
SEVERAL_DECIMATIONS = Rule(
    "ND609", "several-decimations", ERROR, WALL,
    "the products use {used}; {target} has one such factor for all products of a rule",
    why="One counter of epochs serves dw, dd and dt.",
    remedy="Use the same k in every u_k of the rule.",
    example="dw = u1*x1*y1; dt = u0*t",
)  # fmt: skip
DECIMATION_RANGE = Rule(
    "ND610", "decimation-range", ERROR, RANGE,
    "u{used} waits 2^{used} epochs; {target} counts up to 2^{limit}",
    why="The counter of epochs has so many bits.",
    remedy="Lengthen the epoch instead.",
    example="u9 on a part that counts to 2^7",
)  # fmt: skip
LEARNING_EPOCH = Rule(
    "ND611", "learning-epoch", ERROR, RANGE,
    "an epoch of {used} {unit}; {target} holds {lowest} to {limit}",
    why="The length of an epoch is a register.",
    remedy="Shorten the epoch, and wait several epochs with a factor u_k.",
    example="an epoch of 64 steps on Loihi 1",
)  # fmt: skip
LEARNING_EXPONENT = Rule(
    "ND612", "learning-exponent", ERROR, RANGE,
    "'{product}' of d{variable} is scaled by 2^{used}; {target} scales by 2^{limit} or more",
    why="The exponent of a product's scale is a register.",
    remedy="Raise the exponent, and lower the impulses of the traces as much.",
    example="dw = 2^-8*u1*x1*y1 on Loihi 1",
)  # fmt: skip
LEARNING_MANTISSA = Rule(
    "ND613", "learning-mantissa", ERROR, RANGE,
    "the scale of '{product}' of d{variable} needs {used} {unit}; {target} holds {limit}",
    why="A product's scale is a small whole number times a power of two.",
    remedy="Round the scale to fewer bits, or write it as a sum of two products.",
    example="dw = 17*x0*y1",
)  # fmt: skip
LEARNING_CONSTANT = Rule(
    "ND614", "learning-constant", ERROR, RANGE,
    "the constant in '{factor}' of d{variable} needs {used} {unit}; {target} holds {limit}",
    why="Constants inside of factors are registers too.",
    remedy="Lower the constant, and scale the trace down with it.",
    example="dw = x0*(y1-256)",
)  # fmt: skip
TRACE_IMPULSE = Rule(
    "ND615", "trace-impulse", ERROR, RANGE,
    "a spike adds {used:g} to trace {variable}; {target} adds {lowest:g} to {limit:g}",
    why="The impulse is a register with a few bits behind the point; below its smallest step it is zero.",
    remedy="Move powers of two between the impulse and the scale of the products that read the trace.",
    example="an impulse of 200 on Loihi 1",
)  # fmt: skip
TRACE_TIME_CONSTANT = Rule(
    "ND616", "trace-time-constant", ERROR, RANGE,
    "trace {variable} decays with {used:g} steps; {target} takes whole numbers of at least {limit:g}",
    why="The decay of a trace is looked up by a whole number of steps.",
    remedy="Round the time constant.",
    example="tau = 2.5",
)  # fmt: skip
PRODUCT_LOSES_BITS = Rule(
    "ND617", "product-loses-bits", NOTE, RANGE,
    "'{product}' of d{variable} is {used} {unit} wide and loses {lost}; the accumulator has {limit}",
    why="A product is shifted right until its widest value fits the accumulator, whatever values occur.",
    remedy="Raise impulses so that traces fill their registers, or use fewer factors.",
    example="dw = 2^-2*u0*x1*y1*w on Loihi 1, which loses 12 bits",
)  # fmt: skip
PRODUCT_VANISHES = Rule(
    "ND618", "product-vanishes", ERROR, RANGE,
    "'{product}' of d{variable} is at most {used:.3g} of the smallest change; it never changes anything",
    why="Scale and overflow shift together push the largest value below the accumulator's last bit.",
    remedy="Raise the exponent of the product's scale.",
    example="dw = 2^-7*x0*w*sgn(t)",
)  # fmt: skip
THIRD_FACTOR_NOT_ON_PART = Rule(
    "ND619", "third-factor-not-on-part", ERROR, WALL,
    "trace {variable} is to be a value '{used}'; {target} takes {limit}",
    why="A trace that is no filtered spike train has to be written by somebody: a processor beside the core, "
    "or the neuron's own program.",
    remedy="Bring the third factor in as spikes: a rule in two phases.",
    example="a surrogate derivative of the membrane on Loihi 1",
)  # fmt: skip
LEARNING_BESIDE_STATIC = Rule(
    "ND620", "learning-beside-static", WARNING, WALL,
    "the core has {used} synapses that do not learn beside those that do; {source} lays out one kind a core",
    why="nengo-loihi lets all or none of a core's synapses learn; the silicon is said to allow both.",
    remedy="Keep feedback on cores of its own, or load the board with other software.",
    example="error neurons that reach plastic neurons by fixed weights",
)  # fmt: skip
FEEDBACK_AXONS = Rule(
    "ND621", "feedback-axons", ERROR, CAPACITY,
    "{used} axons reach the plastic core ({forward} forward, {backward} back); {target} holds {limit}",
    why="What comes back to a plastic core takes axons of the same table as what comes forward.",
    remedy="Learn in a smaller layer, or send back fewer error neurons; neurodeploy rules says what each "
    "rule sends back.",
    example="4,090 inputs and 20 error neurons on Loihi 1",
)  # fmt: skip
FEEDBACK_COPIES_WEIGHTS = Rule(
    "ND622", "feedback-copies-weights", ERROR, WALL,
    "the weights of the way back into '{layer}' are those of the way forward, and rule '{rule}' does not say "
    "that it copies them",
    why="Two synapses cannot know each other's weight; a rule that copies them is not local.",
    remedy="Draw the feedback at random, learn it, or say weights='copied' in the rule.",
    example="feedback set to the transposed weights once per epoch",
)  # fmt: skip
