import ast
import dataclasses
import importlib
import multiprocessing
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neurodeploy.kernels import arguments, build, compiled, reference, room
from neurodeploy.kernels.build import ONLINE_SOURCES, SOURCES
from neurodeploy.kernels.circuit import circuit_of
from neurodeploy.kernels.layout import lay_out
from neurodeploy.kernels.rows import DENSE, PACKED, WIDE, WINDOWS
from neurodeploy.kernels.state import State, Trace
from neurodeploy.numerics.coding import rate_spikes
from tests.kernels import programs

SEEDS = st.integers(0, 2**32 - 1)


def same(a, b):
    for field in dataclasses.fields(a):
        assert np.array_equal(getattr(a, field.name), getattr(b, field.name)), field.name


def inputs(program, seed, *, batch=3, steps=12):
    rng = np.random.default_rng(seed)
    first = program.populations[0]
    if first.on_chip:
        return {"bias": rng.integers(-(2**19), 2**19, (batch, first.size)).astype(np.int32)}
    return {"train": rng.random((batch, steps, first.size)) < rng.random()}


def fast(program, *, batch=3, steps=12, **given):
    layout = lay_out(circuit_of(program))
    samples = compiled.at_rest(layout, batch)
    figures = compiled.advance(layout, samples, steps=steps, keep="all", **given)
    return figures.trace, compiled.snapshot(layout, samples, steps)


@settings(max_examples=60, deadline=None)
@given(SEEDS, st.booleans())
def test_every_state_of_every_step_equals_the_oracle(seed, host):
    program = programs.program(seed, host=host)
    given_ = inputs(program, seed)
    expected, end = reference.run(program, given_.get("train"), steps=12, batch=3, bias=given_.get("bias"))
    trace, state = fast(program, **given_)
    same(expected, trace)
    same(end, state)


@settings(max_examples=25, deadline=None)
@given(SEEDS, st.integers(1, 11))
def test_a_run_in_two_parts_equals_one(seed, cut):
    program = programs.program(seed)
    train = inputs(program, seed)["train"]
    _, whole = reference.run(program, train, steps=12, batch=3)
    _, half = reference.run(program, train[:, :cut], steps=cut, batch=3)
    _, end = reference.run(program, train[:, cut:], steps=12 - cut, batch=3, state=half)
    same(whole, end)
    layout = lay_out(circuit_of(program))
    samples = compiled.restore(layout, half)
    compiled.advance(layout, samples, steps=12 - cut, first=cut, train=train[:, cut:])
    same(whole, compiled.snapshot(layout, samples, 12))


@settings(max_examples=10, deadline=None)
@given(SEEDS)
def test_batches_and_threads_change_nothing(seed):
    program = programs.program(seed)
    train = inputs(program, seed, batch=9)["train"]
    together, end = fast(program, train=train, batch=9, threads=1)
    threaded, _ = fast(program, train=train, batch=9, threads=4)
    same(together, threaded)
    for b in range(9):
        _, alone = fast(program, train=train[b : b + 1], batch=1)
        assert np.array_equal(alone.v[0], end.v[b])
        assert np.array_equal(alone.spiked[0], end.spiked[b])


@settings(max_examples=10, deadline=None)
@given(SEEDS, st.booleans(), st.sampled_from(["membrane", "spikes"]), st.sampled_from([1, 3, 4, 9]))
def test_a_run_that_keeps_no_state_gives_what_one_that_keeps_it_does(seed, host, by, many):
    program = programs.program(seed, host=host)
    layout = lay_out(circuit_of(program))
    readout = arguments.Readout(len(program.populations) - 1, by)
    given_ = inputs(program, seed, batch=9)
    samples = compiled.at_rest(layout, 9)
    expected = compiled.advance(layout, samples, steps=12, readout=readout, **given_)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compiled, "RESTING", many)
        found, final = compiled.from_rest(layout, 9, steps=12, readout=readout, threads=2, **given_)
    for name in ("decisions", "spikes", "synops", "flags"):
        assert np.array_equal(getattr(expected, name), getattr(found, name)), name
    ends = samples.counts if by == "spikes" else samples.membranes
    assert np.array_equal(final, ends[:, layout.position[layout.span(readout.group)]])


