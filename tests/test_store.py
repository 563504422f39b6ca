import dataclasses
import json

import h5py
import numpy as np
import pytest

from neurodeploy import store
from neurodeploy.conversion import convert
from neurodeploy.errors import LoadError, OutputError
from neurodeploy.ir import ops
from neurodeploy.ir.graph import Graph, Node
from tests.conversion.graphs import chain, perceptron
from tests.ir.graphs import delayed_graph, sequence_graph, spiking_graph


def rate_graph():
    norm = ops.BatchNorm(*np.full((4, 3), 0.5), epsilon=1e-5, axis=0)
    return chain(
        ("in", ops.Input((3, 4))), ("norm", norm), ("pad", ops.Pad(((0, 0), (1, 2)))), ("r", ops.ReLU()),
        ("leaky", ops.ReLU(6.0, np.full((3, 1), 0.1))), ("stretch", ops.Stretch((1, 2))),
        ("crop", ops.Crop(((0, 0), (2, 4)))), ("max", ops.MaxPool((2,), (1,), ((0, 1),))),
        ("shape", ops.Reshape((7, 3))), ("t", ops.Transpose((1, 0))), ("drop", ops.Identity()),
        ("soft", ops.Softmax(log=True)), ("out", ops.Output((3, 7))),
    )  # fmt: skip


GRAPHS = {"spiking": spiking_graph, "sequence": sequence_graph, "delayed": delayed_graph, "rate": rate_graph}


@pytest.fixture
def file(tmp_path):
    """Return a function that damages a stored graph and returns its path."""
    path = store.save(spiking_graph(), tmp_path / "a.nd")

    def damage(change):
        with h5py.File(path, "r+") as opened:
            change(opened)
        return path

    return damage


@pytest.mark.parametrize("make", GRAPHS.values(), ids=GRAPHS)
def test_a_loaded_graph_has_the_digest_of_the_saved_one(make, tmp_path):
    assert store.load(store.save(make(), tmp_path / "a.nd")).digest() == make().digest()


@pytest.mark.parametrize("make", GRAPHS.values(), ids=GRAPHS)
def test_the_same_graph_gives_the_same_bytes(make, tmp_path):
    first = store.save(make(), tmp_path / "a.nd")
    again = store.save(store.load(first), tmp_path / "b.nd")
    assert first.read_bytes() == again.read_bytes()


def test_every_op_is_stored_by_one_of_these_graphs():
    assert {node.op.kind for make in GRAPHS.values() for node in make()} == set(ops.OPS)


@pytest.mark.parametrize("make", [spiking_graph, sequence_graph, delayed_graph])
def test_nir_reads_the_file_and_finds_the_same_network(make, tmp_path):
    nir = pytest.importorskip("nir")
    graph = make()
    read = nir.read(store.save(graph, tmp_path / "a.nd"))
    names = {node.name: node.name.replace("/", "%2F") for node in graph}
    assert set(read.nodes) == set(names.values())
    assert set(read.edges) == {(names[a], names[b]) for a, b in graph.edges}
    for node in graph:
        there = read.nodes[names[node.name]]
        assert type(there).__name__ == node.op.kind
        assert tuple(there.output_type["output"]) == graph.shapes[node.name]
        if hasattr(there, "v_threshold"):
            want = np.broadcast_to(node.op.v_threshold, graph.shapes[node.name])
            assert np.array_equal(there.v_threshold, want)


def test_nir_writes_the_same_fields_with_the_same_values(tmp_path):
    nir = pytest.importorskip("nir")
    ours = store.save(spiking_graph(), tmp_path / "ours.nd")
    nir.write(tmp_path / "theirs.nir", nir.read(ours))
    with h5py.File(ours) as a, h5py.File(tmp_path / "theirs.nir") as b:
        for name in a["node/nodes"]:
            one, other = a["node/nodes"][name], b["node/nodes"][name]
            assert set(one) == set(other), name
            for field in one:
                assert np.array_equal(one[field][()], other[field][()]), (name, field)


