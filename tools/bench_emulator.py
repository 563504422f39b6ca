"""Time our emulator against nengo-loihi's and against float simulators, side by side in one run.

    python tools/bench_emulator.py                          everything, results to tools/results/
    python tools/bench_emulator.py --scale 0.1 --repeat 2 --output b.json
    python tools/bench_emulator.py --only dense --parts networks limits

Every repetition times both emulators one after the other on the same blocks and the same input spikes, and
compares their spikes; what counts is the ratio within a repetition, because other work on the machine comes
and goes. Ours runs a batch on all cores, and one sample alone on one core; nengo-loihi's and Nengo's know no
batches. Parts:

networks  both emulators
rivals    float simulators: Nengo, nengo-dl and, where installed, PyTorch and snnTorch, all batched but Nengo
build     from a program, or a Nengo network, to the first step; memory
compile   our machine code, compiled and from the last time, in processes of their own
run       ``neurodeploy run`` on all MNIST test images at 100 steps, start-up included
limits    bytes and additions of the same events, counted by hand, against what the machine can do
curves    cost against size, activity and batch, also drawn to tools/results/bench_emulator.png

PyTorch and snnTorch are no dependencies: `pip install torch snntorch` adds them, `.[dl]` nengo-dl. MNIST is
found in ``NEURODEPLOY_DATA``. The whole takes about ten minutes on two quiet cores.
"""

import argparse
import contextlib
import importlib
import json
import os
import platform
import re
import shlex
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import bench_limits  # noqa: E402
import data_folder  # noqa: E402
from bench_networks import CASES, STEPS  # noqa: E402
from bench_rivals import RIVALS, best, rivals_of  # noqa: E402

from neurodeploy.kernels import compiled  # noqa: E402
from neurodeploy.kernels.build import cores  # noqa: E402

RESULTS = ROOT / "tools" / "results" / "bench_emulator.json"
ALONE = 9
"""Runs of one sample after the first, which finds the tables of the network out of the machine's caches."""
PARTS = ("networks", "rivals", "build", "compile", "run", "limits", "curves")


def seconds_of(run, *arguments, **options):
    """Time a call once; return its result too."""
    start = time.perf_counter()
    result = run(*arguments, **options)
    return time.perf_counter() - start, result


def spread(values):
    """Median, smallest and largest."""
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


# --- the parts of a network ---------------------------------------------------------------------------------


def ours(case, size):
    """Run a batch as its user's call does; return seconds and figures."""
    given = case.given(slice(0, size))
    if case.compiled:  # what `neurodeploy run` calls for samples that start at rest
        seconds, (figures, _) = seconds_of(compiled.from_rest, case.layout, size, steps=STEPS, **given)
        return seconds, figures
    batch = compiled.at_rest(case.layout, size)  # of a simulator, which has it from the start and keeps it
    return seconds_of(compiled.advance, case.layout, batch, steps=STEPS, **given)


def one_alone(case, k):
    """Run one sample; return seconds and figures."""
    batch = compiled.at_rest(case.layout, 1, seeds=[k])
    return seconds_of(compiled.advance, case.layout, batch, steps=STEPS, **case.given(slice(k, k + 1)))


