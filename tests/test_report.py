"""Figures, and their text, picture and file."""

import copy
import json
from pathlib import Path

import numpy as np
import pytest

import neurodeploy as nd
from neurodeploy.errors import DataError
from neurodeploy.program import ConvMap, DenseMap, SparseMap
from neurodeploy.reporting import Report, read_report
from neurodeploy.reporting.figures import RASTER_SPIKES, raster_figures, synapses
from neurodeploy.reporting.picture import draw
from neurodeploy.reporting.text import percent, table
from tools.golden import network

LABELS = np.array([0, 1, 2, 0, 1, 2])


@pytest.fixture(scope="module")
def program():
    return nd.compile(network()).raise_for_errors()


@pytest.fixture(scope="module")
def recording(program):
    return nd.run(program, np.linspace(0, 1, 24).reshape(6, 4))


@pytest.fixture
def figures(program, recording):
    return copy.deepcopy(dict(nd.report(program, recording, LABELS).figures))


def size_of(path):
    from PIL import Image

    with Image.open(path) as image:
        assert np.asarray(image.convert("L")).std() > 5, "the picture is blank"
        return image.size


# --- figures ----------------------------------------------------------------------------------------------


def test_figures_are_those_of_the_recording(figures, recording):
    assert figures["accuracy"] == recording.accuracy(LABELS)
    assert figures["accuracy_over_steps"][-1] == pytest.approx(figures["accuracy"], abs=1e-6)
    assert figures["spikes_per_sample"] == pytest.approx(
        sum(row["spikes_per_sample"] or 0 for row in figures["layers"])
    )
    assert figures["synops_per_sample"] == pytest.approx(
        sum(row["synops_per_sample"] or 0 for row in figures["layers"])
    )


def test_layers_have_the_users_names_and_the_cores_they_take(figures):
    assert [row["layer"] for row in figures["layers"]] == ["(input)", "hidden", "out"]
    assert [row.get("cores") for row in figures["layers"]] == [None, 1, 1]
    assert [row.get("synapses") for row in figures["layers"]] == [None, 24, 18]


def test_mean_rates_are_spikes_per_neuron_and_step(figures):
    for row in figures["layers"][:2]:
        assert row["mean_rate"] == pytest.approx(row["spikes_per_sample"] / row["neurons"] / 16)


def test_a_nef_layer_counts_the_neurons_of_its_ensembles():
    from neurodeploy.stages import with_nef

    row = nd.report(with_nef(network(), ["hidden"])).figures["layers"][1]
    assert (row["neuron"], row["neurons"]) == ("LIF (NEF)", 6 * 50)


def test_without_labels_there_are_predictions_in_place_of_accuracy(program, recording):
    figures = nd.report(program, recording).figures
    assert figures["accuracy"] is None
    assert figures["predictions"] == recording.predictions.tolist()


def test_every_core_shows_used_and_limit_of_every_resource(figures):
    assert len(figures["cores"]) == 1  # small blocks share it
    for core in figures["cores"]:
        use = {u["resource"]: u for u in core["use"]}
        assert {"compartments", "input axons", "synapse memory", "output axons"} <= set(use)
        assert all(0 <= u["used"] <= u["limit"] for u in use.values())


