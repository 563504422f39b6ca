"""The way to a Loihi board: a program as a bundle of files, and the bundle on a board.

A board's software (Intel's NxSDK) runs on the board's own host, under the old Python it is tied to. What
travels there is therefore data and one script with few needs, not this package.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import io
import shlex
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from neurodeploy import targets
from neurodeploy.backends import run_on_host
from neurodeploy.backends.board import image_of
from neurodeploy.bundle import Bundle, make
from neurodeploy.compiler.place import one_block_per_core
from neurodeploy.errors import DeployError
from neurodeploy.program import Program

if TYPE_CHECKING:
    import h5py

ENTRY = "run_on_host.py"
PROGRAM = "program.h5"
REQUIREMENTS = ("h5py==3.1.0", "nengo==3.1.0", "nengo-loihi==1.1.0", "numpy==1.19.5")
"""For the board's host: versions that install on Python 3.6 to 3.9, under which NxSDK runs."""
COMPRESS_FROM = 1024
"""Arrays of fewer values are stored plain."""
README = """A compiled spiking network for a Loihi board.

{card}

Checked on the emulator, where it gives the same integers as neurodeploy's own. NOT verified on silicon.

On the host of the board, in this folder:

    python -m pip install -r requirements.txt
    python run_on_host.py --board emulator --samples SAMPLES.npz
    python run_on_host.py --board {board} --samples SAMPLES.npz --outputs outputs.npz

The requirements are for the Python that NxSDK runs under, 3.6 to 3.9; the emulator runs with newer ones too.
Boards: {boards}.
They need NxSDK 0.9 or 1.0, which members of Intel's INRC get from Intel.
SAMPLES.npz holds x (and labels y), in the layout of the source model. Every sample is a boot of its own,
because nengo-loihi cannot bring membranes back to rest; --boot only loads the program and runs one step.
"""


def emit(program: Program) -> Bundle:
    """Make the files that a board's host needs to run a program.

    Parameters
    ----------
    program : Program
        Placed, without errors.

    Returns
    -------
    Bundle
        ``program.h5`` (every integer of the program, its placement and its input coding), ``run_on_host.py``,
        ``requirements.txt``, ``README.txt``, ``manifest.json``.

    Raises
    ------
    CompileError
        If the program has error findings.
    OptionError
        If it has no cores yet.
    """
    program.raise_for_errors()
    alone = one_block_per_core(program)  # as nengo-loihi's boards hold them
    image = image_of(alone) | {
        "digest": program.digest(),
        "chip": program.target.chip,
        "cores_per_chip": program.target.require("chip.cores"),
        "boards": {board.id: board.require("board.chips") for board in boards(program.target.chip)},
    }
    files = {
        PROGRAM: write_image(image),
        ENTRY: Path(run_on_host.__file__).read_bytes(),
        "requirements.txt": ("\n".join(REQUIREMENTS) + "\n").encode(),
        "README.txt": _readme(program, image).encode(),
    }
    return make(files, entry=ENTRY, program=program.digest())


def boards(chip: str) -> tuple[targets.Target, ...]:
    """Return the boards that carry a chip."""
    found = (targets.target(name) for name in targets.names())
    return tuple(t for t in found if t.kind == "board" and t.chip == chip)


def write_image(image: run_on_host.Image) -> bytes:
    """Write nested dicts and lists as an HDF5 file, the same bytes for the same content.

    Returns
    -------
    bytes
        What `run_on_host.read_image` reads.
    """
    import h5py

    buffer = io.BytesIO()
    with h5py.File(buffer, "w", libver=("earliest", "v108")) as file:
        _write(file, image)
    return buffer.getvalue()


def _write(group: h5py.Group, content: Any) -> None:
    if isinstance(content, list):
        group.attrs["list"] = True
        content = {str(i): item for i, item in enumerate(content)}
    for key, value in content.items():
        if isinstance(value, dict | list):
            _write(group.create_group(key), value)
        elif isinstance(value, np.ndarray):
            packed = {"compression": "gzip", "shuffle": True} if value.size >= COMPRESS_FROM else {}
            group.create_dataset(key, data=value, track_times=False, **packed)
        else:
            group.attrs[key] = value


def deploy(bundle: Bundle, board: str) -> str:
    """Boot a bundle's program on a board, from the machine that NxSDK is installed on.

    Parameters
    ----------
    bundle : Bundle
        As written to or read from a folder.
    board : str
        Name of a board, as ``kapoho-bay``.

    Returns
    -------
    str
        What was done, and the command that runs samples.

    Raises
    ------
    DeployError
        If the board does not carry the program's chip or is too small, NxSDK is not installed here, or the
        board does not answer. The message says where the bundle lies and what to run on the board's host.
    """
    image = run_on_host.read_image(io.BytesIO(bundle.files[PROGRAM]))
    if board not in image["boards"]:
        raise DeployError(
            f"'{board}' carries no {image['chip']}, which this program is compiled for; boards that do are "
            + ", ".join(image["boards"])
        )
    chips, there = run_on_host.chips_used(image), int(image["boards"][board])
    if chips > there:
        raise DeployError(f"the program fills {chips} chips; {board} has {there}; take a larger board")
    if bundle.path is None:
        raise DeployError("the bundle is not in a folder yet; call its write(folder) first")
    command = ["python", bundle.entry, "--board", board]
    by_hand = f"{shlex.join(command)} --samples SAMPLES.npz"
    if importlib.util.find_spec("nxsdk") is None:
        raise DeployError(
            f"board '{board}' cannot be reached from here: Intel's NxSDK is not installed in {sys.prefix}; "
            f"the bundle is complete and lies in '{bundle.path}'; copy it to the board's host, install its "
            f"requirements.txt there, and run in it: {by_hand}"
        )
    booted = subprocess.run(
        [sys.executable, *command[1:], "--boot"], cwd=bundle.path, capture_output=True, text=True, check=False
    )
    if booted.returncode:
        last = (booted.stderr.strip().splitlines() or ["no message"])[-1]
        raise DeployError(
            f"{board} did not boot the bundle in '{bundle.path}': {last}; for all of it run, in that folder: "
            f"{shlex.join(command)} --boot"
        )
    return f"{board}: booted with the bundle in '{bundle.path}'; to run samples, in that folder: {by_hand}"


def _readme(program: Program, image: run_on_host.Image) -> str:
    graph, first = program.graph, next(iter(image["boards"]), "BOARD")
    facts = {
        "model": graph.name,
        "source": f"{graph.meta.get('source', '')} {graph.meta.get('framework', '')}".strip() or "-",
        "compiled for": f"{program.target.name} ({program.target.id})",
        "arithmetic": f"integers, weights of up to {program.options.get('weight_bits', 8)} bits",
        "input": f"{image['input_coding']} coding, {image['populations'][0]['size']} neurons",
        "cores": f"{len(program.blocks)}, chips: {run_on_host.chips_used(image)}",
        "steps": f"{image['steps']} of {graph.dt:g} s per sample",
        "program": image["digest"],
    }
    card = "\n".join(f"{name + ':':<14}{value}" for name, value in facts.items())
    return README.format(card=card, board=first, boards=", ".join(image["boards"]) or "none known")
