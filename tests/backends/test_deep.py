"""Teaching a circuit: portions, checkpoints, curves; the same weights however it was cut up."""

import numpy as np
import pytest

from neurodeploy.backends import deep as teaching
from neurodeploy.errors import DataError, LoadError
from neurodeploy.learning import DEEP, deep


@pytest.fixture
def wired():
    setup = deep.Setup(thresholds=(255, 128), exponents=(-4, 0), feedback=60)
    return deep.circuit(DEEP["dfa"], (6, 8, 3), rng=np.random.default_rng(0), setup=setup)


@pytest.fixture
def samples(rng, monkeypatch):
    monkeypatch.setattr(teaching, "PORTION", 16)
    labels = rng.integers(0, 3, 40)
    x = np.kron(np.eye(3), np.ones(2))[labels] * 0.8
    return deep.codes(x, divide_by=1), labels


def test_learning_that_was_stopped_goes_on_to_the_same_weights(wired, samples, tmp_path):
    whole = teaching.teach(teaching.begin(wired), *samples, epochs=2)
    path = tmp_path / "half.npz"
    teaching.teach(teaching.begin(wired), *samples, epochs=2, checkpoint=path, until=50)
    again = teaching.teach(teaching.resume(teaching.begin(wired), path), *samples, epochs=2)
    assert (again.state.w == whole.state.w).all()
    assert (again.right == whole.right).all()
    assert (again.weight(wired, "data", "h1") != wired.projection("data", "h1").weight).any()


def test_progress_and_curve_cover_every_sample(wired, samples):
    seen = []
    course = teaching.teach(teaching.begin(wired), *samples, progress=lambda *at: seen.append(at))
    assert seen == [(16, 40), (32, 40), (40, 40)]
    points = teaching.curve(course.right, 4)
    assert [p[0] for p in points] == [10, 20, 30, 40]
    assert np.mean([p[1] for p in points]) == pytest.approx(course.right.mean())
    assert teaching.curve(course.right[:0]) == []
    assert course.per_sample()["spikes"] > 0


def test_asking_changes_nothing(wired, samples):
    course = teaching.teach(teaching.begin(wired), *samples)
    before = course.state.copy()
    assert teaching.accuracy(course, *samples) > 0.5
    assert all((getattr(before, k) == v).all() for k, v in vars(course.state).items())


def test_a_checkpoint_of_another_network_is_refused(wired, samples, tmp_path):
    path = teaching.save(teaching.begin(wired), tmp_path / "c.npz")
    other = deep.circuit(DEEP["drtp"], (6, 8, 3), rng=np.random.default_rng(0))
    with pytest.raises(LoadError, match="another network"):
        teaching.resume(teaching.begin(other), path)
    path.write_bytes(b"no")
    with pytest.raises(LoadError, match="no checkpoint"):
        teaching.resume(teaching.begin(wired), path)


def test_labels_without_an_output_are_refused():
    assert teaching.check_labels([0, 2], 2, 3).dtype == np.int64
    with pytest.raises(DataError, match="3 classes"):
        teaching.check_labels([0, 3], 2, 3)
    with pytest.raises(DataError, match="one class each"):
        teaching.check_labels([0.5, 1.0], 2, 3)
