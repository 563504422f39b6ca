#!/usr/bin/env python3
"""Train the networks for CIFAR-10 in models/ with PyTorch, and write their cards.

    python tools/train_cifar_models.py cifar10_jpeg.zip
    python tools/train_cifar_models.py cifar10_jpeg.zip cifar_cnn --checkpoints folder

The images are CIFAR-10's, re-encoded as JPEG in folders train/CLASS and test/CLASS of one archive: accuracies
hold for these and are lower than for the originals. Of the training images every tenth is held out and only
looked at between epochs; the test images are looked at once, by the exported file. Products are in bfloat16
where the processor has it, weights in float32. The first epochs see smaller pieces of the images, which take
less time. A run that was interrupted goes on from its last epoch.

Filters are moved by Muon (Jordan et al. 2024, https://kellerjordan.github.io/posts/muon): the momentum of a
filter bank, as a matrix, is brought near the next orthogonal one by five steps of Newton and Schulz. It needs
fewer epochs than SGD, which moves everything else.
"""

from __future__ import annotations

import argparse
import ctypes
import hashlib
import platform
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn import functional

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tools")]

from bench_conversion import read  # noqa: E402

from neurodeploy.files import write_beside  # noqa: E402
from neurodeploy.frontends.torch import load_pt2  # noqa: E402
from neurodeploy.ir.evaluate import evaluate  # noqa: E402

SEED, BATCH, SMOOTHING, SHIFT = 0, 256, 0.1, 4
RATE, MOMENTUM, DECAY = 0.05, 0.9, 5e-4
FILTER_RATE, FILTER_MOMENTUM = 0.08, 0.6
SIDE, SMALL_SIDE, SMALL_UNTIL = 32, 28, 0.75
CLASSES, HELD_OUT = 10, 10


class Depthwise(nn.Conv2d):
    """A depthwise convolution, trained in float32: with strides, gradients in bfloat16 are slow."""

    def forward(self, x: Any) -> Any:
        """Convolve every channel by itself."""
        if not self.training:
            return super().forward(x)
        with torch.autocast("cpu", enabled=False):
            return super().forward(x.float())


