"""Trains what only measuring needs, and makes the study of latent channels: `python -m ladi_mini.evaluation --help`.

Choices made here
- SECONDS ends a training, not the drawing before it.
- Variants start from the base and the adapter, which data/runs/PRESET holds after `ladi-mini train`, and go to
  `ladi-mini evaluate --ablation all --finetuned`.
- A GPU is used if there is one.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import torch
import typer

from ladi_mini.cards import read_card, write_card
from ladi_mini.checkpoints import default_folder, has_stage
from ladi_mini.errors import InputError
from ladi_mini.evaluation.latents import CHANNELS, latent_study, train_side
from ladi_mini.evaluation.methods import GROUPS
from ladi_mini.evaluation.predecessor import train_predecessor
from ladi_mini.evaluation.reader import load_reader, train_reader
from ladi_mini.evaluation.study import joined
from ladi_mini.evaluation.tables import DATA, RESULTS
from ladi_mini.presets import get_preset
from ladi_mini.show.evaluation import prints_page, save_page
from ladi_mini.show.study import write_study
from ladi_mini.training import Interrupted
from ladi_mini.training.variants import VARIANTS, train_variants

CACHE = DATA / "cache"
WORKERS = os.cpu_count() or 1
LATENTS_TITLE = (
    "Prints through 4 and through 16 latent channels",
    "Unwarped from the true picture, from the autoencoder's and from the try-on's; the same short training on both sides.",
)

app = typer.Typer(
    add_completion=False, no_args_is_help=True, help="What only measuring needs: readers, rivals, variants, studies."
)
PresetName = Annotated[str, typer.Argument(metavar="PRESET", help="nano or mini.")]
Seconds = Annotated[float | None, typer.Argument(metavar="SECONDS", min=1, help="Of training, at most.")]


@app.command()
def reader(preset: PresetName, seconds: Seconds = None):
    """Trains the reader of prints and puts it beside the preset's weights."""
    size = get_preset(preset)
    card = train_reader(size, default_folder(preset), device=_device(), workers=WORKERS, **_budget(seconds))
    print(card["held_out"])


@app.command()
def predecessor(preset: PresetName, seconds: Seconds = None):
    """Trains the encoder-decoder of VITON and CP-VTON, in data/runs/PRESET/predecessor."""
    size, out = get_preset(preset), _runs(preset) / "predecessor"
    card = train_predecessor(
        size, default_folder(preset), out, cache=CACHE, device=_device(), workers=WORKERS, **_budget(seconds)
    )
    print(card["held_out"])


@app.command()
def variants(
    preset: PresetName,
    steps: Annotated[int, typer.Argument(min=1, help="The same for every variant.")],
    names: Annotated[list[str] | None, typer.Argument(metavar="NAME", help="Which; all if none is named.")] = None,
):
    """Trains the try-on variants of the component study, in data/runs/PRESET/variants."""
    out = _runs(preset) / "variants"
    with _stoppable():
        train_variants(tuple(names or VARIANTS), get_preset(preset), _whole(preset), out, steps=steps, **_training(preset))
    print(f"Weights and cards are in {out}.")


@app.command()
def join(preset: PresetName):
    """Makes one study card and its picture of those of single groups in data/results."""
    whole = RESULTS / f"{get_preset(preset).name}_tryon.json"
    groups = [RESULTS / f"{preset}_study_{group}.json" for group in GROUPS]
    missing = [path for path in (*groups, whole) if not path.is_file()]
    if missing:
        raise InputError(f"{missing[0]} is missing; measure it with `ladi-mini evaluate`, with --ablation for a group.")
    write_study(joined([read_card(path) for path in groups], read_card(whole)), RESULTS / f"{preset}_study.json")


@app.command()
def latents(preset: PresetName):
    """Trains both sides of the study of latent channels, in data/runs/PRESET/latents; writes its card and picture."""
    size = get_preset(preset)
    folders = {z: _runs(preset) / "latents" / f"z{z}" for z in CHANNELS}
    with _stoppable():
        for z, folder in folders.items():
            train_side(size, z, default_folder(preset), folder, **_training(preset))
    judge = load_reader(default_folder(preset), _device())
    card, strips = latent_study(size, folders, cache=CACHE, reader=judge, device=_device(), workers=WORKERS)
    write_card(RESULTS / f"{preset}_latents.json", card)
    save_page(prints_page(strips, *LATENTS_TITLE), RESULTS / f"{preset}_latents.webp")
    print(card["print_read_by_length"])


def _runs(preset: str) -> Path:
    return DATA / "runs" / preset


def _device() -> str:
    return "cuda" if torch.cuda.is_available() else "cpu"


def _budget(seconds: float | None) -> dict:
    return {} if seconds is None else {"budget": seconds}  # else the function's own


def _training(preset: str) -> dict:
    """How stages are trained here: in half precision and compiled where a GPU makes that worth it."""
    gpu = torch.cuda.is_available()
    return {
        "workers": WORKERS, "cache": CACHE, "precision": "bf16" if gpu else "no", "compile": gpu and preset != "nano",
    }  # fmt: skip


@contextmanager
def _stoppable() -> Iterator[None]:
    """A training that is stopped ends the command with its sentence and exit code 3, as that of `ladi-mini train`."""
    try:
        yield
    except Interrupted as stopped:
        typer.echo(f"{stopped}.")
        raise typer.Exit(3) from None


def _whole(preset: str) -> Path:
    """The folder of finished stages that has the base as well: the shipped one, or that of one's own training."""
    shipped = default_folder(preset)
    return shipped if has_stage(shipped, "inpainting") else _runs(preset)


if __name__ == "__main__":
    try:
        app()
    except InputError as error:
        raise SystemExit(f"Error: {error}") from None
