"""NIR in: every primitive, what a file leaves open, loops and subgraphs, and what other tools compute."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from neurodeploy.errors import DataError, LoadError, OptionError, UnsupportedLayer
from neurodeploy.frontends.dispatch import is_nir, load
from neurodeploy.frontends.nir import load_nir, primitive_table
from neurodeploy.ir import ops
from neurodeploy.ir.dynamics import membrane
from neurodeploy.ir.evaluate import apply
from neurodeploy.ir.plausible import implausible
from neurodeploy.ir.replay import replay
from tests.frontends.nir_files import EXAMPLES, INNER, ONES, chain, ends, lif, node, write
from tests.frontends.test_interop import INTEROP

DATA = Path(__file__).resolve().parents[1] / "data" / "nir"
TOLD: dict[str, Any] = {"dt": 1e-3, "reset": "zero"}


# --- what other tools compute -----------------------------------------------------------------------------


@pytest.mark.parametrize("reference", sorted(DATA.glob("*.npz")), ids=lambda p: p.stem)
def test_files_of_other_tools_give_the_spikes_of_their_own_simulators(reference: Path) -> None:
    path = DATA / f"{reference.stem.partition('-')[0]}.nir"
    if reference.stem.startswith("nirpaper"):
        path = INTEROP / path.name
        if not path.is_file():
            pytest.skip(f"no files of the NIR paper at {INTEROP}")
    with np.load(reference) as stored:
        shape, told = tuple(stored["shape"]), json.loads(str(stored["told"]))
        x = np.unpackbits(stored["x"])[: np.prod(shape)].reshape(shape)
        graph = load(path, **told)
        have, want = replay(graph, x)[graph.output.name], stored["spikes"]
    assert want.sum() > 5
    # tolerance: none, though they step in float32
    np.testing.assert_array_equal(have, want)


def test_the_network_of_snntorch_gives_its_stored_spikes() -> None:
    if not (INTEROP / "snntorch_mlp.nir").is_file():
        pytest.skip(f"no snntorch_mlp.nir at {INTEROP}")
    graph = load(INTEROP / "snntorch_mlp.nir", written_by="snntorch")
    with np.load(INTEROP / "snntorch_mlp.ref.npz") as stored:
        np.testing.assert_array_equal(
            replay(graph, stored["spikes_in"])[graph.output.name], stored["spikes_out"]
        )


# --- every primitive --------------------------------------------------------------------------------------


def reference_step(kind: str, p: dict[str, Any], x: Any, state: dict[str, Any]) -> Any:
    """What NIR's equations give in one step of 1 ms, solved exactly for an input that is held."""
    dt = 1e-3

    def toward(name: str, goal: Any, tau: Any) -> Any:
        kept = np.exp(-dt / np.asarray(tau, dtype=float))
        state[name] = kept * state.get(name, 0.0) + (1 - kept) * goal
        return state[name]

    def fire(v: Any) -> Any:
        spikes = v > p["v_threshold"]
        state["v"] = np.where(spikes, p.get("v_reset", 0.0), v)
        return spikes.astype(float)

    if kind in ("I", "IF"):
        state["v"] = state.get("v", 0.0) + dt * p["r"] * x
        return state["v"] if kind == "I" else fire(state["v"])
    if kind in ("LI", "LIF"):
        v = toward("v", p["v_leak"] + p["r"] * x, p["tau"])
        return v if kind == "LI" else fire(v)
    u = toward("u", p["w_in"] * x, p["tau_syn"])
    v = toward("v", p["v_leak"] + p["r"] * u, p["tau_mem"])
    return v if kind == "CubaLI" else fire(v)


@pytest.mark.parametrize("kind", ["I", "IF", "LI", "LIF", "CubaLI", "CubaLIF"])
def test_neurons_follow_the_equations_of_nir(kind: str, tmp_path: Path, rng: np.random.Generator) -> None:
    shape, out, fields = EXAMPLES[kind]
    graph = load(chain(tmp_path / "n.nir", shape, out, fields), **TOLD)
    x = rng.random((80, 2, 4)) * 2
    state: dict[str, Any] = {}
    want = np.stack([reference_step(kind, dict(fields), sample, state) for sample in x])
    assert want.any()
    np.testing.assert_allclose(replay(graph, x)["output"], want, rtol=1e-6, atol=1e-6)


