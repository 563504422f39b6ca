"""Bundles: byte-stable, and run by their own script alone, on the emulator and on NxSDK's registers."""

import ast
import contextlib
import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from neurodeploy import stages
from neurodeploy.backends import run_on_host
from neurodeploy.backends.base import backend
from neurodeploy.backends.board import board_model, image_of
from neurodeploy.backends.loihi import deploy, emit, write_image
from neurodeploy.demo_data import digits
from neurodeploy.errors import DeployError
from tests.backends.programs import by_hand

ROOT = Path(__file__).resolve().parents[2]
FAKE = Path(__file__).parent / "fake"
STEPS = 25


def run_script(folder, *arguments, nxsdk=False, **environment):
    path = os.pathsep.join([str(FAKE), str(ROOT)]) if nxsdk else ""
    return subprocess.run(
        [sys.executable, "run_on_host.py", *arguments],
        cwd=folder, capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": path, **environment},
    )  # fmt: skip


@pytest.fixture
def samples(rng, tmp_path):
    x = rng.uniform(0.1, 0.9, (3, 12))
    np.savez(tmp_path / "samples.npz", x=x, y=np.arange(3))
    return x


def test_the_same_program_gives_the_same_bytes(rng):
    program = by_hand(rng)
    assert emit(program).archive() == emit(program).archive()
    assert sorted(emit(program).files) == [
        "README.txt", "manifest.json", "program.h5", "requirements.txt", "run_on_host.py",
    ]  # fmt: skip


@pytest.mark.parametrize(("steps", "fits"), [(0, False), (1, True), (64, True), (65, False)])
def test_a_bundle_runs_for_no_longer_than_its_registers_hold(steps, fits):
    with contextlib.nullcontext() if fits else pytest.raises(run_on_host.HostError, match="hold for 1 to 64"):
        run_on_host.check_steps(steps, 64)


def test_program_h5_holds_the_image_to_the_last_integer(rng, tmp_path):
    image = image_of(by_hand(rng))
    (tmp_path / "program.h5").write_bytes(write_image(image))
    assert equal(run_on_host.read_image(tmp_path / "program.h5"), image)


def equal(a, b):
    if isinstance(b, dict):
        return a.keys() == b.keys() and all(equal(a[key], b[key]) for key in b)
    if isinstance(b, list):
        return len(a) == len(b) and all(equal(x, y) for x, y in zip(a, b, strict=True))
    return a.dtype == b.dtype and np.array_equal(a, b) if isinstance(b, np.ndarray) else a == b


