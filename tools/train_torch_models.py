#!/usr/bin/env python3
"""Train the small networks of PyTorch in models/, and write their cards and the digits beside them.

    python tools/train_torch_models.py [digits_resnet ...]

Seeds are fixed; another machine or version of PyTorch may round differently.
"""

from __future__ import annotations

import argparse
import hashlib
import platform
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from neurodeploy.demo_data import digits  # noqa: E402
from neurodeploy.frontends.torch import load_pt2  # noqa: E402
from neurodeploy.ir.evaluate import evaluate  # noqa: E402

SEED, EPOCHS, BATCH, RATE, SHIFT = 0, 25, 64, 0.01, 1


class Block(nn.Module):
    """Two convolutions with a shortcut around them."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(channels)

    def forward(self, x: Any) -> Any:
        """Add the input to what the convolutions make of it."""
        y = functional.relu(self.norm1(self.conv1(x)))
        return functional.relu(self.norm2(self.conv2(y)) + x)


class ResNet(nn.Module):
    """Stem, block, half the size and twice the channels, block, mean, classes."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 12, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(12)
        self.block1 = Block(12)
        self.down = nn.Conv2d(12, 24, 3, stride=2, padding=1, bias=False)
        self.norm_down = nn.BatchNorm2d(24)
        self.block2 = Block(24)
        self.digit = nn.Linear(24, 10)

    def forward(self, x: Any) -> Any:
        """Return logits."""
        x = self.block1(functional.relu(self.norm(self.stem(x))))
        x = self.block2(functional.relu(self.norm_down(self.down(x))))
        return self.digit(functional.adaptive_avg_pool2d(x, 1).flatten(1))


