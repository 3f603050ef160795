"""The unpaired try-on against the true picture, and against what simpler means give (lesson 7).

Choices made here
- The wardrobe knows the person in the other garment, so unpaired results are scored against the truth.
- Every method gets the same samples, the same mask and, where it draws noise, the same noise: one generator a sample, seeded by
  its index, so that no result depends on the batch.
"""

import time

import numpy as np
import torch
from tqdm import tqdm

from ladi_mini.cards import circumstances, peak_memory_mb
from ladi_mini.evaluation.baselines import paste_garment
from ladi_mini.evaluation.metrics import bootstrap, psnr
from ladi_mini.pipeline import TryOnPipeline
from ladi_mini.presets import CATEGORIES, Preset
from ladi_mini.wardrobe import RECIPE_VERSION, packed
from ladi_mini.warping import end_point_error, identity_grid

PROTOCOL = {
    "psnr": "RGB, [0, 1], decibels, one value a picture, mean over pictures",
    "psnr_inside_mask": "the same over the pixels that the model repaints",
    "interval": "95 % percentile bootstrap over samples, 10,000 resamples; differences are taken sample by sample",
    "target": "the true picture of the same person in the other garment, drawn by the wardrobe",
    "paste_back": "none: known pixels are not put back over any result",
}


def noise_of(preset: Preset, indices: list[int], seed: int) -> list[torch.Generator]:
    """One generator a sample, seeded by `seed` and its index."""
    return [torch.Generator().manual_seed(seed * 1_000_003 + index) for index in indices]


def evaluate(
    pipe: TryOnPipeline, preset: Preset, samples: int = 256, seed: int = 0, batch_size: int = 32, cache=None, workers: int = 0
) -> dict:
    """Scores the pipeline on `samples` unpaired test samples; returns the card.

    Methods: "tryon", "pasted" (`paste_garment`), "without_garment" (the same model, garment and words zeroed).
    """
    data = packed("test", samples, preset.height, preset.width, seed=0, unpaired=True, cache_dir=cache, workers=workers)
    device = pipe.device
    inner: dict[str, list] = {}
    whole: dict[str, list] = {}
    categories, warp_error, identity_error, seconds = [], [], [], 0.0
    pipe.set_progress_bar_config(disable=True)
    for start in tqdm(range(0, samples, batch_size), desc="evaluating"):
        indices = list(range(start, min(start + batch_size, samples)))
        batch = data.batch(indices).to(device)
        began = time.perf_counter()
        images = {"tryon": pipe(batch, generator=noise_of(preset, indices, seed), output_type="pt").images}
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        seconds += time.perf_counter() - began
        images["without_garment"] = pipe(
            batch, generator=noise_of(preset, indices, seed), text="empty", garment="none", output_type="pt"
        ).images
        images["pasted"] = paste_garment(pipe, batch).to(device) / 2 + 0.5
        for name, image in images.items():
            image = image * 2 - 1
            inner.setdefault(name, []).append(psnr(image, batch.target, batch.inpaint_mask))
            whole.setdefault(name, []).append(psnr(image, batch.target))
        grid = pipe.warp_garment(batch, "tps").grid
        truth = batch.warp_grid, batch.warp_visible, preset.height, preset.width
        warp_error.append(end_point_error(grid, *truth))
        identity_error.append(end_point_error(identity_grid(preset.height, preset.width).to(grid).expand_as(grid), *truth))
        categories += batch.category
    inner_values = {name: torch.cat(parts).cpu().numpy() for name, parts in inner.items()}
    whole_values = {name: torch.cat(parts).cpu().numpy() for name, parts in whole.items()}
    category = np.array(categories)
    ours = inner_values["tryon"]
    return {
        "what": f"unpaired try-on, preset {preset.name}, {samples} test samples of the wardrobe",
        "preset": preset.name,
        "samples": samples,
        "seed": seed,
        "num_inference_steps": pipe.config.num_inference_steps,
        "guidance_scale": pipe.config.guidance_scale,
        "scheduler": type(pipe.scheduler).__name__,
        "wardrobe": RECIPE_VERSION,
        "protocol": PROTOCOL,
        "psnr_inside_mask": {name: _interval(values) for name, values in inner_values.items()},
        "psnr": {name: _interval(values) for name, values in whole_values.items()},
        "difference_inside_mask": {name: _interval(ours - values) for name, values in inner_values.items() if name != "tryon"},
        "by_category": {
            c: {name: _interval(values[category == c]) for name, values in inner_values.items()}
            for c in CATEGORIES
            if (category == c).any()
        },
        "warp_end_point_error_px": _interval(torch.cat(warp_error).cpu().numpy()),
        "warp_end_point_error_px_identity": _interval(torch.cat(identity_error).cpu().numpy()),
        "seconds_per_image": round(seconds / samples, 4),
        "peak_memory_mb": peak_memory_mb(device),
        **circumstances(device),
    }


def _interval(values: np.ndarray) -> dict:
    mean, low, high = bootstrap(values)
    return {"mean": round(mean, 3), "low": round(low, 3), "high": round(high, 3), "n": len(values)}
