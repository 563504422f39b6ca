"""How far our emulator is from the machine's limit, where the rest goes, and how its cost grows.

Times here are processor time divided by the number of threads, so that other work does not count.
"""

import dataclasses
import time
from pathlib import Path

import numpy as np
from bench_networks import STEPS

from neurodeploy.kernels import arguments, compiled, room
from neurodeploy.kernels.build import cores, spread
from neurodeploy.kernels.circuit import Circuit, Group, Wires
from neurodeploy.kernels.layout import HORIZON, INTEGRATE, OUTSIDE, lay_out
from neurodeploy.kernels.matrix import PASS, available
from neurodeploy.kernels.rows import DENSE, LANES, LEARNED, PACKED, WIDE, WINDOWS
from neurodeploy.kernels.tiles import BLOCK, SOURCES
from neurodeploy.numerics.neurons import Compartments

NEURON_BYTES = {INTEGRATE: 24, 2: 64}
"""Moved for a neuron in a step, by kind of step. All alike: sum 2 + 2, current 4 + 4, membrane 4 + 4, bias 4.
Any: sums 4 + 8, current, membrane and counter 8 each, seven parameters of 4."""
PRODUCT_BYTES = 10
"""Moved for a neuron in a step whose input is a product: sum in and out 4 + 4, spike in and out 1 + 1."""
BLOCK_BYTES = BLOCK + PASS * SOURCES
"""Moved for a block of weights and `PASS` steps of spikes of its sources."""
SPIKE_BYTES = 8
"""A spike is listed once and read once, 4 bytes each."""
ROW_BYTES = 16
"""A row's line in its table."""
VECTOR_BYTES = {"dense": LANES, "windows": 8 + LANES + 4 * LANES}
"""Moved for a vector of synapses. Dense: the weights; sums stay in registers. Windows: place and number 8,
weights, sums in and out in 2 bytes each."""
SINGLE_BYTES = {PACKED: 4 + 2 * 2, WIDE: 8 + 2 * 4, LEARNED: 4 + 2 * 4}
"""Moved for a single synapse: its word or words, its sum in and out."""
TRACE_BYTES, LEARNED_BYTES, DRAW_BYTES = 8 + 8 + 8, 4 * 4 + 8, 4 * 4
"""Moved in an update of a trace (trace, mark, number), of a weight (twice in and out, number), and for a
random word."""


def best_seconds(layout, batch, given, *, repeat=3):
    """Shortest processor time per thread of some runs of a whole batch, on all cores unless `given` tells."""
    times, threads = [], given.get("threads", cores())
    for _ in range(repeat):
        samples = None if layout.outside else compiled.at_rest(layout, batch)
        start = time.process_time()
        if samples is None:
            figures, _ = compiled.from_rest(layout, batch, steps=STEPS, **given)
        else:
            figures = compiled.advance(layout, samples, steps=STEPS, **given)
        times.append((time.process_time() - start) / threads)
    return min(times), figures


# --- the limit ----------------------------------------------------------------------------------------------


