"""A small reader of prints: which glyph is in this cell? (lesson 7)

It is trained on true pictures of random strings and never sees a generated one, so what it cannot read on a try-on, the try-on
has lost. Its own limit is measured: on true pictures it must be right almost always, on try-ons without the garment by chance.

Choices made here
- A cell at a time, cut by the true warp (`prints`), so neither layout nor length has to be learned; a text is read if all its
  glyphs are.
- Only people with a print are drawn for it: the garment is asked before anything is painted.
- `python -m ladi_mini.evaluation reader PRESET` draws, trains and puts the reader beside the preset's weights.
- A cell is taken about its mean and scaled to its contrast, and half of them are negatives: the colours of cloth and print say
  nothing. It is shifted, scaled, sheared, blurred and made noisy a little, so that a try-on is not failed for a
  softness that a person reads through.
"""

import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from tqdm import tqdm

from ladi_mini.cards import circumstances, write_card
from ladi_mini.evaluation.fitting import fit
from ladi_mini.evaluation.metrics import interval
from ladi_mini.evaluation.prints import COLUMNS, ROWS, Prints, cells, locate, over_print
from ladi_mini.evaluation.weights import read_weights, save_weights
from ladi_mini.presets import Preset
from ladi_mini.training.stage import from_bytes, to_bytes
from ladi_mini.wardrobe import RECIPE_VERSION
from ladi_mini.wardrobe.captions import PRINTABLE
from ladi_mini.wardrobe.dataset import SPLITS
from ladi_mini.wardrobe.dressing import Drawing, draw_many, garment_of

FILE = "reader.safetensors"
CHUNK = 32  # people a worker draws at a time


