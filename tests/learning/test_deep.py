"""Deep rules as spiking circuits: what is wired where, no drift without error, and learning that helps."""

import dataclasses

import numpy as np
import pytest

from neurodeploy.backends import deep as teaching
from neurodeploy.compiler.checks.plasticity import expressible
from neurodeploy.errors import OptionError
from neurodeploy.kernels import online, online_tables
from neurodeploy.learning import NETWORKS, chain, deep
from neurodeploy.learning.circuit import Circuit, Population, Projection
from neurodeploy.targets import target


def made(rule="dfa", sizes=(12, 10, 8, 3), **setup):
    return deep.circuit(
        NETWORKS[rule],
        sizes,
        rng=np.random.default_rng(0),
        setup=deep.Setup(thresholds=(255, 255, 128), **setup),
    )


def blobs(rng, samples, classes=3, inputs=12):
    """Classes that differ in which inputs are bright."""
    labels = rng.integers(0, classes, samples)
    bright = np.kron(np.eye(classes), np.ones(inputs // classes))[labels]
    return np.clip(bright * 0.8 + rng.normal(0, 0.15, bright.shape), 0, 1), labels


def test_feedback_never_reads_a_forward_weight():
    wired = made()
    plastic = {(j.source, j.target) for j in wired.plastic}
    assert plastic == {("data", "h1"), ("h1", "h2"), ("h2", "out")}
    for name in ("h1", "h2"):
        below, above = wired.projection("below", name).weight, wired.projection("above", name).weight
        assert (below == -above).all()
        assert abs(below.mean(axis=1)).max() <= 2


@pytest.mark.parametrize(
    ("rule", "back"),
    [
        ("delta", set()),
        ("dfa", {"below", "above"}),
        ("drtp", {"label"}),
        ("sign-dfa", {"below_once", "above_once"}),
    ],
)
def test_the_way_back_is_that_of_the_rule(rule, back):
    wired = made(rule)
    assert {j.source for j in wired.projections if j.target == "h1"} - {"data", "reset", "lift"} == back


def test_a_rule_without_a_circuit_is_refused():
    with pytest.raises(OptionError, match="copies weights"):
        made("backprop")


@pytest.mark.parametrize("odd", [{"gap": 1}, {"forward": 50}])
def test_phases_that_do_not_fit_the_engine_are_refused(odd):
    with pytest.raises(OptionError, match=r"gaps|powers of two"):
        deep.Setup(**odd)


def test_without_errors_no_weight_ever_changes():
    """Both phases begin alike, so equal input gives equal counts: the tag is exactly 0."""
    wired = made()
    deaf = tuple(j for j in wired.projections if j.source not in ("below", "above"))
    laid, state = online_tables.tables(dataclasses.replace(wired, projections=deaf))
    before = state.w.copy()
    x, labels = blobs(np.random.default_rng(1), 30)
    online.run(laid, state, deep.codes(x, divide_by=1), labels)
    assert (state.w == before).all()
    assert state.counters[0] > 1000


LAYERED = {"mechanism": "neuron-trace", "forward": 44, "reference": 36, "error": 36}
COLLECTED = {"mechanism": "neuron-trace"}
SLOWLY = COLLECTED | {"exponents": (-7, -7, -3)}
PHASES = {"mechanism": "neuron-trace", "free": -1}


def counts(wired, state, laid, name):
    """What a population's neurons have collected, in units of their trace."""
    row = laid.populations[[p.name for p in wired.populations].index(name)]
    return (state.apical[row[0] : row[0] + row[1]] >> wired.error_shift).astype(int)


@pytest.mark.parametrize(
    ("rule", "setup"), [("fa", COLLECTED), ("local-fa", COLLECTED), ("kolen-pollack", LAYERED)]
)
def test_without_errors_nothing_is_collected_on_the_way_back(rule, setup):
    wired = made(rule, **setup)
    deaf = tuple(j for j in wired.projections if j.source not in ("below", "above"))
    laid, state = online_tables.tables(dataclasses.replace(wired, projections=deaf))
    before = state.w.copy()
    x, labels = blobs(np.random.default_rng(1), 30)
    online.run(laid, state, deep.codes(x, divide_by=1), labels)
    assert (state.w == before).all()
    assert not any(counts(wired, state, laid, n).any() for n in ("h1", "h2", "out"))


@pytest.mark.parametrize("rule", ["fa", "local-fa"])
def test_pairs_pass_on_what_they_got_in_whole_thresholds(rule):
    """Only neurons that spiked pass errors; without slopes in the chain all pairs do."""
    x, labels = blobs(np.random.default_rng(1), 1)
    wired = made(rule, mechanism="neuron-trace", feedback=100, hops=(100,), error_shift=6)
    laid, state = online_tables.tables(wired)
    online.run(laid, state, deep.codes(x, divide_by=1), labels, learn=False)
    row = laid.populations[[p.name for p in wired.populations].index("h2")]
    on = state.active[row[0] : row[0] + row[1]] > 0
    passed = np.rint(counts(wired, state, laid, "h2") / 100) * (on if rule == "fa" else 1)
    assert 0 < on.sum() < len(on)
    assert passed.any()
    assert counts(wired, state, laid, "h1") == pytest.approx(
        wired.projection("below_h2", "h1").weight @ passed,
        abs=120,  # a spike on its way
    )


def test_on_the_circuit_weights_and_learned_feedback_change_alike():
    wired = made("kolen-pollack", **LAYERED, exponents=(-6, -6, -3), feedback=20)
    laid, state = online_tables.tables(wired)
    x, labels = blobs(np.random.default_rng(1), 400)
    online.run(laid, state, deep.codes(x, divide_by=1), labels)
    row = {(j.source, j.target): (j, r) for j, r in zip(wired.projections, laid.projections, strict=True)}
    moved = []
    for ends in (("h2", "out"), ("eout", "eh2")):
        j, r = row[ends]
        after = state.w[r[4] : r[4] + r[2] * r[3]].reshape(r[2], r[3]).T
        moved.append((after - j.weight).astype(float))
    assert np.corrcoef(moved[0].ravel(), moved[1].T.ravel())[0, 1] > 0.5


@pytest.mark.parametrize(
    ("rule", "setup"),
    [("fa", SLOWLY), ("local-fa", SLOWLY), ("kolen-pollack", LAYERED | {"feedback": 20}),
     ("dendrites", PHASES), ("sign-dfa", COLLECTED | {"nearest": True}),
     ("erbp", {"mechanism": "neuron-trace", "exponents": (-6, -6, -5)})],
)  # fmt: skip
def test_rules_with_other_ways_back_learn_too_and_fit_loihi2(rule, setup):
    wired = made(rule, **{"exponents": (-6, -6, -3), "feedback": 60} | setup)
    assert {expressible(j.rule, target("loihi2")) for j in wired.plastic} == {"yes"}
    laid, state = online_tables.tables(wired)
    x, labels = blobs(np.random.default_rng(1), 600)
    codes = deep.codes(x, divide_by=1)
    online.run(laid, state, codes, labels)
    found = online.run(laid, state, codes, labels, learn=False, phases=3)
    assert (found.argmax(axis=1) == labels).mean() > 0.9


def test_relays_of_signs_spike_once_for_any_number_of_errors():
    """Each relay brings every hidden neuron its weight once, however often its error neuron spikes."""
    x, labels = blobs(np.random.default_rng(1), 1)
    wired = made("sign-dfa", mechanism="neuron-trace", error_shift=6)
    laid, state = online_tables.tables(wired)
    online.run(laid, state, deep.codes(x, divide_by=1), labels, learn=False)
    below, above = (wired.projection(n, "h1").weight for n in ("below_once", "above_once"))
    right = np.arange(3) == labels[0]
    silent = below[:, right].sum(axis=1)  # the right output was silent; of the others some spiked
    possible = [silent + above[:, [k for k in (0, 1, 2) if not right[k] and on >> k & 1]].sum(axis=1)
                for on in range(8)]  # fmt: skip
    found = counts(wired, state, laid, "h1")
    assert any((found == p).all() for p in possible)
    never = made("sign-dfa", mechanism="neuron-trace", error_shift=6, sure=60)
    laid, state = online_tables.tables(never)
    online.run(laid, state, deep.codes(x, divide_by=1), labels, learn=False)
    assert not counts(never, state, laid, "h1").any()


def test_errors_are_rounded_to_the_nearest_if_told():
    """Rounded down, errors of both signs sum to less than 0; to the nearest they cancel."""
    down, nearest = made(), made(nearest=True)
    assert (down.error_half, nearest.error_half) == (0, 2**11)
    collected = np.arange(-(2**14), 2**14)
    sums = [((collected + c.error_half) >> c.error_shift).sum() for c in (down, nearest)]
    assert sums[0] == -len(collected) // 2
    assert abs(sums[1]) < len(collected) / 2**11


def test_a_rule_that_reads_what_neurons_collect_has_no_form_in_two_phases():
    with pytest.raises(OptionError, match="reads what neurons collect"):
        made("erbp")


def test_errors_of_emstdp_reach_only_neurons_that_spiked():
    wired = made("emstdp", gated=True)
    gated = {j.target for j in wired.projections if j.gated}
    assert gated == {"h1", "h2"}
    assert {expressible(j.rule, target("loihi1")) for j in wired.plastic} == {"yes"}


def test_in_the_error_phase_an_output_that_is_shown_the_label_spikes_as_it_says():
    wired = made("dendrites", **PHASES)
    late = (dataclasses.replace(p, rates=p.rates[3:]) for p in wired.populations)
    last = dataclasses.replace(wired, phases=wired.phases[3:], populations=tuple(late))
    laid, state = online_tables.tables(last)
    x, labels = blobs(np.random.default_rng(1), 20)
    found = online.run(laid, state, deep.codes(x, divide_by=1), labels, learn=False)
    assert (found > 0).sum(axis=1).tolist() == [1] * 20
    assert (found.argmax(axis=1) == labels).all()


@pytest.mark.parametrize(
    ("rule", "said"), [("kolen-pollack", "reference phase"), ("dendrites", "'free' of -1")]
)
def test_setups_that_a_way_back_does_not_have_are_refused(rule, said):
    with pytest.raises(OptionError, match=said):
        made(rule)


@pytest.mark.parametrize("mechanism", ["two-phase", "neuron-trace"])
@pytest.mark.parametrize("rule", ["delta", "dfa", "drtp"])
def test_learning_helps(rule, mechanism):
    exponents = (-4, -4, 0) if mechanism == "two-phase" else (-6, -6, -3)
    wired = made(rule, exponents=exponents, feedback=60, mechanism=mechanism)
    laid, state = online_tables.tables(wired)
    x, labels = blobs(np.random.default_rng(1), 600)
    codes = deep.codes(x, divide_by=1)
    first = online.run(laid, state.copy(), codes, labels, learn=False, phases=3)
    online.run(laid, state, codes, labels)
    last = online.run(laid, state, codes, labels, learn=False, phases=3)
    assert (first.argmax(axis=1) == labels).mean() < 0.7
    assert (last.argmax(axis=1) == labels).mean() > 0.9


@pytest.mark.parametrize(("mechanism", "chips"), [("two-phase", ["loihi1"]), ("neuron-trace", ["loihi2"])])
@pytest.mark.parametrize("rule", ["delta", "dfa", "drtp"])
def test_the_chip_can_express_what_is_run(rule, mechanism, chips):
    wired = made(rule, mechanism=mechanism)
    for chip in chips:
        assert {expressible(j.rule, target(chip)) for j in wired.plastic} == {"yes"}


def test_silent_neurons_learn_nothing_where_neurons_collect_errors():
    """The slope is the neuron's own: no spike in the first phase, no change, whatever the error."""
    wired = made(mechanism="neuron-trace")
    dumb = tuple(
        dataclasses.replace(j, weight=np.full_like(j.weight, -254)) if j.target == "h1" and j.rule else j
        for j in wired.projections
    )
    laid, state = online_tables.tables(dataclasses.replace(wired, projections=dumb))
    x, labels = blobs(np.random.default_rng(1), 30)
    online.run(laid, state, deep.codes(x, divide_by=1), labels)
    assert (state.w[: 13 * 10] == -254).all()


def test_neurons_that_spike_too_often_have_no_slope():
    x, labels = blobs(np.random.default_rng(1), 1)
    spikes = {}
    for busy in (0, 6):
        wired = made(mechanism="neuron-trace", busy=busy)
        laid, state = online_tables.tables(wired)
        online.run(laid, state, deep.codes(x, divide_by=1), labels, learn=False)
        row = laid.populations[[p.name for p in wired.populations].index("h1")]
        spikes[busy] = state.active[row[0] : row[0] + row[1]].astype(int)
    assert (spikes[0] > 6).any()
    assert (spikes[6] == spikes[0] * (spikes[0] <= 6)).all()


def test_odd_circuits_are_refused():
    one, two = Population("a", 2, role="constant", rates=(9,)), Population("b", 3)
    phases = made().phases[:1]
    with pytest.raises(OptionError, match="not even codes"):
        Circuit((one, two), (Projection("a", "b", np.full((3, 2), 7)),), phases, "b")
    with pytest.raises(OptionError, match=r"not \(3, 2\)"):
        Circuit((one, two), (Projection("a", "b", np.zeros((2, 3), int)),), phases, "b")
    with pytest.raises(OptionError, match="no population"):
        Circuit((one, two), (), phases, "b")["c"]
    with pytest.raises(OptionError, match="rates for"):
        Circuit((one, two), (), made().phases, "b")


def test_signs_of_weights_are_copied_to_every_way_back_and_sizes_are_not():
    """Loihi's learning engines cannot: the host does it."""
    wired = made("sign-symmetry", mechanism="neuron-trace", feedback=100)
    laid, state = online_tables.tables(wired)
    teaching.copy_signs(wired, laid)(state)
    course = teaching.Course(laid, state, np.zeros(0, bool))
    for source, upper, lower, at in (
        (("below", "above"), "out", "h2", "h2"), (("below", "above"), "out", "h2", "below_h2"),
        (("above", "below"), "out", "h2", "above_h2"), (("below_h2", "above_h2"), "h2", "h1", "h1"),
    ):  # fmt: skip
        forward = course.weight(wired, lower, upper)
        for name, sign in zip(source, (1, -1), strict=True):
            back = course.weight(wired, name, at)
            assert (abs(back) == abs(wired.projection(name, at).weight)).all()
            assert (np.sign(back) == sign * np.where(forward.T < 0, -1, 1) * (back != 0)).all()
    assert len(chain.opposites(wired)) == 8