def events_of(layout, given, size):
    """Count for a sample: bytes moved by part, additions, synaptic operations.

    Additions are a dictionary: all but those of products, of these those at random places, those of products.
    """
    figures = compiled.advance(layout, compiled.at_rest(layout, size), steps=STEPS, keep="spikes", **given)
    spikes = np.zeros(layout.size)
    spikes[layout.position] = figures.spiked.sum(axis=(0, 1)) / size
    moved = {"neurons": 0.0, "spikes": SPIKE_BYTES * spikes.sum(), "synapses": 0.0, "learning": 0.0}
    added = scattered = 0.0
    by_product = products(layout)
    blocks = sum(by_product.values()) * passes()
    moved["synapses"] += BLOCK_BYTES * blocks
    for g, (_, n, kind) in enumerate(layout.groups[:, :3].tolist()):
        if kind != OUTSIDE:
            moved["neurons"] += (PRODUCT_BYTES if g in by_product else NEURON_BYTES[kind]) * n * STEPS
    for source, target, kind, _, first, _, _ in layout.wires.tolist():
        if target in by_product:
            continue
        start, n = layout.groups[source, :2]
        here = slice(first, first + n)
        count = float(spikes[start : start + n] @ layout.rows[here, 1])
        moved["synapses"] += ROW_BYTES * spikes[start : start + n].sum()
        if kind in (DENSE, WINDOWS):
            moved["synapses"] += VECTOR_BYTES["dense" if kind == DENSE else "windows"] * count
            added += LANES * count
        else:
            if kind == LEARNED:
                count = float(spikes[start : start + n] @ layout.rows[here, 3])
            moved["synapses"] += SINGLE_BYTES[kind] * count
            scattered += count if kind == PACKED else 0.0
            added += count
    for rule in layout.learning:
        traces, weights = rule[1] * STEPS / rule[11], rule[1] * rule[2] * STEPS / rule[12]
        moved["learning"] += TRACE_BYTES * traces + LEARNED_BYTES * weights
    moved["learning"] += DRAW_BYTES * random_words(layout) * STEPS
    additions = {"plain": added, "scattered": scattered, "products": blocks * PASS * BLOCK}
    return moved, additions, float(figures.synops.sum(axis=1).mean())


