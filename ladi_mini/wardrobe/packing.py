"""Many drawings in a few compact arrays, made where they are drawn.

Choices made here
- NumPy and OpenCV only: a worker process draws and packs without importing torch, and sends back a few arrays, not objects.
- Pictures are 8 bits, four masks are bits of one byte, the warp is 16-bit floats (less than a tenth of a pixel lost).
- The inpaint mask is left out: it is a rule of parse map and keypoints, so `dataset` adds its bit.
"""

import cv2
import numpy as np

from ladi_mini.presets import CATEGORIES
from ladi_mini.wardrobe.dressing import Drawing, draw_many

GARMENT, REPAINT, VISIBLE, WORN = np.array((1, 2, 4, 8), np.uint8)  # bits of a packed sample's masks


def pack_many(job: tuple) -> dict[str, np.ndarray]:
    """The packed samples of one worker's job, which is `draw_many`'s."""
    return pack(draw_many(job), unpaired=job[4])


def start_worker():
    """One thread a process: as many processes as cores with threads of their own would wait for each other."""
    cv2.setNumThreads(1)


def pack(drawings: list[Drawing], unpaired: bool) -> dict[str, np.ndarray]:
    """Arrays with a leading N: the drawings' fields, `masks` (N, H, W) uint8 without the bit `REPAINT`; unpaired ones have
    their `target` besides."""

    def stack(name):
        if len(drawings) == 1:
            return np.asarray(getattr(drawings[0], name))[None]
        return np.stack([getattr(d, name) for d in drawings])

    masks = GARMENT * stack("garment_mask") | VISIBLE * stack("warp_visible") | WORN * stack("worn")
    arrays = {
        "person": stack("person"),
        "garment": stack("garment"),
        "masks": masks,
        "parse": stack("parse"),
        "keypoints": stack("keypoints"),
        "keypoint_visible": stack("keypoint_visible"),
        "warp_grid": stack("warp_grid").astype(np.float16),
        "print_box": stack("print_box"),
        "category": np.array([CATEGORIES.index(d.category) for d in drawings], np.uint8),
        "caption": np.array([d.caption for d in drawings], "U200"),
        "name": np.array([d.name for d in drawings], "U40"),
        "print_text": np.array([d.print_text for d in drawings], "U4"),
    }
    if unpaired:
        arrays["target"] = stack("target")
    return arrays
