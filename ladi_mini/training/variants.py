"""The component study's own trainings: a stage with one component changed, from the start that all of them share (lesson 7).

Choices made here
- The common start of the try-on variants is that of the try-on stage: the inpainting base, extended by channels of zeros, and the
  adapter trained against it. Each is trained for the same steps on the same samples in the same order, and so is "control", the
  stage as it is, with which they are compared: the shipped model has been trained longer.
- The variants of the skips are trained exactly as the shipped skips, and compared with the model that has those.
- What is frozen is run once for all variants that one call trains.
"""

import shutil
from dataclasses import replace
from pathlib import Path

import torch

from ladi_mini.checkpoints import Models, save_stage
from ladi_mini.presets import Preset
from ladi_mini.sample import InputError
from ladi_mini.training.emasc import EmascStage
from ladi_mini.training.loop import accelerator_for, seed_of, train_stage
from ladi_mini.training.stage import Stage
from ladi_mini.training.tryon import TryOnStage
from ladi_mini.wardrobe import RECIPE_VERSION, packed

CONTROL = "control"
VARIANTS: dict[str, tuple[type[Stage], dict]] = {  # name -> the stage and its switches
    CONTROL: (TryOnStage, {}),
    "text-empty": (TryOnStage, {"text": "empty"}),
    "text-category": (TryOnStage, {"text": "category"}),
    "text-caption": (TryOnStage, {"text": "caption"}),
    "garment-none": (TryOnStage, {"garment": "none"}),
    "garment-tps": (TryOnStage, {"garment": "tps"}),
    "garment-true": (TryOnStage, {"garment": "true"}),
    "pose-none": (TryOnStage, {"use_pose": False}),
    "emasc-linear": (EmascStage, {"linear": True}),
    "emasc-unmasked": (EmascStage, {"masked": False}),
}


def train_variants(
    names: tuple[str, ...],
    preset: Preset,
    weights: Path,
    out: Path,
    *,
    steps: int,
    samples: int | None = None,
    seed: int = 0,
    cache: Path | None = None,
    workers: int = 0,
    precision: str = "no",
    compile: bool = False,
) -> list[dict]:
    """Trains the variants `names` and writes each into a folder of its name in `out`, with its card; returns the cards.

    `weights` holds the finished stages, inpainting and inversion among them. `steps` of a try-on variant; those of the skips take
    as many as the preset gives them. `samples` of the training split (the preset's if None).
    Raises `InputError` for a name that is not in `VARIANTS`, `CheckpointError` for a stage that is missing.
    """
    unknown = sorted(set(names) - set(VARIANTS))
    if unknown:
        raise InputError(f"{unknown[0]!r} is no variant; choose from {', '.join(VARIANTS)}.")
    accelerator = accelerator_for(precision)
    count = preset.train_samples if samples is None else samples
    data = packed(
        "train", count, preset.height, preset.width, seed=seed, unpaired=preset.train_unpaired, cache_dir=cache, workers=workers
    )
    preset = preset.with_(stages=preset.stages | {"tryon": replace(preset.stages["tryon"], steps=steps)})
    models, shelf, cards = Models(preset, weights, accelerator.device), {}, []
    for name in names:
        make, switches = VARIANTS[name]
        torch.manual_seed(seed)
        stage = make(preset, models, **switches)
        stage.shelf = shelf
        run = seed_of(preset, seed, name, count, RECIPE_VERSION, accelerator.num_processes)  # of other settings: begun anew
        work = Path(out) / "work" / f"{name}-{run:08x}"
        card = train_stage(stage, stage.table(data), work, seed=seed, accelerator=accelerator, compile=compile)
        card |= {"variant": name, "switches": switches, "wardrobe": RECIPE_VERSION}
        save_stage(Path(out) / name, preset, stage.name, stage.components(), card)
        shutil.rmtree(work, ignore_errors=True)
        accelerator.free_memory()
        torch.compiler.reset()
        cards.append(card)
    return cards
