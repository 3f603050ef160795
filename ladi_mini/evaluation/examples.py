"""The pictures behind a card: chosen people dressed again, with the same noise, for the sheets that are looked at.

Choices made here
- Which people is never chosen by hand: the first 48, the 12 worst by PSNR inside the mask, the first 24 with a readable print.
"""

from dataclasses import dataclass

import numpy as np
import torch

from ladi_mini.evaluation.methods import try_on
from ladi_mini.evaluation.metrics import psnr
from ladi_mini.evaluation.prints import cells, find_prints, similarity
from ladi_mini.evaluation.reader import Reader, read
from ladi_mini.evaluation.scoring import Scores, quiet
from ladi_mini.pipeline import TryOnPipeline
from ladi_mini.sample import TryOnBatch

FIRST, WORST, LETTERS = 48, 12, 24


@dataclass
class Examples:
    """Tensors on the CPU: batch, result and warped (B, 3, H, W) in [-1, 1], decibels (B,) inside the mask, indices: B numbers."""

    indices: list[int]
    batch: TryOnBatch
    result: torch.Tensor
    warped: torch.Tensor
    decibels: torch.Tensor


@dataclass
class ReadPrint:
    """A print: the strips (3, h, w) in [-1, 1] of its unwarped cells on the true picture and on the result, what is printed, what
    was read (None without a reader), and their correlation."""

    truth: torch.Tensor
    result: torch.Tensor
    text: str
    read: str | None
    similarity: float


def dress(pipe: TryOnPipeline, people, indices: list[int], seed: int, batch_size: int = 32) -> Examples:
    """The people at `indices` in their garments, as the card's method "tryon" dressed them."""
    paint, results, warped = try_on(pipe, seed), [], []
    with quiet(pipe):
        for start in range(0, len(indices), batch_size):
            chunk = indices[start : start + batch_size]
            batch = people.batch(chunk).to(pipe.device)
            results.append(paint(batch, chunk).float().cpu())
            warped.append(pipe.warp_garment(batch, "refined").image.float().cpu())
    batch, result = people.batch(indices), torch.cat(results)
    return Examples(list(indices), batch, result, torch.cat(warped), psnr(result, batch.target, batch.inpaint_mask))


def worst(scores: Scores, count: int = WORST) -> list[int]:
    """The people whom the model dressed worst, the worst first."""
    return np.argsort(scores.values["psnr_inside_mask"]["tryon"])[:count].tolist()


def with_prints(scores: Scores, count: int = LETTERS) -> list[int]:
    """The first people with a print that can be read."""
    return np.flatnonzero(scores.lengths)[:count].tolist()


def read_prints(examples: Examples, reader: Reader | None) -> list[ReadPrint]:
    """The prints of examples of whom all have one, unwarped and read."""
    prints = find_prints(examples.batch)
    truth, result = (cells(images, prints).clamp(-1, 1) for images in (examples.batch.target, examples.result))
    if reader is None:
        texts = [None] * len(prints)
    else:
        texts = read(reader, examples.result.to(next(reader.parameters()).device), prints.to(next(reader.parameters()).device))[2]
    alike = similarity(examples.result, examples.batch.target, prints).tolist()
    strips = [[torch.cat(list(part[prints.owner == k]), dim=2) for part in (truth, result)] for k in range(len(prints))]
    return [ReadPrint(*strips[k], prints.texts[k], texts[k], alike[k]) for k in range(len(prints))]