FORKED = """
import multiprocessing, sys
from neurodeploy.kernels.build import spread

def work():
    done = []
    spread(lambda low, high: done.append(high - low), 9, 2)
    assert sum(done) == 9

work()
child = multiprocessing.get_context("fork").Process(target=work)
child.start()
child.join(60)
hangs = child.is_alive()
child.kill()
sys.exit("hangs" if hangs else child.exitcode)
"""


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="the system has no fork")
def test_a_process_forked_after_a_run_has_threads_of_its_own():
    """Those of its parent do not come with it, and work given to them would wait forever."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", FORKED], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_arrays_in_large_pages_are_zeros_that_can_be_written():
    large = room.aligned((3, room.LARGE // 8), np.int32)
    assert not large.any()
    assert large.ctypes.data % room.LINE == 0
    large[-1, -1] = 1
    assert large.sum() == 1


@settings(max_examples=25, deadline=None)
@given(SEEDS, st.integers(0, 30), st.sampled_from(["any", "bytes", "tiny", "edge"]))
def test_rates_give_the_spikes_of_the_closed_form(seed, cut, kind):
    rng = np.random.default_rng(seed)
    program = programs.program(seed)
    n = program.populations[0].size
    rates = {
        "any": lambda: rng.random((2, n)) * 1.2 - 0.1,
        "bytes": lambda: rng.integers(0, 256, (2, n)) / 255,
        "tiny": lambda: rng.random((2, n)) * 1e-3,
        "edge": lambda: 1 / rng.integers(1, 12, (2, n)) + rng.integers(-2, 3, (2, n)) * 1e-9,
    }[kind]()
    train = rate_spikes(rates, steps=40).transpose(1, 0, 2)
    given_, _ = fast(program, batch=2, steps=40, train=train)
    layout = lay_out(circuit_of(program))
    samples = compiled.at_rest(layout, 2)
    clipped = np.clip(rates, 0, 1)
    first = compiled.advance(layout, samples, steps=cut, rates=clipped, keep="all")
    second = compiled.advance(layout, samples, steps=40 - cut, first=cut, rates=clipped, keep="all")
    joined = [
        np.concatenate([getattr(f.trace, k) for f in (first, second)], axis=1)
        for k in ("u", "v", "wait", "spiked")
    ]
    same(given_, Trace(*joined, first.synops + second.synops))


def test_the_random_programs_reach_every_form_of_rows_and_overflow():
    kinds, wrapped = set(), False
    for seed in range(30):
        program = programs.program(seed)
        kinds |= set(lay_out(circuit_of(program)).wires[:, 2].tolist())
        trace, _ = fast(program, **inputs(program, seed))
        wrapped |= bool(np.abs(trace.u).max() > 2**22)
    assert kinds == {DENSE, WINDOWS, PACKED, WIDE}
    assert wrapped


def test_more_spikes_than_a_narrow_accumulator_holds_are_summed_exactly():
    program = saturated()
    trace, _ = fast(program, batch=1, steps=3, train=np.ones((1, 3, 1000), bool))
    expected, _ = reference.run(program, np.ones((1, 3, 1000), bool), steps=3, batch=1)
    same(expected, trace)


def saturated():
    rng = np.random.default_rng(0)
    base = next(p for p in map(programs.program, range(100)) if len(p.populations) == 2)
    host = dataclasses.replace(base.populations[0], shape=(1000,))
    chip = dataclasses.replace(base.populations[1], shape=(40,))
    rows = programs.synapses(rng, host.name, 1000, 40, "dense", "loihi")
    rows = dataclasses.replace(rows, weight=np.full_like(rows.weight, -128))
    block = dataclasses.replace(
        base.blocks[0], neurons=np.arange(40, dtype=np.int32), synapses=(rows,),
        compartments=programs.compartments(rng, 40, "if"),
    )  # fmt: skip
    return dataclasses.replace(base, populations=(host, chip), blocks=(block,))


@pytest.mark.parametrize("by", ["membrane", "spikes"])
def test_decisions_are_the_first_largest_read_out_after_every_step(by):
    program = programs.program(7)
    layout = lay_out(circuit_of(program))
    train = inputs(program, 7)["train"]
    readout = arguments.Readout(len(program.populations) - 1, by)
    figures = compiled.advance(
        layout, compiled.at_rest(layout, 3), steps=12, train=train, readout=readout, keep="all"
    )
    last = reference.spans(program)[program.populations[-1].name]
    values = figures.trace.v if by == "membrane" else np.cumsum(figures.trace.spiked, axis=1)
    assert np.array_equal(figures.decisions, values[:, :, last].argmax(axis=2))


def test_the_state_at_rest_is_zero():
    rest = State.rest(2, 5)
    assert rest.step == 0
    assert not any(a.any() for a in (rest.u, rest.v, rest.wait, rest.spiked))


def test_a_run_of_no_samples_compiles_what_every_run_needs():
    from neurodeploy.kernels.build import kernel

    for seed in (0, 1):
        program = programs.program(seed, host=bool(seed))
        compiled.make_ready(lay_out(circuit_of(program)))
        fast(program, **inputs(program, seed))
    assert len(kernel().signatures) == 1


def test_machine_code_is_kept_where_it_can_be_written(tmp_path, monkeypatch):
    from neurodeploy.kernels.build import cache_folder

    blocked = tmp_path / "file"
    blocked.write_text("")
    monkeypatch.setenv("NEURODEPLOY_CACHE", str(blocked / "below"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder("1").parent == tmp_path / "neurodeploy"
    assert cache_folder("1") != cache_folder("2")


@pytest.mark.parametrize(("module", "name"), [("build", "kernel"), ("online", "_kernel")])
def test_no_other_thread_changes_where_machine_code_is_kept(module, name, tmp_path, monkeypatch):
    numba = pytest.importorskip("numba")
    caching = importlib.import_module("numba.core.caching")
    make = getattr(importlib.import_module(f"neurodeploy.kernels.{module}"), name)
    subpath = caching.UserProvidedCacheLocator.get_suitable_cache_subpath

    def while_another_thread_restores_the_setting(py_file):
        numba.config.CACHE_DIR = ""
        return subpath(py_file)

    monkeypatch.setattr(numba.config, "CACHE_DIR", "")
    monkeypatch.setenv("NEURODEPLOY_CACHE", str(tmp_path / "kept"))
    monkeypatch.chdir(tmp_path)
    here = staticmethod(while_another_thread_restores_the_setting)
    monkeypatch.setattr(caching.UserProvidedCacheLocator, "get_suitable_cache_subpath", here)
    wrapped = make.__wrapped__()
    assert Path(wrapped.stats.cache_path).is_relative_to(tmp_path / "kept")
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]


def test_threads_that_ask_at_once_get_the_same_kernel():
    from neurodeploy.kernels.build import once

    made, together = [], threading.Barrier(4)
    get = once(lambda: made.append(len(made)) or len(made))

    def ask(_):
        together.wait(60)
        return get()

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(ask, range(4))) == [1, 1, 1, 1]


@pytest.mark.parametrize("files", [SOURCES, ONLINE_SOURCES])
def test_machine_code_is_named_after_every_file_that_stands_in_it(files):
    folder = Path(build.__file__).parent
    named = {(folder / name).resolve() for name in files}
    for path in named:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        froms = [n for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) and n.module]
        if not any(one.name == "jit" for n in froms for one in n.names):
            continue
        ours = [n for n in froms if n.module.startswith("neurodeploy.")]
        folders = [n for n in ours if find_spec(n.module).submodule_search_locations]
        modules = {f"{n.module}.{one.name}" for n in folders for one in n.names}
        modules |= {n.module for n in ours if n not in folders}
        assert {Path(find_spec(m).origin).resolve() for m in modules} <= named, path.name
