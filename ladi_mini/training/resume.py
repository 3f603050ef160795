"""Checkpoints of a training in progress: what is needed to go on from a step as if nothing had happened.

Choices made here
- A checkpoint is a folder written beside its place and renamed; the one before it is removed only then.
- Its tensors lie in files of at most 15 MB, which travel through anything.
- A full one holds weights, averages and both moments: training goes on exactly. A light one is a quarter of that: averaged
  weights in float16, second moments in bfloat16. Training goes on from the averaged weights, and first moments, which remember
  ten steps, start at zero: the loss goes on where it was, the bits do not.
"""

import json
import os
import shutil
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from ladi_mini.cards import write_card, write_text
from ladi_mini.checkpoints import SHARD, shards
from ladi_mini.training.average import Average
from ladi_mini.training.stage import Tensors

DONE = "done.json"  # in a work folder: the card of a training that is finished


def save_checkpoint(
    work: Path, stage, optimizer, average: Average, step: int, log: list, seconds: float, light: bool = False
) -> None:
    """Writes `work/checkpoint-<step>` whole or not at all, then removes older ones."""
    work.mkdir(parents=True, exist_ok=True)
    beside, place = work / f".part-{os.getpid()}", work / f"checkpoint-{step:07d}"
    shutil.rmtree(beside, ignore_errors=True)
    beside.mkdir()
    tensors = {f"average.{name}": value for name, value in average.values.items()}
    for number, state in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{number}.{name}": torch.as_tensor(value) for name, value in state.items()}
    if light:
        tensors = {name: _lightened(name, value) for name, value in tensors.items() if not name.endswith(".exp_avg")}
    else:
        tensors |= {f"model.{name}": value for name, value in stage.state_dict().items()}
    tensors = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    for number, shard in enumerate(shards(tensors, SHARD)):
        save_file(shard, beside / f"state-{number:03d}.safetensors")
    write_text(beside / "state.json", json.dumps({"step": step, "log": log, "seconds": seconds, "light": light}))
    shutil.rmtree(place, ignore_errors=True)
    beside.rename(place)
    for old in work.glob("checkpoint-*"):
        if old != place:
            shutil.rmtree(old)


def _lightened(name: str, value: torch.Tensor) -> torch.Tensor:
    if not value.is_floating_point() or value.dim() == 0:
        return value
    return value.to(torch.float16 if name.startswith("average.") else torch.bfloat16)


def load_checkpoint(work: Path, stage, optimizer, average: Average) -> tuple[int, list, float]:
    """Fills everything from the newest checkpoint, full or light; returns (step, log, seconds), zeros where there is none."""
    found = sorted(work.glob("checkpoint-*"))
    if not found:
        return 0, [], 0.0
    tensors: Tensors = {}
    for shard in sorted(found[-1].glob("state-*.safetensors")):
        tensors |= load_file(shard)
    state = json.loads((found[-1] / "state.json").read_text())
    averages = _with_prefix(tensors, "average.")
    stage.load_state_dict(averages if state["light"] else _with_prefix(tensors, "model."))
    for name, value in averages.items():
        average.values[name].copy_(value)
    parameters = list(stage.parameters())
    moments: dict[int, dict] = {}
    for key, value in _with_prefix(tensors, "optimizer.").items():
        number, name = key.split(".", 1)
        like = parameters[int(number)]
        moments.setdefault(int(number), {})[name] = value if value.dim() == 0 else torch.empty_like(like).copy_(value)
    if state["light"]:
        for number, found_moments in moments.items():
            found_moments["exp_avg"] = torch.zeros_like(parameters[number])
    optimizer.load_state_dict({"state": moments, "param_groups": optimizer.state_dict()["param_groups"]})
    return state["step"], state["log"], state["seconds"]


def finish(work: Path, card: dict) -> None:
    """Leaves the card of a finished training in its work folder in place of its checkpoints."""
    write_card(work / DONE, card)
    for checkpoint in work.glob("checkpoint-*"):
        shutil.rmtree(checkpoint, ignore_errors=True)


def clear(works: Iterable[Path]) -> None:
    """Removes work folders, and the folder of them unless another training that was stopped has its own there."""
    for work in works:
        shutil.rmtree(work, ignore_errors=True)
        with suppress(OSError):
            work.parent.rmdir()


def _with_prefix(tensors: Tensors, prefix: str) -> Tensors:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
