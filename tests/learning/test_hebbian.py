"""Two-factor rules: their papers' equations, Nengo's own operators, and the chip's engine."""

import math

import numpy as np
import pytest

from neurodeploy.backends.adapter import nengo_module
from neurodeploy.learning import HEBBIAN, engine
from neurodeploy.learning.bcm import BCM
from neurodeploy.learning.hebbian import Hebbian
from neurodeploy.learning.oja import Oja
from neurodeploy.learning.reward_stdp import RewardSTDP
from neurodeploy.learning.stdp import PairSTDP
from neurodeploy.learning.voja import Voja


@pytest.mark.parametrize("name", HEBBIAN)
def test_every_rule_says_what_it_does_and_what_a_chip_runs(name):
    rule = HEBBIAN[name]
    assert isinstance(rule, Hebbian)
    assert rule.name == name == rule.chip().name
    assert rule.equation.startswith(("dw =", "de ="))
    assert rule.reference


def test_pairs_of_spikes_follow_the_exponential_window():
    rule = PairSTDP(rise=1.0, fall=0.5, tau=20.0)
    keep = math.exp(-1 / rule.tau)
    for lag in (1, 5, 30, -1, -5, -30):
        x = y = w = 0.0
        for t in range(80):
            pre, post = float(t == 40), float(t == 40 + lag)
            w += rule.change(x=[x], y=[y], pre=[pre], post=[post])[0, 0]
            x, y = (x + pre) * keep, (y + post) * keep
        assert w == pytest.approx(rule.window(lag))


def lone(rule, pre, post, *, weight=0, rewards=(0, 0), draws=150):
    """Mean weight of a single synapse after some steps in the engine."""
    found = []
    for seed in range(draws):
        s = engine.at_rest([[weight]])
        s = engine.run(rule, s, pre=np.array(pre)[:, None], post=np.array(post)[:, None],
                       rng=np.random.default_rng(seed), rewards=rewards)  # fmt: skip
        found.append(s.w[0, 0] - weight)
    return np.mean(found), np.std(found) / math.sqrt(draws)


def spikes(at, steps=16):
    return [t == at for t in range(steps)]


@pytest.mark.parametrize("lag", [3, 8, -3, -8])
def test_the_engines_pairs_follow_the_window_too(lag):
    rule = PairSTDP()
    mean, error = lone(rule.chip(), spikes(max(0, -lag) + 1), spikes(max(0, lag) + 1))
    assert mean == pytest.approx(32 / 4 * rule.window(lag), abs=4 * error + 0.1)


def test_a_reward_turns_eligibility_into_weight_and_none_leaves_it():
    rule = RewardSTDP(PairSTDP(rise=2.0), tau=10.0)
    e = rule.eligible([[0.0]], x=[0.5], y=[0.0], pre=[0.0], post=[1.0])
    assert e[0, 0] == pytest.approx(1.0)
    e = rule.eligible(e, x=[0.0], y=[0.0], pre=[0.0], post=[0.0])
    assert e[0, 0] == pytest.approx(0.9)
    assert rule.change(e, reward=-2.0)[0, 0] == pytest.approx(-1.8)
    pre, post = spikes(2, 32), spikes(5, 32)
    assert lone(rule.chip(), pre, post, draws=15)[0] == 0
    assert lone(rule.chip(), pre, post, rewards=(0, 1), draws=15)[0] > 0.5
    assert lone(rule.chip(), post, pre, rewards=(0, 1), draws=15)[0] < -0.5


def operator(name, signals, make, rng):
    """Run one of Nengo's operators once; return its delta."""
    module = nengo_module().builder.learning_rules
    made = {k: nengo_module().builder.signal.Signal(v, name=k) for k, v in signals.items()}
    op = make(getattr(module, name), made)
    arrays = {made[k]: np.array(v, float) for k, v in signals.items()}
    op.make_step(arrays, 1.0, rng)()
    return arrays[made["delta"]]


def test_oja_is_what_nengo_computes(rng):
    w, x, y = rng.normal(size=(3, 4)), rng.random(4), rng.random(3)
    given = {"x": x, "y": y, "w": w, "delta": np.zeros((3, 4))}
    found = operator("SimOja", given, lambda c, s: c(s["x"], s["y"], s["w"], s["delta"], 0.02, 0.7), rng)
    assert Oja(rate=0.02, beta=0.7).change(w, pre=x, post=y) == pytest.approx(found)


def test_bcm_is_what_nengo_computes(rng):
    x, y, theta = rng.random(4), rng.random(3), rng.random(3)
    given = {"x": x, "y": y, "theta": theta, "delta": np.zeros((3, 4))}
    found = operator("SimBCM", given, lambda c, s: c(s["x"], s["y"], s["theta"], s["delta"], 0.02), rng)
    assert BCM(rate=0.02).change(pre=x, post=y, theta=theta) == pytest.approx(found)


def test_voja_is_what_nengo_computes(rng):
    w, x, y = rng.normal(size=(3, 4)), rng.random(4), rng.random(3)
    given = {"x": x, "y": y, "w": w, "delta": np.zeros((3, 4)), "on": np.ones(())}
    found = operator(
        "SimVoja", given,
        lambda c, s: c(s["x"], s["y"], s["w"], s["delta"], np.ones(3), s["on"], 0.02, None), rng,
    )  # fmt: skip
    assert Voja(rate=0.02).change(w, pre=x, post=y) == pytest.approx(found)


def test_oja_finds_the_first_principal_component(rng):
    x = rng.normal(size=(4000, 3)) * [3.0, 1.0, 0.5] @ np.linalg.qr(rng.normal(size=(3, 3)))[0]
    w = rng.normal(size=(1, 3)) * 0.1
    for sample in x:
        w = w + Oja(rate=0.003).change(w, pre=sample, post=w @ sample)
    first = np.linalg.svd(x, full_matrices=False)[2][0]
    assert abs(w[0] @ first) / np.linalg.norm(w) > 0.99
    assert np.linalg.norm(w) == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize("name", ["oja", "voja"])
def test_on_the_engine_activity_pulls_weights_in_from_both_sides(name):
    """Hebb's term raises a small weight, the decay lowers a large one."""
    busy = np.arange(64) % 3 == 0
    low, _ = lone(HEBBIAN[name].chip(), busy, busy, weight=0, draws=20)
    high, _ = lone(HEBBIAN[name].chip(), busy, busy, weight=250, draws=20)
    silent, _ = lone(HEBBIAN[name].chip(), busy, busy & False, weight=250, draws=20)
    assert low > high
    assert high < 0 < low
    assert silent == 0


def test_on_the_engine_bcm_raises_new_activity_and_lowers_what_fades():
    """Where activity falls under its slow mean, the weight comes down again."""
    busy = np.zeros(448, bool)
    busy[:384:3] = True
    busy[384::12] = True
    raised, _ = lone(BCM().chip(), busy[:64], busy[:64], draws=8)
    before, _ = lone(BCM().chip(), busy[:384], busy[:384], draws=8)
    after, _ = lone(BCM().chip(), busy, busy, draws=8)
    assert raised > 0
    assert after < before
