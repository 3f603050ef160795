"""Trains what only measuring needs, and makes the study of latent channels.

    python -m ladi_mini.evaluation reader PRESET [SECONDS]        the reader of prints, beside the preset's weights
    python -m ladi_mini.evaluation predecessor PRESET [SECONDS]   the encoder-decoder, in data/runs/PRESET/predecessor
    python -m ladi_mini.evaluation variants PRESET STEPS [NAME..] weights for the component study, in data/runs/PRESET/variants
    python -m ladi_mini.evaluation join PRESET                    one study card of those of single groups in data/results
    python -m ladi_mini.evaluation latents PRESET                 both sides, in data/runs/PRESET/latents, card and picture

SECONDS ends the training, not the drawing before it. Variants start from the base and the adapter, which data/runs/PRESET holds
after `ladi-mini train`, and go to `ladi-mini evaluate --ablation all --finetuned`. A GPU is used if there is one.
"""

import os
import sys
from pathlib import Path

import torch

from ladi_mini.cards import read_card, write_card
from ladi_mini.checkpoints import default_folder, stage_files
from ladi_mini.errors import InputError
from ladi_mini.evaluation.latents import CHANNELS, latent_study, train_side
from ladi_mini.evaluation.methods import GROUPS
from ladi_mini.evaluation.predecessor import train_predecessor
from ladi_mini.evaluation.reader import load_reader, train_reader
from ladi_mini.evaluation.study import joined
from ladi_mini.presets import get_preset
from ladi_mini.show.evaluation import prints_page, save_page
from ladi_mini.show.study import write_study
from ladi_mini.training.variants import VARIANTS, train_variants

DATA = Path(__file__).parents[2] / "data"
COMMANDS = ("reader", "predecessor", "variants", "join", "latents")


def main(arguments: list[str]) -> None:
    """Runs one of `COMMANDS` and prints what it reached."""
    if len(arguments) < 2 or arguments[0] not in COMMANDS:
        raise InputError(f"got {' '.join(arguments) or 'nothing'}, expected one of {', '.join(COMMANDS)}, and a preset.")
    command, preset, rest = arguments[0], get_preset(arguments[1]), arguments[2:]
    runs, results, gpu = DATA / "runs" / preset.name, DATA / "results", torch.cuda.is_available()
    shared = {"workers": os.cpu_count() or 1}
    fast = {"cache": DATA / "cache", "precision": "bf16" if gpu else "no", "compile": gpu and preset.name != "nano"}
    measuring = {"device": "cuda" if gpu else "cpu", "workers": shared["workers"]}
    if command in ("reader", "predecessor"):
        budget = {"budget": _number(rest[0], "SECONDS")} if rest else {}
        if command == "reader":
            card = train_reader(preset, default_folder(preset.name), **measuring, **budget)
        else:
            folder = runs / "predecessor"
            card = train_predecessor(preset, default_folder(preset.name), folder, cache=DATA / "cache", **measuring, **budget)
        print(card["held_out"])
    elif command == "variants":
        if not rest:
            raise InputError("variants needs STEPS, the same for every variant, as in `variants mini 2500`.")
        names, steps = tuple(rest[1:]) or tuple(VARIANTS), int(_number(rest[0], "STEPS"))
        train_variants(names, preset, _whole(preset.name), runs / "variants", steps=steps, **shared, **fast)
        print(f"Weights and cards are in {runs / 'variants'}.")
    elif command == "join":
        groups = [results / f"{preset.name}_study_{group}.json" for group in GROUPS]
        missing = [path for path in (*groups, results / f"{preset.name}_tryon.json") if not path.is_file()]
        if missing:
            raise InputError(f"{missing[0]} is missing; measure it with `ladi-mini evaluate`, with --ablation for a group.")
        card = joined([read_card(path) for path in groups], read_card(results / f"{preset.name}_tryon.json"))
        write_study(card, results / f"{preset.name}_study.json")
    else:
        folders = {z: runs / "latents" / f"z{z}" for z in CHANNELS}
        for z, folder in folders.items():
            train_side(preset, z, default_folder(preset.name), folder, **shared, **fast)
        reader = load_reader(default_folder(preset.name), measuring["device"])
        card, strips = latent_study(preset, folders, cache=DATA / "cache", reader=reader, **measuring)
        write_card(results / f"{preset.name}_latents.json", card)
        save_page(prints_page(strips, *LATENTS_TITLE), results / f"{preset.name}_latents.webp")
        print(card["print_read_by_length"])


LATENTS_TITLE = (
    "Prints through 4 and through 16 latent channels",
    "Unwarped from the true picture, from the autoencoder's and from the try-on's; the same short training on both sides.",
)


def _whole(preset: str) -> Path:
    """The folder of finished stages that has the base as well: the shipped one, or that of one's own training."""
    shipped = default_folder(preset)
    return shipped if stage_files(shipped, "inpainting")[0].is_file() else DATA / "runs" / preset


def _number(text: str, name: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise InputError(f"{name} is {text!r}, expected a number.") from None


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except InputError as error:
        raise SystemExit(f"Error: {error}") from None
