#!/usr/bin/env python3
"""Write the small exported program in tests/data/ with the PyTorch that is installed; run once per version.

    python tools/make_torch_fixtures.py tests/data

A residual network with a block that is used twice, functional calls and an addition in place; weights and
samples from a seed, outputs as that PyTorch computes them. Sample inputs, which torch.export pickles, stay in
the file: whoever reads it must not open them.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

SEED = 7


class Block(nn.Module):
    """A convolution with a shortcut around it."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(channels)
        self.act = nn.ReLU(inplace=True)

    def forward(self, x: Any) -> Any:
        """Add the block's input to its output, in place."""
        y = self.norm(self.conv(x))
        y += x
        return self.act(y)


class Net(nn.Module):
    """Stem, block, block again, pooling, classes."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 4, 3, stride=2, padding=1)
        self.block = Block(4)
        self.last = nn.Linear(16, 3)

    def forward(self, x: Any) -> Any:
        """Return logarithms of probabilities."""
        x = functional.relu6(self.stem(x))
        x = functional.max_pool2d(self.block(self.block(x)), 2)
        x = functional.dropout(x.flatten(1), 0.5, self.training)
        return functional.log_softmax(self.last(x), 1)


def main() -> None:
    """Write the program and its outputs."""
    parser = argparse.ArgumentParser(description="Write the exported program of the tests.")
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    torch.manual_seed(SEED)
    net = Net()
    with torch.no_grad():
        net.block.norm.running_mean.uniform_(-1, 1)
        net.block.norm.running_var.uniform_(0.5, 2)
    x = torch.randn(4, 1, 8, 8)
    program = torch.export.export(net.eval(), (x,), dynamic_shapes=({0: torch.export.Dim("N")},))
    stem = folder / f"torch-{torch.__version__.split('+')[0]}"
    torch.export.save(program, stem.with_name(f"{stem.name}.pt2"))
    with torch.no_grad():
        np.savez_compressed(stem.with_name(f"{stem.name}.npz"), x=x.numpy(), outputs=net(x).numpy())


if __name__ == "__main__":
    main()
