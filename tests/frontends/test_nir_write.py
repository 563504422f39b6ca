"""NIR for other tools: read as the tool steps it, it gives the same spikes; what a tool lacks is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from neurodeploy import stages, store
from neurodeploy.cli import main
from neurodeploy.errors import ConvertError, OptionError
from neurodeploy.frontends.dispatch import is_nir, load
from neurodeploy.frontends.nir import save_nir
from neurodeploy.ir.compare import compare
from tests.frontends.nir_files import CUBA, EXAMPLES, ONES, SPIKE, chain, lif, node

W = node("Affine", weight=np.random.default_rng(2).normal(0.4, 0.6, (4, 4)), bias=np.full(4, 0.05))
NEURONS = {
    "IF": node("IF", r=1000 * ONES, v_threshold=1.5 * ONES),
    "LIF": lif(tau=0.02, r=25.0),
    "CubaLIF": node("CubaLIF", **{**CUBA, **SPIKE}),
}
READ: dict[str, dict[str, Any]] = {
    "norse": {"written_by": "norse"},
    "snntorch": {"written_by": "snntorch", "reset": "zero"},
    "sinabs": {"written_by": "sinabs"},
}
RESETS = {"norse": "zero", "snntorch": "zero", "sinabs": "subtract", "rockpool": "subtract"}


def graph_of(folder: Path, kind: str, reset: str) -> Any:
    path = chain(folder / "n.nir", (4,), (4,), W, NEURONS[kind], W, NEURONS[kind])
    return load(path, dt=1e-3, reset=reset)


@pytest.mark.parametrize(
    ("tool", "kind"),
    [(tool, kind) for tool in READ for kind in NEURONS if (tool, kind) != ("sinabs", "CubaLIF")],
)
def test_what_is_written_for_a_tool_gives_the_same_spikes_as_that_tool_steps_it(
    tool: str, kind: str, tmp_path: Path
) -> None:
    graph = graph_of(tmp_path, kind, RESETS[tool])
    again = load(save_nir(graph, tmp_path / "out.nir", written_for=tool), **READ[tool])
    found = compare(graph, again)
    assert found.pairs[-1].totals[0] > 50
    assert found.same(0.005)  # snnTorch's IF leaks by a millionth


def test_rockpool_finds_our_step_in_r(tmp_path: Path) -> None:
    graph = graph_of(tmp_path, "CubaLIF", "subtract")
    path = save_nir(graph, tmp_path / "out.nir", written_for="rockpool")
    op = load(path, dt=1e-3, reset="subtract")["n1"].op
    np.testing.assert_allclose(op.tau_mem / (1 + op.r), 1e-3)


def test_the_file_is_plain_nir_without_the_encoder(tmp_path: Path) -> None:
    graph = stages.adopt(graph_of(tmp_path, "LIF", "zero"))
    path = save_nir(graph, tmp_path / "out.nir", written_for="norse")
    assert is_nir(path)
    assert [n.name for n in load(path, **READ["norse"])] == ["input", "n0", "n1", "n2", "n3", "output"]
    nir = pytest.importorskip("nir")
    assert set(nir.read(path).nodes) == {"input", "n0", "n1", "n2", "n3", "output"}


CANNOT = [
    ("norse", "LIF", "subtract", "what norse reads resets to zero"),
    ("sinabs", "IF", "zero", "what sinabs reads subtracts the threshold"),
    ("sinabs", "CubaLIF", "subtract", "its importer does not take CubaLIF"),
    ("rockpool", "LIF", "subtract", "its importer does not take LIF as it is meant"),
    ("norse", "LIF", "subtract-late", "what norse reads resets to zero"),
]


@pytest.mark.parametrize(("tool", "kind", "reset", "message"), CANNOT)
def test_what_a_tool_steps_otherwise_is_refused(
    tool: str, kind: str, reset: str, message: str, tmp_path: Path
) -> None:
    with pytest.raises(ConvertError, match=rf"'n1' \({kind}\) cannot be written for {tool}: .*{message}"):
        save_nir(graph_of(tmp_path, kind, reset), tmp_path / "out.nir", written_for=tool)
    assert not (tmp_path / "out.nir").exists()


def test_an_op_that_a_tool_lacks_is_refused(tmp_path: Path) -> None:
    graph = load(chain(tmp_path / "n.nir", (4,), (4,), EXAMPLES["Scale"][2], lif()), dt=1e-3, reset="zero")
    with pytest.raises(ConvertError, match=r"'n0' \(Scale\) cannot be written for norse"):
        save_nir(graph, tmp_path / "out.nir", written_for="norse")
    with pytest.raises(OptionError, match="no way to write for 'brian'"):
        save_nir(graph, tmp_path / "out.nir", written_for="brian")


def test_the_command_line_writes_and_refuses(tmp_path: Path, capsys: Any) -> None:
    path = store.save(stages.adopt(graph_of(tmp_path, "IF", "zero")), tmp_path / "n.nd")
    out = tmp_path / "out.nir"
    assert main(["nir-write", str(path), "--written-for", "norse", "-o", str(out)]) == 0
    assert main(["nir-verify", str(path), str(out), "--written-by", "norse"]) == 0
    assert main(["nir-write", str(path), "--written-for", "sinabs", "-o", str(tmp_path / "b.nir")]) == 2
    assert "cannot be written for sinabs" in capsys.readouterr().err
    assert not (tmp_path / "b.nir").exists()