def test_a_threshold_keeps_nothing(tmp_path: Path, rng: np.random.Generator) -> None:
    graph = load(chain(tmp_path / "n.nir", *EXAMPLES["Threshold"]), dt=1e-3)
    x = rng.random((30, 2, 4))
    np.testing.assert_array_equal(replay(graph, x)["output"], x > 0.5)


def test_a_delay_shifts_every_channel_by_its_own_steps(tmp_path: Path, rng: np.random.Generator) -> None:
    graph = load(chain(tmp_path / "n.nir", *EXAMPLES["Delay"]), dt=1e-3)
    x = rng.random((30, 2, 4))
    have = replay(graph, x)["output"]
    for channel, steps in enumerate((0, 1, 2, 5)):
        np.testing.assert_array_equal(have[steps:, :, channel], x[: 30 - steps, :, channel])
        assert not have[:steps, :, channel].any()


def test_same_padding_puts_the_odd_zero_at_the_end(tmp_path: Path, rng: np.random.Generator) -> None:
    fields = {**EXAMPLES["Conv2d"][2], "weight": rng.normal(size=(1, 1, 2, 2)), "bias": np.zeros(1)}
    graph = load(chain(tmp_path / "n.nir", (1, 3, 3), (1, 3, 3), fields), dt=1e-3)
    x = rng.normal(size=(1, 1, 1, 3, 3))
    padded = np.pad(x[0, 0, 0], ((0, 1), (0, 1)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (2, 2))
    want = np.einsum("hwij,ij->hw", windows, fields["weight"][0, 0])
    np.testing.assert_allclose(replay(graph, x)["output"][0, 0, 0], want)


def test_a_subgraph_in_a_subgraph_is_read_in_place(tmp_path: Path) -> None:
    entry, leave = ends((4,), (4,))
    outer = {"nodes": {"a": entry, "deep": INNER, "z": leave}}
    graph = load(chain(tmp_path / "n.nir", (4,), (4,), outer), **TOLD)
    assert [n.name for n in graph] == ["input", "n0.deep.lif", "output", "n0.deep.w"]
    assert ("n0.deep.w", "n0.deep.lif") in graph.edges


# --- what a file leaves open ------------------------------------------------------------------------------


def test_a_file_that_does_not_say_how_it_is_stepped_is_not_guessed_at(tmp_path: Path) -> None:
    path = chain(tmp_path / "n.nir", (4,), (4,), lif())
    with pytest.raises(LoadError, match=r"how long a step is .* nor what follows a spike .*--written-by"):
        load(path)
    with pytest.raises(LoadError, match=r"does not say what follows a spike"):
        load(path, dt=1e-3)
    with pytest.raises(LoadError, match=r"does not say how long a step is \(--dt SECONDS\); say"):
        load(path, reset="zero")
    assert load(path, **TOLD).dt == 1e-3


def test_nothing_resets_in_a_file_of_integrators(tmp_path: Path) -> None:
    assert load(chain(tmp_path / "n.nir", *EXAMPLES["LI"]), dt=1e-3).meta["reset"] == ""


@pytest.mark.parametrize(
    "told",
    [
        {"dt": 0.0}, {"dt": np.nan}, {"reset": "half"}, {"decay": "rk4"}, {"written_by": "brian"},
        {"time_unit": -1.0},
    ],
)  # fmt: skip
def test_what_is_told_has_to_make_sense(told: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(OptionError):
        load(chain(tmp_path / "n.nir", (4,), (4,), lif()), **{**TOLD, **told})


def test_other_files_leave_nothing_open() -> None:
    model = Path(__file__).resolve().parents[2] / "models" / "digits_mlp.keras"
    with pytest.raises(OptionError, match="is no NIR file of another tool: dt would change nothing"):
        load(model, dt=1e-3)


def test_the_kind_of_a_file_is_seen_by_its_content(tmp_path: Path) -> None:
    path = chain(tmp_path / "n.h5", (4,), (4,), lif())
    assert is_nir(path)
    assert load(path, **TOLD).neurons


@pytest.mark.parametrize(
    ("decay", "keep", "gain"),
    [
        ("exact", np.exp(-0.1), 1 - np.exp(-0.1)),
        ("euler", 0.9, 0.1),
        ("rockpool", np.exp(-0.1), 0.1 * np.exp(0.1)),
        ("sinabs", np.exp(-0.1), 1.0),
    ],
)
def test_every_discretisation_keeps_and_takes_what_it_should(
    decay: str, keep: float, gain: float, tmp_path: Path
) -> None:
    graph = load(chain(tmp_path / "n.nir", (4,), (4,), lif(tau=0.01)), **TOLD, decay=decay)
    neuron = membrane(graph["n0"].op, graph.dt)
    np.testing.assert_allclose(neuron.keep_v, keep)
    np.testing.assert_allclose(neuron.gain_v, gain)


def test_time_in_milliseconds(tmp_path: Path) -> None:
    seconds = load(chain(tmp_path / "s.nir", (4,), (4,), lif(tau=0.02), node("I", r=5 * ONES)), **TOLD)
    millis = load(
        chain(tmp_path / "m.nir", (4,), (4,), lif(tau=20.0), node("I", r=5e-3 * ONES)), **TOLD, time_unit=1e-3
    )
    x = np.ones((40, 1, 4))
    np.testing.assert_allclose(replay(seconds, x)["output"], replay(millis, x)["output"], rtol=1e-6)


def test_a_late_reset_takes_the_threshold_off_after_the_leak(tmp_path: Path) -> None:
    graph = load(
        chain(tmp_path / "n.nir", (4,), (4,), lif(tau=0.01, v_threshold=1.0)),
        dt=1e-3, reset="subtract-late", decay="euler",
    )  # fmt: skip
    v, spiked, spikes = 0.0, 0.0, []
    for current in [8.0, 6.0, 1.0, 9.0, 9.0, 9.0, 2.0, 7.0] * 5:
        v = 0.9 * v + 0.1 * current - spiked * 1.0
        spiked = float(v > 1.0)
        spikes.append(spiked)
    x = np.array([8.0, 6.0, 1.0, 9.0, 9.0, 9.0, 2.0, 7.0] * 5)[:, None, None] * np.ones((1, 1, 4))
    assert sum(spikes) > 5
    np.testing.assert_array_equal(replay(graph, x)["output"][:, 0, 0], spikes)


# --- what is refused --------------------------------------------------------------------------------------

BAD: dict[str, tuple[dict[str, Any], str]] = {
    "an unknown primitive": (node("Izhikevich", a=ONES), "'n0' \\(Izhikevich\\): NIR has no such primitive"),
    "a field too many": (lif(noise=0.1), "NIR does not give it 'noise'"),
    "a field too few": (node("LIF", tau=ONES), "'n0' \\(LIF\\): 'r' is missing"),
    "parameters of another size": (lif() | {"tau": np.ones(3)}, "'tau' has shape \\(3,\\)"),
    "values that are not finite": (lif(r=np.nan), "'r' holds values that are not finite"),
    "a negative time constant": (lif(tau=-0.01), "a time constant is -0.01 s"),
    "a stack of matrices": (node("Linear", weight=np.ones((2, 3, 4))), "2 axes are taken"),
    "a matrix of another size": (node("Linear", weight=np.ones((3, 5))), "takes 5 values"),
    "a delay of half a step": (node("Delay", delay=0.0015 * ONES), "0.5 steps off a whole number"),
    "an endless delay": (node("Delay", delay=1e9 * ONES), "0 to 10000 are taken"),
    "text for numbers": (node("Scale", scale="much"), "'scale' holds no numbers"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_cannot_be_read_is_named(case: str, tmp_path: Path) -> None:
    fields, message = BAD[case]
    with pytest.raises(UnsupportedLayer, match=message):
        load(chain(tmp_path / "n.nir", (4,), (4,), fields), **TOLD)


def test_every_node_that_is_refused_is_named(tmp_path: Path) -> None:
    path = chain(tmp_path / "n.nir", (4,), (4,), lif(noise=1.0), lif(), node("Foo"))
    with pytest.raises(UnsupportedLayer, match=r"1 node is not taken: 'n0'"):
        load(path, **TOLD)
    entry, leave = ends((4,), (4,))
    nodes = {"i": entry, "a": lif(noise=1.0), "b": node("Foo"), "o": leave}
    path = write(tmp_path / "two.nir", nodes, [("i", "a"), ("i", "b"), ("i", "o")])
    with pytest.raises(UnsupportedLayer, match=r"2 nodes are not taken: .*'a' \(LIF\).*'b' \(Foo\)|'b'.*'a'"):
        load(path, **TOLD)


def test_eulers_method_needs_steps_shorter_than_the_time_constants(tmp_path: Path) -> None:
    path = chain(tmp_path / "n.nir", (4,), (4,), lif(tau=0.005))
    with pytest.raises(UnsupportedLayer, match=r"0\.005 s is shorter than the step of 0\.01 s"):
        load(path, dt=0.01, reset="zero", decay="euler")


W = node("Linear", weight=np.eye(4))


@pytest.mark.parametrize(
    ("nodes", "edges", "message"),
    [
        ({"a": W, "b": W}, [("i", "a"), ("a", "b"), ("b", "a"), ("b", "o")], ": a, b feed each other"),
        ({"a": W}, [("i", "a"), ("a", "a"), ("a", "o")], ": a feed each other"),
        ({"a": W, "b": W}, [("i", "a"), ("a", "o")], "nothing leads from 'i' to 'b'"),
        ({"a": W}, [("i", "a"), ("i", "a"), ("a", "o")], "edge i -> a is there twice"),
        ({"a": W}, [("i", "a"), ("a", "c"), ("a", "o")], "names 'c', which is not there"),
        ({"a": W, "j": node("Input", shape=[4])}, [("i", "a"), ("a", "o")], "has 2 Input nodes \\(i, j\\)"),
        (
            {"a": W, "b": node("Linear", weight=np.ones((3, 4)))},
            [("i", "a"), ("i", "b"), ("a", "o"), ("b", "o")], "'o' sums inputs of different shapes",
        ),
        ({"s": {"nodes": {"x": W}}}, [("i", "s"), ("s", "o")], "subgraph 's' has 0 Input nodes"),
    ],
)  # fmt: skip
def test_a_graph_that_cannot_be_stepped(
    nodes: dict[str, Any], edges: list[tuple[str, str]], message: str, tmp_path: Path
) -> None:
    entry, leave = ends((4,), (4,))
    path = write(tmp_path / "n.nir", {"i": entry, **nodes, "o": leave}, edges)
    with pytest.raises(LoadError, match=message):
        load(path, **TOLD)


def test_a_loop_through_a_neuron_takes_one_step(tmp_path: Path) -> None:
    entry, leave = ends((4,), (4,))
    nodes = {"i": entry, "a": node("Threshold", threshold=0.5 * ONES), "w": W, "o": leave}
    graph = load(write(tmp_path / "n.nir", nodes, [("i", "a"), ("a", "w"), ("w", "a"), ("a", "o")]), dt=1e-3)
    x = np.zeros((4, 1, 4))
    x[1, 0, 2] = 1
    assert replay(graph, x)["o"][:, 0].tolist() == [[0] * 4, [0, 0, 1, 0], [0, 0, 1, 0], [0, 0, 1, 0]]
    with pytest.raises(DataError, match=r"takes \(steps, samples"):
        replay(graph, x[..., :3])


# --- constants that can hardly be meant -------------------------------------------------------------------

PROJECT = node("Linear", weight=np.full((4, 4), 0.5))
ODD: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "ND101": (lif(tau=20.0, r=2e4), TOLD),
    "ND102": (lif(tau=1e-5), TOLD),
    "ND103": (lif(v_threshold=-0.1), TOLD),
    "ND104": (lif(tau=5.0), TOLD),
    "ND105": (lif(r=-1.0), TOLD),
    "ND106": (lif(tau=8.0), {"written_by": "sinabs"}),
}


@pytest.mark.parametrize("code", ODD)
def test_a_constant_that_can_hardly_be_meant_is_a_finding(code: str, tmp_path: Path) -> None:
    fields, told = ODD[code]
    graph = load(chain(tmp_path / "n.nir", (4,), (4,), PROJECT, fields), **told)
    assert [finding.code for finding in implausible(graph)] == [code]


@pytest.mark.parametrize("kind", ["LIF", "CubaLIF", "IF"])
def test_ordinary_constants_are_no_finding(kind: str, tmp_path: Path) -> None:
    fields = EXAMPLES[kind][2]
    assert not list(implausible(load(chain(tmp_path / "n.nir", (4,), (4,), PROJECT, fields), **TOLD)))


# --- the table --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [row[0] for row in primitive_table()])
def test_every_row_of_the_table_has_an_example_that_is_read_and_runs(kind: str, tmp_path: Path) -> None:
    shape, out, fields = EXAMPLES[kind]
    graph = load_nir(chain(tmp_path / "n.nir", shape, out, fields), **TOLD)
    given = np.random.default_rng(1).random((3, 2, *shape))
    assert replay(graph, given)["output"].shape == (3, 2, *out)
    row = next(row for row in primitive_table() if row[0] == kind)
    assert row[1] in ("native", "rewritten")


def test_nirs_own_package_knows_no_primitive_that_we_do_not() -> None:
    nir = pytest.importorskip("nir")
    kinds = {name for name in dir(nir.ir) if isinstance(getattr(nir.ir, name), type)}
    assert kinds - {"NIRNode", "Any"} == {row[0] for row in primitive_table()}


def test_a_linear_example_computes_what_its_op_does(tmp_path: Path, rng: np.random.Generator) -> None:
    shape, out, fields = EXAMPLES["Affine"]
    graph = load(chain(tmp_path / "n.nir", shape, out, fields), dt=1e-3)
    x = rng.normal(size=(1, 2, 4))
    want = x @ np.asarray(fields["weight"]).T + fields["bias"]
    np.testing.assert_allclose(replay(graph, x)["output"], want, rtol=1e-6)
    assert isinstance(graph["n0"].op, ops.Affine)
    np.testing.assert_allclose(apply(graph["n0"].op, x[0], dt=1e-3), want[0], rtol=1e-6)


# --- damaged files ----------------------------------------------------------------------------------------

SOUND = (DATA / "snntorch_recurrent.nir").read_bytes()


def replaced(old: int, new: bytes) -> bytes:
    return SOUND[:old] + new + SOUND[old + len(new) :]


def test_a_heap_without_an_end_is_refused_before_the_library_runs_in_circles(tmp_path: Path) -> None:
    heap = SOUND.index(b"GCOL")
    at = heap + 16
    while SOUND[at : at + 2] != b"\0\0":  # the free rest
        at += 16 + (int.from_bytes(SOUND[at + 8 : at + 16], "little") + 7) // 8 * 8
    (tmp_path / "n.nir").write_bytes(replaced(at + 8, bytes(8)))
    with pytest.raises(LoadError, match="its heap of texts never ends"):
        load(tmp_path / "n.nir", written_by="snntorch")
    (tmp_path / "n.nir").write_bytes(replaced(heap + 8, b"\xff" * 6))
    with pytest.raises(LoadError, match="its heap of texts ends behind the file"):
        load(tmp_path / "n.nir", written_by="snntorch")


def test_a_text_that_claims_gigabytes_is_refused(tmp_path: Path) -> None:
    heap = SOUND.index(b"GCOL")
    record = (5).to_bytes(4, "little") + heap.to_bytes(8, "little")
    (tmp_path / "n.nir").write_bytes(replaced(SOUND.index(record), b"\xff" * 4))
    with pytest.raises(LoadError, match="claims a text of 4,294,967,295 bytes"):
        load(tmp_path / "n.nir", written_by="snntorch")


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.99])
def test_a_truncated_file_is_refused(share: float, tmp_path: Path) -> None:
    (tmp_path / "n.nir").write_bytes(SOUND[: int(share * len(SOUND))])
    with pytest.raises(LoadError, match=r"n\.nir"):
        load(tmp_path / "n.nir", written_by="snntorch")


def test_zeros_that_unpack_to_gigabytes_are_refused(tmp_path: Path) -> None:
    import h5py

    path = chain(tmp_path / "n.nir", (4,), (4,), lif())
    with h5py.File(path, "r+") as file:
        del file["node/nodes/n0/tau"]
        file["node/nodes/n0"].create_dataset("tau", (1 << 28,), "f8", compression="gzip")
    with pytest.raises(LoadError, match=r"2147483648 bytes|unpacks to 2,147"):
        load(path, **TOLD)


def test_a_group_that_holds_itself_is_refused(tmp_path: Path) -> None:
    import h5py

    path = chain(tmp_path / "n.nir", (4,), (4,), lif())
    with h5py.File(path, "r+") as file:
        file["node/nodes/loop"] = file["node"]
    with pytest.raises(LoadError, match="is linked twice"):
        load(path, **TOLD)


def test_random_damage_is_refused_with_one_message(tmp_path: Path, rng: np.random.Generator) -> None:
    for _ in range(60):
        data = bytearray(SOUND)
        for at in rng.integers(0, len(data), 4):
            data[at] ^= 1 << int(rng.integers(8))
        (tmp_path / "n.nir").write_bytes(bytes(data))
        with contextlib.suppress(LoadError):  # anything else fails the test
            load(tmp_path / "n.nir", written_by="snntorch")
