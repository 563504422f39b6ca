"""The table of what the compiler changed: before, after, and what it costs on samples."""

import json

import numpy as np
import pytest

from neurodeploy import stages
from neurodeploy.cli import main
from neurodeploy.cli.checking import cost_of_change
from neurodeploy.compiler import compile
from neurodeploy.reporting.changes import apart_line, change_rows
from neurodeploy.targets import target
from tests.compiler.graphs import chain, dense, readout, spiking


@pytest.fixture
def graph(rng):
    layers = [
        ("large", dense(rng, 200, 120)),
        ("n0", spiking()),
        ("small", dense(rng, 120, 20)),
        ("n1", spiking()),
    ]
    return chain((200,), [*layers, ("last", dense(rng, 20, 4)), readout(1.0)], meta={"steps": 10})


def rows(found):
    return {row["what"]: (row["before"], row["after"]) for row in found}


def tight(graph):
    """Loihi with little memory, on a board that holds two thirds of the cores that full weights need."""
    limits = {"core__synapse_memory_words": 1000, "board__chips": 1}
    free = target("kapoho-bay").with_limits(**limits)
    cores = len(set(compile(graph, free).cores)) * 2 // 3
    return target("kapoho-bay").with_limits(**limits, chip__cores=cores)


def test_the_layout_is_told_before_and_after(graph):
    program = compile(graph, "loihi1")
    found = rows(change_rows(program))
    assert found["blocks"] == (3, len(program.blocks))
    assert found["cores"] == (len(program.blocks), len(set(program.cores)))
    assert not any("bits" in what for what in found)


def test_spikes_between_chips_fall_by_placement(rng):
    wide = chain(
        (20,), [("a", dense(rng, 20, 48)), ("n0", spiking()), ("b", dense(rng, 48, 48)), ("n1", spiking())]
    )
    board = target("kapoho-bay").with_limits(core__compartments=8, chip__cores=6)
    before, after = rows(change_rows(compile(wide, board, share_cores=False)))[
        "spikes per step between chips"
    ]
    assert 0 < after <= before


@pytest.mark.parametrize(("reset", "cores"), [("zero", 1), ("subtract", 2)])
def test_blocks_that_a_register_keeps_apart_are_told(reset, cores, rng):
    layers = [("a", dense(rng, 1, 1, scale=1.0)), ("n", spiking(reset=reset)), ("b", dense(rng, 1, 1))]
    program = compile(chain((1,), [*layers, readout()]))
    assert len(set(program.cores)) == cores
    told = apart_line(program).partition(", which")[0]
    assert told == (cores > 1) * "kept apart: n[0] and readout[0] differ in whether the current decays at all"


def test_blocks_that_fill_their_cores_are_not_said_to_be_kept_apart(rng):
    layers = [("a", dense(rng, 4, 1024)), ("n", spiking(reset="subtract")), ("b", dense(rng, 1024, 4))]
    program = compile(chain((4,), [*layers, readout()]))
    assert len(set(program.cores)) == 2
    assert apart_line(program) == ""


def test_nothing_is_told_where_nothing_is_laid_out(graph):
    assert change_rows(compile(graph, "loihi2")) == []


def test_taken_bits_are_told_with_what_they_cost(graph, rng):
    board = tight(graph)
    before, after = compile(graph, board), compile(graph, board, min_weight_bits=2)
    assert before.errors
    assert not after.errors
    found = rows(change_rows(after))
    was, now = found["weight bits of large"]
    assert (was, now < 8) == (8, True)
    assert found["blocks of large"][1] < found["blocks of large"][0]
    x, y = rng.random((12, 200)), rng.integers(0, 4, 12)
    cost = rows(cost_of_change(before, after, x, y))
    right = [float((stages.run(p, x).predictions == y).mean()) for p in (compile(graph, "loihi1"),)]
    assert cost["accuracy on 12 samples"][0] == f"{100 * right[0]:.2f} %"
    assert cost["spikes per sample"][0] > 0
    assert cost["the same answer on 12 samples"][1].endswith("%")
    assert "accuracy on 12 samples" not in rows(cost_of_change(before, after, x))


def test_check_runs_the_samples_before_and_after(graph, rng, tmp_path, capsys, monkeypatch):
    stages.save(graph, tmp_path / "net.nd")
    np.savez(tmp_path / "d.npz", x=rng.random((6, 200)), y=rng.integers(0, 4, 6))
    board = tight(graph)
    monkeypatch.setattr("neurodeploy.compiler.pipeline.find_target", lambda name: board)
    told = ["check", str(tmp_path / "net.nd"), "--target", "kapoho-bay", "--min-weight-bits", "2"]
    assert main([*told, "--data", str(tmp_path / "d.npz"), "--format", "json"]) == 0
    changes = rows(json.loads(capsys.readouterr().out)["changes"])
    assert "accuracy on 6 samples" in changes
    assert main(told) == 0
    text = capsys.readouterr().out
    assert "weight bits of large" in text
    assert "accuracy on" not in text


def test_samples_without_a_repair_are_refused(graph, tmp_path, capsys):
    stages.save(graph, tmp_path / "net.nd")
    assert main(["check", str(tmp_path / "net.nd"), "--data", "d.npz"]) == 2
    assert "--min-weight-bits" in capsys.readouterr().err