def networks(case, options):
    """Time both emulators, in turns."""
    rounds = []
    for k in range(options.repeat):
        with case.theirs(k) as emulator:
            theirs, _ = seconds_of(emulator.run_steps, STEPS)
            their_spikes = int(emulator.compartment.spike_count.sum())
        batched, figures = ours(case, case.batch)
        first, lonely = one_alone(case, k)
        inside = 1 if case.layout.outside else 0
        assert lonely.spikes[0, inside:].sum() == their_spikes, "the emulators differ"
        alone = statistics.median(one_alone(case, k)[0] for _ in range(ALONE))
        rounds.append((theirs, batched / case.batch, alone, first))
    theirs, batched, alone, first = (list(column) for column in zip(*rounds, strict=True))
    synops = float(figures.synops.sum(axis=1).mean())
    return {
        "input": case.source,
        "neurons": int(case.layout.groups[:, 1].sum()),
        "batch": case.batch,
        "spikes_per_sample": float(figures.spikes.sum(axis=1).mean()),
        "synops_per_sample": synops,
        "samples_per_second": {
            "nengo-loihi": 1 / statistics.median(theirs),
            "ours": 1 / statistics.median(batched),
        },
        "synops_per_second": synops / statistics.median(batched),
        "microseconds_per_step_at_batch_1": {
            "nengo-loihi": spread([t / STEPS * 1e6 for t in theirs]),
            "ours": spread([a / STEPS * 1e6 for a in alone]),
            "ours_first_after_a_batch": spread([a / STEPS * 1e6 for a in first]),
        },
        "times_nengo_loihi": spread([a / b for a, b in zip(theirs, batched, strict=True)]),
        "times_nengo_loihi_at_batch_1": spread([a / b for a, b in zip(theirs, alone, strict=True)]),
    }


def rivals(case, options):
    """Time float simulators, ours again beside each; the smaller of both ratios counts."""
    found = {}
    for name in options.rivals:
        if time.perf_counter() > options.until:
            found[name] = {"samples_per_second": f"not timed: {options.minutes} minutes were over"}
            continue
        rates = rivals_of(case, [name])[name]
        mine = best(lambda: ours(case, case.batch), case.batch)
        if isinstance(rates, str):
            found[name] = {"samples_per_second": rates}
            continue
        found[name] = {
            "samples_per_second": rates[0],
            "ours": mine[0],
            "times": mine[0] / rates[0],
            "samples_per_processor_second": rates[1],
            "ours_per_processor_second": mine[1],
            "times_by_processor_time": mine[1] / rates[1],
        }
    timed = [min(f["times"], f["times_by_processor_time"]) for f in found.values() if "times" in f]
    return {"each": found, "times_the_fastest": min(timed, default=None)}


def build(case, options):
    """Time what comes before the first step, and measure memory; in turns."""
    times = {start: build_times(makers, options.repeat) for start, makers in case.build.items()}
    peak = {
        "ours, the whole batch": grown_mib(lambda: ours(case, case.batch)),
        "nengo-loihi, one sample": grown_mib(lambda: case.theirs(0).run_steps(1)),
    }
    batch = compiled.at_rest(case.layout, 1)
    return {
        "from": times,
        "weight_bytes": case.layout.nbytes,
        "state_bytes_per_sample": sum(a.nbytes for a in batch.arrays),
        "memory_grown_mib": peak,
    }


def build_times(makers, repeat):
    """Time both ways of building, in turns, now one first, now the other, after a round that does not count.

    Linear algebra gets one thread: Nengo's solution for decoders is the same call in both, and with several
    threads takes now three times as long as before, whenever one of them waits.
    """
    taken = {name: [] for name in makers}
    with one_thread():
        for k in range(1 + max(4, repeat)):
            for name in sorted(makers, reverse=bool(k % 2)):
                seconds, made = seconds_of(makers[name])
                taken[name] += [seconds] if k else []
                if hasattr(made, "close"):
                    made.close()
    ratios = [a / b for a, b in zip(taken["nengo-loihi"], taken["ours"], strict=True)]
    return {**{name: spread(values) for name, values in taken.items()}, "times_nengo_loihi": spread(ratios)}


def one_thread():
    """Keep linear algebra to one thread meanwhile, where there is something to tell it by."""
    if not find_spec("threadpoolctl"):
        return contextlib.nullcontext()
    return importlib.import_module("threadpoolctl").threadpool_limits(1)


def limits(case, options):
    """Compare with the machine."""
    return bench_limits.limit_of(case)


def grown_mib(run):
    """Watch by how much this process grows while something runs, in MiB; what it freed before is reused."""
    sizes, stop = [resident_mib()], threading.Event()

    def watch():
        while not stop.wait(0.002):
            sizes.append(resident_mib())

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        run()
    finally:
        stop.set()
        thread.join()
    return max(sizes) - sizes[0]


