"""ND7xx: time, rates and what enters and leaves."""

from __future__ import annotations

from neurodeploy.diagnostics import Rule
from neurodeploy.rules.words import ERROR, RATE, WARNING

INPUT_SPIKES = Rule(
    "ND703", "too-many-input-spikes", WARNING, RATE,
    "{used:.0f} input spikes per step on calibration data; the host sends {target} up to {limit:,} per chip",
    why="Where a host sends spikes while the chip runs, those beyond that are dropped by the embedded "
    "processor, and only a warning at run time says so.",
    remedy="Let the chip encode, which takes no input spikes: --input-coding bias. A bundle of neurodeploy "
    "deploy hands all spikes over before the start and is not bound by this; a host that sends them while "
    "the chip runs has to raise its limit: {note}.",
    example="784 pixels at 0.13 spikes per step through nengo-loihi's default of 50",
)  # fmt: skip
STEP_TOO_SHORT = Rule(
    "ND708", "step-too-short", ERROR, RATE,
    "a step of {used:,.0f} ns; {target} needs {limit:,.0f} ns",
    why="Cores agree on the end of a step; that, and what they compute in it, takes time.",
    remedy="Lengthen the step (--dt, where a NIR file is read), or slow the input down by a time-scale "
    "factor.",
    example="dt = 0.1 ms on SpiNNaker 1",
)  # fmt: skip
RUN_TOO_LONG = Rule(
    "ND712", "run-too-long", ERROR, RATE,
    "a run of {used:.3g} s; {target} times runs of up to {limit:.3g} s",
    why="The part's timer ends the run.",
    remedy="Run fewer steps (--steps), or split the run.",
    example="a run longer than the part's timer counts",
)  # fmt: skip
SPIKES_PER_STEP = Rule(
    "ND704", "spikes-per-step", ERROR, RATE,
    "a neuron sends up to {used} spike per step; {target} takes {limit}",
    why="Spikes of a step are counted in a field of fixed width.",
    remedy="Choose another target (neurodeploy targets).",
    example="a part that takes no spikes from outside",
)  # fmt: skip
THROUGHPUT = Rule(
    "ND707", "throughput", WARNING, RATE,
    "{used:,} neurons; at {per_core:,} per core, {target} updates {limit:,} in real time",
    why="Neurons are a program, and a core has so many cycles per step: what exceeds them takes longer.",
    remedy="Choose a board with more chips as the --target (neurodeploy targets), or run slower than real "
    "time.",
    example="200,000 neurons on one SpiNNaker 2",
)  # fmt: skip
SYNOPS = Rule(
    "ND706", "too-many-synops", WARNING, RATE,
    "{used:,.0f} synaptic operations per second on calibration data; a core of {target} does {limit:,}",
    why="A core that is too slow drops events, or answers late.",
    remedy="Convert with a lower --rate, prune, or slow the input down.",
    example="a layer of 40 million synapses at 0.1 spikes per step",
)  # fmt: skip
OTHER_RUN_LENGTH = Rule(
    "ND713", "other-run-length", WARNING, RATE,
    "a run of {used:,} steps with a program compiled for {limit:,}: {what}",
    why="A program's scales and biases are made for runs of one length. Where a chip's neurons begin at "
    "rest, the charge they should begin with is spread over these steps; and a register that has room for "
    "them can wrap in a longer run.",
    remedy="Compile for the run: nd.compile(graph, target, steps={used}), or --steps {used}.",
    example="nd.run(program, x, steps=1000) with a program compiled for 64",
)  # fmt: skip
OTHER_SCALE = Rule(
    "ND714", "other-scale", WARNING, RATE,
    "samples go from {least:.4g} to {most:.4g} when divided by {divisor:.4g}; those of the calibration go "
    "from {low:.4g} to {high:.4g}",
    why="Thresholds and scales were set by the calibration samples; inputs far beyond their range saturate, "
    "and inputs far below it hardly spike.",
    remedy="Give samples in the scale of the calibration; --divide-by {fitting:.4g} brings their largest "
    "value to the calibration's.",
    example="pixels of 0 to 255 where calibration had them from 0 to 1",
)  # fmt: skip
