"""What the number of latent channels costs: the same short training at z = 4 and at z = 16, measured on prints (lesson 7).

A latent of z channels at an eighth of the size holds 64 * 3 / z times fewer numbers than the picture. Stable Diffusion's four
were chosen for photographs of 512 pixels; what LaDI-VTON's letters die of is what those four cannot say.

Choices made here
- Two sides that differ in z alone: autoencoder, base, adapter and try-on are trained from scratch for the same, shortened steps
  (`LENGTHS`) on the same samples. CLIP, warping and refinement do not know of latents and are those of the model.
- Neither side has skips: those of a fresh EMASC add nothing, and nothing of them reaches inside the mask.
- Scored are the true picture through the autoencoder, which no try-on can beat, and the try-on, on unpaired test people.
"""

from dataclasses import replace
from pathlib import Path

import torch

from ladi_mini.cards import circumstances, read_card
from ladi_mini.checkpoints import has_stage, load_pipeline, load_stage, save_stage
from ladi_mini.emasc import build_emasc
from ladi_mini.evaluation.methods import Method, reconstruct, try_on
from ladi_mini.evaluation.prints import cells, find_prints
from ladi_mini.evaluation.reader import Reader
from ladi_mini.evaluation.scoring import PROTOCOL, TRUTH, by_length, differences, glyph_heights, score, tables
from ladi_mini.evaluation.tryon import default_count, wardrobe_people
from ladi_mini.presets import Preset
from ladi_mini.training import train
from ladi_mini.wardrobe import RECIPE_VERSION

CHANNELS = (4, 16)
LENGTHS = {"autoencoder": 5_500, "inpainting": 1_500, "inversion": 300, "tryon": 5_000}
GIVEN = ("clip", "warping", "refinement")  # the model's own, on both sides
NEEDS = {"autoencoder": (), "inpainting": ("clip",), "inversion": ("clip",), "tryon": GIVEN}  # what of them a stage reads
SHOWN = 8  # prints in the picture


def side(preset: Preset, z: int) -> Preset:
    """The preset with `z` latent channels and the study's lengths, under a name of its own."""
    stages = preset.stages | {name: replace(preset.stages[name], steps=steps) for name, steps in LENGTHS.items()}
    return preset.with_(name=f"{preset.name}-z{z}", latent_channels=z, stages=stages)


def train_side(
    preset: Preset, z: int, weights: Path, out: Path, stages: tuple[str, ...] = tuple(LENGTHS), **options
) -> list[dict]:
    """Trains `stages` of the side with `z` channels in the folder `out`; `weights` holds the model's own stages.

    What of `GIVEN` is finished there is taken over, so the first stages may be trained before the model's warping is. A side that
    is there with the same steps is kept; its cards are returned. `options` are those of `training.train`.
    Raises `CheckpointError` for a stage that is missing in `weights`.
    """
    small = side(preset, z)
    finished = [Path(out) / "cards" / f"{name}.json" for name in stages]
    if all(path.is_file() for path in finished) and not (Path(out) / "work").exists():
        cards = [read_card(path) for path in finished]
        if all(card["steps"] == small.stages[name].steps for name, card in zip(stages, cards, strict=True)):
            return cards
    needed = {name for stage in stages for name in NEEDS[stage]}
    for name in GIVEN:
        if name in needed or has_stage(weights, name):
            save_stage(out, small, name, load_stage(weights, preset, name))
    save_stage(out, small, "emasc", {"emasc": build_emasc(small)})
    return train(stages, small, out, **options)


def latent_study(
    preset: Preset,
    folders: dict[int, Path],
    samples: int | None = None,
    seed: int = 0,
    batch_size: int = 32,
    cache: Path | None = None,
    workers: int = 0,
    *,
    device: torch.device | str = "cpu",
    reader: Reader | None = None,
) -> tuple[dict, dict[str, list[torch.Tensor]]]:
    """The card of the sides whose weights lie in `folders` by z, and for a picture the first prints, unwarped.

    The pictures are by name, "true", "z = 4, autoencoder", "z = 4, try-on" and so on, one strip (3, h, w) in [-1, 1] a print.
    """
    samples = default_count(preset) if samples is None else samples
    training = {str(z): {name: _length(folder, name) for name in LENGTHS} for z, folder in sorted(folders.items())}
    people = wardrobe_people(preset, samples, "unpaired", cache, workers)
    methods: dict[str, Method] = {}
    for z, folder in sorted(folders.items()):
        pipe = load_pipeline(side(preset, z), folder, device)
        pipe.set_progress_bar_config(disable=True)
        methods[f"autoencoder_z{z}"] = Method(f"z = {z}, autoencoder", lambda batch, _, pipe=pipe: reconstruct(pipe, batch))
        methods[f"tryon_z{z}"] = Method(f"z = {z}, try-on", try_on(pipe, seed, use_emasc=False))
    scores = score(methods, people, torch.device(device), {}, {}, reader, batch_size, "latents")
    low, high = min(folders), max(folders)
    apart = {
        kind: {m: d[f"{kind}_z{high}"] for m, d in differences(scores, f"{kind}_z{low}", [f"{kind}_z{high}"]).items()}
        for kind in ("autoencoder", "tryon")
    }
    card = {
        "what": f"latent channels, preset {preset.name}, {samples} unpaired test people of the wardrobe",
        "preset": preset.name,
        "samples": samples,
        "size": [preset.height, preset.width],
        "seed": seed,
        "num_inference_steps": preset.num_inference_steps,
        "guidance_scale": preset.guidance_scale,
        "wardrobe": RECIPE_VERSION,
        "channels": sorted(folders),
        "numbers_per_latent": {str(z): z * preset.latent_size[0] * preset.latent_size[1] for z in sorted(folders)},
        "protocol": PROTOCOL | {
            "sides": "the same short training with z latent channels each, CLIP, warping and refinement shared, no skips",
            "autoencoder": "the true picture encoded and decoded; tryon: the person dressed, on the same noise a side",
        },
        "training": training,
        "methods": {name: method.label for name, method in methods.items()},
        "scores": tables(scores),
        "print_read_by_length": by_length(scores, [TRUTH, *methods]),
        "glyph_height_px": glyph_heights(scores),
        f"z{high}_minus_z{low}": apart,
        **circumstances(device),
    }  # fmt: skip
    return card, _strips(methods, people, [i for i, n in enumerate(scores.lengths) if n][:SHOWN], torch.device(device))


def _length(folder: Path, stage: str) -> dict:
    card = read_card(Path(folder) / "cards" / f"{stage}.json")
    return {key: card[key] for key in ("steps", "batch_size", "seconds", "parameters", "held_out")}


def _strips(methods: dict[str, Method], people, indices: list[int], device: torch.device) -> dict[str, list[torch.Tensor]]:
    if not indices:
        return {}
    batch = people.batch(indices).to(device)
    prints = find_prints(batch)
    pictures = {"true": batch.target} | {method.label: method.paint(batch, indices) for method in methods.values()}
    found = {}
    for label, image in pictures.items():
        glyphs = cells(image.to(device).float(), prints).clamp(-1, 1).cpu()
        found[label] = [torch.cat(list(glyphs[prints.owner.cpu() == k]), dim=2) for k in range(len(prints))]
    return found
