"""Rebuild a compiled network as nengo-loihi's board structures and run it, on a board or on the emulator.

This one file has two lives. Inside neurodeploy it makes the structures that the emulator backend runs. And it
is copied as it is into every bundle, as the script that the board's host runs, so that board and emulator are
given the same integers by the same code. It therefore keeps to what such a host has: Python 3.6 or newer,
NumPy, h5py, nengo-loihi and, for a board, Intel's NxSDK; and it is one file, long as it is.

    python run_on_host.py --board emulator --samples samples.npz
    python run_on_host.py --board kapoho-bay --samples samples.npz --outputs outputs.npz
"""

import argparse
import hashlib
import importlib
import importlib.util
import json
import os
import sys
import time
import traceback
import warnings
from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple

import numpy as np

Image = Dict[str, Any]
"""A compiled network as nested dicts and lists of arrays, numbers and text: what ``program.h5`` holds."""

FORMAT = "neurodeploy program 1"
EMULATOR = "emulator"
REACHED_BY = {"kapoho-bay": "KAPOHOBAY"}
"""Environment variable that tells NxSDK how a board is reached; ``SLURM`` for all others."""
WEIGHT_BITS = (0, 1, 2, 3, 4, 5, 6, 8)
"""Width of a weight by the code of its register."""
POP_TYPES = {"discrete": 0, "pop16": 16, "pop32": 32}
BIAS_MAX = 4095 * 2**7
NOISE_EXP = 7
"""Written unchanged to the noise register, where smaller values come out shifted; noise itself stays off."""


class HostError(Exception):
    """Something is missing on this machine or wrong with a file; the message says what."""


# --- the image of a program, as board structures ------------------------------------------------------


def build(image: Image) -> Any:
    """Make a model of nengo-loihi that holds the image's integers as they are.

    Parameters
    ----------
    image : dict

    Returns
    -------
    nengo_loihi.builder.Model
        Already discretised. Blocks come in the image's order, inputs in the order of its host populations;
        its one probe reads the output population, neurons in order.
    """
    loihi = importlib.import_module("nengo_loihi")
    model = loihi.builder.Model(dt=image["dt"], label=image["name"])
    parts: Dict[str, List[Tuple[Any, Any]]] = {p["name"]: [] for p in image["populations"]}
    for population in image["populations"]:
        if not population["on_chip"]:
            spikes = loihi.inputs.SpikeInput(population["size"], label=population["name"])
            model.add_input(spikes)
            parts[population["name"]].append((spikes, np.arange(population["size"])))
    for data in image["blocks"]:
        block = _block(loihi, data)
        model.add_block(block)
        parts[data["population"]].append((block, data["neurons"]))
    for block, data in zip(model.blocks, image["blocks"]):
        for group in data["synapses"]:
            synapse = _synapse(loihi, group)
            block.add_synapse(synapse)
            _connect(loihi, parts[group["source"]], group, synapse)
    model.add_probe(_probe(loihi, image, parts[image["output"]]))
    return model


def _block(loihi: Any, data: Image) -> Any:
    block = loihi.block.LoihiBlock(len(data["neurons"]), label=data["name"])
    compartment, registers = block.compartment, data["compartments"]
    for name in ("decay_u", "decay_v", "vth", "bias"):
        setattr(compartment, name, np.array(registers[name], dtype=np.int32))
    compartment.refract_delay = np.array(registers["refract"], dtype=np.int32)
    compartment.vmin, compartment.vmax = int(registers["vmin"]), int(registers["vmax"])
    compartment.scale_u = compartment.scale_v = False  # the integers hold the scale
    compartment.noise_exp = NOISE_EXP
    return block


