"""Weights and inputs of the reference vectors: every tensor is drawn from NumPy's frozen legacy generator, seeded by its name.

What the vectors expect is kept as `NAME.safetensors.xz`, since packed masks and pose maps are mostly zeros; a folder that holds
the plain `NAME.safetensors` is read as it is.
"""

import json
import lzma
import os
import zlib
from functools import cache
from math import prod
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load

ROOT = Path(os.environ.get("LADI_REFERENCE_VECTORS", Path(__file__).parent / "fixtures" / "reference"))


def stored(name: str, root: Path = ROOT) -> bytes:
    """The content of `name`.safetensors, unpacked where only the .xz is there."""
    plain = root / f"{name}.safetensors"
    return plain.read_bytes() if plain.is_file() else lzma.decompress(plain.with_name(f"{plain.name}.xz").read_bytes())


@cache
def golden() -> dict[str, torch.Tensor]:
    """The modules' expected outputs, by the keys of `golden.safetensors`."""
    return load(stored("golden"))


@cache
def expected() -> dict[str, torch.Tensor]:
    """What the loaders are expected to give, by the keys of `expected.safetensors`."""
    return load(stored("expected"))


@cache
def salt() -> str:
    content = stored("golden")
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])  # safetensors: its length in 8 bytes, then JSON
    return header["__metadata__"]["salt"]


def randn(name: str, shape: tuple[int, ...]) -> torch.Tensor:
    """Standard normal float32 numbers that depend on `name` and the vectors' salt alone."""
    seed = zlib.crc32(f"{salt()}/{name}".encode())
    return torch.from_numpy(np.random.RandomState(seed).standard_normal(shape).astype(np.float32))


def fill(module: torch.nn.Module, prefix: str) -> torch.nn.Module:
    """Fills parameters and running statistics by their names and returns the module in eval mode."""
    tensors = dict(module.named_parameters()) | {
        n: b for n, b in module.named_buffers() if n.endswith(("running_mean", "running_var"))
    }
    with torch.no_grad():
        for name, tensor in tensors.items():
            r = randn(f"{prefix}.{name}", tuple(tensor.shape))
            if name.endswith("running_var"):
                r = 1 + 0.1 * r.abs()
            elif name.endswith(("running_mean", "bias")):
                r = 0.1 * r
            elif tensor.ndim == 1:
                r = 1 + 0.1 * r
            else:
                r = r / prod(tensor.shape[1:]) ** 0.5
            tensor.copy_(r)
    return module.eval()


def difference(out: torch.Tensor, key: str) -> float:
    """Largest absolute difference between `out` and the golden entry `key`."""
    expected = golden()[key]
    assert out.shape == expected.shape, f"{key}: shape {tuple(out.shape)}, expected {tuple(expected.shape)}"
    return (out - expected).abs().max().item()