def unit(into: int, out: int, stride: int = 1, groups: int = 1, size: int = 3) -> list[nn.Module]:
    """Convolution, batch norm, ReLU."""
    kind = nn.Conv2d if groups == 1 else Depthwise
    conv = kind(into, out, size, stride, size // 2, groups=groups, bias=False)
    return [conv, nn.BatchNorm2d(out), nn.ReLU()]


def separable(into: int, out: int, stride: int = 1) -> list[nn.Module]:
    """Depthwise and pointwise convolution, a ReLU behind each."""
    return [*unit(into, into, stride, groups=into), *unit(into, out, size=1)]


class Muon(torch.optim.Optimizer):
    """Moves filters by momentum made orthogonal; they keep one length, which batch norm makes no matter."""

    def __init__(self, filters: list[Any], lr: float) -> None:
        super().__init__(filters, {"lr": lr, "momentum": FILTER_MOMENTUM})

    @torch.no_grad()
    def step(self) -> None:  # type: ignore[override]
        """Take one step along the gradients."""
        for group in self.param_groups:
            for p in group["params"]:
                kept = self.state[p].setdefault("momentum", torch.zeros_like(p))
                kept.mul_(group["momentum"]).add_(p.grad)
                towards = orthogonal((p.grad + group["momentum"] * kept).flatten(1)).view_as(p)
                p.mul_(len(p) ** 0.5 / p.norm()).sub_(group["lr"] * towards)


def orthogonal(x: Any) -> Any:
    """Bring the singular values of a matrix near 1, by a polynomial of degree five, five times over."""
    tall = x.shape[0] > x.shape[1]
    x = (x.T if tall else x).bfloat16()
    x = x / (x.norm() + 1e-7)
    for _ in range(5):
        square = x @ x.T
        x = 3.4445 * x + (2.0315 * square @ square - 4.775 * square) @ x
    return (x.T if tall else x).float()


class Block(nn.Module):
    """Two convolutions with a shortcut around them."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Sequential(*unit(channels, channels))
        self.conv = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, x: Any) -> Any:
        """Add the input to what the convolutions make of it."""
        return functional.relu(self.norm(self.conv(self.first(x))) + x)


def with_head(layers: list[nn.Module], channels: int) -> nn.Module:
    """End in the mean over the image and a linear layer."""
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, CLASSES))


def cifar_cnn() -> nn.Module:
    """Build five convolutions, two of them with stride 2."""
    layers = [*unit(3, 32), *unit(32, 64, 2), *unit(64, 64), *unit(64, 128, 2), *unit(128, 128)]
    return with_head(layers, 128)


def cifar_resnet() -> nn.Module:
    """Build stem, half the size, block, half the size, block."""
    return with_head([*unit(3, 32), *unit(32, 96, 2), Block(96), *unit(96, 192, 2), Block(192)], 192)


def cifar_depthwise() -> nn.Module:
    """Build a stem and four separable convolutions, two of them with stride 2."""
    layers = [
        *unit(3, 32), *separable(32, 64, 2), *separable(64, 128),
        *separable(128, 128, 2), *separable(128, 192),
    ]  # fmt: skip
    return with_head(layers, 192)


@dataclass(frozen=True)
class Recipe:
    """How one model is made; `about` begins its card."""

    build: Any
    epochs: int
    about: str


RECIPES = {
    "cifar_cnn": Recipe(
        cifar_cnn, 30,
        "A plain convolutional network for CIFAR-10: strides in place of pooling, batch norm (folded when "
        "converted), mean over the image.",
    ),
    "cifar_resnet": Recipe(
        cifar_resnet, 20,
        "A residual network for CIFAR-10: two blocks with a shortcut, strides in place of pooling, batch "
        "norm, mean over the image.",
    ),
    "cifar_depthwise": Recipe(
        cifar_depthwise, 25,
        "A network of depthwise and pointwise convolutions for CIFAR-10, a ReLU behind each, batch norm, "
        "mean over the image.",
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Images:
    """Images of bytes, channels last, and their classes."""

    x: Any
    y: Any

    def batch(self, chosen: Any) -> Any:
        """Return images between 0 and 1, channels first."""
        return self.x[chosen].permute(0, 3, 1, 2).float() / 255

    def pieces(self, chosen: Any, side: int, rng: Any) -> Any:
        """Return a piece of each image with `SHIFT` pixels around it, half of them mirrored."""
        most, pixels = SIDE + 2 * SHIFT - side + 1, torch.arange(side)
        rows, columns = (torch.randint(0, most, (len(chosen), 1), generator=rng) + pixels for _ in "yx")
        mirrored = torch.rand(len(chosen), 1, generator=rng) < 0.5
        columns = torch.where(mirrored, columns.flip(1), columns)
        cut = self.x[chosen[:, None, None], rows[:, :, None], columns[:, None, :]]
        return cut.permute(0, 3, 1, 2).float() / 255


def split(data: dict[str, Any]) -> tuple[Images, Images]:
    """Return training images with a border of zeros, and the held-out ones."""
    x, y = torch.tensor(data["x_train"]), torch.tensor(data["y_train"])
    held = torch.arange(len(x)) % HELD_OUT == 0
    border = (0, 0, SHIFT, SHIFT, SHIFT, SHIFT)
    return Images(functional.pad(x[~held], border), y[~held]), Images(x[held], y[held])


def train(name: str, recipe: Recipe, data: dict[str, Any], folder: Path) -> tuple[nn.Module, float]:
    """Return the trained network and its accuracy on the held-out images, in per cent."""
    torch.manual_seed(SEED)
    images, held = split(data)
    net = recipe.build().to(memory_format=torch.channels_last)
    in_place(net, True)
    steps = len(images.y) // BATCH
    filters = [p for p in net.parameters() if p.ndim == 4]
    rest = [p for p in net.parameters() if p.ndim != 4]
    parts: dict[str, Any] = {"net": net, "filters": Muon(filters, FILTER_RATE)}
    parts["rest"] = torch.optim.SGD(rest, RATE, momentum=MOMENTUM, nesterov=True, weight_decay=DECAY)
    for part in ("filters", "rest"):
        parts[f"{part}_plan"] = plan(parts[part], steps * recipe.epochs)
    rng, done, right = torch.Generator().manual_seed(SEED), 0, 0.0
    kept = folder / f"{name}.checkpoint"
    if kept.exists():
        state = torch.load(kept, weights_only=True)
        for key, part in parts.items():
            part.load_state_dict(state[key])
        rng.set_state(state["rng"])
        done, right = state["done"], state["right"]
    for epoch in range(done, recipe.epochs):
        began = time.perf_counter()
        side = SMALL_SIDE if epoch < SMALL_UNTIL * recipe.epochs else SIDE
        loss = one_epoch(parts, images, side, rng)
        right = accuracy(net, held)
        took = time.perf_counter() - began
        print(f"{name} {epoch + 1}/{recipe.epochs}: loss {loss:.3f}, {right:.2f} %, {took:.0f} s", flush=True)
        state = {key: part.state_dict() for key, part in parts.items()}
        state |= {"rng": rng.get_state(), "done": epoch + 1, "right": right}
        write_beside(kept, lambda path, s=state: torch.save(s, path))
    in_place(net, False)
    return net.to(memory_format=torch.contiguous_format).eval(), right


def plan(optimizer: Any, steps: int) -> Any:
    """Return a plan of rates: up over the first tenth of the steps, then down to nothing."""
    rise = steps / 10
    return torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min((step + 1) / rise, (steps - step) / (steps - rise))
    )


def in_place(net: nn.Module, wanted: bool) -> None:
    """Let rectifiers overwrite their input, which saves memory's time in training."""
    for module in net.modules():
        if isinstance(module, nn.ReLU):
            module.inplace = wanted


def keep_memory() -> None:
    """Let glibc keep what is freed: pages that are handed back cost a sixth of the time."""
    if platform.libc_ver()[0] == "glibc":
        library, trim, mmap = ctypes.CDLL(None), -1, -3
        library.mallopt(trim, 2**31 - 1)
        library.mallopt(mmap, 2**25)


def one_epoch(parts: dict[str, Any], images: Images, side: int, rng: Any) -> float:
    """Take one pass over pieces of the training images; return the mean loss."""
    net = parts["net"].train()
    steps = len(images.y) // BATCH
    order, total = torch.randperm(len(images.y), generator=rng), 0.0
    for chosen in order[: steps * BATCH].split(BATCH):
        x = images.pieces(chosen, side, rng).contiguous(memory_format=torch.channels_last)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            logits = net(x)
        loss = functional.cross_entropy(logits.float(), images.y[chosen], label_smoothing=SMOOTHING)
        net.zero_grad()
        loss.backward()
        for part in ("filters", "rest", "filters_plan", "rest_plan"):
            parts[part].step()
        total += float(loss.detach())
    return total / steps


def accuracy(net: nn.Module, images: Images) -> float:
    """Return the share of images that the network gets right, in per cent."""
    net.eval()
    right = 0
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        for chosen in torch.arange(len(images.y)).split(500):
            x = images.batch(chosen).contiguous(memory_format=torch.channels_last)
            right += int((net(x).argmax(1) == images.y[chosen]).sum())
    return 100 * right / len(images.y)


def export(name: str, net: nn.Module) -> Path:
    """Write the exported program."""
    two = (torch.zeros(2, 3, SIDE, SIDE),)
    program = torch.export.export(net, two, dynamic_shapes=({0: torch.export.Dim("N")},))
    for node in program.graph.nodes:
        node.meta.pop("stack_trace", None)  # names the folders of this machine
    path = ROOT / "models" / f"{name}.pt2"
    write_beside(path, lambda p: torch.export.save(program, p))
    return path


def card(recipe: Recipe, path: Path, data: dict[str, Any], held: float, net: nn.Module) -> str:
    """Measure the file on the test images, and say what is known about it."""
    graph, right = load_pt2(path), 0
    x, y = data["x_test"].transpose(0, 3, 1, 2), data["y_test"]
    for i in range(0, len(x), 500):
        right += int((evaluate(graph, graph.prepare(x[i : i + 500] / 255)).argmax(1) == y[i : i + 500]).sum())
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    version = f"PyTorch {torch.__version__.split('+')[0]}, Python {platform.python_version()}"
    count = sum(p.numel() for p in net.parameters())
    return "\n".join(
        [
            f"# {path.stem}",
            "",
            f"{recipe.about} {count:,} parameters; an exported program of `torch.export.save`.",
            "",
            f"- **Accuracy** (float64, read by neurodeploy): {100 * right / len(y):.2f} % of the {len(y)} "
            "test images of CIFAR-10, re-encoded as JPEG, measured by the script on the file as it lies "
            f"here; {held:.2f} % of {len(data['y_train']) // HELD_OUT} training images held out.",
            "- **Data**: CIFAR-10 (Krizhevsky 2009), 32x32 pixels of three colours, re-encoded as JPEG, "
            "which costs accuracy; bytes divided by 255, no other normalisation. Every tenth training image "
            "of the sorted archive is held out.",
            f"- **Training**: {recipe.epochs} epochs, batches of {BATCH}; filters by Muon (momentum "
            f"{FILTER_MOMENTUM}, rate {FILTER_RATE}), the rest by SGD (Nesterov momentum {MOMENTUM}, rate "
            f"{RATE}, weight decay {DECAY}), rates up over a tenth of the steps and down to nothing; label "
            f"smoothing {SMOOTHING}, products in bfloat16, seed {SEED}; images moved by up to {SHIFT} px and "
            f"mirrored, in the first {SMALL_UNTIL:.0%} of the epochs pieces of {SMALL_SIDE}x{SMALL_SIDE}.",
            f"- **Command**: `python tools/train_cifar_models.py cifar10_jpeg.zip {path.stem}`",
            f"- **File**: {path.stat().st_size} bytes, SHA-256 `{digest}`, written with {version}; another "
            "machine or version may round differently and give another digest.",
            "",
        ]
    )


def main() -> int:
    """Train what the command line names."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("data", type=Path, help=".zip of train/CLASS/N.jpg and test/CLASS/N.jpg")
    parser.add_argument("names", nargs="*", choices=[[], *RECIPES], help=", ".join(RECIPES))
    parser.add_argument("--checkpoints", type=Path, help="where interrupted training goes on from")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.use_deterministic_algorithms(True)
    keep_memory()
    data = read(options.data)
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.checkpoints or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        for name in options.names or RECIPES:
            recipe = RECIPES[name]
            net, held = train(name, recipe, data, folder)
            path = export(name, net)
            text = card(recipe, path, data, held, net)
            write_beside(path.with_suffix(".md"), lambda p, t=text: p.write_text(t, encoding="utf-8"))
            print(text)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
