"""The two public models of synapse memory, against published tables and against nengo-loihi's own count."""

import numpy as np
import pytest

from neurodeploy.compiler import cost
from neurodeploy.errors import MissingExtra
from neurodeploy.program import Synapses
from neurodeploy.targets import target

NENGO = cost.cost_model(target("loihi1"), "loihi1-nengo")
NXTF = cost.cost_model(target("loihi1"), "loihi1-nxtf")


def rows(lengths, *, bits=8, kind="discrete", index=None, first=None):
    """Synapses with these row lengths; dense unless indices are given."""
    start = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    place = np.arange(start[-1]) - np.repeat(start[:-1], lengths)
    index = place if index is None else index
    first = np.arange(len(lengths)) if first is None else np.asarray(first)
    zeros = np.zeros(len(first), np.int32)
    return Synapses(
        "a", np.arange(len(first)), zeros, first, zeros, start, np.asarray(index, np.int32),
        np.ones(start[-1], np.int32), kind, 0, bits,
    )  # fmt: skip


def sparse(n):
    """One row that needs 10 index bits."""
    return rows([n], index=np.arange(n) + 1023 - n + 1 if n < 1024 else np.arange(n)[::-1])


# targets: words by (nengo-loihi dense, NxTF dense, nengo-loihi sparse, NxTF sparse); 8 bits, 10 index bits
TABLE = {1: (1, 1, 1, 1), 8: (2, 2, 3, 3), 64: (9, 9, 19, 19), 100: (14, 14, 30, 29), 256: (36, 34, 76, 73),
         1024: (144, 134, 304, 291)}  # fmt: skip


@pytest.mark.parametrize("n", TABLE)
def test_words_of_one_axon_by_both_models(n):
    nengo_dense, _, nengo_sparse, nxtf_sparse = TABLE[n]
    assert cost.words(NENGO, rows([n])) == nengo_dense
    assert cost.words(NENGO, sparse(n)) == nengo_sparse
    assert cost.words(NXTF, sparse(n)) == nxtf_sparse


@pytest.mark.parametrize("n", TABLE)
def test_words_of_a_dense_axon_in_a_block_that_needs_10_index_bits(n):
    both = rows([n, 1024])
    assert cost.words(NXTF, both) - cost.words(NXTF, rows([1024])) == TABLE[n][1]


# most targets one core holds for a dense projection from A inputs, 8 bits (A: 1, 2, 4 and 8 bits)
LARGEST = {128: (1024, 1024, 1024, 910), 256: (1024, 1024, 829, 454), 512: (1024, 699, 413, 230),
           784: (640, 443, 256, 142), 1024: (512, 347, 205, 118), 2048: (256, 187, 109, 62),
           4096: (128, 91, 61, 30)}  # fmt: skip


@pytest.mark.parametrize("inputs", LARGEST)
@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_most_targets_of_a_core_by_the_number_of_inputs(inputs, bits):
    most = LARGEST[inputs][[1, 2, 4, 8].index(bits)]
    room = target("loihi1").number("core.synapse_memory_words")
    words = inputs * cost.group_words(NENGO, np.array([most, most + 1]), bits=bits)
    assert words[0] <= room
    assert words[1] > room or most == 1024


def test_the_models_disagree_in_both_directions():
    dense = rows([150] * 784)
    assert (cost.words(NENGO, dense), cost.words(NXTF, dense) < 16384) == (16464, True)
    assert cost.words(NENGO, rows([61] * 2048)) == 16384


@pytest.fixture(scope="module")
def config():
    from neurodeploy.backends.adapter import nengo_loihi_module

    try:
        nengo_loihi_module()
    except MissingExtra as error:
        pytest.skip(str(error))
    from nengo_loihi.block import SynapseConfig

    return SynapseConfig


@pytest.mark.parametrize("seed", range(20))
def test_words_equal_nengo_loihis_bits(config, seed):
    rng = np.random.default_rng(seed)
    code = int(rng.integers(1, 8))
    bits, kind = config.WEIGHT_BITS_MAP[code], ["discrete", "pop32"][seed % 2]
    lengths = rng.integers(1, 400, size=12)
    ours = rows(lengths, bits=bits, kind=kind)
    width = cost.index_width(int(lengths.max()) - 1, NENGO.index_widths) if kind == "pop32" else 0
    theirs = config(weight_bits=code, n_synapses=63, compression=0 if kind == "pop32" else 3,
                    idx_bits=config.INDEX_BITS_MAP.index(width))  # fmt: skip
    assert cost.words(NENGO, ours) * 64 == sum(theirs.bits_per_axon(int(n)) for n in lengths)


def test_axons_that_share_rows_pay_once():
    shared = rows([100, 100], first=[0, 0, 0, 1], kind="pop32")
    assert cost.words(NENGO, shared) == cost.words(NENGO, rows([100, 100], kind="pop32"))