def resident_mib():
    """Memory of this process, in MiB."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:  # not Linux
        return 0.0
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


# --- parts of their own -------------------------------------------------------------------------------------

FIRST_CALL = """
import time
start = time.perf_counter()
from neurodeploy.kernels import compiled
from neurodeploy.kernels.circuit import Circuit, Group
from neurodeploy.kernels.layout import lay_out
layout = lay_out(Circuit((Group("inputs", 1, None),), ()))
ready = time.perf_counter()
before = time.process_time()
compiled.make_ready(layout)
print(ready - start, time.perf_counter() - ready, time.process_time() - before)
"""


def compile_times(options):
    """Make the kernel ready in new processes: compiled, then twice from the last time."""
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "NEURODEPLOY_CACHE": folder, "PYTHONPATH": str(ROOT)}
        found = []
        for _ in range(3):
            line = [sys.executable, "-c", FIRST_CALL]
            out = subprocess.run(line, env=environment, check=True, capture_output=True, text=True).stdout
            found.append([float(word) for word in out.split()])
    return {
        "cold_seconds": found[0][1],
        "cold_processor_seconds": found[0][2],
        "warm_seconds": min(f[1] for f in found[1:]),
        "warm_processor_seconds": min(f[2] for f in found[1:]),
        "import_seconds": min(f[0] for f in found),
    }


def whole_run(options):
    """Run all MNIST test images through the command line."""
    data = data_folder.find("mnist.npz")
    if data is None:
        return data_folder.MISSING.format(name="mnist.npz")
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    environment.pop("NEURODEPLOY_CACHE", None)
    with tempfile.TemporaryDirectory() as folder:
        converted = str(Path(folder) / "mnist.nd")

        def command(*words):
            line = [sys.executable, "-m", "neurodeploy", *map(str, words)]
            return subprocess.run(line, env=environment, check=True, capture_output=True, text=True, cwd=ROOT)

        command(
            "convert", ROOT / "models" / "mnist_cnn.keras", "-o", converted, "--calibration", data,
            "--divide-by", "255", "--steps", STEPS,
        )  # fmt: skip
        before = sum(os.times()[2:4])
        runs = [seconds_of(command, "run", converted, "--data", data, "--steps", STEPS) for _ in range(3)]
        taken = sum(os.times()[2:4]) - before
    said = runs[0][1].stdout.splitlines()[0]
    return {
        "command": f"neurodeploy run mnist.nd --data mnist.npz --steps {STEPS}",
        "prints": said,
        "accuracy_percent": float(re.search(r"accuracy ([\d.]+) %", said)[1]),
        "seconds_start_up_included": spread([seconds for seconds, _ in runs]),
        "processor_seconds": taken / len(runs),
    }


def curves(options):
    """Time growing networks, and draw them."""
    found = bench_limits.curves(options.scale)
    picture = bench_limits.draw(found, options.output.with_suffix(".png"))
    return {"picture": picture.name, **found}


# --- all together -------------------------------------------------------------------------------------------


def guarded(run, *arguments):
    """Call a part; what it fails of becomes its result, so that the others are not lost."""
    try:
        return run(*arguments)
    except Exception as trouble:
        print(f"  {run.__name__} failed: {trouble}", file=sys.stderr, flush=True)
        return {"failed": f"{type(trouble).__name__}: {trouble}"[:300]}


def parse():
    """Read the command line."""
    plain = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=plain)
    parser.add_argument("--only", default="", help="networks whose name contains this")
    parser.add_argument("--parts", nargs="*", default=PARTS, choices=PARTS)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--scale", type=float, default=1.0, help="of all batches")
    parser.add_argument("--rivals", nargs="*", default=tuple(RIVALS), choices=tuple(RIVALS))
    parser.add_argument("--output", type=Path, default=RESULTS)
    parser.add_argument("--minutes", type=float, default=10, help="after which no rival is begun")
    options = parser.parse_args()
    options.until = time.perf_counter() + 60 * options.minutes
    return options


def main():
    """Run the benchmark and write its figures."""
    options, started = parse(), time.perf_counter()
    warnings.simplefilter("ignore")
    load, busy = os.getloadavg()[0], ticks()
    found, results = {}, {}

    def write():
        entry = {
            "command": " ".join(["python tools/bench_emulator.py", shlex.join(sys.argv[1:])]).strip(),
            "machine": machine(load, busy),
            "versions": versions(),
            "steps": STEPS,
            "scale": options.scale,
            "networks": found,
            **results,
            "seconds": round(time.perf_counter() - started),
        }
        options.output.parent.mkdir(exist_ok=True)
        options.output.write_text(json.dumps(rounded(entry), indent=2) + "\n")

    for name, run in {"compile": compile_times, "run": whole_run, "curves": curves}.items():
        if name in options.parts:
            results[name] = guarded(run, options)
            write()
    cases = [guarded(make, name, options.scale) for name, make in CASES.items() if options.only in name]
    cases = [case for case in cases if not isinstance(case, dict)]
    found |= {case.name: {} for case in cases}
    for part in ("networks", "build", "limits", "rivals"):  # what starts threads of its own comes last
        for case in cases if part in options.parts else ():
            compiled.make_ready(case.layout)
            found[case.name][part] = guarded(globals()[part], case, options)
            show(case.name, part, found[case.name][part])
            write()
    print(f"{options.output}: {time.perf_counter() - started:.0f} s")


def machine(load, busy):
    """Describe the machine, and how much of it other work took."""
    mine, total = (after - before for after, before in zip(ticks(), busy, strict=True))
    return {
        "processor": cpu_name(),
        "cores": cores(),
        "load_at_start": load,
        "load_at_end": os.getloadavg()[0],
        "share_taken_by_others": max(0.0, total - mine) / max(total, 1e-9),
    }


def ticks():
    """Seconds of processor time: of this process and its children, and of the whole machine."""
    mine = sum(os.times()[:4])
    try:
        words = Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]
        busy = sum(map(int, words[:3] + words[5:8])) / os.sysconf("SC_CLK_TCK")
    except OSError:
        busy = mine
    return mine, busy


def cpu_name():
    """Return the processor's name where the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.machine()