@pytest.mark.parametrize("groups", [2, 4])
def test_a_grouped_kernel_written_out_computes_the_same(groups, rng):
    from neurodeploy.numerics.layers import conv2d

    weight, x = rng.normal(size=(8, 4 // groups, 3, 3)), rng.normal(size=(2, 4, 5, 5))
    full = store.ungroup(weight, groups)
    np.testing.assert_allclose(conv2d(x, full), conv2d(x, weight, groups=groups), atol=1e-12)
    assert np.array_equal(store.regroup(full, groups), weight)


def test_a_converted_network_survives_the_file(rng, tmp_path):
    spiking = convert(perceptron((5, 7, 3), rng), rng.normal(size=(40, 5)))
    loaded = store.load(store.save(spiking, tmp_path / "a.nd"))
    assert loaded.digest() == spiking.digest()
    assert loaded.meta == spiking.meta
    assert [n.notes for n in loaded] == [n.notes for n in spiking]


def with_source():
    return dataclasses.replace(spiking_graph(), source=rate_graph())


def test_the_source_travels_with_the_network_and_is_no_part_of_its_digest(tmp_path):
    path = store.save(with_source(), tmp_path / "a.nd")
    loaded = store.load(path)
    assert loaded.source.digest() == rate_graph().digest()
    assert loaded.digest() == spiking_graph().digest()
    assert store.save(loaded, tmp_path / "b.nd").read_bytes() == path.read_bytes()


def test_readers_of_nir_see_the_network_and_not_its_source(tmp_path):
    nir = pytest.importorskip("nir")
    read = nir.read(store.save(with_source(), tmp_path / "a.nd"))
    assert len(read.nodes) == len(spiking_graph().nodes)


def test_a_source_that_is_damaged_is_refused(tmp_path):
    path = store.save(with_source(), tmp_path / "a.nd")
    with h5py.File(path, "r+") as opened:
        del opened["neurodeploy/source/node/nodes/norm"]
    with pytest.raises(LoadError, match="source/node/nodes/norm"):
        store.load(path)


@pytest.mark.parametrize("name", ["a/b", ".", "..", "50%", "ä ö", "a%2Fb", "x'y"])
def test_any_name_of_a_layer_survives_the_file(name, tmp_path):
    graph = chain((name, ops.Input((2,))), ("out", ops.Output((2,))), name=name)
    loaded = store.load(store.save(graph, tmp_path / "a.nd"))
    assert loaded.digest() == graph.digest()


def test_the_file_holds_numbers_and_text_only(tmp_path):
    with h5py.File(store.save(spiking_graph(), tmp_path / "a.nd")) as opened:
        types = set()
        opened.visititems(lambda _, item: types.add(item.dtype.kind) if hasattr(item, "dtype") else None)
        assert types <= {"f", "i", "S"}


def test_a_file_that_is_not_there_is_said_so(tmp_path):
    with pytest.raises(LoadError, match="there is no file"):
        store.load(tmp_path / "none.nd")


@pytest.mark.parametrize("keep", [0, 100, 2000])
def test_a_truncated_file_is_refused(keep, tmp_path):
    path = store.save(spiking_graph(), tmp_path / "a.nd")
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(LoadError, match=r"a\.nd"):
        store.load(path)


def test_a_plain_nir_file_is_told_from_ours(file):
    with pytest.raises(LoadError, match=r"lacks the group /neurodeploy.*NIR file"):
        store.load(file(lambda f: f.pop("neurodeploy")))


@pytest.mark.parametrize(
    "gone",
    [
        "neurodeploy/version",
        "neurodeploy/graph",
        "node/edges",
        "node/nodes/conv",
        "node/nodes/conv/type",
        "node/nodes/lif/tau",
    ],
)
def test_a_file_that_lacks_something_names_what(gone, file):
    with pytest.raises(LoadError, match=gone):
        store.load(file(lambda f: f.pop(gone)))


def test_a_file_of_a_later_version_is_refused(file):
    with pytest.raises(LoadError, match=r"version 2.*up to 1"):
        store.load(file(lambda f: f["neurodeploy/version"].write_direct(np.array(2))))


def replace(file, name, value):
    del file[name]
    file[name] = value


def edit(file, change):
    """Change the JSON part of a file."""
    extras = json.loads(file["neurodeploy/graph"][()])
    change(extras)
    replace(file, "neurodeploy/graph", json.dumps(extras))


DAMAGE = {
    "text for numbers": lambda f: replace(f, "node/nodes/conv/weight", "none"),
    "another shape": lambda f: replace(f, "node/nodes/lif/tau", np.ones(5)),
    "not a number": lambda f: replace(f, "node/nodes/last/weight", np.full((2, 3), np.nan)),
    "an unknown op": lambda f: replace(f, "node/nodes/conv/type", "Hodgkin"),
    "an edge to nowhere": lambda f: replace(f, "node/edges", np.array([[b"in", b"nowhere"]])),
    "no JSON": lambda f: replace(f, "neurodeploy/graph", "{"),
    "no nodes": lambda f: edit(f, lambda extras: extras.pop("nodes")),
    "a field of another kind": lambda f: edit(f, lambda e: e["nodes"][2]["fields"].update(stride="wide")),
    "a missing field": lambda f: edit(f, lambda e: e["nodes"][5]["fields"].pop("stride")),
    "a node twice": lambda f: edit(f, lambda e: e["nodes"].append(e["nodes"][0])),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_file_is_refused_without_a_traceback_of_ours(damage, file):
    with pytest.raises(LoadError, match=r"a\.nd"):
        store.load(file(damage))


def test_a_file_that_cannot_be_written_leaves_nothing(tmp_path):
    with pytest.raises(OutputError):
        store.save(spiking_graph(), tmp_path / "no" / "a.nd")
    assert list(tmp_path.iterdir()) == []


def test_saving_over_a_file_replaces_it(tmp_path):
    path = store.save(sequence_graph(), tmp_path / "a.nd")
    store.save(spiking_graph(), path)
    assert store.load(path).digest() == spiking_graph().digest()
    assert [p.name for p in tmp_path.iterdir()] == ["a.nd"]


def test_fields_of_nir_make_the_op_again():
    for graph in (spiking_graph(), sequence_graph(), delayed_graph()):
        for node in graph:
            before = graph.sources(node.name)
            fields = store.to_nir(node.op, graph.shapes[before[0]] if before else ())
            assert store.from_nir(fields).out_shape is not None


def test_a_field_that_is_missing_is_named():
    with pytest.raises(ValueError, match="'bias' of Affine is missing"):
        store.from_nir({"type": "Affine", "weight": np.ones((2, 2))})


def test_a_graph_without_edges_is_stored(tmp_path):
    graph = Graph((Node("in", ops.Input((2,))), Node("out", ops.Output((2,)))), (("in", "out"),))
    assert store.load(store.save(graph, tmp_path / "a.nd")).digest() == graph.digest()
