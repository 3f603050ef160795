"""The eight stages in their order, and the command that trains them on the wardrobe."""

import time
from pathlib import Path

import torch
from accelerate import Accelerator

from ladi_mini.cards import read_card
from ladi_mini.checkpoints import Models, save_stage
from ladi_mini.errors import InputError
from ladi_mini.presets import STAGES, Preset
from ladi_mini.training.autoencoder import AutoencoderStage
from ladi_mini.training.clip import ClipStage
from ladi_mini.training.emasc import EmascStage
from ladi_mini.training.inpainting import InpaintingStage
from ladi_mini.training.inversion import InversionStage
from ladi_mini.training.loop import Interrupted, accelerator_for, seed_of, train_stage
from ladi_mini.training.refinement import RefinementStage
from ladi_mini.training.resume import DONE, clear, finish
from ladi_mini.training.stage import Stage
from ladi_mini.training.tryon import TryOnStage
from ladi_mini.training.warping import WarpingStage
from ladi_mini.wardrobe import RECIPE_VERSION, packed

STAGE_CLASSES: dict[str, type[Stage]] = {
    cls.name: cls
    for cls in (
        ClipStage, AutoencoderStage, EmascStage, WarpingStage, RefinementStage, InpaintingStage, InversionStage, TryOnStage,
    )
}  # fmt: skip


def train(
    stages: tuple[str, ...],
    preset: Preset,
    out: Path,
    *,
    seed: int = 0,
    budget: float | None = None,
    cache: Path | None = None,
    workers: int = 0,
    precision: str = "no",
    compile: bool = False,
    light: bool = False,
    accelerator: Accelerator | None = None,
    progress: bool = True,
) -> list[dict]:
    """Trains `stages` in their order on the wardrobe and writes weights and cards to the folder `out`; returns the cards.

    Called again with the same arguments after a stop, it skips what is done and goes on from the last checkpoint. `workers`
    processes draw the wardrobe, 0 draws it here; with more a script needs `if __name__ == "__main__":`. `budget`: seconds for
    all of them together, after which `Interrupted` is raised at a checkpoint, a `light` one if so asked.
    `precision`, "no", "bf16" or "fp16", and `compile` are for GPUs.
    Raises `CheckpointError` if an earlier stage's weights are missing, `InputError` for a name that is no stage's, or of a stage
    that is not trained at this size.
    """
    stages = (stages,) if isinstance(stages, str) else tuple(stages)
    unknown = sorted(set(stages) - set(STAGES))
    if unknown or not stages:
        raise InputError(f"stages is {unknown[0] if unknown else stages!r}, expected some of {', '.join(STAGES)}; name them so.")
    out, started, cards = Path(out), time.perf_counter(), []
    untrained = [name for name in stages if preset.stages[name].steps == 0]
    if untrained:
        raise InputError(f"{untrained[0]} is not trained at preset {preset.name}: its weights come with the base; leave it out.")
    accelerator = accelerator_for(precision, accelerator)
    sizes = {"height": preset.height, "width": preset.width, "seed": seed, "cache_dir": cache, "workers": workers}
    sizes["unpaired"] = preset.train_unpaired
    counts = {name: preset.stages[name].samples or preset.train_samples for name in stages}
    with accelerator.main_process_first():  # the others read its cache
        drawn = packed("train", max(counts.values()), **sizes)
        held_out = packed("validation", preset.validation_samples, **sizes)
    data = {count: drawn.first(count) for count in counts.values()}
    rendering = time.perf_counter() - started
    # what a checkpoint belongs to: another seed, size, data or number of processes starts anew
    run = seed_of(preset, seed, sorted(stages), RECIPE_VERSION, accelerator.num_processes)
    shelf: dict = {}
    for name in sorted(stages, key=STAGES.index):
        work = out / "work" / f"{name}-{run:08x}"
        if (work / DONE).exists():  # by this same command before it was stopped
            cards.append(read_card(work / DONE))
            continue
        torch.manual_seed(seed_of(seed, name, "weights"))
        stage = STAGE_CLASSES[name](preset, Models(preset, out, accelerator.device))
        stage.shelf = shelf
        begun = time.perf_counter()
        table, held_out_table = stage.table(data[counts[name]]), stage.table(held_out)
        preparing = time.perf_counter() - begun
        left = None if budget is None else budget - (time.perf_counter() - started)
        card = train_stage(
            stage, table, work, seed=seed, held_out=held_out_table, accelerator=accelerator, budget=left, light=light,
            compile=compile, progress=progress,
        )  # fmt: skip
        card |= {"preparing_seconds": round(preparing, 1), "rendering_seconds": round(rendering, 1), "wardrobe": RECIPE_VERSION}
        if accelerator.is_main_process:
            save_stage(out, preset, name, stage.components(), card)
            finish(work, card)
        accelerator.wait_for_everyone()
        accelerator.free_memory()
        cards.append(card)
    if accelerator.is_main_process:
        clear(out / "work" / f"{name}-{run:08x}" for name in stages)
    return cards


__all__ = ["STAGE_CLASSES", "Interrupted", "train"]