def versions():
    """List what took part."""
    found = {"python": platform.python_version()}
    names = ("numpy", "numba", "nengo", "nengo-loihi", "nengo-dl", "tensorflow", "torch", "snntorch")
    for name in names:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def rounded(value):
    """Keep four digits of all measured numbers."""
    if isinstance(value, dict):
        return {key: rounded(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(inner) for inner in value]
    return float(f"{value:.4g}") if isinstance(value, float) else value


def show(name, part, result):
    """Print the main figures of a part."""
    if "failed" in result:
        return
    if part == "networks":
        alone = result["microseconds_per_step_at_batch_1"]["ours"]["median"]
        text = (
            f"{result['samples_per_second']['ours']:.0f} samples/s, {named(result['times_nengo_loihi'])} "
            f"nengo-loihi; batch 1 {alone:.2f} us/step, {named(result['times_nengo_loihi_at_batch_1'])}"
        )
    elif part == "rivals":
        each = (f"{n} {f.get('times', f['samples_per_second'])}" for n, f in result["each"].items())
        text = f"times the fastest float simulator {result['times_the_fastest']}: {', '.join(each)}"
    elif part == "build":
        each = (f"from {n} {f['times_nengo_loihi']['median']:.2f}" for n, f in result["from"].items())
        text = f"built {', '.join(each)} times as fast as nengo-loihi"
    else:
        text = f"{result['part_of_the_limit']:.0%} of the machine's limit; time {result['share_of_time']}"
    print(f"{name}: {text}", flush=True)


def named(times):
    """Write a spread."""
    return f"{times['median']:.0f} times ({times['min']:.0f} to {times['max']:.0f})"


if __name__ == "__main__":
    main()