def test_a_raster_with_too_many_spikes_keeps_every_kth_neuron_whole(program, recording):
    import dataclasses

    steps, neurons = 2 * RASTER_SPIKES // 4, 4
    every = np.stack(np.meshgrid(np.arange(steps), np.arange(neurons), indexing="ij"), -1).reshape(-1, 2)
    dense = dataclasses.replace(recording, raster={"encoder": every.astype(np.int32)})
    row = raster_figures(program, dense)[0]
    assert row["every"] == 2
    assert {neuron for _, neuron in row["spikes"]} == {0, 2}
    assert len(row["spikes"]) == RASTER_SPIKES


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("padding", [0, 1])
@pytest.mark.parametrize("groups", [1, 2])
def test_synapses_of_a_convolution_are_counted_as_the_connections_it_makes(stride, padding, groups):
    side = (5 + 2 * padding - 3) // stride + 1
    conv = ConvMap(
        np.ones((4, 2 // groups, 3, 3)), (2, 5, 5), (4, side, side), (stride, stride), (padding, padding),
        (1, 1), groups,
    )  # fmt: skip
    inside = 0
    for y in range(side):
        for x in range(side):
            for ky in range(3):
                for kx in range(3):
                    at = (y * stride + ky - padding, x * stride + kx - padding)
                    inside += all(0 <= a < 5 for a in at)
    assert synapses(conv) == inside * 4 * 2 // groups


def test_synapses_of_dense_and_sparse_maps_are_counted():
    assert synapses(DenseMap(np.ones((3, 4)))) == 12
    assert synapses(SparseMap(np.array([0, 2, 3]), np.zeros(3, np.int32), np.ones(3), (2, 4))) == 3


# --- text -------------------------------------------------------------------------------------------------


def test_tables_align_words_left_and_numbers_right():
    assert table(["a", "long\nhead"], [["x", 1], ["yy", 20000]]) == (
        "      long\na     head\n--  ------\nx        1\nyy  20,000"
    )


def test_tables_for_the_readme_say_how_columns_align():
    assert table(["a", "n"], [["x", 10]], markdown=True) == "| a |  n |\n| - | -: |\n| x | 10 |"


def test_tables_for_the_readme_show_what_would_be_markup():
    assert table(["a"], [["<used> | <limit>"]], markdown=True).splitlines()[2] == r"| \<used> \| \<limit> |"


def test_shares_show_two_places_and_nothing_where_there_is_none():
    assert (percent(0.98765), percent(1.0), percent(None)) == ("98.77 %", "100.00 %", "-")


def test_a_partial_run_says_so_in_text(figures):
    figures |= {"complete": False, "samples_asked": 9}
    assert "6 samples (interrupted, of 9)" in str(Report(figures)).splitlines()[0]


# --- file -------------------------------------------------------------------------------------------------


def test_a_report_survives_its_file(figures, tmp_path):
    path = tmp_path / "run.json"
    path.write_text(Report(figures).to_json())
    assert read_report(path).figures == figures


def test_nan_is_never_written(figures):
    with pytest.raises(ValueError, match="JSON"):
        Report(figures | {"accuracy": float("nan")}).to_json()


@pytest.mark.parametrize("part", ["layers", "card", "accuracy"])
def test_a_file_with_a_part_missing_is_refused_by_its_name(figures, tmp_path, part):
    del figures[part]
    (tmp_path / "run.json").write_text(json.dumps(figures))
    with pytest.raises(DataError, match=part):
        read_report(tmp_path / "run.json")


@pytest.mark.parametrize(
    "change",
    [
        {"samples": "many"}, {"layers": 3}, {"layers": [3]}, {"card": {}}, {"accuracy": []},
        {"seconds": None}, {"cores": [{"core": 0}]}, {"card": {"model": "m", "not_verified_on_silicon": 5}},
    ],
    ids=str,
)  # fmt: skip
def test_a_file_with_a_part_of_another_form_is_refused(figures, tmp_path, change):
    (tmp_path / "run.json").write_text(json.dumps(figures | change))
    with pytest.raises(DataError, match="not as neurodeploy writes them"):
        read_report(tmp_path / "run.json")


def test_a_file_that_cannot_be_drawn_is_refused(figures, tmp_path):
    (tmp_path / "run.json").write_text(json.dumps(figures | {"raster": [{"spikes": "none"}]}))
    report = read_report(tmp_path / "run.json")
    with pytest.raises(DataError, match="cannot be drawn"):
        report.save(tmp_path)


# --- of what has not run ----------------------------------------------------------------------------------


def test_a_program_that_has_not_run_prints_its_layers_cores_findings_and_card(program):
    text = str(nd.report(program))
    assert text.splitlines()[0] == "golden for loihi1: 3 populations, not run"
    assert "hidden" in text
    assert "1 core in use" in text
    assert program.digest()[:16] in text


def test_findings_of_a_program_are_printed_as_check_prints_them(program):
    import dataclasses

    from neurodeploy.diagnostics import Place, render
    from neurodeploy.rules.precision import WEAK_PROJECTION

    found = WEAK_PROJECTION.at(Place("hidden", node="h", core=2), source="a", used=300.0, factor=2.0)
    text = str(nd.report(dataclasses.replace(program, diagnostics=(found,))))
    assert render(found, concise=True) in text.splitlines()


def test_a_network_that_has_not_run_prints_its_layers_and_card():
    text = str(nd.report(network()))
    assert text.splitlines()[0] == "golden: 3 populations, not run"
    assert network().digest()[:16] in text


@pytest.mark.parametrize("make", [nd.compile, lambda graph: graph], ids=["program", "graph"])
def test_it_survives_its_file_and_is_drawn(make, tmp_path):
    report = nd.report(make(network()))
    written = report.save(str(tmp_path / "new" / "folder"))
    assert [path.name for path in written] == ["report.png", "report.json", "report.txt"]
    assert str(read_report(written[1])) == str(report)
    size_of(written[0])


@pytest.mark.parametrize("labels", [LABELS[:5], np.append(LABELS, 0), 3, np.zeros((6, 2))])
def test_labels_of_another_number_are_refused(program, recording, labels):
    with pytest.raises(DataError, match="labels"):
        nd.report(program, recording, labels)
    with pytest.raises(DataError, match="labels"):
        recording.accuracy(labels)


# --- picture ----------------------------------------------------------------------------------------------


def test_a_whole_run_has_four_panels(figures, tmp_path):
    width, height = size_of(draw([figures], tmp_path / "a.png"))
    assert (width, height) > (1500, 900)


@pytest.mark.parametrize(
    "change",
    [
        {"accuracy": None, "accuracy_over_steps": None},
        {"raster": []},
        {"cores": []},
        {"layers": []},
        {"accuracy": None, "accuracy_over_steps": None, "raster": [], "cores": [], "layers": []},
        {"complete": False, "samples_asked": 9},
    ],
    ids=["no labels", "no raster", "no cores", "no layers", "nothing", "partial"],
)
def test_what_is_not_there_is_not_drawn(figures, tmp_path, change):
    size_of(draw([figures | change], tmp_path / "a.png"))


def test_two_hundred_cores_are_drawn(figures, tmp_path):
    core = figures["cores"][0]
    figures["cores"] = [core | {"core": i} for i in range(200)]
    size_of(draw([figures], tmp_path / "a.png"))


def test_several_runs_share_the_first_panel(figures, tmp_path):
    level = figures | {"backend": "rate", "accuracy_over_steps": None, "steps": 1}
    size_of(draw([level, figures], tmp_path / "a.png"))


def test_a_conversion_without_calibration_is_named_in_the_card():
    graph = nd.load(Path(__file__).parents[1] / "models" / "digits_mlp.keras")
    card = nd.report(nd.convert(graph)).figures["card"]
    assert card["calibration"].startswith("none: random samples")
    sound = nd.convert(graph, calibration=np.random.default_rng(0).random((20, 64)))
    assert "calibration" not in nd.report(sound).figures["card"]
