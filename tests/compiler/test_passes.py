"""Every pass is pure and verified, can be looked at and timed; what nengo-loihi rounds can be had back."""

import dataclasses
import re

import numpy as np
import pytest

from neurodeploy import stages
from neurodeploy.cli import main
from neurodeploy.compiler import compile, pipeline
from neurodeploy.errors import VerifyError
from neurodeploy.ir import ops
from neurodeploy.ir.graph import Node
from neurodeploy.program import Program
from neurodeploy.targets import target
from tests.compiler.graphs import chain, conv, dense, readout, small, spiking

NAMES = [step.__name__ for step in pipeline.PASSES]
ROUNDED, CUT, PLACED = (NAMES[NAMES.index(name) :] for name in ("quantize", "partition", "place"))
"""The passes after which a program is in integers, in blocks, and on cores."""

TARGETS = {
    "loihi1": {},
    "kapoho-bay": {"core__compartments": 40, "core__in_axons": 60},
    "spinnaker1": {},
    "truenorth": {},
    "dynap-cnn": {},
    "xylo-audio-3": {},
    "loihi2": {},
}


@pytest.fixture
def graph(rng):
    layers = [("c", conv(rng, 2, 4, padding=1)), ("n", spiking()), ("p", ops.AvgPool2d((2, 2), (2, 2)))]
    layers += [("f", ops.Flatten()), ("d", dense(rng, 100, 30)), ("m", spiking()), ("e", dense(rng, 30, 4))]
    return chain((2, 10, 10), [*layers, readout()])


@pytest.mark.parametrize("name", TARGETS)
def test_no_pass_changes_its_input_for_any_family(name, graph):
    bound = target(name).with_limits(**TARGETS[name])
    program = Program(graph, bound, options={"input_coding": "rate", "weight_bits": 8})
    for step in pipeline.PASSES:
        before = program.digest(), tuple(program.diagnostics)
        result = step(program)
        assert (program.digest(), tuple(program.diagnostics)) == before, step.__name__
        program = result


@pytest.mark.parametrize("name", CUT)
def test_a_pass_that_breaks_a_program_is_named(name, graph, monkeypatch):
    at = NAMES.index(name)
    step = pipeline.PASSES[at]

    def spoil(program):
        result = step(program)
        return dataclasses.replace(result, blocks=(*result.blocks, *result.blocks[:1]), cores=())

    spoil.__name__ = name
    monkeypatch.setattr(pipeline, "PASSES", (*pipeline.PASSES[:at], spoil, *pipeline.PASSES[at + 1 :]))
    with pytest.raises(VerifyError, match=f"after pass '{name}'"):
        compile(graph)


@pytest.fixture
def file(graph, tmp_path):
    return str(stages.save(graph, tmp_path / "net.nd"))


@pytest.mark.parametrize("name", NAMES)
def test_the_program_can_be_printed_after_every_pass(name, file, capsys):
    assert main(["check", file, "--print-after", name]) == 0
    text, _, rest = capsys.readouterr().out.partition("\n\n")
    assert text.startswith("program net for loihi1")
    assert ("float" in text) == (name not in ROUNDED)
    assert ("block " in text) == (name in CUT)
    assert bool(re.search(r"block .* core \d", text)) == (name in PLACED)
    assert "fits" in rest


def test_every_pass_is_timed_and_the_shares_are_all_of_it(file, capsys):
    assert main(["check", file, "--time-passes"]) == 0
    rows = re.findall(r"^(\w+) +([\d.]+) s +(\d+)%$", capsys.readouterr().err, re.MULTILINE)
    assert [row[0] for row in rows] == NAMES
    assert all(float(seconds) >= 0 for _, seconds, _ in rows)
    assert abs(sum(int(share) for _, _, share in rows) - 100) <= len(rows)


def test_nengo_loihis_rounding_can_be_had_back_and_is_told_apart(rng, tmp_path, capsys):
    graph = chain((20,), [("d", dense(rng, 20, 6)), ("n", spiking(3.0)), ("e", dense(rng, 6, 4)), readout()])
    weak = Node("skip", ops.Affine(rng.uniform(0.5, 1, (6, 20)) / 300, np.zeros(6)))
    nodes = (*graph.nodes[:2], weak, *graph.nodes[2:])
    edges = (*graph.edges, ("encoder", "skip"), ("skip", "n"))
    file = str(stages.save(dataclasses.replace(graph, nodes=nodes, edges=edges), tmp_path / "net.nd"))
    assert main(["check", file, "--print-after", "quantize"]) == 0
    ours = capsys.readouterr().out
    assert main(["check", file, "--print-after", "quantize", "--match", "nengo-loihi"]) == 0
    theirs = capsys.readouterr().out
    lines = [re.findall(r"projection .*", text) for text in (ours, theirs)]
    assert [a == b for a, b in zip(*lines, strict=True)].count(False) == 1
    assert "ND417" in ours
    assert "ND417" not in theirs


def test_what_is_repaired_verifies_after_every_pass_too(graph):
    seen = []
    few = small(core__in_axons=50, core__compartments=30, core__synapse_memory_words=400)
    program = compile(graph, few, after=lambda name, program: seen.append((name, program.digest())))
    assert [name for name, _ in seen] == NAMES
    digests = dict(seen)
    assert len({digests[name] for name in ("lower", "quantize", "partition", "place")}) == 4
    assert {d.code for d in program.diagnostics} >= {"ND333"}
