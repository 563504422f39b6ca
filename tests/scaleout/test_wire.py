"""Values on their way to another process: the same when they arrive, and nothing but ours gets there."""

import json

import numpy as np
import pytest

import neurodeploy as nd
from neurodeploy.errors import VerifyError
from neurodeploy.recording import Recording
from neurodeploy.scaleout.job import Job, make_job
from neurodeploy.scaleout.wire import pack, unpack
from neurodeploy.testing import assert_same_recording
from tests.backends.programs import by_hand
from tests.conversion.graphs import perceptron
from tests.ir.graphs import sequence_graph, spiking_graph


def test_no_worker_is_sent_the_source_of_a_network(rng):
    spiking = nd.convert(perceptron((4, 5, 3), rng), calibration=rng.random((20, 4)))
    for model in (spiking, nd.compile(spiking)):
        job = make_job(model, backend="loihi-emulator", target="loihi1")
        assert job.graph.source is None
        assert job.graph.digest() == spiking.digest()


@pytest.mark.parametrize("graph", [spiking_graph(), sequence_graph()])
def test_a_graph_arrives_with_its_digest(graph):
    assert unpack(pack(graph)).digest() == graph.digest()


def test_a_compiled_program_arrives_with_its_target_cores_and_findings(rng):
    program = by_hand(rng)
    sent = unpack(pack(Job(program, "loihi-emulator", 8, 1, "rate", 255.0)))
    assert sent.model.digest() == program.digest()
    assert sent.model.target.digest() == program.target.digest()
    assert sent.model.diagnostics == program.diagnostics
    assert (sent.backend, sent.steps, sent.seed, sent.divide_by) == ("loihi-emulator", 8, 1, 255.0)


def test_a_target_with_other_limits_arrives_with_them():
    target = nd.target("loihi1").with_limits(core__compartments=10)
    assert unpack(pack(target)).digest() == target.digest()


def test_a_recording_arrives_to_the_last_bit(rng):
    x = rng.normal(size=(3, 2))
    recording = Recording(x, np.zeros((3, 4), np.int16), {"a": np.arange(3)}, raster={"a": np.ones((2, 2))},
                          overflows={"drive": x[:, 0] > 0}, backend="b", seconds=0.1 + 0.2)  # fmt: skip
    sent = unpack(pack(recording))
    assert_same_recording(sent, recording)
    assert sent.seconds == recording.seconds


def test_arrays_arrive_read_only_and_leave_the_senders_alone(rng):
    x = rng.normal(size=4)
    assert not unpack(pack((x,)))[0].flags.writeable
    assert x.flags.writeable


def test_what_is_not_ours_is_neither_sent_nor_made():
    with pytest.raises(VerifyError, match="a bytes cannot be sent"):
        pack({"a": b"bytes"})
    for name in ("os:system", "neurodeploy.files:write_beside", "neurodeploy.errors:LoadError"):
        with pytest.raises(VerifyError, match=r"no type of ours|neither a dataclass"):
            unpack((json.dumps({"type": name, "fields": {}}), []))
