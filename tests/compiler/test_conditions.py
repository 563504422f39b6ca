"""The 72 conditions that nengo-loihi 1.1.0 raises, asserts or warns on, each with what becomes of it here.

The order is that of its files: 1 to 12 blocks (`builder/validate.py`), 13 to 25 cores
(`hardware/validate.py`, `hardware/builder.py`), 26 to 29 allocation, 30 to 46 numbers
(`builder/discretize.py`, `block.py`), 47 to 62 models (`builder/*.py`), 63 to 72 run time. A condition either
has codes, or one of the reasons below.
"""

import inspect

import numpy as np
import pytest

from neurodeploy.compiler import compile
from neurodeploy.rules import RULES
from tests.compiler.corpus import CASES
from tests.compiler.graphs import chain, conv, dense, readout, spiking

FORM = "cannot be written: our form of a network, or of a program, has no such thing"
LAYOUT = "cannot happen: the layout or the rounding keeps it, and a property test holds it to that"
LEARNING = "of its learning path, which has findings of its own in backends.learn"
SOFTWARE = "about its software at run time, not about a model"
DECIDED = "decided differently: what it limits is possible"

CONDITIONS: dict[int, tuple[str, ...] | str] = {
    1: ("ND217",),
    2: ("ND304",),
    3: ("ND302", "ND333"),
    4: ("ND303",),
    5: ("ND301",),
    6: ("ND506",),
    7: ("ND505",),
    8: ("ND514",),
    9: ("ND504",),
    10: ("ND401", "ND404"),
    11: LAYOUT,  # codes of the synapse format: taken from the target's lists, tags are not used
    12: FORM,  # probes: it checks nothing
    13: ("ND305", "ND306", "ND307"),
    14: ("ND305", "ND306", "ND805"),
    15: ("ND504",),
    16: ("ND409", "ND411"),
    17: ("ND406",),
    18: FORM,  # traces: it checks nothing; rules are checked by ND616 and others
    19: ("ND620",),
    20: ("ND215",),  # and packing puts no blocks of different registers together
    21: ("ND503", "ND505"),
    22: ("ND506",),
    23: LAYOUT,  # weights are saturated to the field
    24: FORM,  # it leaves this unchecked
    25: ("ND507",),  # and boards are handed one block per core
    26: ("ND301",),
    27: ("ND309", "ND328"),
    28: ("ND309",),
    29: ("ND309", "ND328"),
    30: ("ND406",),
    31: ("ND407",),
    32: ("ND401",),
    33: ("ND406",),
    34: DECIDED,  # neurons of different decays get one scale by evening their weights
    35: FORM,  # noise
    36: LAYOUT,  # the clamps are those of the chip
    37: ("ND417",),
    38: ("ND612",),
    39: ("ND602", "ND615"),
    40: ("ND404",),
    41: LAYOUT,
    42: LEARNING,
    43: ("ND409",),
    44: ("ND411",),
    45: ("ND616",),
    46: ("ND506",),
    47: DECIDED,  # one-dimensional convolutions are laid out as images of one row
    48: FORM,  # synapses are exponential or none
    49: DECIDED,  # gains are folded into weights; ND212 where a kernel has to be written out for it
    50: ("ND506",),
    51: FORM,  # what feeds the chip are neurons
    52: LEARNING,
    53: FORM,  # gain and bias
    54: FORM,
    55: FORM,  # direct mode
    56: ("ND402",),
    57: FORM,  # noise
    58: ("ND203",),
    59: FORM,  # initial state
    60: FORM,  # RegularSpiking
    61: DECIDED,  # sparse synapses are cut
    62: DECIDED,  # cut until the parts fit
    63: SOFTWARE,
    64: ("ND703",),
    65: ("ND620",),
    66: SOFTWARE,
    67: SOFTWARE,
    68: ("ND503", "ND506"),
    69: ("ND413", "ND414", "ND426"),
    70: ("ND508",),  # the emulator here delays; its own has none, and backend nengo-loihi says so
    71: ("ND604",),
    72: FORM,  # probes sample every step
}
REASONS = {FORM, LAYOUT, LEARNING, SOFTWARE, DECIDED}


def test_every_condition_is_there():
    assert sorted(CONDITIONS) == list(range(1, 73))


@pytest.mark.parametrize("number", CONDITIONS)
def test_a_condition_has_findings_or_a_reason(number):
    told = CONDITIONS[number]
    assert told in REASONS or (isinstance(told, tuple) and set(told) <= set(RULES))


def test_findings_of_plain_models_are_driven_by_the_corpus_or_by_a_pair_of_tests():
    from tests.compiler import test_addresses, test_checks, test_plasticity

    driven = {code for case in CASES for code in case.codes}
    pairs = "".join(inspect.getsource(module) for module in (test_addresses, test_checks, test_plasticity))
    learning = {"ND602", "ND604"}  # found while a layer learns: tests/backends
    codes = {code for told in CONDITIONS.values() if told not in REASONS for code in told} - learning
    assert not {code for code in codes - driven if code not in pairs}


# --- what is said to be possible here, where it refuses ---------------------------------------------------


def fits(layers, shape=(12,), **options):
    program = compile(chain(shape, layers), "loihi1", **options)
    assert not program.errors
    return program


def test_different_decays_of_one_layer_have_one_scale(rng):  # 34
    from tests.compiler.corpus import lif

    program = fits([("d", dense(rng, 12, 4)), ("n", lif([0.01, 0.02, 0.03, 0.04]))])
    assert np.isscalar(program.population("n").weight_scale)
    assert len(np.unique(program.population("n").compartments.decay_v)) == 4


def test_gains_that_differ_by_channel_keep_a_shared_kernel(rng):  # 49
    neuron = spiking(np.array([1.0, 1.1, 1.2]).reshape(3, 1, 1))
    program = fits([("c", conv(rng, 2, 3)), ("n", neuron)], (2, 8, 8))
    assert type(program.projections[0].map).__name__ == "ConvMap"


def test_sparse_synapses_are_cut(rng):  # 61
    from tests.compiler.graphs import pruned, small

    graph = chain((40,), [("d", pruned(rng, 40, 30)), ("n", spiking()), ("e", dense(rng, 30, 4)), readout()])
    program = compile(graph, small(core__compartments=7))
    assert len(program.blocks_of("n")) >= 5
    assert not program.errors


@pytest.mark.parametrize("sizes", [(784, 800), (784, 1024), (1024, 1024)])
def test_dense_layers_that_its_splitter_fails_on_are_cut(sizes, rng):  # 62
    layers = [("c", dense(rng, 20, sizes[0])), ("m", spiking()), ("d", dense(rng, *sizes)), ("n", spiking())]
    fits(layers, (20,))
