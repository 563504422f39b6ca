"""ND1xx: constants of a network that was read which can hardly be meant."""

from __future__ import annotations

from neurodeploy.diagnostics import Rule
from neurodeploy.rules.words import INFO, NOTE, RANGE, WARNING

LONG_TIME_CONSTANT = Rule(
    "ND101", "long-time-constant", WARNING, RANGE,
    "{parameter} is {used:g} s, and nothing in a run of seconds leaks with more than {limit:g} s",
    why="NIR files carry no unit of time; numbers meant as milliseconds or steps look like this.",
    remedy="Read the file with the unit its author used: --time-unit 0.001 for milliseconds.",
    example="tau = 20 in a file whose author counted milliseconds",
)  # fmt: skip
SHORT_TIME_CONSTANT = Rule(
    "ND102", "short-time-constant", WARNING, RANGE,
    "{parameter} is {used:g} s, shorter than a step of {limit:g} s",
    why="What decays within a step keeps nothing for the next: the population has no memory.",
    remedy="Read the file with the step its author used (--dt), or with its unit of time (--time-unit).",
    example="a file of snnTorch, which steps 0.0001 s, read with --dt 0.01",
)  # fmt: skip
FIRES_AT_REST = Rule(
    "ND103", "fires-at-rest", WARNING, RANGE,
    "{neurons} of {total} neurons rest at {used:g}, not below their threshold of {limit:g}",
    why="Such a neuron spikes without any input, in every step or nearly so.",
    remedy="Check v_threshold, v_reset and v_leak where the file was written, then read it again: "
    "neurodeploy convert FILE.nir -o FILE.nd.",
    example="v_leak = 0 and v_threshold = -50 (millivolts, against another zero)",
)  # fmt: skip
INPUT_HAS_NO_WEIGHT = Rule(
    "ND104", "input-has-no-weight", WARNING, RANGE,
    "a spike through the largest weight moves the membrane by {used:.2g} of its threshold",
    why="A membrane that needs thousands of spikes at once never reaches its threshold within a run.",
    remedy="Read the file with its author's step and unit (--dt, --time-unit, --decay, or --written-by).",
    example="a file of sinabs, whose inputs count in full, read as --decay euler",
)  # fmt: skip
NEGATIVE_RESISTANCE = Rule(
    "ND105", "negative-resistance", WARNING, RANGE,
    "{neurons} of {total} neurons have a resistance r of {used:g}, not above 0",
    why="With r below 0 excitation inhibits; with 0 nothing arrives.",
    remedy="Check r where the file was written, then read it again: neurodeploy convert FILE.nir -o "
    "FILE.nd.",
    example="r = 0 because the author's tool does not use it",
)  # fmt: skip
ONE_SPIKE_A_STEP = Rule(
    "ND106", "one-spike-a-step", NOTE, INFO,
    "neurons emit at most one spike a step here; {tool} lets them emit several unless it is told otherwise",
    why="Neuromorphic chips send one spike per neuron and step; where a tool sends more, rates differ.",
    remedy="Train and compare with one spike a step: SingleSpike in sinabs, max_spikes_per_dt=1 in Rockpool.",
    example="the N-MNIST network of the NIR paper, written by sinabs",
)  # fmt: skip