class Reader(nn.Module):
    """Cells (G, 3, ROWS, COLUMNS) to logits (G, 36) over `PRINTABLE`; three pairs of convolutions, of `width`, 2 and 3 times as
    many channels, and two linear layers."""

    def __init__(self, width: int = 32):
        super().__init__()
        layers, channels = [], 3
        for out in (width, 2 * width, 3 * width):
            layers += [
                nn.Conv2d(channels, out, 3, padding=1, bias=False), nn.BatchNorm2d(out), nn.ReLU(),
                nn.Conv2d(out, out, 3, padding=1, bias=False), nn.BatchNorm2d(out), nn.ReLU(), nn.MaxPool2d(2),
            ]  # fmt: skip
            channels = out
        self.features = nn.Sequential(*layers)
        self.head = nn.Sequential(
            nn.Flatten(), nn.Dropout(0.3), nn.Linear(channels * (ROWS // 8) * (COLUMNS // 8), 96), nn.ReLU(),
            nn.Linear(96, len(PRINTABLE)),
        )  # fmt: skip

    def forward(self, cell: torch.Tensor) -> torch.Tensor:
        return self.head(self.features(contrast(cell)))


def contrast(cell: torch.Tensor) -> torch.Tensor:
    """Cells about their mean, scaled to a deviation of 1 over all three channels; what is nearly plain stays near 0."""
    centred = cell - cell.mean((2, 3), keepdim=True)
    return centred / (centred.square().mean((1, 2, 3), keepdim=True).sqrt() + 0.02)


@torch.no_grad()
def read(reader: Reader, images: torch.Tensor, prints: Prints) -> tuple[torch.Tensor, torch.Tensor, list[str]]:
    """Reads the prints of pictures (B, 3, H, W): whether each of K is right (K,) in {0, 1}, the share of its glyphs that are, and
    what was read."""
    glyphs = torch.cat([reader(chunk).argmax(1) for chunk in cells(images, prints).split(512)])
    share = over_print((glyphs == prints.labels).double(), prints)
    texts = [""] * len(prints)
    for owner, glyph in zip(prints.owner.tolist(), glyphs.tolist(), strict=True):
        texts[owner] += PRINTABLE[glyph]
    return (share == 1).double(), share, texts


# ---------------------------------------------------------------- true prints


def printed(split: str, count: int, seed: int = 0) -> list[int]:
    """The first `count` indices of a split whose upper-body garment has a print."""
    found, index = [], SPLITS[split]
    while len(found) < count:
        if garment_of(seed, index, "upper_body").attributes.text:
            found.append(index)
        index += 1
    return found


def true_prints(preset: Preset, split: str, count: int, seed: int = 0, workers: int = 0) -> Iterator[tuple[torch.Tensor, Prints]]:
    """Drawn people (B, 3, H, W) in [-1, 1] who wear a print, and their prints, chunk by chunk; `count` people in all."""
    indices = printed(split, count, seed)
    jobs = [
        (seed, indices[start : start + CHUNK], preset.height, preset.width, False, "upper_body")
        for start in range(0, count, CHUNK)
    ]
    if workers > 1:
        with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
            yield from _with_prints(tqdm(pool.map(draw_many, jobs), total=len(jobs), desc="     drawing"))
    else:
        yield from _with_prints(tqdm(map(draw_many, jobs), total=len(jobs), desc="     drawing"))


def _with_prints(chunks) -> Iterator[tuple[torch.Tensor, Prints]]:
    def stack(drawings: list[Drawing], name: str) -> torch.Tensor:
        return torch.from_numpy(np.stack([getattr(d, name) for d in drawings]))

    for drawings in chunks:
        visible = stack(drawings, "warp_visible")[:, None].float()
        texts = [d.print_text for d in drawings]
        rows = torch.arange(len(drawings))
        prints = locate(stack(drawings, "warp_grid").float(), visible, stack(drawings, "print_box").float(), texts, rows)
        if prints is not None:
            yield from_bytes(stack(drawings, "target").permute(0, 3, 1, 2)), prints


def _glyphs(preset: Preset, split: str, count: int, seed: int, workers: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Cells (G, 3, ROWS, COLUMNS) uint8 and their labels (G,) of `count` people."""
    found = [(cells(images, prints), prints.labels) for images, prints in true_prints(preset, split, count, seed, workers)]
    pictures, labels = (torch.cat(parts) for parts in zip(*found, strict=True))
    return to_bytes(pictures), labels


# ---------------------------------------------------------------- training


def disturb(cell: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Cells (G, 3, h, w) in [-1, 1], each moved by up to 6 % of its size, scaled by up to 8 % and sheared by up to 6 %.

    Half of them are blurred, by random amounts, half are negated, and all get noise of deviation 0.03, which may leave [-1, 1].
    """
    count, device = len(cell), cell.device

    def uniform(*shape: int) -> torch.Tensor:
        return torch.rand(shape, generator=generator, device=device) * 2 - 1

    matrix = torch.zeros(count, 2, 3, device=device)
    matrix[:, 0, 0], matrix[:, 1, 1] = 1 + 0.08 * uniform(count), 1 + 0.08 * uniform(count)
    matrix[:, 0, 1], matrix[:, 1, 0] = 0.06 * uniform(count), 0.06 * uniform(count)
    matrix[:, :, 2] = 0.12 * uniform(count, 2)
    with torch.autocast(device.type, enabled=False):  # half precision would move pixels
        grid = F.affine_grid(matrix, list(cell.shape), align_corners=False)
        moved = F.grid_sample(cell, grid, padding_mode="border", align_corners=False)
    soft = F.avg_pool2d(F.pad(moved, (2, 2, 2, 2), mode="replicate"), 5, stride=1)
    amount = uniform(count, 1, 1, 1).clamp(min=0)
    sign = torch.where(uniform(count, 1, 1, 1) > 0, 1.0, -1.0)
    return sign * (moved + amount * (soft - moved)) + 0.03 * torch.randn(cell.shape, generator=generator, device=device)


def train_reader(
    preset: Preset,
    folder: Path,
    *,
    people: int = 12_000,
    validation: int = 600,
    steps: int = 3_000,
    batch_size: int = 256,
    budget: float | None = None,
    seed: int = 0,
    device: torch.device | str = "cpu",
    workers: int | None = None,
) -> dict:
    """Draws people with prints, trains a reader on their glyphs and writes it into `folder` with its card; returns the card.

    `people` of the training split, measured on `validation` people of another one; `budget` seconds of training at most.
    """
    workers = (os.cpu_count() or 1) if workers is None else workers
    pictures, labels = (x.to(device) for x in _glyphs(preset, "train", people, seed, workers))
    torch.manual_seed(seed)
    reader = Reader().to(device)

    def loss_of(index: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        return F.cross_entropy(reader(disturb(from_bytes(pictures[index]), generator)), labels[index])

    card = fit(
        reader, loss_of, len(labels), batch_size=batch_size, learning_rate=2e-3, steps=steps, budget=budget, seed=seed,
        device=device, label="reader",
    )  # fmt: skip
    card = {
        "what": f"reader of printed glyphs, preset {preset.name}, trained on the true pictures of {people} drawn people",
        "preset": preset.name,
        "glyphs": len(labels),
        "wardrobe": RECIPE_VERSION,
        "held_out": accuracy(reader, preset, validation, seed, workers),
    } | card | circumstances(device)  # fmt: skip
    save_reader(folder, preset, reader)
    write_card(Path(folder) / "cards" / "reader.json", card)
    return card


def accuracy(reader: Reader, preset: Preset, people: int, seed: int = 0, workers: int = 0) -> dict:
    """What the reader gets right on true pictures of the validation split, with the height of the glyphs that it had to read."""
    device = next(reader.parameters()).device
    right, share, heights, lengths = [], [], [], []
    for images, prints in true_prints(preset, "validation", people, seed, workers):
        images, prints = images.to(device), prints.to(device)
        text_right, glyphs_right, _ = read(reader, images, prints)
        right += text_right.tolist()
        share += glyphs_right.tolist()
        heights += prints.heights.tolist()
        lengths += [len(text) for text in prints.texts]
    right, lengths = np.array(right), np.array(lengths)
    low, middle, high = np.quantile(heights, [0.05, 0.5, 0.95])
    return {
        "text_right": interval(right),
        "text_right_by_length": {str(n): interval(right[lengths == n]) for n in sorted(set(lengths.tolist()))},
        "glyph_right": interval(np.array(share)),
        "glyph_height_px": {"median": round(float(middle), 1), "5 %": round(float(low), 1), "95 %": round(float(high), 1)},
    }


def save_reader(folder: Path, preset: Preset, reader: Reader) -> Path:
    """Writes the reader's weights (float16) into `folder`, beside their place and renamed, and its sha256 into the list there."""
    return save_weights(Path(folder) / FILE, preset, reader)


def load_reader(folder: Path, device: torch.device | str = "cpu") -> Reader | None:
    """The reader in `folder`, in eval mode; None if there is none. Raises `CheckpointError` for a damaged file."""
    tensors = read_weights(Path(folder) / FILE, "train it again with `python -m ladi_mini.evaluation reader PRESET`")
    if tensors is None:
        return None
    reader = Reader(tensors["features.0.weight"].shape[0])
    reader.load_state_dict(tensors)
    return reader.eval().requires_grad_(False).to(device)
