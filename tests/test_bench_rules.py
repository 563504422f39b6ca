"""The benchmark of learning rules: a run that was killed goes on to the same weights."""

import argparse

import numpy as np
import pytest

from tools import bench_rules as bench


def told(folder):
    return argparse.Namespace(
        rule="dfa", tier="C", epochs=1, sizes=(16, 6, 6, 10), limit=None, validate=True, anneal=True,
        control="none", set=None, checkpoint=folder, task="mnist", rounding="synapse", cosine=0,
    )  # fmt: skip


def same(a, b):
    return all(a[k] == b[k] for k in a if k != "samples_per_second")


@pytest.mark.parametrize("killed_at", [500, 1020, 1200])
def test_a_killed_run_goes_on_to_the_same_result(tmp_path, monkeypatch, killed_at):
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 256, (1200, 16)), rng.integers(0, 10, 1200)
    data = (x, y, x[:50], y[:50])
    whole = bench.in_integers("dfa", 0, data, told(None))

    def killed(name):
        def advance(done, total):
            if done == killed_at:
                raise KeyboardInterrupt

        return advance

    with monkeypatch.context() as m:
        m.setattr(bench, "said", killed)
        with pytest.raises(KeyboardInterrupt):
            bench.in_integers("dfa", 0, data, told(tmp_path))
    assert same(whole, bench.in_integers("dfa", 0, data, told(tmp_path)))


def test_runs_of_other_numbers_are_kept_apart(tmp_path):
    other = told(tmp_path)
    other.epochs = 2
    assert bench.checkpoint_of(told(tmp_path), 0) != bench.checkpoint_of(other, 0)
    assert bench.checkpoint_of(told(None), 0) is None
