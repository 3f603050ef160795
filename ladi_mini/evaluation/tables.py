"""Tables of the README, made from cards.

A table stands between `<!-- card: NAME -->` and `<!-- end card -->`; `python -m ladi_mini.evaluation.tables README.md` writes
every one of them again: PRESET_tryon from the card `data/results/PRESET_tryon.json`, PRESET_training from the cards of the
stages in `data/checkpoints/PRESET/cards`, PRESET_bench from `data/results/bench_PRESET.json`, PRESET_speed from
`data/results/bench_tryon.json` and `bench_tryon_slow.json`.
"""

import re
import sys
from pathlib import Path

from ladi_mini import bench_tryon
from ladi_mini.cards import read_card, write_text
from ladi_mini.presets import STAGES

DATA = Path(__file__).parents[2] / "data"
RESULTS = DATA / "results"
METHODS = {
    "tryon": "the model",
    "pasted": "its warped garment pasted, the rest inpainted by OpenCV",
    "predecessor": "an encoder-decoder with composition mask (VITON, CP-VTON)",
    "without_garment": "the model without the garment",
}
BLOCK = re.compile(r"(<!-- card: (\w+) -->\n).*?(<!-- end card -->)", re.DOTALL)


def try_on_table(card: dict) -> str:
    """PSNR inside the mask and whole of every method, with the difference to the model."""
    lines = [
        "| unpaired, against the true picture | PSNR inside the mask | whole picture | the model is better by |",
        "|---|---|---|---|",
    ]
    for name, label in METHODS.items():
        if name not in card["psnr"]:  # not trained for this size
            continue
        inner, whole = card["psnr_inside_mask"][name], card["psnr"][name]
        gain = card["difference_inside_mask"].get(name)
        better = "" if gain is None else f"{gain['mean']:.2f} dB ({gain['low']:.2f} to {gain['high']:.2f})"
        lines.append(f"| {label} | {inner['mean']:.2f} dB | {whole['mean']:.2f} dB | {better} |")
    scheduler = card["scheduler"].removesuffix("Scheduler")
    note = (
        f"{card['samples']} test samples, {card['num_inference_steps']} {scheduler} steps, guidance {card['guidance_scale']:g}; "
        "in brackets 95 % bootstrap intervals."
    )
    return "\n".join(lines) + f"\n\n{note}\n"


HELD_OUT = {  # what each stage's card measured on held-out samples, in words
    "clip": "caption found for {image_to_text_top1:.0%} of the garments (chance {chance:.1%})",
    "autoencoder": "{psnr:.1f} dB whole, {psnr_inside_mask:.1f} inside the mask",
    "emasc": "known pixels {psnr_known_without:.1f} to {psnr_known_with:.1f} dB",
    "warping": "end-point error {end_point_error_px:.2f} px (identity {end_point_error_px_identity:.2f})",
    "refinement": "L1 to the worn garment {l1_before:.3f} to {l1_after:.3f}",
    "inpainting": "noise MSE at t = 500: {noise_mse_at_500:.3f}",
    "inversion": "noise MSE at t = 500: {noise_mse_at_500:.3f}",
    "tryon": "noise MSE at t = 500: {noise_mse_at_500:.3f}",
}


def training_table(cards: dict[str, dict]) -> str:
    """Seconds, parameters and held-out measure of every stage, and the time in all."""
    lines = ["| stage | parameters | steps x batch | seconds | on held-out samples |", "|---|---|---|---|---|"]
    for stage, card in cards.items():
        measured = HELD_OUT[stage].format(**card["held_out"])
        planned = f" of {card['steps_planned']:,}" if "steps_planned" in card else ""  # stopped early
        steps = f"{card['steps']:,}{planned} x {card['batch_size']}"
        lines.append(f"| {stage} | {card['parameters']:,} | {steps} | {card['seconds']:.0f} | {measured} |")
    total = sum(card["seconds"] + card.get("preparing_seconds", 0) for card in cards.values())
    total += max(card.get("rendering_seconds", 0) for card in cards.values())
    first = next(iter(cards.values()))
    more = [f"{card['samples']:,} for {stage}" for stage, card in cards.items() if card["samples"] != first["samples"]]
    drawn = f"{first['samples']:,} samples" + (f" ({', '.join(more)})" if more else "")
    note = f"In all {total / 60:.1f} minutes with drawing {drawn}, on {first['hardware']}."
    return "\n".join(lines) + f"\n\n{note}\n"


