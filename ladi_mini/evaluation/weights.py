"""Weights of the networks that only measure or compare: a file each beside the model's, with its sha256 in the same list."""

import os
from pathlib import Path

import torch
from safetensors.torch import save_file

from ladi_mini.presets import Preset
from ladi_mini.sums import halved, read_tensors, verify, write_sums
from ladi_mini.wardrobe import RECIPE_VERSION


def save_weights(path: Path, preset: Preset, network: torch.nn.Module) -> Path:
    """Writes the network's weights (float16), beside their place and renamed, and their sha256 into the list there.

    Raises `CheckpointError` for a weight that float16 cannot hold.
    """
    beside = path.with_name(f".{path.name}.{os.getpid()}.part")
    path.parent.mkdir(parents=True, exist_ok=True)
    tensors = halved(network.state_dict(), path.stem)
    save_file(tensors, beside, metadata={"preset": preset.name, "wardrobe": str(RECIPE_VERSION)})
    beside.replace(path)
    write_sums(path.parent, [path])
    return path


def read_weights(path: Path, remedy: str) -> dict[str, torch.Tensor] | None:
    """The tensors of `path` by name, floats as float32; None if there is no file, `CheckpointError` for a damaged one."""
    if not path.is_file():
        return None
    verify(path, remedy=remedy)
    tensors, _ = read_tensors(path, remedy)
    return {k: v.float() if v.is_floating_point() else v for k, v in tensors.items()}
