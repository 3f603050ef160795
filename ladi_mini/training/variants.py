"""The component study's own trainings: a stage with one component changed, from the start that all of them share (lesson 7).

Choices made here
- The common start of the try-on variants is that of the try-on stage: the inpainting base, extended by channels of zeros, and the
  adapter trained against it. Each is trained for the same steps on the same samples in the same order, and so is "control", the
  stage as it is, with which they are compared: the shipped model has been trained longer.
- The variants of the skips are trained with the settings of the shipped skips, and compared with the model that has those. What
  differs: their initial weights are drawn from the seed alone, and nothing is held out to measure them on.
- Called again after a stop, a variant that is finished has left its card in its work folder, as the stages do. Work belongs to
  the settings and to the weights that it started from; of others it is begun anew.
- What is frozen is run once for all variants that one call trains.
"""

from dataclasses import replace
from pathlib import Path

import torch

from ladi_mini.cards import read_card
from ladi_mini.checkpoints import Models, save_stage, stage_files
from ladi_mini.presets import Preset
from ladi_mini.sample import InputError
from ladi_mini.sums import read_sums, verify
from ladi_mini.training.emasc import EmascStage
from ladi_mini.training.loop import accelerator_for, seed_of, train_stage
from ladi_mini.training.resume import DONE, clear, finish
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
STARTS = {  # stage -> the stages that it starts from or that are frozen in it
    TryOnStage: ("clip", "autoencoder", "warping", "refinement", "inpainting", "inversion"),
    EmascStage: ("autoencoder",),
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
    Called again with the same arguments after a stop, it skips what is done and goes on from the last checkpoint.
    Raises `InputError` for a name that is not in `VARIANTS`, `CheckpointError` for a stage that is missing or damaged, before
    anything is drawn, and `Interrupted` when stopped early.
    """
    unknown = sorted(set(names) - set(VARIANTS))
    if unknown:
        raise InputError(f"{unknown[0]!r} is no variant; choose from {', '.join(VARIANTS)}.")
    for start in dict.fromkeys(start for name in names for start in STARTS[VARIANTS[name][0]]):
        for path in stage_files(weights, start):
            verify(path, preset=preset.name)
    accelerator = accelerator_for(precision)
    count = preset.train_samples if samples is None else samples
    sizes = {"height": preset.height, "width": preset.width, "unpaired": preset.train_unpaired}
    with accelerator.main_process_first():  # the others read its cache
        data = packed("train", count, **sizes, seed=seed, cache_dir=cache, workers=workers)
    preset = preset.with_(stages=preset.stages | {"tryon": replace(preset.stages["tryon"], steps=steps)})
    models, shelf, cards = Models(preset, weights, accelerator.device), {}, []
    begun_from = count, sorted(read_sums(weights).items()), RECIPE_VERSION, accelerator.num_processes
    works = {name: Path(out) / "work" / f"{name}-{seed_of(preset, seed, name, *begun_from):08x}" for name in names}
    for name, work in works.items():
        make, switches = VARIANTS[name]
        done, kept = work / DONE, Path(out) / name / "cards" / f"{make.name}.json"
        if done.exists() and kept.exists() and read_card(done) == read_card(kept):  # not trained otherwise since
            cards.append(read_card(done))
            continue
        torch.manual_seed(seed)
        stage = make(preset, models, **switches)
        stage.shelf = shelf
        card = train_stage(stage, stage.table(data), work, seed=seed, accelerator=accelerator, compile=compile)
        card |= {"variant": name, "switches": switches, "wardrobe": RECIPE_VERSION}
        if accelerator.is_main_process:
            save_stage(Path(out) / name, preset, stage.name, stage.components(), card)
            finish(work, card)
        accelerator.wait_for_everyone()
        accelerator.free_memory()
        torch.compiler.reset()
        cards.append(card)
    if accelerator.is_main_process:
        clear(works.values())
    return cards
