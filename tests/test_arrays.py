"""Samples of any size in their files: read by slices, the same as loaded, and never a pickle."""

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest

from neurodeploy import arrays
from neurodeploy.arrays import digest, open_arrays
from neurodeploy.data import check_samples, open_samples, read_test
from neurodeploy.errors import DataError, MissingExtra

ROOT = Path(__file__).resolve().parents[1]
X = np.arange(700.0).reshape(50, 7, 2)
Y = np.arange(50) % 3
KINDS = ["stored.npz", "packed.npz", "plain.h5", "packed.hdf5", "group.zarr"]


def write(path, **values):
    """Write arrays in the form that the name stands for."""
    if path.suffix == ".npz":
        (np.savez if path.stem == "stored" else np.savez_compressed)(path, **values)
    elif path.suffix == ".zarr":
        group = pytest.importorskip("zarr").open_group(str(path), mode="w")
        for name, value in values.items():
            chunks = (max(1, min(len(value), (1 << 20) // value[:1].nbytes)), *value.shape[1:])
            group.create_array(name, shape=value.shape, dtype=value.dtype, chunks=chunks)[:] = value
    else:
        with h5py.File(path, "w") as file:
            for name, value in values.items():
                packed = {"compression": "gzip", "chunks": True} if path.stem == "packed" else {}
                file.create_dataset(name, data=value, **packed)
    return path


@pytest.fixture(params=KINDS)
def path(request, tmp_path):
    return write(tmp_path / request.param, x=X, y=Y)


@pytest.mark.parametrize(
    "rows", [slice(0, 1), slice(10, 20), slice(45, 99), slice(None), slice(3, 3), slice(0, 9, 2)]
)
def test_a_slice_is_that_of_the_array_in_any_order_of_reading(path, rows):
    with open_samples(path) as data:
        assert np.array_equal(data.x[20:40], X[20:40])
        part = data.x[rows]
        assert (part.dtype, part.shape) == (X.dtype, X[rows].shape)
        assert np.array_equal(part, X[rows])
        assert np.array_equal(data.y, Y)


def test_an_array_in_a_file_has_the_digest_of_the_array(path):
    with open_samples(path) as data:
        assert digest(data.x) == digest(X)
        assert digest(data.x.first(49)) == digest(X[:49]) != digest(X)


def test_a_limit_leaves_the_first_samples_and_their_labels(path):
    with open_samples(path, limit=8) as data:
        assert (len(data.x), len(data.y)) == (8, 8)
        assert np.array_equal(np.asarray(data.x), X[:8])
        assert np.array_equal(read_test(path, limit=8).x, X[:8])


def test_the_first_sample_that_is_not_finite_is_named_wherever_it_lies(tmp_path, monkeypatch):
    monkeypatch.setattr(arrays, "BLOCK_BYTES", 3 * X[0].nbytes)
    x = X.copy()
    x[[31, 40], 2] = np.nan
    path = write(tmp_path / "packed.npz", x=x)
    with pytest.raises(DataError, match=r"packed\.npz' x: sample 31 holds"), open_samples(path) as data:
        check_samples(data.x, data.x.name)
    with pytest.raises(DataError, match="sample 31"):
        check_samples(x)


@pytest.mark.parametrize("dtype", ["u1", "?", "<f2", ">f8", "<i8"])
def test_every_kind_of_number_keeps_its_bits(tmp_path, dtype):
    x = (X % 5).astype(dtype)
    with open_samples(write(tmp_path / "packed.npz", x=x)) as data:
        assert data.x.dtype == x.dtype
        assert data.x[7:9].tobytes() == x[7:9].tobytes()
        assert digest(data.x) == digest(x)


def test_an_array_kept_by_column_is_read_right_and_refused_where_it_is_too_much(tmp_path, monkeypatch):
    path = write(tmp_path / "stored.npz", x=np.asfortranarray(X))
    with open_samples(path) as data:
        assert np.array_equal(data.x[10:20], X[10:20])
    monkeypatch.setattr(arrays, "MAX_ARRAY_BYTES", 100)
    with pytest.raises(DataError, match=r"Fortran order.*save numpy\.ascontiguousarray"), open_samples(path):
        pass


def test_damage_in_the_middle_is_one_message(tmp_path, rng):
    path = write(tmp_path / "packed.npz", x=rng.random((50, 100)))
    data = bytearray(path.read_bytes())
    data[9000:9200] = bytes(200)
    path.write_bytes(data)
    damaged = r"packed\.npz': 'x' cannot be read, the file is damaged"
    with pytest.raises(DataError, match=damaged), open_samples(path) as samples:
        digest(samples.x)


def test_a_wrong_claim_of_shape_is_refused_before_reading(tmp_path):
    header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (999999999999, 9), }".ljust(117) + b"\n"
    with zipfile.ZipFile(tmp_path / "bomb.npz", "w") as archive:
        archive.writestr("x.npy", b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header)
    with pytest.raises(DataError, match="does not fill it"), open_samples(tmp_path / "bomb.npz"):
        pass


def test_an_hdf5_file_that_leads_elsewhere_is_refused(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["x"] = h5py.ExternalLink("other.h5", "x")
    with pytest.raises(DataError, match="ExternalLink"), open_samples(tmp_path / "a.h5"):
        pass


@pytest.mark.parametrize("packed", [[{"id": "pickle"}], [{"id": "delta", "dtype": "<f8"}, {"id": "pickle"}]])
def test_zarr_arrays_that_would_run_code_are_refused_unread(tmp_path, packed):
    group = pytest.importorskip("zarr").open_group(str(tmp_path), mode="w", zarr_format=2)
    group.create_array("x", shape=X.shape, dtype=X.dtype, chunks=X.shape)[:] = X
    meta = tmp_path / "x" / ".zarray"
    meta.write_text(json.dumps({**json.loads(meta.read_text()), "filters": packed}))
    with pytest.raises(DataError, match="pickle"), open_samples(tmp_path):
        pass


def test_a_zarr_group_without_the_package_says_what_to_install(tmp_path, monkeypatch):
    (tmp_path / "zarr.json").write_text("{}")
    monkeypatch.setitem(sys.modules, "zarr", None)
    with pytest.raises(MissingExtra, match=r"pip install 'neurodeploy\[zarr\]'"), open_arrays(tmp_path):
        pass


MEASURE = """
import resource, sys
import numpy as np
import neurodeploy as nd
from neurodeploy.ir import ops
from neurodeploy.ir.graph import Graph, Node

def grown():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

nodes = (Node("in", ops.Input((1024,))), Node("fc", ops.Affine(np.ones((2, 1024)), np.zeros(2))),
         Node("out", ops.Output((2,))))
graph = Graph(nodes, (("in", "fc"), ("fc", "out")))
for limit in (600, None):
    with nd.open_samples(sys.argv[1], limit=limit) as data:
        recording = nd.run(graph, data.x, backend="rate")
        assert len(recording) == len(data.x)
    before, after = (grown(), None) if limit else (before, grown())
print((after - before) // 1024)
"""


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_takes_a_small_part_of_the_memory_that_the_samples_would(tmp_path, kind):
    size = 96 << 20
    path = write(tmp_path / kind, x=np.zeros((size // 8192, 1024)))
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, path], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 24, "MiB more than for the first 600 samples, of 96"