def products(layout):
    """Count the blocks of weights of every group whose input is a product, by group."""
    if not available():
        return {}
    plan, panels, *_ = arguments.product_of(layout, None, lists=False)
    sizes = -(-layout.groups[:, 1] // LANES)
    return {
        g: int(panels[line + n] - panels[line])
        for g, (line, n) in enumerate(zip(plan[:, 0].tolist(), sizes.tolist(), strict=True))
        if line >= 0
    }


def passes():
    """Products of `PASS` steps that a run takes per block of weights."""
    return sum(-(-min(HORIZON, STEPS - t) // PASS) for t in range(0, STEPS, HORIZON))


def product_rate():
    """Products of a weight and a spike, and their sums, per second that all cores together make."""
    import numba

    from neurodeploy.kernels import matrix

    begin, multiply, end = matrix.begin, matrix.multiply, matrix.end

    @numba.njit(nogil=True)
    def repeat(shapes, spikes, entries, blocks, sums, times):
        begin(shapes)
        for _ in range(times):
            multiply(spikes, entries, 0, len(entries) // 2, blocks, sums, 0)
        end()

    shapes = arguments.product_of(lay_out(fan_out_circuit(1024)), None, lists=False)[-1]
    entries, times, found = np.zeros(64, np.int32), 20_000, []
    parts = [
        (room.aligned((matrix.BANK,), np.uint8), room.aligned((BLOCK,), np.int8),
         room.aligned(((PASS + 1) * LANES,), np.int32))
        for _ in range(cores())
    ]  # fmt: skip

    def run(low, high):
        spikes, blocks, sums = parts[low]
        repeat(shapes, spikes, entries, blocks, sums, times)

    run(0, 1)
    for _ in range(5):
        start = time.process_time()
        spread(run, cores(), cores())
        made = cores() * times * len(entries) // 2 * PASS * BLOCK
        found.append(cores() * made / (time.process_time() - start))
    return max(found)


def random_words(layout):
    """Words of the Mersenne Twister that a step takes on average, as nengo-loihi's emulator draws them."""
    if not layout.random:
        return 0.0
    rules = layout.learning
    numbers = (rules[:, 1] / rules[:, 11] + rules[:, 1] * rules[:, 2] / rules[:, 12]).sum()
    return float(2 * numbers + layout.noise.shape[1])


def bandwidth(nbytes):
    """Bytes per second that all cores together read from so large a part of memory each, and add up."""
    import numba

    @numba.njit(nogil=True, fastmath=True)
    def total(values, times):
        found = np.int64(0)
        for _ in range(times):
            for i in range(len(values)):
                found += values[i]
            found ^= np.int64(1)  # so that no pass is left out
        return found

    count = max(nbytes, 4096) // 8
    times = max(1, 200_000_000 // (8 * count))
    values, threads = [room.aligned((count,), np.int64) for _ in range(cores())], cores()
    total(values[0], 1)
    found = []
    for _ in range(5):
        start = time.process_time()
        spread(lambda low, high: total(values[low], times), threads, threads)
        found.append(threads**2 * times * count * 8 / (time.process_time() - start))
    return max(found)


def scatter_rate(n):
    """Single additions per second that all cores together make at random places of `n` 16-bit sums."""
    import numba

    @numba.njit(nogil=True)
    def add(sums, words, times):
        for _ in range(times):
            for word in words:
                sums[word >> 8] += word & 255

    threads, times = cores(), 2000
    sums = [room.aligned((n,), np.int16) for _ in range(threads)]
    words = (np.random.default_rng(0).integers(0, n, 4096).astype(np.uint32) << 8) + 1
    add(sums[0], words, 1)
    found = []
    for _ in range(5):
        start = time.process_time()
        spread(lambda low, high: add(sums[low], words, times), threads, threads)
        found.append(threads**2 * times * len(words) / (time.process_time() - start))
    return max(found)


def limit_of(case):
    """Compare a network's time with that of moving its bytes, and split the rest.

    The limit is what reading as many bytes takes from a part of memory of the size of the weights, the state
    of a sample and the sums (that of the first cache level for small networks, of the second for others), or
    what as many additions at random places take, where synapses are stored one by one: whichever is longer.
    """
    layout = case.layout
    given = case.given(slice(0, case.batch))
    seconds, _ = best_seconds(layout, case.batch, given)
    few = min(case.batch, 64)
    moved, additions, synops = events_of(layout, case.given(slice(0, few)), few)
    touched = layout.nbytes + 4 * layout.size * 6
    speed = bandwidth(touched)
    single = scatter_rate(layout.size) if additions["scattered"] else None
    unit = product_rate() if additions["products"] else None
    least = (
        max(
            sum(moved.values()) / speed,
            additions["scattered"] / single if single else 0.0,
            additions["products"] / unit if unit else 0.0,
        )
        * case.batch
    )
    return {
        "synops_per_second": synops * case.batch / seconds,
        "bytes_per_sample": moved,
        "bytes_per_synop": sum(moved.values()) / max(synops, 1),
        "additions_per_synop": additions["plain"] / max(synops, 1),
        "additions_at_random_places_per_synop": additions["scattered"] / max(synops, 1),
        "products_per_synop": additions["products"] / max(synops, 1),
        "products_per_second_of_the_machine": unit,
        "additions_at_random_places_per_second_of_the_machine": single,
        "random_words_per_step": random_words(layout),
        "working_set_bytes": int(touched),
        "bytes_per_second_of_the_machine": speed,
        "bytes_per_second": sum(moved.values()) * case.batch / seconds,
        "part_of_the_limit": least / seconds,
        "synops_per_second_at_the_limit": synops * case.batch / least,
        "share_of_time": {name: part / seconds for name, part in parts_of(case, given, seconds).items()},
    }


def parts_of(case, given, seconds):
    """Split a network's time by leaving parts out: all synapses, all input, all learning."""
    layout = case.layout
    mute = dataclasses.replace(layout, wires=layout.wires[:0], stages=layout.stages * [1, 1, 0, 0])
    mute.__dict__["tiles"] = dataclasses.replace(layout.tiles, panels=0 * layout.tiles.panels)
    if "rates" in given:
        update, _ = best_seconds(mute, case.batch, {"rates": np.zeros_like(given["rates"])})
        both, _ = best_seconds(mute, case.batch, given)
        return {"neurons": update, "input": both - update, "synapses and spikes inside": seconds - both}
    rules = layout.learning.copy()
    rules[:, 11:13] = 2**40  # no update in any run
    fixed, _ = best_seconds(dataclasses.replace(layout, learning=rules), case.batch, given)
    update, _ = best_seconds(dataclasses.replace(mute, learning=rules), case.batch, given)
    return {"neurons": update, "synapses": fixed - update, "learning": seconds - fixed}


# --- growth -------------------------------------------------------------------------------------------------


def fan_out_circuit(size, fan=64, inputs=256):
    """Make a population fed at random by inputs, whose neurons never spike."""
    rng = np.random.default_rng(size)
    start = np.arange(inputs + 1, dtype=np.int64) * fan
    index = np.concatenate([np.sort(rng.permutation(size)[:fan]) for _ in range(inputs)]).astype(np.int32)
    weight = (rng.integers(-127, 128, len(index)) << 6).astype(np.int32)
    zeros = np.zeros(size, np.int32)
    still = Compartments(zeros + 4095, zeros, zeros + 131071 * 64, zeros, zeros + 1, -(2**23) + 1, 2**23 - 1)
    groups = (Group("inputs", inputs, None), Group("neurons", size, still))
    return Circuit(groups, (Wires(0, 1, start, index, weight),))


def curves(scale=1.0):
    """Time networks of growing size, activity and batch on one core, and fit what each unit costs.

    Returns
    -------
    dict
        Points and a straight line through them, for cost against neurons x steps, spikes, and samples.
    """
    sizes = [256, 512, 1024, 2048, 4096, 8192]
    rates = [0.0, 0.1, 0.2, 0.3, 0.4, 0.5]
    batches = [1, 2, 5, 10, 20, 50, 100, 200, 500]
    repeat = max(2, int(7 * scale))

    def seconds(layout, rate, batch):
        given = {"rates": np.full((batch, 256), rate), "threads": 1}
        return best_seconds(layout, batch, given, repeat=repeat)

    by_size, by_rate, by_batch = [], [], []
    layouts = {size: lay_out(fan_out_circuit(size)) for size in sizes}
    for size, layout in layouts.items():
        batch = max(8, int(100_000 * scale / size))
        by_size.append((size * STEPS, seconds(layout, 0.0, batch)[0] / batch))
    for rate in rates:
        taken, figures = seconds(layouts[1024], rate, 100)
        by_rate.append((float(figures.spikes.sum(axis=1).mean()), taken / 100))
    for batch in batches:
        by_batch.append((batch, seconds(layouts[1024], 0.1, batch)[0]))
    return {
        "neurons x steps": line(by_size, "seconds per neuron and step"),
        "spikes of fan-out 64": line(by_rate, "seconds per spike"),
        "samples": line(by_batch, "seconds per sample"),
    }


def line(points, unit):
    """Fit a straight line, weighted so that every point counts by its relative error."""
    x, y = np.array(points, float).T
    design = np.column_stack([x, np.ones_like(x)])
    (slope, constant), *_ = np.linalg.lstsq(design / y[:, None], np.ones_like(y), rcond=None)
    exponent = np.polyfit(np.log(x[x > 0]), np.log(np.maximum(y - constant, 1e-12))[x > 0], 1)[0]
    return {
        "points": [[float(a), float(b)] for a, b in points],
        "slope": float(slope),
        "slope_is": unit,
        "constant_seconds": float(constant),
        "largest_relative_error": float(np.abs(design @ [slope, constant] / y - 1).max()),
        "exponent": float(exponent),
    }


def draw(found, path):
    """Draw the curves; returns the path."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, 3, figsize=(9, 3), layout="constrained")
    for axis, (name, curve) in zip(axes, found.items(), strict=True):
        x, y = np.array(curve["points"]).T
        more = np.linspace(x.min(), x.max(), 100)
        scale, unit = (1e-3, "thousand ") if x.max() > 1e4 else (1, "")
        axis.plot(scale * more, (curve["slope"] * more + curve["constant_seconds"]) * 1e3, color="0.6", lw=1)
        axis.plot(scale * x, y * 1e3, "o", ms=4, color="C0")
        axis.set_xlabel(f"{unit}{name}")
        axis.set_ylabel(f"ms per {'batch' if name == 'samples' else 'sample'}")
        axis.set_title(f"{curve['slope'] * 1e9:.3g} n{curve['slope_is']}".replace("seconds", "s"), fontsize=9)
        axis.set_xlim(0)
        axis.set_ylim(0)
    figure.suptitle(f"Cost of {STEPS} steps on one core", fontsize=10)
    figure.savefig(path, dpi=100, metadata={"Software": None})
    pyplot.close(figure)
    return Path(path)
