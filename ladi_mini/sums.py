"""Whether a file of weights is whole: sha256 sums in a list beside the files, and reading one without unpickling.

`fingerprints` tells the weights of a model in memory, so that a card can say of which its numbers are.
"""

import hashlib
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import nn

from ladi_mini.cards import write_text
from ladi_mini.errors import InputError

SUM = re.compile(r"([0-9a-f]{64})\s+(\S.*)")  # a line of the list


class CheckpointError(InputError):
    """Weights that are missing, damaged or of another model."""


def write_sums(folder: Path, written: Iterable[Path]) -> None:
    """Lists the sha256 of the files `written` into `folder` in its `SHA256SUMS` (the format of the command `sha256sum`).

    Other files keep the line they have, so that a damaged one is not certified by its neighbour; lines of files that are gone,
    or that are no sums, are dropped.
    """
    folder = Path(folder)
    kept = (SUM.fullmatch(line) for line in _lines(folder))
    listed = {line[2]: line[1] for line in kept if line} | {path.name: sha256(path) for path in written}
    lines = [f"{digest}  {name}\n" for name, digest in sorted(listed.items()) if (folder / name).is_file()]
    write_text(folder / "SHA256SUMS", "".join(lines))


def read_sums(folder: Path) -> dict[str, str]:
    """File name to sha256, of the folder's `SHA256SUMS`; empty if there is none.

    Raises `CheckpointError` for a line that is no sum and name, such as the last one of a list that was cut off.
    """
    listed = {}
    for number, line in enumerate(_lines(folder), start=1):
        found = SUM.fullmatch(line)
        if found is None and line.strip():
            raise CheckpointError(
                f"{Path(folder) / 'SHA256SUMS'}, line {number} is {line!r}, expected a sha256 of 64 digits and a file's name; "
                "restore it with `git checkout` or train the stages again."
            )
        if found is not None:
            listed[found[2]] = found[1]
    return listed


def _lines(folder: Path) -> list[str]:
    sums = Path(folder) / "SHA256SUMS"
    return sums.read_text(encoding="utf-8", errors="replace").splitlines() if sums.is_file() else []


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
