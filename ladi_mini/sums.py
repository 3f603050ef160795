"""Whether a file of weights is whole: sha256 sums in a list beside the files, and reading one without unpickling.

`fingerprints` tells the weights of a model in memory, so that a card can say of which its numbers are.
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import nn

from ladi_mini.cards import write_text
from ladi_mini.errors import InputError


class CheckpointError(InputError):
    """Weights that are missing, damaged or of another model."""


def write_sums(folder: Path) -> None:
    """Lists the sha256 of every weight file of `folder` in `SHA256SUMS` (the format of the command `sha256sum`)."""
    lines = [f"{sha256(path)}  {path.name}\n" for path in sorted(Path(folder).glob("*.safetensors"))]
    write_text(Path(folder) / "SHA256SUMS", "".join(lines))


def read_sums(folder: Path) -> dict[str, str]:
    """File name to sha256, of the folder's `SHA256SUMS`; empty if there is none."""
    sums = Path(folder) / "SHA256SUMS"
    lines = sums.read_text().splitlines() if sums.is_file() else []
    return {name: digest for digest, name in (line.split(maxsplit=1) for line in lines if line.strip())}


def sha256(path: Path) -> str:
    """The file's sha256 in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def verify(path: Path, remedy: str | None = None, preset: str | None = None) -> None:
    """Raises `CheckpointError` unless `path` is there and matches its line in `SHA256SUMS` beside it.

    The error says what to do: `remedy`, or to restore or train a file of ours, of size `preset`.
    """
    sums = path.parent / "SHA256SUMS"
    if not path.is_file():
        stage = path.stem.split("-")[0]  # of one file among several, as well
        size = f" --preset {preset}" if preset else ""
        own = f"train it with `ladi-mini train {stage}{size} --out {path.parent}`, or `git checkout` it if it is a shipped file"
        raise CheckpointError(f"{path} is missing; {remedy or own}.")
    listed = read_sums(path.parent)
    if path.name not in listed:
        own = "restore both with `git checkout` or train the stage again"
        raise CheckpointError(f"{path} has no line in {sums}; {remedy or own}.")
    found, expected = sha256(path), listed[path.name]
    if found != expected:
        fault = f"its sha256 is {found[:12]}..., expected {expected[:12]}..."
        own = "restore it with `git checkout` or train the stage again"
        raise CheckpointError(f"{path} is damaged: {fault}; {remedy or own}.")


def fingerprints(components: Mapping[str, object]) -> dict[str, str]:
    """component -> 12 hexadecimal digits of the sha256 of its weights, of those that have any; for cards of what was measured.

    The same on every device, and in half precision as long as the weights are those of a file.
    """
    found = {}
    for name, module in components.items():
        if isinstance(module, nn.Module):
            digest = hashlib.sha256()
            for key, value in sorted(module.state_dict().items()):
                value = value.detach().cpu()
                value = value.float() if value.is_floating_point() else value
                digest.update(key.encode())
                digest.update(value.reshape(-1).numpy())
            found[name] = digest.hexdigest()[:12]
    return found


def halved(tensors: dict[str, torch.Tensor], whose: str) -> dict[str, torch.Tensor]:
    """The tensors on the CPU for a file of weights, floats in float16.

    Raises `CheckpointError` with the name behind `whose` for a finite value that float16 cannot hold.
    """
    written = {}
    for name, value in tensors.items():
        value = value.detach().cpu().contiguous()
        written[name] = value.half() if value.is_floating_point() else value
        if not torch.equal(written[name].isfinite(), value.isfinite()):
            raise CheckpointError(
                f"{whose}: {name} reaches {value.abs().max():.3g}, beyond half precision (65504); nothing was written. Train it "
                "again with a smaller learning rate."
            )
    return written


def read_tensors(path: Path, fix: str) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    """The tensors of a safetensors file by name, and its metadata; `CheckpointError` with the `fix` if it is none."""
    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118, it is no dict
    except SafetensorError as error:
        raise CheckpointError(f"{path} is no safetensors file ({error}); {fix}.") from error