def bench_table(card: dict) -> str:
    """Speed and memory of the plain and the compiled path; a section that the run did not reach has no row."""
    peak = card.get("machine", {}).get(f"{card['precision']}_tflops")
    work = card.get("plain", {}).get("arithmetic", {})
    lines = [
        "| | seconds | a step | share of the matrix peak | to the float32 picture | peak memory |",
        "|---|---|---|---|---|---|",
    ]
    for section, label in (("plain", "1 picture, plain"), ("compiled", "1 picture, compiled")):
        if section in card:
            found = card[section]
            seconds, step, memory = found["seconds"]["median"], found["seconds_a_step"], _gib(found["peak_memory_gib"])
            share = f"{work['gflop_a_step'] / 1e3 / step / peak:.0%}" if peak and work and step > 0 else ""
            lines.append(f"| {label} | {seconds:.3f} | {1e3 * step:.1f} ms | {share} | {found['psnr_db']:.1f} dB | {memory} |")
    for section, label in (("plain_batch", "plain"), ("compiled_batch", "compiled")):
        if section in card:
            found = card[section]
            seconds, count = min(found["seconds"]), found["batch"]
            whole = count * (work["gflop_a_step"] * card["num_inference_steps"] + work["gflop_beside_the_steps"]) if work else 0
            share = f"{whole / 1e3 / seconds / peak:.0%}" if peak and work else ""
            rate = f"{found['pictures_per_second']:.2f} pictures/s"
            lines.append(
                f"| {count} pictures, {label}: {rate} | {seconds:.2f} | | {share} | | {_gib(found['peak_memory_gib'])} |"
            )
    for name, found in card.get("schedulers", {}).items():
        psnr = f"{found['psnr_db']:.1f} dB"
        lines.append(f"| 1 picture, compiled, {found['steps']} {name} steps | {found['seconds']['median']:.3f} | | | {psnr} | |")
    for name, label in (("in_place", "every module in place"), ("low_memory", "`low_memory`")):
        if name in card.get("memory", {}):
            found = card["memory"][name]
            psnr, gib = f"{found['psnr_db']:.1f} dB", _gib(found["peak_gib"])
            lines.append(f"| 1 picture, bfloat16, {label} | {found['seconds']:.2f} | | | {psnr} | {gib} |")
    height, width = card["size"]
    note = (
        f"{card['hardware']}, torch {card['versions']['torch']}, {card['precision']}, {height} x {width}, "
        f"{card['num_inference_steps']} {card['scheduler']} steps, guidance {card['guidance_scale']:g}, made-up weights."
    )
    if "compiled" in card:
        note += f" Compiling took {card['compiled']['compile_seconds']:.0f} s at the first call."
    return "\n".join(lines) + f"\n\n{note}\n"


def _gib(amount: float | None) -> str:
    return "" if amount is None else f"{amount:.1f} GiB"


def table(name: str, data: Path = DATA) -> str:
    """The table called `name`, see the module docstring."""
    preset, kind = name.rsplit("_", 1)
    if kind == "training":
        folder = data / "checkpoints" / preset / "cards"
        return training_table({stage: read_card(folder / f"{stage}.json") for stage in STAGES})
    if kind == "speed":
        card = read_card(data / "results" / "bench_tryon.json")
        if card["preset"] != preset:
            raise ValueError(f"bench_tryon.json is of preset {card['preset']}, the table of {preset}")
        slow = data / "results" / "bench_tryon_slow.json"
        return bench_tryon.table(card, read_card(slow) if slow.is_file() else None)
    if kind == "bench":
        return bench_table(read_card(data / "results" / f"bench_{preset}.json"))
    return try_on_table(read_card(data / "results" / f"{name}.json"))


def fill(text: str) -> str:
    """`text` with every marked table made anew from its cards."""
    return BLOCK.sub(lambda m: m[1] + table(m[2]) + m[3], text)


if __name__ == "__main__":
    for name in sys.argv[1:]:
        write_text(Path(name), fill(Path(name).read_text(encoding="utf-8")))