def conv_norm(into: int, out: int, kernel: int = 3, **options: Any) -> list[nn.Module]:
    """Make a convolution that keeps the size, and its batch norm."""
    conv = nn.Conv2d(into, out, kernel, padding=kernel // 2, bias=False, **options)
    return [conv, nn.BatchNorm2d(out)]


def vgg(act: Callable[[], nn.Module]) -> nn.Module:
    """Make pairs of convolutions with max pooling behind each, a hidden dense layer, classes."""
    return nn.Sequential(
        *conv_norm(1, 12), act(), *conv_norm(12, 12), act(), nn.MaxPool2d(2),
        *conv_norm(12, 24), act(), *conv_norm(24, 24), act(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(96, 32), act(), nn.Linear(32, 10),
    )  # fmt: skip


class Inverted(nn.Module):
    """Expand, convolve every channel for itself, project without an activation; a shortcut where it fits."""

    def __init__(self, into: int, out: int, stride: int) -> None:
        super().__init__()
        wide = 4 * into
        self.stages = nn.Sequential(
            *conv_norm(into, wide, 1), nn.ReLU6(),
            *conv_norm(wide, wide, stride=stride, groups=wide), nn.ReLU6(), *conv_norm(wide, out, 1),
        )  # fmt: skip
        self.shortcut = into == out and stride == 1

    def forward(self, x: Any) -> Any:
        """Add the input, if it has the shape of the output."""
        return x + self.stages(x) if self.shortcut else self.stages(x)


def mobilenet() -> nn.Module:
    """Make a stem, three inverted residuals and a head, all with ReLU6, as MobileNetV2 has them."""
    return nn.Sequential(
        *conv_norm(1, 8), nn.ReLU6(), Inverted(8, 8, 1), Inverted(8, 16, 2), Inverted(16, 16, 1),
        *conv_norm(16, 64, 1), nn.ReLU6(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10),
    )  # fmt: skip


@dataclass(frozen=True)
class Recipe:
    """A network and what its card says about it."""

    build: Callable[[], nn.Module]
    about: str


RECIPES = {
    "digits_resnet": Recipe(
        ResNet,
        "A small residual network for 8x8 handwritten digits: two blocks with a shortcut, batch norm, "
        "functional relu",
    ),
    "digits_vgg": Recipe(
        lambda: vgg(nn.ReLU),
        "A small network for 8x8 handwritten digits as VGG is built: pairs of convolutions, batch norm, max "
        "pooling",
    ),
    "digits_leaky": Recipe(
        lambda: vgg(lambda: nn.LeakyReLU(0.1)), "The network of `digits_vgg` with activations that leak (0.1)"
    ),
    "digits_mobilenet": Recipe(
        mobilenet,
        "A small network for 8x8 handwritten digits as MobileNetV2 is built: inverted residuals, depthwise "
        "convolutions, ReLU6, projections without an activation",
    ),
}


def moved(x: Any, rng: np.random.Generator) -> Any:
    """Move every image of a batch by up to `SHIFT` pixels."""
    padded = functional.pad(x, (SHIFT,) * 4)
    at = rng.integers(0, 2 * SHIFT + 1, (len(x), 2)).tolist()
    return torch.stack([image[:, i : i + 8, j : j + 8] for image, (i, j) in zip(padded, at, strict=True)])


def train(net: nn.Module, x: Any, y: Any) -> None:
    """Adam with cosine decay."""
    rng = np.random.default_rng(SEED)
    best = torch.optim.Adam(net.parameters(), RATE)
    plan = torch.optim.lr_scheduler.CosineAnnealingLR(best, EPOCHS)
    for _ in range(EPOCHS):
        net.train()
        for batch in torch.from_numpy(rng.permutation(len(x))).split(BATCH):
            best.zero_grad()
            functional.cross_entropy(net(moved(x[batch], rng)), y[batch]).backward()
            best.step()
        plan.step()
    net.eval()


def main() -> None:
    """Write the digits and what the command line names: exported programs and their cards."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", choices=[[], *RECIPES], help=", ".join(RECIPES))
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    split = digits(seed=0)
    grey = {k: np.rint(getattr(split, k) * 16).astype(np.uint8) for k in ("x_train", "x_test")}
    labels = {k: getattr(split, k).astype(np.uint8) for k in ("y_train", "y_test")}
    np.savez_compressed(ROOT / "models" / "digits.npz", **grey, **labels)
    for name in parser.parse_args().names or RECIPES:
        make(name, split)


def make(name: str, split: Any) -> None:
    """Train one network and write it with its card."""
    recipe = RECIPES[name]
    torch.manual_seed(SEED)
    x = torch.tensor(split.x_train[:, None], dtype=torch.float32)
    net = recipe.build()
    train(net, x, torch.tensor(split.y_train))
    program = torch.export.export(net, (x[:2].clone(),), dynamic_shapes=({0: torch.export.Dim("N")},))
    for node in program.graph.nodes:
        node.meta.pop("stack_trace", None)  # names the folders of this machine
    path = ROOT / "models" / f"{name}.pt2"
    torch.export.save(program, path)
    graph = load_pt2(path)
    right = evaluate(graph, graph.prepare(split.x_test)).argmax(axis=1) == split.y_test
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    count = sum(p.numel() for p in net.parameters())
    version = f"PyTorch {torch.__version__.split('+')[0]}, Python {platform.python_version()}"
    held = f"{100 * right.mean():.2f} % of {len(right)} held-out samples"
    training = f"{EPOCHS} epochs, batches of {BATCH}, Adam with cosine decay from {RATE}, seed {SEED}"
    lines = [
        f"# {name}",
        "",
        f"{recipe.about}, {count:,} parameters; an exported program of `torch.export.save`.",
        "",
        f"- **Accuracy** (float64, read by neurodeploy): {held}, measured by the script on the file as it "
        "lies here.",
        "- **Data**: as for `digits_cnn`; `digits.npz` holds the split, grey values 0 to 16.",
        f"- **Training**: {training}, images moved by up to {SHIFT} px.",
        f"- **Command**: `python tools/train_torch_models.py {name}`",
        f"- **File**: {path.stat().st_size} bytes, SHA-256 `{digest}`, written with {version}; another "
        "machine or version may round differently and give another digest.",
    ]
    card = ROOT / "models" / f"{name}.md"
    card.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(card.read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
