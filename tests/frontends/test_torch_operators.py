"""Live PyTorch modules and their exported programs, against PyTorch itself."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from neurodeploy.errors import LoadError, UnsupportedLayer
from neurodeploy.frontends.torch import from_torch, load_pt2
from neurodeploy.frontends.torch.table import HANDLERS, REFUSED
from neurodeploy.ir.evaluate import evaluate
from neurodeploy.ir.verify import verify

torch = pytest.importorskip("torch", reason="needs PyTorch: pip install 'neurodeploy[torch]'")
nn, F = torch.nn, torch.nn.functional
pytestmark = pytest.mark.filterwarnings("ignore")  # torch's own deprecations
IMAGE, SEQUENCE, VECTOR = (4, 8, 6), (4, 12), (6,)


class Function(nn.Module):  # type: ignore[name-defined,misc]
    """A module around a function."""

    def __init__(self, call: Callable[..., Any], *shapes: tuple[int, ...]) -> None:
        super().__init__()
        self.call = call
        self.weights = nn.ParameterList([nn.Parameter(torch.randn(s)) for s in shapes])

    def forward(self, x: Any) -> Any:
        return self.call(x, *self.weights)


def seeded(make: Callable[[], Any]) -> Any:
    torch.manual_seed(0)
    module = make().eval()
    for part in module.modules():
        if isinstance(part, nn.modules.batchnorm._BatchNorm):
            part.running_mean.uniform_(-1, 1)
            part.running_var.uniform_(0.5, 2)
    return module


def exported(module: Any, shape: tuple[int, ...], *, dynamic: bool = False) -> Any:
    axes = ({0: torch.export.Dim("N")},) if dynamic else None
    return torch.export.export(module, (torch.randn(2, *shape),), dynamic_shapes=axes)


def assert_same(
    module: Any, shape: tuple[int, ...], folder: Path, *, flat: bool = False, dynamic: bool = False
) -> Any:
    """Compare with programs of a fixed and of an open batch, and with a decomposed one."""
    x = np.random.default_rng(1).normal(size=(3, *shape)).astype(np.float32)
    with torch.no_grad():
        want = module(torch.from_numpy(x.copy())).numpy()
    program = exported(module, shape, dynamic=dynamic)
    torch.export.save(program, folder / "m.pt2")
    sources = [load_pt2(folder / "m.pt2")]
    sources += [from_torch(program.run_decompositions())] if flat else []
    for graph in sources:
        have = evaluate(verify(graph, form="rate"), graph.prepare(x))
        assert have.shape == want.shape
        np.testing.assert_allclose(have, want, rtol=0, atol=2e-5 * np.abs(want).max())
    return sources[0]


def call(function: Callable[..., Any], *shapes: tuple[int, ...]) -> Callable[[], Any]:
    return lambda: Function(function, *shapes)


MODULES: dict[str, tuple[Callable[[], Any], tuple[int, ...]]] = {
    "conv2d": (lambda: nn.Conv2d(4, 5, (3, 2), stride=2, padding=1), IMAGE),
    "conv2d grouped, dilated": (lambda: nn.Conv2d(4, 8, 3, groups=2, dilation=2, bias=False), IMAGE),
    "conv2d same": (lambda: nn.Conv2d(4, 5, (4, 3), padding="same", dilation=(1, 2)), IMAGE),
    "conv1d": (lambda: nn.Conv1d(4, 5, 3, stride=2, padding=2), SEQUENCE),
    "conv_transpose2d": (lambda: nn.ConvTranspose2d(4, 6, 3, 2, 1, 1, groups=2), IMAGE),
    "conv_transpose1d": (lambda: nn.ConvTranspose1d(4, 3, 4, 3, dilation=2), SEQUENCE),
    "linear": (lambda: nn.Linear(6, 3), VECTOR),
    "linear on steps": (lambda: nn.Linear(6, 3, bias=False), (5, 6)),
    "batch_norm 2d": (lambda: nn.BatchNorm2d(4), IMAGE),
    "batch_norm 1d": (lambda: nn.BatchNorm1d(6, affine=False), VECTOR),
    "avg_pool2d": (lambda: nn.AvgPool2d(3, 2, 1), IMAGE),
    "avg_pool2d uncounted": (lambda: nn.AvgPool2d(3, 2, 1, count_include_pad=False, ceil_mode=True), IMAGE),
    "avg_pool1d": (lambda: nn.AvgPool1d(3), SEQUENCE),
    "max_pool2d": (lambda: nn.MaxPool2d(3, 2, 1), IMAGE),
    "max_pool2d ceil": (lambda: nn.MaxPool2d(3, 2, ceil_mode=True), IMAGE),
    "max_pool1d": (lambda: nn.MaxPool1d(2), SEQUENCE),
    "adaptive_avg_pool2d": (lambda: nn.AdaptiveAvgPool2d((2, 3)), IMAGE),
    "adaptive_avg_pool1d": (lambda: nn.AdaptiveAvgPool1d(1), SEQUENCE),
    "adaptive_max_pool2d": (lambda: nn.AdaptiveMaxPool2d(1), IMAGE),
    "adaptive_max_pool1d": (lambda: nn.AdaptiveMaxPool1d(3), SEQUENCE),
    "upsample_nearest2d": (lambda: nn.Upsample(scale_factor=(2, 3)), IMAGE),
    "upsample_nearest2d to size": (lambda: nn.Upsample(size=(16, 12)), IMAGE),
    "upsample_nearest1d": (lambda: nn.Upsample(scale_factor=2), SEQUENCE),
    "relu": (lambda: nn.ReLU(), VECTOR),
    "relu6": (lambda: nn.ReLU6(), VECTOR),
    "leaky_relu": (lambda: nn.LeakyReLU(0.2), VECTOR),
    "prelu": (lambda: nn.PReLU(4), IMAGE),
    "prelu alike": (lambda: nn.PReLU(), IMAGE),
    "hardtanh": (lambda: nn.Hardtanh(-0.3, 0.6), VECTOR),
    "hardsigmoid": (lambda: nn.Hardsigmoid(), VECTOR),
    "threshold": (lambda: nn.Threshold(0, 0), VECTOR),
    "softmax": (lambda: nn.Softmax(-1), VECTOR),
    "log_softmax": (lambda: nn.LogSoftmax(1), VECTOR),
    "dropout": (lambda: nn.Sequential(nn.Dropout(), nn.Dropout2d(), nn.AlphaDropout()), IMAGE),
    "flatten": (lambda: nn.Flatten(), IMAGE),
    "unflatten": (lambda: nn.Unflatten(1, (2, -1)), IMAGE),
    "pad": (lambda: nn.ZeroPad2d((1, 2, 0, 3)), IMAGE),
    "identity": (lambda: nn.Identity(), VECTOR),
    "matmul": (call(lambda x, w: x @ w, (6, 3)), VECTOR),
    "matmul on steps": (call(lambda x, w: torch.matmul(x, w), (6, 3)), (5, 6)),
    "mm": (call(lambda x, w: torch.mm(x, w), (6, 3)), VECTOR),
    "addmm": (call(lambda x, w, b: torch.addmm(b, x, w, beta=2, alpha=0.5), (6, 3), (3,)), VECTOR),
    "clamp": (call(lambda x: x.clamp(-0.5, 0.7)), VECTOR),
    "clamp_min": (call(lambda x: torch.clamp_min(x, 0.2)), VECTOR),
    "clamp_max": (call(lambda x: torch.clamp(x, max=0.2)), VECTOR),
    "add": (call(lambda x: torch.add(x, F.relu(x), alpha=2)), IMAGE),
    "add a parameter": (call(lambda x, w: w + x, (4, 1, 1)), IMAGE),
    "sub": (call(lambda x: torch.sub(F.relu(x), x, alpha=2)), IMAGE),
    "sub a parameter": (call(lambda x, w: x - w, (6,)), VECTOR),
    "rsub": (call(lambda x: 1 - x), VECTOR),
    "sub from a parameter": (call(lambda x, w: w - x, (6,)), VECTOR),
    "mul": (call(lambda x, w: 3 * x * w, (4, 1, 1)), IMAGE),
    "div": (call(lambda x: x / 3), VECTOR),
    "div by a parameter": (call(lambda x, w: x / w.detach(), (6,)), VECTOR),
    "neg": (call(lambda x: -x), VECTOR),
    "abs": (call(lambda x: x.abs()), VECTOR),
    "maximum": (call(lambda x: torch.maximum(x, -x)), VECTOR),
    "minimum": (call(lambda x: torch.minimum(x, x * 2)), VECTOR),
    "mean": (call(lambda x: x.mean((2, 3))), IMAGE),
    "mean kept": (call(lambda x: x.mean((-1, -2), keepdim=True)), IMAGE),
    "amax": (call(lambda x: x.amax((2, 3))), IMAGE),
    "cat": (call(lambda x: torch.cat([x, -x, x], 1)), IMAGE),
    "cat columns": (call(lambda x: torch.cat([x, -x], -1)), IMAGE),
    "constant_pad_nd": (call(lambda x: F.pad(x, (1, -2, -1, 0))), IMAGE),
    "view": (call(lambda x: x.view(x.size(0), -1)), IMAGE),
    "reshape": (call(lambda x: x.reshape(-1, 2, 2, 48)), IMAGE),
    "flatten some": (call(lambda x: x.flatten(2)), IMAGE),
    "squeeze": (call(lambda x: x.mean((2, 3), keepdim=True).squeeze(3).squeeze(-1)), IMAGE),
    "squeeze several": (call(lambda x: x.mean((2, 3), keepdim=True).squeeze((2, 3))), IMAGE),
    "unsqueeze": (call(lambda x: x.unsqueeze(1).unsqueeze(-1)), VECTOR),
    "permute": (call(lambda x: x.permute(0, 2, 3, 1)), IMAGE),
    "transpose": (call(lambda x: x.transpose(1, -1)), IMAGE),
    "slice": (call(lambda x: x[:, 1:3, :-2]), IMAGE),
    "select": (call(lambda x: x[:, 1] + x[:, -1]), IMAGE),
    "split": (call(lambda x: x.split(3, 2)[0] - x.split((3, 5), 2)[0]), IMAGE),
    "chunk": (call(lambda x: torch.cat(x.chunk(2, 1)[::-1], 1)), IMAGE),
    "to": (call(lambda x: x.to(torch.float64).float()), VECTOR),
    "clone": (call(lambda x: x.contiguous().clone().detach()), VECTOR),
}


DECOMPOSED = (
    "conv2d", "conv_transpose1d", "linear", "batch_norm 2d", "max_pool2d", "adaptive_avg_pool2d", "softmax",
    "log_softmax", "leaky_relu", "hardtanh", "matmul", "addmm", "clamp", "mean", "view", "flatten some",
    "squeeze", "select", "chunk", "to",
)  # fmt: skip
"""Operators that `run_decompositions` writes otherwise, in a form that is taken too."""


@pytest.mark.parametrize("case", MODULES)
def test_an_operator_agrees_with_torch(case: str, tmp_path: Path) -> None:
    make, shape = MODULES[case]
    assert_same(seeded(make), shape, tmp_path, flat=case in DECOMPOSED)


@pytest.mark.parametrize("case", ["view", "reshape", "flatten", "slice", "select", "permute", "chunk"])
def test_a_batch_that_is_left_open_is_told_from_the_axes(case: str, tmp_path: Path) -> None:
    make, shape = MODULES[case]
    assert_same(seeded(make), shape, tmp_path, dynamic=True)


RARE: dict[str, tuple[Callable[[], Any], tuple[int, ...]]] = {
    "split_with_sizes": (call(lambda x: torch.split(x, [3, 5], 2)[1]), IMAGE),
    "feature_dropout": (lambda: nn.Dropout2d(), IMAGE),
    "convolution": MODULES["conv2d"],
}
"""Operators of rows that no case of `MODULES` is named after."""


def row_examples(names: list[str]) -> list[tuple[Callable[[], Any], tuple[int, ...], bool]]:
    """Return modules for a row of the table, each with its shape and whether decomposing it is needed."""
    found = {case: MODULES[case] for case in MODULES if case.split()[0] in names}
    found |= {name: RARE[name] for name in names if name in RARE}
    return [(*found[case], case in DECOMPOSED or names == ["convolution"]) for case in found]


def test_every_operator_taken_is_compared_with_torch() -> None:
    tried = {case.split()[0] for case in MODULES}
    decomposed = {
        "_native_batch_norm_legit_no_training", "max_pool2d_with_indices", "_adaptive_avg_pool2d",
        "convolution", "_softmax", "_log_softmax", "_prelu_kernel", "_unsafe_view", "_to_copy",
    }  # fmt: skip
    rare = {"concat", "contiguous", "detach", "alias", "lift_fresh_copy", "split_with_sizes"}
    rare |= {"feature_dropout", "alpha_dropout"}
    assert set(HANDLERS) - tried - decomposed - rare == set()


class Recurrent(nn.Module):  # type: ignore[name-defined,misc]
    """A recurrent module whose sequence alone comes out."""

    def __init__(self, inner: Any) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Any) -> Any:
        return self.inner(x)[0]


ATTENDED = call(lambda x: F.scaled_dot_product_attention(x, x, x))
REFUSALS: dict[str, tuple[Callable[[], Any], tuple[int, ...]]] = {
    "elu": (nn.ELU, VECTOR), "gelu": (nn.GELU, VECTOR), "hardswish": (nn.Hardswish, VECTOR),
    "mish": (nn.Mish, VECTOR), "selu": (nn.SELU, VECTOR), "sigmoid": (nn.Sigmoid, VECTOR),
    "silu": (nn.SiLU, VECTOR), "softplus": (nn.Softplus, VECTOR), "tanh": (nn.Tanh, VECTOR),
    "group_norm": (lambda: nn.GroupNorm(2, 4), IMAGE),
    "instance_norm": (lambda: nn.InstanceNorm2d(4), IMAGE),
    "layer_norm": (lambda: nn.LayerNorm(6), VECTOR),
    "gru": (lambda: Recurrent(nn.GRU(6, 3, batch_first=True)), (5, 6)),
    "lstm": (lambda: Recurrent(nn.LSTM(6, 3, batch_first=True)), (5, 6)),
    "rnn_relu": (lambda: Recurrent(nn.RNN(6, 3, nonlinearity="relu", batch_first=True)), (5, 6)),
    "rnn_tanh": (lambda: Recurrent(nn.RNN(6, 3, batch_first=True)), (5, 6)),
    "bmm": (call(lambda x: torch.bmm(x, x.transpose(1, 2))), (3, 3)),
    "scaled_dot_product_attention": (ATTENDED, (3, 4)),
    "embedding": (call(lambda x, w: F.embedding(x.to(torch.int64), w), (9, 3)), VECTOR),
    "upsample_bilinear2d": (lambda: nn.Upsample(scale_factor=2, mode="bilinear"), IMAGE),
}  # fmt: skip


def refused_example(name: str) -> Any:
    """Return a program with an operator that is refused."""
    make, shape = REFUSALS[name]
    return exported(seeded(make), shape)


# --- whole networks -------------------------------------------------------------------------------------


class Block(nn.Module):  # type: ignore[name-defined,misc]
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        self.act = nn.ReLU(inplace=True)

    def forward(self, x: Any) -> Any:
        y = self.act(self.norm1(self.conv1(x)))
        y = self.conv2(y)
        y += x
        return self.act(y)


class Residual(nn.Module):  # type: ignore[name-defined,misc]
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(2, 4, 3, 2, 1), nn.BatchNorm2d(4), nn.ReLU())
        self.block = Block(4)
        self.last = nn.Linear(4, 3)
        self.register_buffer("scale", torch.tensor(0.5))

    def forward(self, x: Any) -> Any:
        x = F.relu6(self.stem(x))
        x = F.max_pool2d(self.block(self.block(x)), 2)
        x = F.adaptive_avg_pool2d(x, 1).view(x.size(0), -1) * self.scale
        return self.last(F.dropout(x, 0.1, self.training))


def test_a_residual_network_with_a_block_used_twice_agrees_with_torch(tmp_path: Path) -> None:
    module = seeded(Residual)
    graph = assert_same(module, (2, 16, 16), tmp_path, flat=True)
    assert_same(module, (2, 16, 16), tmp_path, dynamic=True)
    live = from_torch(module, "m", sample=np.zeros((2, 16, 16)))
    assert live.with_meta(source="").digest() == graph.with_meta(source="").digest()
    names = [(n.origin, n.layer) for n in graph]
    assert names.count(("block.conv1", "Conv2d")) == 2
    assert {("stem.0", "Conv2d"), ("stem.2", "ReLU"), ("block.add_", "add_"), ("last", "Linear")} <= set(
        names
    )
    assert graph.meta["framework"].startswith("PyTorch 2.")  # type: ignore[union-attr]


def test_a_change_in_place_is_seen_by_later_uses(tmp_path: Path) -> None:
    def forward(x: Any) -> Any:
        y = x * 2
        z = y - 1
        F.relu_(y)
        return y + z

    assert_same(Function(forward).eval(), VECTOR, tmp_path)


def test_a_change_in_place_through_a_view_is_refused(tmp_path: Path) -> None:
    def forward(x: Any) -> Any:
        y = x * 2
        F.relu_(y.view(-1, 2, 3))
        return y + 1

    with pytest.raises(UnsupportedLayer, match="changed in place through a view"):
        from_torch(exported(Function(forward), VECTOR))


# --- refusals -------------------------------------------------------------------------------------------

CANNOT: dict[str, tuple[Callable[..., Any], tuple[int, ...], str]] = {
    "tanh": (torch.tanh, VECTOR, r"'tanh' \(tanh\): use relu"),
    "sigmoid": (torch.sigmoid, VECTOR, "use relu"),
    "product": (lambda x: x * x, VECTOR, "multiplies two values"),
    "matrix product": (lambda x: x @ x.transpose(1, 2), (3, 3), "multiplies two values"),
    "mixed samples": (lambda x: x.reshape(-1), VECTOR, "mixes samples"),
    "batch moved": (lambda x: x.transpose(0, 1), VECTOR, "moves the batch axis"),
    "sample picked": (lambda x: x[0], VECTOR, "picks samples"),
    "samples joined": (lambda x: torch.cat([x, x]), VECTOR, "joins samples"),
    "batch added": (lambda x: x[None], VECTOR, "before the batch"),
    "steps": (lambda x: x[:, ::2], VECTOR, "every 2th value"),
    "broadcast": (lambda x: x + x.mean((2, 3), keepdim=True), IMAGE, "joins shapes"),
    "channel mean": (lambda x: x.mean(1), IMAGE, "all but the channels'"),
    "odd pooling": (lambda x: F.adaptive_avg_pool2d(x, 3), IMAGE, "windows differ in size"),
    "bilinear": (lambda x: F.interpolate(x, scale_factor=2.0, mode="bilinear"), IMAGE, "use nearest"),
    "half": (lambda x: F.interpolate(x, scale_factor=1.5), IMAGE, "whole factors"),
    "reflect": (lambda x: F.pad(x, (1, 1, 1, 1), mode="reflect"), IMAGE, "pads by reflect"),
    "gaps": (lambda x: F.max_pool2d(x, 2, dilation=2), IMAGE, "windows have gaps"),
    "early softmax": (lambda x: F.relu(x.softmax(1)), VECTOR, "softmax is taken as the last"),
    "softmax of channels": (lambda x: x.softmax(1), IMAGE, "over dimension 1"),
    "whole numbers": (lambda x: x.to(torch.int32) * 2.0, VECTOR, "whole numbers"),
    "unknown": (lambda x: torch.cumsum(x, 1), VECTOR, r"'cumsum' \(cumsum\): no such operator is known"),
    "squeezed": (lambda x: x.mean((2, 3), keepdim=True).squeeze(), IMAGE, "name the dimension"),
    "kept random": (lambda x: F.dropout(x, 0.5, True), VECTOR, "eval mode"),
}


@pytest.mark.parametrize("case", CANNOT)
def test_what_an_operator_cannot_do_here_is_said_of_it(case: str) -> None:
    function, shape, message = CANNOT[case]
    with pytest.raises(UnsupportedLayer, match=rf"1 operator is not taken: .*{message}"):
        from_torch(exported(Function(function), shape))


def test_all_refused_operators_are_in_one_message() -> None:
    module = Function(lambda x: torch.tanh(x) + torch.sigmoid(x))
    with pytest.raises(
        UnsupportedLayer, match=r"2 operators are not taken: 'tanh'.*'sigmoid'.*neurodeploy layers"
    ):
        from_torch(exported(module, VECTOR))


def test_a_batch_norm_in_training_mode_is_refused() -> None:
    module = nn.Sequential(nn.BatchNorm1d(6)).train()
    with pytest.raises(LoadError, match=r"in training mode; call model\.eval"):
        from_torch(module, sample=np.zeros(6))
    with pytest.raises(UnsupportedLayer, match=r"'0' \(BatchNorm1d\): .*eval mode"):
        from_torch(exported(module, VECTOR))


def test_a_module_needs_a_sample_and_a_traceable_body() -> None:
    with pytest.raises(
        LoadError, match=r"'Linear' does not say the shape of its input; .*torch.export.export"
    ):
        from_torch(nn.Linear(3, 2).eval())

    def branch(x: Any) -> Any:
        return x if x.sum() > 0 else -x

    with pytest.raises(LoadError, match=r"torch\.export cannot trace 'Function'"):
        from_torch(Function(branch).eval(), sample=np.zeros(3))


def test_two_inputs_and_two_outputs_are_refused() -> None:
    class Two(nn.Module):  # type: ignore[name-defined,misc]
        def forward(self, x: Any, y: Any) -> Any:
            return x + y, x

    x = torch.zeros(1, 3)
    with pytest.raises(LoadError, match="has 2 inputs and 2 outputs"):
        from_torch(torch.export.export(Two(), (x, x)))


def test_weights_are_read_however_they_lie_in_memory(tmp_path: Path) -> None:
    base = torch.arange(48.0).reshape(8, 6)
    module = Function(lambda x, w: F.linear(x, w), (3, 6)).eval()
    module.weights[0].data = base[1:7:2, :].t().contiguous().t()
    assert_same(module, VECTOR, tmp_path)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
def test_weights_of_other_floats_are_read(dtype: str) -> None:
    weight = torch.randn(3, 6).to(getattr(torch, dtype))
    module = nn.Linear(6, 3, bias=False, dtype=weight.dtype)
    module.weight.data = weight
    program = torch.export.export(module.eval(), (torch.randn(2, 6, dtype=weight.dtype),))
    (op,) = [node.op for node in from_torch(program) if node.op.kind == "Affine"]
    np.testing.assert_array_equal(op.weight, weight.double().numpy())


def test_archives_in_memory_and_in_files_give_the_same_graph(tmp_path: Path) -> None:
    module = seeded(Residual)
    program = exported(module, (2, 16, 16))
    torch.export.save(program, tmp_path / "m.pt2")
    buffer = io.BytesIO()
    torch.export.save(program, buffer)
    (tmp_path / "n.pt2").write_bytes(buffer.getvalue())
    first, second = (load_pt2(tmp_path / f"{n}.pt2", "net") for n in "mn")
    assert first.with_meta(source="").digest() == second.with_meta(source="").digest()


def test_every_refusal_names_an_operator_of_torch() -> None:
    names = set(dir(torch.ops.aten))
    assert [name for name in REFUSED if name not in names and not hasattr(torch.ops.aten, name)] == []
