"""Data sets larger than the memory that a process may have."""

import subprocess
import sys

import numpy as np
import pytest

from neurodeploy.arrays import open_arrays

WIDTH, SAMPLES = 4096, 3072
"""96 MiB in float64, of which the process may have half."""

RUN = """
import resource, sys
import numpy as np
import neurodeploy as nd
from neurodeploy.ir import ops
from neurodeploy.ir.graph import Graph, Node

path, width, spare = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
nodes = (
    Node("input", ops.Input((width,))),
    Node("hidden", ops.Affine(np.random.default_rng(0).normal(size=(8, width)) / 20, np.zeros(8))),
    Node("relu", ops.ReLU(), origin="hidden"),
    Node("out", ops.Affine(np.eye(2, 8), np.zeros(2))),
    Node("output", ops.Output((2,))),
)
names = [node.name for node in nodes]
graph = Graph(nodes, tuple(zip(names, names[1:])), name="wide")
calibration = np.linspace(0, 1, 2 * width).reshape(2, width)
program = nd.compile(nd.convert(graph, calibration=calibration, steps=4), "loihi1")
with nd.open_samples(path, limit=600) as samples:
    nd.run(program, samples.x, steps=1)  # what libraries allocate once
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
most = int(status["VmData"].split()[0]) * 1024 + spare
resource.setrlimit(resource.RLIMIT_DATA, (most, most))
try:
    np.ones(2 * spare, np.uint8)  # the whole file
    print("no limit")
except MemoryError:
    pass
with nd.open_samples(path) as samples:
    print(len(nd.run(program, samples.x, steps=1).decisions))
"""


def write(path, x, y):
    """Write a data set in the form that the name ends in."""
    if path.suffix == ".npz":
        np.savez(path, x=x, y=y)
    elif path.suffix == ".h5":
        h5py = pytest.importorskip("h5py", reason="HDF5 is not installed")
        with h5py.File(path, "w") as file:
            file["x"], file["y"] = x, y
    else:
        zarr = pytest.importorskip("zarr", reason="the zarr extra is not installed")
        group = zarr.open_group(str(path), mode="w")
        for name, values in {"x": x, "y": y}.items():
            group.create_array(name, data=values, chunks=(256, *values.shape[1:]), compressors=None)


@pytest.mark.skipif(sys.platform != "linux", reason="limits data of a process as Linux does")
@pytest.mark.parametrize("name", ["x.npz", "x.h5", "x.zarr"])
def test_a_file_larger_than_what_memory_is_left_runs_to_its_end(name, tmp_path):
    path = tmp_path / name
    write(path, np.random.default_rng(0).random((SAMPLES, WIDTH)), np.zeros(SAMPLES, np.int64))
    with open_arrays(path) as arrays:
        spare = arrays["x"].nbytes // 2
    line = [sys.executable, "-c", RUN, str(path), str(WIDTH), str(spare)]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, f"{SAMPLES}\n"), done.stderr[-2000:]
