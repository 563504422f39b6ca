#!/usr/bin/env python3
"""Attack the readers: random networks against PyTorch and onnxruntime, and damaged files of every kind.

    python tools/attack_readers.py --models 120 --damages 400 --json tools/results/attack_readers.json

Needs torch, onnx and onnxruntime. Every random network is exported as ``.pt2`` and as ``.onnx`` by the
TorchScript exporter; what ours computes is compared with PyTorch and with onnxruntime. Damaged files are
truncated, have bits flipped, or have bytes overwritten; each must load, or be refused with one message,
within a memory limit.
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
from torch import nn

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from neurodeploy.errors import LoadError  # noqa: E402
from neurodeploy.frontends.dispatch import load  # noqa: E402
from neurodeploy.ir.evaluate import evaluate  # noqa: E402

warnings.filterwarnings("ignore")
MEMORY = 6 << 30
"""Bytes of address space that a damaged file may take, beside what is taken already."""
TOLERANCE = 1e-4
"""Largest difference from the framework, relative to its largest output."""


# --- random networks --------------------------------------------------------------------------------------


class Random:
    """A random network over images: parts are drawn one after the other, and the shape is followed."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        torch.manual_seed(seed)
        self.shape = tuple(int(self.rng.integers(*span)) for span in ((1, 4), (6, 13), (6, 13)))
        self.channels, self.height, self.width = self.shape

    def pick(self, *values: Any) -> Any:
        """Draw one of some values."""
        return values[int(self.rng.integers(len(values)))]

    def network(self) -> Any:
        """Return a module in eval mode."""
        kinds = (
            self.conv,
            self.conv,
            self.norm,
            self.act,
            self.pool,
            self.branch,
            self.branch,
            self.pad,
            self.up,
        )
        parts = [self.pick(*kinds)() for _ in range(int(self.rng.integers(1, 5)))]
        if self.pick(True, False):
            parts.append(nn.AdaptiveAvgPool2d(1))
            self.height = self.width = 1
        features, hidden = self.channels * self.height * self.width, int(self.rng.integers(2, 9))
        parts += [
            nn.Flatten(),
            nn.Linear(features, hidden),
            nn.Dropout(0.3),
            self.act(),
            nn.Linear(hidden, 4),
        ]
        parts += self.pick([], [nn.Softmax(1)], [nn.LogSoftmax(-1)])
        return settled(nn.Sequential(*parts))

    def act(self) -> Any:
        """Draw an activation."""
        slope = float(self.rng.random())
        some = (nn.ReLU(), nn.ReLU6(), nn.LeakyReLU(slope), nn.Hardtanh(0, 2), nn.Identity(), nn.ReLU())
        return self.pick(*some)

    def conv(self, out: int = 0) -> Any:
        """Draw a convolution that keeps the size, with as many channels out as told, or some."""
        out = out or int(self.rng.integers(1, 7))
        size, dilation = self.pick((1, 1), (3, 3), (3, 1)), self.pick(1, 1, 2)
        groups = self.pick(1, 1, int(np.gcd(self.channels, out)))
        pad = tuple(dilation * (k - 1) // 2 for k in size)
        made = nn.Conv2d(self.channels, out, size, 1, pad, dilation, groups, bias=self.pick(True, False))
        self.channels = out
        return made

    def norm(self) -> Any:
        """Normalise over the batch."""
        return nn.BatchNorm2d(self.channels)

    def same(self) -> Any:
        """Draw a branch that keeps the shape."""
        return nn.Sequential(self.conv(self.channels), self.pick(self.norm(), nn.Identity()), self.act())

    def branch(self) -> Any:
        """Draw two branches and how they are joined."""
        made = Branches(
            self.same(), self.pick(self.same(), nn.Identity()), self.pick("add", "sub", "max", "cat")
        )
        self.channels *= 2 if made.how == "cat" else 1
        return made

    def pool(self) -> Any:
        """Draw a pool, where the map is large enough."""
        if min(self.height, self.width) < 4:
            return nn.Identity()
        up, made = self.pick(
            (1, nn.MaxPool2d(2, ceil_mode=True)),
            (0, nn.MaxPool2d(2)),
            (0, nn.AvgPool2d(2)),
            (1, nn.MaxPool2d(3, 2, 1)),
        )
        self.height, self.width = (self.height + up) // 2, (self.width + up) // 2
        return made

    def pad(self) -> Any:
        """Pad unevenly."""
        self.height, self.width = self.height + 3, self.width + 1
        return nn.ZeroPad2d((1, 0, 2, 1))

    def up(self) -> Any:
        """Double a small map."""
        if self.height * self.width > 200:
            return nn.Identity()
        self.height, self.width = 2 * self.height, 2 * self.width
        transposed = nn.ConvTranspose2d(self.channels, self.channels, 2, 2)
        return self.pick(nn.Upsample(scale_factor=2), transposed)


class Branches(nn.Module):
    """Two branches, joined."""

    def __init__(self, one: Any, two: Any, how: str) -> None:
        super().__init__()
        self.one, self.two, self.how = one, two, how

    def forward(self, x: Any) -> Any:
        """Join what both make of the input."""
        a, b = self.one(x), self.two(x)
        if self.how == "cat":
            return torch.cat([a, b], 1)
        return {"add": a + b, "sub": a - 0.5 * b, "max": torch.maximum(a, b)}[self.how]


def settled(net: Any) -> Any:
    """Give normalisation statistics that are not 0 and 1."""
    for part in net.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.running_mean.uniform_(-1, 1)
            part.running_var.uniform_(0.5, 2)
            part.weight.data.uniform_(0.5, 1.5)
    return net.eval()


def compare_models(count: int, folder: Path) -> dict[str, Any]:
    """Compare random networks; return counts and the largest error."""
    found: dict[str, Any] = {"networks": 0, "pt2": 0, "onnx": 0, "largest_error": 0.0}
    found |= {"wrong": [], "refused": []}
    for seed in range(count):
        for kind, error in one_model(seed, folder):
            if isinstance(error, str):
                found["refused"].append(f"{seed} {kind}: {error[:300]}")
                continue
            found[kind] += 1
            found["largest_error"] = max(found["largest_error"], error)
            if error > TOLERANCE:
                found["wrong"].append(f"{seed} {kind}: {error:g}")
        found["networks"] += 1
    return found


def one_model(seed: int, folder: Path) -> Iterator[tuple[str, float | str]]:
    """Export one network both ways and compare."""
    random = Random(seed)
    net = random.network()
    x = torch.randn(3, *random.shape)
    with torch.no_grad():
        want = net(x).numpy()
    torch.export.save(torch.export.export(net, (x,)), folder / "m.pt2")
    axes = {"dynamic_axes": {"x": {0: "n"}}, "input_names": ["x"]}
    torch.onnx.export(net, (x[:1],), folder / "m.onnx", dynamo=False, **axes)
    runner = onnxruntime.InferenceSession(folder / "m.onnx", providers=["CPUExecutionProvider"])
    theirs = runner.run(None, {"x": x.numpy()})[0]
    for kind, reference in (("pt2", want), ("onnx", theirs)):
        try:
            graph = load(folder / f"m.{kind}")
            have = evaluate(graph, graph.prepare(x.numpy()))
        except LoadError as error:
            yield kind, str(error)
            continue
        yield kind, float(np.abs(have - reference).max() / max(np.abs(reference).max(), 1e-6))


# --- damaged files ----------------------------------------------------------------------------------------


def damaged(data: bytes, rng: np.random.Generator) -> bytes:
    """Truncate, flip bits, or overwrite a part with ones, zeros or noise."""
    how = int(rng.integers(4))
    if how == 0:
        return data[: int(rng.integers(len(data)))]
    changed = bytearray(data)
    # headers and tables of contents lie at the ends
    near = int(rng.integers(3))
    size = len(data) if near == 0 else min(len(data), 4096)
    offset = len(data) - size if near == 2 else 0
    for _ in range(int(rng.integers(1, 9))):
        at = offset + int(rng.integers(size))
        if how == 1:
            changed[at] ^= 1 << int(rng.integers(8))
        else:
            end = min(at + int(rng.integers(1, 9)), len(changed))
            noise = rng.integers(256, size=end - at).astype(np.uint8)
            changed[at:end] = (noise if how == 2 else np.full_like(noise, 255)).tobytes()
    return bytes(changed)


def damage_files(sources: list[Path], count: int, folder: Path) -> dict[str, Any]:
    """Load damaged copies of files; return what happened, by suffix."""
    outcome: dict[str, Counter[str]] = {}
    bugs, slowest = [], 0.0
    for path in sources:
        data, rng = path.read_bytes(), np.random.default_rng(path.stat().st_size)
        for number in range(count):
            place = folder / f"damaged{path.suffix}"
            place.write_bytes(damaged(data, rng))
            start = time.perf_counter()
            how, message = tried(place)
            slowest = max(slowest, time.perf_counter() - start)
            outcome.setdefault(path.suffix, Counter())[how] += 1
            if how == "crashed":
                bugs.append(f"{path.name} {number}: {message}")
                shutil.copy(place, folder.parent / f"crash-{number}-{path.name}")
    counts = {suffix: dict(found) for suffix, found in outcome.items()}
    return {"outcome": counts, "bugs": bugs, "slowest_seconds": round(slowest, 2)}


def tried(path: Path) -> tuple[str, str]:
    """Load a file and evaluate what came of it."""
    told = {"written_by": "snntorch"} if path.suffix == ".nir" else {}
    try:
        graph = load(path, **told)
        if not graph.neurons:
            evaluate(graph, np.zeros((1, *graph.shapes[graph.input.name])))
    except LoadError as error:
        long = "\n" in str(error).strip() or len(str(error)) > 3000
        return ("crashed", f"a message of {len(str(error))} characters") if long else ("refused", "")
    except BaseException as error:
        return "crashed", f"{type(error).__name__} {str(error)[:200]}"
    return "loaded", ""


def main() -> None:
    """Run both attacks."""
    parser = argparse.ArgumentParser(description="Attack the readers of foreign files.")
    parser.add_argument("--models", type=int, default=120)
    parser.add_argument("--damages", type=int, default=400, help="damaged copies of every file")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    result: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if args.models:
            result["models"] = compare_models(args.models, folder)
        data = ROOT / "tests" / "data"
        sources = [
            ROOT / "models" / "digits_mlp.keras", data / "keras-2.12.0.h5", data / "torch-2.13.0.pt2",
            data / "nir" / "snntorch_recurrent.nir", data / "nir" / "snntorch_conv.nir",
        ]  # fmt: skip
        sources += [folder / "m.onnx", folder / "m.pt2"] if args.models else []
        copies = [folder / f"source{i}{p.suffix}" for i, p in enumerate(sources)]
        for path, copy in zip(sources, copies, strict=True):
            copy.write_bytes(path.read_bytes())
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY + (24 << 30 if args.models else 4 << 30), -1))
        result["damaged"] = damage_files(copies, args.damages, folder)
    print(json.dumps(result, indent=2))
    if args.json:
        args.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
