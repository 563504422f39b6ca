import numpy as np
import pytest

from neurodeploy.data import as_labels, draw, read_calibration, read_test, read_training
from neurodeploy.errors import DataError, OptionError

X = np.arange(24.0).reshape(6, 4)
Y = np.array([0, 1, 2, 0, 1, 2])


def write(folder, **arrays):
    np.savez(folder / "d.npz", **arrays)
    return folder / "d.npz"


def test_calibration_never_takes_test_samples(tmp_path):
    with pytest.raises(DataError, match="x_test is for measuring"):
        read_calibration(write(tmp_path, x_test=X, y_test=Y))


def test_calibration_takes_training_samples_where_both_are_there(tmp_path):
    assert np.array_equal(read_calibration(write(tmp_path, x_train=X, x_test=-X)), X)


def test_drawing_is_the_same_for_the_same_seed_and_keeps_the_order():
    first, again, other = (draw(X, count=3, seed=s) for s in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    assert (np.diff(first[:, 0]) > 0).all()


def test_drawing_more_than_there_is_gives_all():
    assert draw(X, count=6, seed=0) is X


@pytest.mark.parametrize("names", [("x", "y"), ("x_test", "y_test")])
def test_a_run_reads_samples_and_labels_under_either_name(tmp_path, names):
    data = read_test(write(tmp_path, **dict(zip(names, (X, Y), strict=True))), limit=4)
    assert np.array_equal(data.x, X[:4])
    assert np.array_equal(data.y, Y[:4])


def test_a_limit_above_the_number_of_samples_takes_all_and_zero_is_refused(tmp_path):
    path = write(tmp_path, x=X)
    assert len(read_test(path, limit=99)) == 6
    with pytest.raises(OptionError, match="limit of 0"):
        read_test(path, limit=0)


@pytest.mark.parametrize(("x", "y"), [("x", "y_test"), ("x", "y_train"), ("x_test", "y")])
def test_labels_under_another_samples_name_are_not_passed_over(tmp_path, x, y):
    with pytest.raises(DataError, match=f"labels of {x} are called .*: rename {y}"):
        read_test(write(tmp_path, **{x: X, y: Y}))


def test_labels_of_other_samples_are_left_to_them(tmp_path):
    assert read_test(write(tmp_path, x_test=X, x_train=X, y_train=Y)).y is None


def test_labels_are_needed_only_to_learn(tmp_path):
    path = write(tmp_path, x_test=X)
    assert read_test(path).y is None
    with pytest.raises(DataError, match="has no labels"):
        read_training(path)


def test_learning_takes_training_samples_where_there_are_any(tmp_path):
    path = write(tmp_path, x_train=-X, y_train=Y, x_test=X, y_test=Y)
    assert np.array_equal(read_training(path, limit=2).x, -X[:2])
    assert np.array_equal(read_training(write(tmp_path, x_test=X, y_test=Y)).x, X)


@pytest.mark.parametrize(
    "labels", [Y, Y[:, None], Y.astype(float), Y.astype(np.uint8), np.eye(3)[Y], np.eye(3, dtype=bool)[Y]]
)
def test_labels_in_any_usual_form_become_class_indices(labels):
    assert np.array_equal(as_labels(labels, 6), Y)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (Y[:5], "5 labels for 6 samples"),
        (np.int64(3), "1 labels for 6 samples"),
        (Y + 0.5, "whole numbers"),
        (-Y, "whole numbers from 0"),
        (np.array(["a"] * 6), "not class indices"),
        (np.full((6, 3), 0.3), "neither class indices nor one-hot"),
        (np.zeros((6, 3)), "neither class indices nor one-hot"),
        (np.array([np.nan] * 6), "whole numbers"),
        (np.zeros((6, 2, 2)), "neither class indices nor one-hot"),
    ],
)
def test_labels_that_are_none_are_refused(labels, message):
    with pytest.raises(DataError, match=message):
        as_labels(labels, 6)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "it is empty"),
        (b"PK\x03\x04 and then nothing", "damaged or truncated"),
        (b"\x80\x04K\x01.", "pickles are never read"),
        (b"hello", "pickles are never read"),
    ],
)
def test_a_file_that_is_no_npz_is_refused_with_the_reason(tmp_path, content, message):
    (tmp_path / "d.npz").write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_test(tmp_path / "d.npz")


def test_a_truncated_file_is_refused_at_every_length(tmp_path):
    whole = write(tmp_path, x=X).read_bytes()
    for length in range(0, len(whole), 37):
        (tmp_path / "cut.npz").write_bytes(whole[:length])
        with pytest.raises(DataError):
            read_test(tmp_path / "cut.npz")


def test_pickled_objects_are_refused_without_being_loaded(tmp_path):
    class Bomb:
        def __reduce__(self):
            return (pytest.fail, ("a pickle was executed",))

    path = write(tmp_path, x=np.array([Bomb(), Bomb()], dtype=object))
    with pytest.raises(DataError, match="pickled objects, which are never read"):
        read_test(path)


def test_a_claim_of_more_bytes_than_any_data_set_is_refused_before_reading(tmp_path, monkeypatch):
    monkeypatch.setattr("neurodeploy.data.MAX_ARRAY_BYTES", 100)
    with pytest.raises(DataError, match="has 192 bytes, more than is read at once"):
        read_test(write(tmp_path, x=X))


@pytest.mark.parametrize("x", [np.zeros((0, 4)), np.zeros((3, 0)), np.float64(1)])
def test_no_samples_are_refused(tmp_path, x):
    with pytest.raises(DataError, match="there are no samples"):
        read_test(write(tmp_path, x=x))


def test_the_first_sample_that_is_not_finite_is_named(tmp_path):
    x = X.copy()
    x[4, 2] = np.inf
    with pytest.raises(DataError, match="sample 4 holds values that are not finite"):
        read_test(write(tmp_path, x=x))


def test_a_file_without_the_keys_lists_what_it_has(tmp_path):
    with pytest.raises(DataError, match="holds images; a run takes x and y"):
        read_test(write(tmp_path, images=X))
