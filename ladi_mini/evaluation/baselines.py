"""What simpler means give with the same inputs: the garment pasted, and the model without the garment."""

from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import torch

from ladi_mini.pipeline import TryOnPipeline
from ladi_mini.sample import TryOnBatch
from ladi_mini.training.stage import from_bytes, to_bytes
from ladi_mini.warping import warp


def paste_garment(pipe: TryOnPipeline, batch: TryOnBatch) -> torch.Tensor:
    """(B, 3, H, W): the model's own predicted warp pasted over the agnostic picture, the rest of the hole filled by OpenCV.

    The garment's mask is warped by the same grid and cut to the repaint region; `cv2.inpaint` (Telea, 2004) with a radius of
    3 px fills what is left.
    """
    predicted = pipe.warp_garment(batch, "tps")
    shape = warp(batch.garment_mask, predicted.grid, padding_mode="zeros") > 0.5
    shape &= batch.inpaint_mask.bool()
    agnostic = batch.agnostic
    pasted = torch.where(shape, predicted.warped, agnostic)
    hole = batch.inpaint_mask.bool() & ~shape
    pictures = to_bytes(pasted).permute(0, 2, 3, 1).cpu().numpy()
    holes = hole[:, 0].byte().cpu().numpy()
    with ThreadPoolExecutor() as pool:  # OpenCV has no batches, and leaves the interpreter free
        filled = list(pool.map(_fill, pictures, holes))
    return from_bytes(torch.from_numpy(np.stack(filled)).permute(0, 3, 1, 2))


def _fill(picture: np.ndarray, hole: np.ndarray) -> np.ndarray:
    return cv2.inpaint(np.ascontiguousarray(picture), hole, 3, cv2.INPAINT_TELEA)