def _synapse(loihi: Any, group: Image) -> Any:
    synapse = loihi.block.Synapse(len(group["first_row"]), label=group["source"])
    rows, row_of_axon = np.unique(group["first_row"], return_inverse=True)
    ends = np.append(rows[1:], len(group["row_start"]) - 1)
    synapse.weights, synapse.indices = [], []
    for first, end in zip(rows, ends):
        span = slice(group["row_start"][first], group["row_start"][end])
        shape = (end - first, (span.stop - span.start) // (end - first))
        synapse.weights.append(np.array(group["weight"][span], dtype=np.int32).reshape(shape))
        synapse.indices.append(np.array(group["index"][span], dtype=np.int32).reshape(shape))
    if len(row_of_axon) != len(rows) or (np.diff(row_of_axon) != 1).any():
        synapse.axon_to_weight_map = row_of_axon
    synapse.pop_type = POP_TYPES[group["axon_kind"]]
    if synapse.pop_type or group["base"].any():
        synapse.axon_compartment_bases = np.array(group["base"])
    synapse.format(
        compression=int(group["compression"]),
        idx_bits=synapse.idx_bits(),
        fanout_type=1,
        n_synapses=63,
        weight_bits=WEIGHT_BITS.index(int(group["weight_bits"])),
        weight_exp=int(group["weight_exp"]),
    )
    return synapse


def _connect(loihi: Any, parts: Sequence[Tuple[Any, Any]], group: Image, synapse: Any) -> None:
    """Lead every part of the source population that reaches the synapses to them."""
    for part, neurons in parts:
        axons = np.array(group["axon"][neurons])
        used = len(np.unique(axons[axons >= 0]))
        if used:
            axon = loihi.block.Axon(used, label=synapse.label)
            axon.target = synapse
            atoms = np.array(group["atom"][neurons]) if synapse.pop_type else None
            axon.set_compartment_axon_map(axons, atoms=atoms)
            part.add_axon(axon)


def _probe(loihi: Any, image: Image, parts: Sequence[Tuple[Any, Any]]) -> Any:
    blocks = [block for block, _ in parts]
    neurons = np.concatenate([ids for _, ids in parts])
    key = "spiked" if image["output_spikes"] else "voltage"
    return loihi.probe.LoihiProbe(
        target=blocks, key=key, slice=[slice(None)] * len(blocks), reindexing=np.argsort(neurons)
    )


# --- samples as what enters the chip ------------------------------------------------------------------


def drive(image: Image, samples: Any) -> Any:
    """Turn samples (B, ...), in the user's layout, into the first population's input in thresholds per step.

    Returns
    -------
    ndarray of float64, shape (B, N)
    """
    entry = image["encoder"]
    shape = [int(n) for n in entry["sample_shape"]]
    if samples.size != len(samples) * int(np.prod(shape)):
        raise HostError(f"samples of shape {samples.shape[1:]} do not fit the model's input {shape}")
    x = samples.astype(np.float64).reshape([len(samples), *shape]) / entry["divide_by"]
    x = x.transpose([0, *(int(a) + 1 for a in entry["axes"])]).reshape(len(samples), -1)
    if "column" in entry:
        starts, out = entry["row_start"], np.empty((len(x), len(entry["row_start"]) - 1))
        for i in range(out.shape[1]):
            row = slice(starts[i], starts[i + 1])
            out[:, i] = x[:, entry["column"][row]] @ entry["weight"][row]
        x = out + entry["bias"]
    return x * entry["gain"]


def spike_train(rates: Any, steps: int, coding: str, seed: Tuple[int, int]) -> Any:
    """Return the spikes of the host population for one sample.

    Parameters
    ----------
    rates : ndarray of float64, shape (N,)
        Clipped to [0, 1].
    coding : {"rate", "poisson"}
        Constant current into integrate-and-fire neurons with reset by subtraction, or independent draws.
    seed : pair of int
        Of the run, and the sample's index in it.

    Returns
    -------
    ndarray of bool, shape (steps, N)
    """
    rates = np.clip(rates, 0.0, 1.0)
    if coding == "poisson":
        draws: Any = np.random.default_rng(seed).random((steps, len(rates)))
        return draws < rates
    count = np.maximum(np.ceil(np.arange(steps + 1)[:, None] * rates - 1e-9) - 1, 0)
    return np.diff(count, axis=0) > 0.5


def enter(image: Image, model: Any, current: Any, steps: int, seed: Tuple[int, int]) -> None:
    """Put one sample into a model: as spikes of its input, or as biases of its first population."""
    if image["input_coding"] == "bias":
        load_bias(image, model, current)
    else:
        load_train(model, spike_train(current, steps, image["input_coding"], seed))


def load_bias(image: Image, model: Any, current: Any) -> None:
    """Set the biases of a first population on the chip to a current, shape (N,), in thresholds per step."""
    to_mantissa = importlib.import_module("nengo_loihi.builder.discretize").bias_to_manexp
    first = image["populations"][0]
    mantissa, exponent = to_mantissa(np.clip(np.round(current * first["weight_scale"]), -BIAS_MAX, BIAS_MAX))
    for block, data in zip(model.blocks, image["blocks"]):
        if data["population"] == first["name"]:
            block.compartment.bias = (mantissa * 2**exponent)[data["neurons"]].astype(np.int32)


def load_train(model: Any, train: Any) -> None:
    """Queue the spikes of the host population, shape (T, N); those of step k arrive in step k + 1.

    nengo-loihi counts steps from 1 and delivers what is tagged n in step n + 1; the last step's are late.
    """
    (spikes,) = model.inputs
    spikes.spikes.clear()
    for k in np.flatnonzero(train[:-1].any(axis=1)):
        spikes.add_spikes(int(k) + 1, np.flatnonzero(train[k]))


# --- running ------------------------------------------------------------------------------------------


def open_emulator(model: Any) -> Any:
    """Return nengo-loihi's emulator with everything at rest."""
    emulator = importlib.import_module("nengo_loihi.emulator")
    return emulator.EmulatorInterface(model, seed=0)


def chips_used(image: Image) -> int:
    """Count the chips that hold at least one block."""
    return len({data["core"] // image["cores_per_chip"] for data in image["blocks"]})


def allocate(image: Image, model: Any) -> Any:
    """Put every block on the chip, and in the order of cores, that compilation chose.

    Returns
    -------
    nengo_loihi.hardware.nxsdk_objects.Board
    """
    allocators = importlib.import_module("nengo_loihi.hardware.allocators")
    objects = importlib.import_module("nengo_loihi.hardware.nxsdk_objects")
    board, give = objects.Board(), allocators.Allocator()
    for source in model.inputs:
        give.input_to_board(source, board)
    last = -1
    for data, block in sorted(zip(image["blocks"], model.blocks), key=lambda pair: int(pair[0]["core"])):
        if data["core"] // image["cores_per_chip"] != last:
            board.new_chip()
            last = data["core"] // image["cores_per_chip"]
        give.block_to_new_core(block, board.chips[-1])
    board.probes.extend(model.probes)
    return board


def open_board(image: Image, model: Any, board: str) -> Any:
    """Build the board and return nengo-loihi's interface to it, which boots it when it is entered.

    The input spikes of the whole run are handed over before the start, so no code of ours runs on the board's
    embedded processors.
    """
    interface = importlib.import_module("nengo_loihi.hardware.interface")
    return interface.HardwareInterface(
        model,
        use_snips=False,
        seed=0,
        n_chips=image["boards"][board],
        allocator=lambda model, n_chips: allocate(image, model),
    )


def run(
    image: Image,
    samples: Any,
    steps: int,
    board: str = EMULATOR,
    seed: int = 0,
    told: Optional[Callable[[int], Any]] = None,
) -> Any:
    """Run samples one by one, each from rest.

    On a board every sample is a boot of its own: nengo-loihi has no way to bring membranes back to rest.

    Parameters
    ----------
    image : dict
    samples : ndarray, shape (B, ...)
    steps : int
    board : str
        A board, or the emulator.
    told : callable of int, optional
        Called with the number of samples done.

    Returns
    -------
    ndarray of float64, shape (B, classes)
        As neurodeploy's emulator backends give them.
    """
    currents = drive(image, samples)
    model, outputs = build(image), []
    for i, current in enumerate(currents):
        enter(image, model, current, steps, (seed, i))
        with open_emulator(model) if board == EMULATOR else open_board(image, model, board) as chip:
            chip.run_steps(steps)
            read = np.asarray(chip.collect_probe_output(model.probes[0]))
        outputs.append(_read_out(image, read[-steps:]))
        if told is not None:
            told(i + 1)
    return np.array(outputs)


def _read_out(image: Image, read: Any) -> Any:
    """Turn spikes or membranes, shape (T, N), into the source model's units."""
    out = next(p for p in image["populations"] if p["name"] == image["output"])
    counted = max(len(read) - int(image.get("output_latency", 0)), 1)
    if image["output_spikes"]:
        return read.sum(axis=0) / counted * out["unit"]
    per_step = 1 if image["output_settles"] else counted
    return read[-1] / out["weight_scale"] / per_step * out["unit"]


# --- the file and the command line --------------------------------------------------------------------


def read_image(file: Any, label: str = "program.h5") -> Image:
    """Read ``program.h5`` from a path or an open binary file."""
    import h5py

    def load(item: Any) -> Any:
        if not isinstance(item, h5py.Group):
            return item[()]
        keys = sorted(item, key=lambda key: (len(key), key)) if item.attrs.get("list") else list(item)
        values = {key: load(item[key]) for key in keys}
        if item.attrs.get("list"):
            return list(values.values())
        texts = {key: item.attrs[key] for key in item.attrs if key != "list"}
        values.update(
            {key: value.item() if hasattr(value, "item") else value for key, value in texts.items()}
        )
        return values

    try:
        with h5py.File(file, "r") as opened:
            image: Image = load(opened)
    except OSError as error:
        raise HostError(f"'{label}' cannot be read: {error}") from error
    if image.get("format") != FORMAT:
        raise HostError(f"'{label}' is not a program of this version of neurodeploy")
    return image


def check_bundle(folder: str) -> None:
    """Compare every file of the bundle with the digest in its manifest."""
    with open(os.path.join(folder, "manifest.json"), encoding="utf-8") as file:
        files = json.load(file)["files"]
    for name, digest in files.items():
        with open(os.path.join(folder, name), "rb") as content:
            if hashlib.sha256(content.read()).hexdigest() != digest:
                raise HostError(f"'{name}' is not as it was emitted; copy the bundle again")


def prepare_board(image: Image, board: str) -> None:
    """Check what the board needs on this machine, before any work."""
    if board == EMULATOR:
        return
    if board not in image["boards"]:
        raise HostError(f"there is no board '{board}'; choose from {', '.join([EMULATOR, *image['boards']])}")
    if chips_used(image) > image["boards"][board]:
        raise HostError(
            f"the program fills {chips_used(image)} chips; '{board}' has {image['boards'][board]}"
        )
    if importlib.util.find_spec("nxsdk") is None:
        raise HostError(
            f"board '{board}' needs NxSDK 0.9 or 1.0, which is not installed in {sys.prefix} (INRC members "
            "get it from Intel); the same program runs without it: --board emulator"
        )
    os.environ.setdefault(REACHED_BY.get(board, "SLURM"), "1")


def boot(image: Image, board: str) -> None:
    """Load the program, run one step without input, and stop."""
    with open_board(image, build(image), board) as chip:
        chip.run_steps(1)


def read_samples(path: str, limit: Optional[int]) -> Tuple[Any, Any]:
    """Read ``x`` (or ``x_test``) and, where there are any, labels as class indices."""
    try:
        with np.load(path, allow_pickle=False) as file:
            names = ("x", "y") if "x" in file.files else ("x_test", "y_test")
            if names[0] not in file.files:
                raise HostError(f"'{path}' holds neither x nor x_test")
            x = file[names[0]][:limit]
            if names[1] not in file.files:
                return x, None
            y = file[names[1]][:limit].reshape(len(x), -1)
            return x, y[:, 0] if y.shape[1] == 1 else y.argmax(axis=1)
    except (OSError, ValueError) as error:
        raise HostError(f"'{path}' cannot be read: {error}") from error


def check_steps(steps: int, compiled: int) -> None:
    """Refuse a run in which registers could pass their ends: they are laid out for the compiled steps."""
    if not 1 <= steps <= compiled:
        raise HostError(
            f"{steps} steps are asked for, and the registers of this program hold for 1 to {compiled}; "
            "for longer runs write the bundle anew: neurodeploy deploy FILE.nd --steps T -o FOLDER"
        )


def main(arguments: Optional[Sequence[str]] = None) -> int:
    """Run the bundle this file lies in; exit status 0, or 2 with one line that says why not."""
    parser = argparse.ArgumentParser(description="Run the compiled network of this bundle.")
    parser.add_argument("--board", required=True, help="emulator, or a board, as kapoho-bay")
    work = parser.add_mutually_exclusive_group(required=True)
    work.add_argument("--samples", help=".npz with x (and y), or x_test (and y_test)")
    work.add_argument("--boot", action="store_true", help="only load the program and run one step")
    parser.add_argument("--steps", type=int, help="time steps per sample")
    parser.add_argument("--limit", type=int, help="take only the first samples")
    parser.add_argument("--seed", type=int, default=0, help="of Poisson input")
    parser.add_argument("--outputs", help="write outputs, shape (samples, classes), to this .npz")
    options = parser.parse_args(arguments)
    folder = os.path.dirname(os.path.abspath(__file__))
    try:
        check_bundle(folder)
        image = read_image(os.path.join(folder, "program.h5"))
        prepare_board(image, options.board)
        _hide_tensorflow()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            report = _work(image, options)
    except HostError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    except Exception as error:  # nengo-loihi and NxSDK raise all kinds, many without a text
        where = traceback.extract_tb(error.__traceback__)[-1]
        what = str(error) or type(error).__name__
        sys.stderr.write(f"error: {options.board}: {what} ({where.name}, {where.filename}:{where.lineno})\n")
        return 2
    sys.stdout.write(json.dumps(report) + "\n")
    return 0


def _work(image: Image, options: argparse.Namespace) -> Image:
    report: Image = {"program": image["digest"], "board": options.board}
    if options.boot:
        boot(image, options.board)
        return report
    x, y = read_samples(options.samples, options.limit)
    steps = image["steps"] if options.steps is None else options.steps
    check_steps(steps, image["steps"])
    start = time.time()
    outputs = run(image, x, steps, options.board, options.seed, _progress(len(x)))
    report.update(samples=len(x), steps=steps, seconds=round(time.time() - start, 3))
    if y is not None:
        report["accuracy"] = float((outputs.argmax(axis=1) == y).mean())
    if options.outputs:
        np.savez(options.outputs, outputs=outputs)
    return report


def _hide_tensorflow() -> None:
    """Keep nengo-loihi from importing TensorFlow, which takes seconds and is not used here."""
    for name in ("tensorflow", "nengo_dl"):
        sys.modules.setdefault(name, None)  # type: ignore[arg-type]


def _progress(total: int) -> Optional[Callable[[int], Any]]:
    if not sys.stderr.isatty():
        return None
    return lambda done: sys.stderr.write(f"\r{done} of {total} samples" + "\n" * (done == total))


if __name__ == "__main__":
    sys.exit(main())