@pytest.mark.parametrize(
    ("board", "coding"), [("emulator", "poisson"), ("kapoho-bay", "rate"), ("nahuku-8", "bias")]
)
def test_the_bundles_script_gives_the_outputs_of_the_emulator_backend(rng, samples, tmp_path, board, coding):
    program = by_hand(rng, coding=coding)
    emit(program).write(tmp_path / "bundle")
    done = run_script(
        tmp_path / "bundle", "--board", board, "--samples", "../samples.npz", "--steps", str(STEPS),
        "--seed", "4", "--outputs", "../outputs.npz", nxsdk=board != "emulator",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    session = backend("nengo-loihi").open(program, steps=STEPS, seed=4, input_coding=coding)
    recording = session(samples, 0)
    assert (np.load(tmp_path / "outputs.npz")["outputs"] == recording.outputs).all()
    report = json.loads(done.stdout)
    assert report["accuracy"] == pytest.approx(recording.accuracy(np.arange(3)))
    assert report["program"] == program.digest()


def test_a_compiled_network_gives_the_same_outputs_from_the_boards_registers(tmp_path):
    split = digits()
    spiking = stages.convert(stages.load(ROOT / "models" / "digits_cnn.keras"), calibration=split.x_train)
    program = stages.compile(spiking)
    emit(program).write(tmp_path / "bundle")
    np.savez(tmp_path / "samples.npz", x=split.x_test[:1])
    done = run_script(
        tmp_path / "bundle", "--board", "nahuku-32", "--samples", "../samples.npz", "--steps", "8",
        "--outputs", "../outputs.npz", nxsdk=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    expected = stages.run(program, split.x_test[:1], steps=8).outputs
    assert (np.load(tmp_path / "outputs.npz")["outputs"] == expected).all()
    assert (expected != 0).all()


def test_weights_that_reach_the_board_differ_if_the_program_differs(rng, samples, tmp_path):
    program = by_hand(rng)
    image = image_of(program)
    before = run_on_host.run(image, samples, STEPS)
    image["blocks"][0]["synapses"][0]["weight"] = image["blocks"][0]["synapses"][0]["weight"] // 2
    assert (run_on_host.run(image, samples, STEPS) != before).any()


def test_without_nxsdk_one_message_says_what_is_missing_and_what_to_run(rng, tmp_path):
    written = emit(by_hand(rng)).write(tmp_path / "bundle")
    with pytest.raises(DeployError) as refused:
        deploy(written, "kapoho-bay")
    text = str(refused.value)
    assert "NxSDK is not installed" in text
    assert f"lies in '{tmp_path / 'bundle'}'" in text
    assert text.endswith("run in it: python run_on_host.py --board kapoho-bay --samples SAMPLES.npz")


def test_a_board_without_the_chip_is_refused_by_name(rng, tmp_path):
    written = emit(by_hand(rng)).write(tmp_path / "bundle")
    with pytest.raises(DeployError, match=r"'spinnaker' carries no loihi1.*kapoho-bay, nahuku"):
        deploy(written, "spinnaker")


def test_a_bundle_that_lies_nowhere_cannot_be_deployed(rng):
    with pytest.raises(DeployError, match=r"call its write\(folder\) first"):
        deploy(emit(by_hand(rng)), "kapoho-bay")


def test_a_program_with_more_chips_than_the_board_is_refused(rng, tmp_path):
    program = dataclasses.replace(by_hand(rng), cores=(0, 128, 256, 384))
    with pytest.raises(DeployError, match="fills 4 chips; kapoho-bay has 2"):
        deploy(emit(program).write(tmp_path / "bundle"), "kapoho-bay")
    done = run_script(tmp_path / "bundle", "--board", "kapoho-bay", "--boot", nxsdk=True)
    assert (done.returncode, done.stderr) == (2, "error: the program fills 4 chips; 'kapoho-bay' has 2\n")


def test_deploy_boots_the_bundle_where_nxsdk_is_installed(rng, tmp_path, fake_nxsdk):
    written = emit(by_hand(rng)).write(tmp_path / "bundle")
    assert deploy(written, "nahuku-32").startswith("nahuku-32: booted with the bundle in")


def test_a_board_that_does_not_answer_is_one_sentence(rng, tmp_path, fake_nxsdk, monkeypatch):
    monkeypatch.setenv("FAKE_BOARD_IS_DEAD", "1")
    written = emit(by_hand(rng)).write(tmp_path / "bundle")
    with pytest.raises(DeployError, match=r"did not boot the bundle.*no answer from the board"):
        deploy(written, "kapoho-bay")


@pytest.fixture
def fake_nxsdk(monkeypatch):
    """Make NxSDK look installed, here and in the processes started from here."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(FAKE), str(ROOT)]))
    monkeypatch.syspath_prepend(str(FAKE))


def test_blocks_lie_on_the_chips_that_placement_chose(rng):
    program = dataclasses.replace(by_hand(rng), cores=(130, 3, 2, 129))
    image = image_of(program) | {"cores_per_chip": 128}
    board = run_on_host.allocate(image, board_model(program))
    held = [[core.blocks[0].label for core in chip.cores] for chip in board.chips]
    assert held == [["out[0]", "fc0.relu[1]"], ["out[1]", "fc0.relu[0]"]]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda folder: (folder / "program.h5").write_bytes(b"x"), "'program.h5' is not as it was emitted"),
        (lambda folder: (folder.parent / "samples.npz").write_bytes(b"x"), "cannot be read"),
        (lambda folder: np.savez(folder.parent / "samples.npz", z=1), "holds neither x nor x_test"),
        (lambda folder: np.savez(folder.parent / "samples.npz", x=np.zeros((2, 5))), "do not fit the model"),
    ],
)
def test_the_script_says_in_one_line_what_is_wrong(rng, samples, tmp_path, change, told):
    emit(by_hand(rng)).write(tmp_path / "bundle")
    change(tmp_path / "bundle")
    done = run_script(tmp_path / "bundle", "--board", "emulator", "--samples", "../samples.npz")
    assert done.returncode == 2
    assert told in done.stderr
    assert done.stderr.count("\n") == 1


def test_the_script_is_written_for_the_python_of_old_hosts():
    ast.parse(Path(run_on_host.__file__).read_text(), feature_version=(3, 6))


def test_the_script_knows_no_other_module_of_ours():
    assert "neurodeploy" not in [line.split()[1].split(".")[0] for line in imports(run_on_host)]


def imports(module):
    lines = Path(module.__file__).read_text().splitlines()
    return [line.strip() for line in lines if line.strip().startswith(("import ", "from "))]
