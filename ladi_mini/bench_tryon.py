"""How long a try-on takes where students are: on a processor, with the shipped weights, part by part.

Choices made here
- Parts follow one another in the pipeline's call: warp (matching network, spline, refinement), encode (pictures and words),
  loop, decode. They are told apart by when the warp returns and when the denoiser is called first and last, so they add up to
  the whole.
- One person at a time, which is what a reader waits for; the median over repeats of the same try-on, after one unmeasured.
- Speed says nothing alone: the same schedulers also dress a few test people, whose PSNR inside the mask stands beside it.
"""

import time
from collections.abc import Callable
from statistics import median

import torch
from diffusers import DPMSolverMultistepScheduler

from ladi_mini.cards import circumstances, peak_memory_mb
from ladi_mini.evaluation.metrics import interval, psnr
from ladi_mini.pipeline import TryOnPipeline
from ladi_mini.presets import Preset
from ladi_mini.sums import fingerprints
from ladi_mini.wardrobe import RECIPE_VERSION, Wardrobe

PARTS = ("warp", "encode", "loop", "decode")
FAST_STEPS = 10


def bench_tryon(
    pipe: TryOnPipeline, preset: Preset, repeats: int = 5, people: int = 12, progress: Callable[[str], None] = print
) -> dict:
    """The card: seconds of a try-on and of its parts at the preset's steps and at 10 of DPM-Solver++, with guidance.

    `people` unpaired test people are dressed by either scheduler for the PSNR. `progress` gets a line before each measurement.
    """
    wardrobe = Wardrobe("test", preset.height, preset.width, unpaired=True)
    samples = [wardrobe[i] for i in range(max(people, 1))]
    pipe.set_progress_bar_config(disable=True)
    own = pipe.scheduler
    settings = {
        f"{preset.num_inference_steps} DDIM": (own, preset.num_inference_steps),
        f"{FAST_STEPS} DPM-Solver++": (DPMSolverMultistepScheduler.from_config(own.config), FAST_STEPS),
    }
    found = {}
    try:
        for name, (scheduler, steps) in settings.items():
            progress(f"a try-on in {name} steps")
            pipe.scheduler = scheduler
            times = [timed(pipe, samples[0], steps) for _ in range(repeats + 1)][1:]
            quality = [psnr(_dress(pipe, s, steps, i), s.target[None], s.inpaint_mask[None]) for i, s in enumerate(samples)]
            found[name] = {
                "steps": steps,
                "seconds": _spread([sum(each.values()) for each in times]),
                "parts": {part: round(median(each[part] for each in times), 3) for part in PARTS},
                "psnr_inside_mask": interval(torch.cat(quality).numpy()),
            }
    finally:
        pipe.scheduler = own
    return {
        "what": f"seconds of one try-on, preset {preset.name}, batch 1, shipped weights; PSNR over {len(samples)} test people",
        "preset": preset.name,
        "size": [preset.height, preset.width],
        "guidance_scale": pipe.config.guidance_scale,
        "weights": fingerprints(pipe.components),
        "repeats": repeats,
        "wardrobe": RECIPE_VERSION,
        "tryon": found,
        "peak_memory_mb": peak_memory_mb(),
        **circumstances(pipe.device),
    }


def timed(pipe: TryOnPipeline, sample, steps: int) -> dict[str, float]:
    """Seconds of each of `PARTS` of one try-on, which add up to the whole."""
    marks: dict[str, float] = {}
    warp_garment = pipe.warp_garment

    def warped(*given, **named):
        out = warp_garment(*given, **named)
        marks["warp"] = time.perf_counter()
        return out

    hooks = [
        pipe.unet.register_forward_pre_hook(lambda *_: marks.setdefault("encode", time.perf_counter()) and None),
        pipe.unet.register_forward_hook(lambda *_: marks.__setitem__("loop", time.perf_counter())),
    ]
    pipe.warp_garment = warped
    try:
        begin = time.perf_counter()
        _dress(pipe, sample, steps, 0)
        marks["decode"] = time.perf_counter()
    finally:
        del pipe.warp_garment
        for hook in hooks:
            hook.remove()
    ends = [begin, *(marks[part] for part in PARTS)]
    return {part: after - before for part, before, after in zip(PARTS, ends, ends[1:], strict=False)}


def _dress(pipe: TryOnPipeline, sample, steps: int, seed: int) -> torch.Tensor:
    """(1, 3, H, W) in [-1, 1]."""
    generator = torch.Generator().manual_seed(seed)
    return pipe(sample, num_inference_steps=steps, generator=generator, output_type="pt").images * 2 - 1


def _spread(seconds: list[float]) -> dict[str, float]:
    return {"median": round(median(seconds), 3), "low": round(min(seconds), 3), "high": round(max(seconds), 3)}


def table(card: dict, slow: dict | None = None) -> str:
    """The card as the table of the README; `slow`: the card of a slower processor, whose seconds stand below it."""
    lines = ["| one try-on | seconds | warp | encode | loop | decode | PSNR inside the mask |", "|---|---|---|---|---|---|---|"]
    for name, found in card["tryon"].items():
        parts = " | ".join(f"{found['parts'][part]:.2f}" for part in PARTS)
        quality = found["psnr_inside_mask"]
        lines.append(f"| {name} steps | {found['seconds']['median']:.2f} | {parts} | {quality['mean']:.2f} dB |")
    height, width = card["size"]
    people = next(iter(card["tryon"].values()))["psnr_inside_mask"]["n"]
    note = (
        f"{card['hardware']}, {height} x {width}, guidance {card['guidance_scale']:g}, median of {card['repeats']}; "
        f"PSNR over {people} unpaired test people."
    )
    if "million_additions_per_second" in card:
        speed = card["million_additions_per_second"]
        note += f" They made {speed:.0f} million Python additions a second; `ladi-mini doctor` says how many yours make."
    if slow is not None:
        seconds = " and ".join(f"{found['seconds']['median']:.2f} s" for found in slow["tryon"].values())
        speed = slow["million_additions_per_second"]
        note += f" Two slow ones ({speed:.0f} million additions) took {seconds}, with weights of the same sizes."
    return "\n".join(lines) + f"\n\n{note}\n"
