"""Fitting a picture of any size into the model's: pixels, parse maps, masks and keypoints in the same way.

Choices made here
- A picture whose shape is the model's to within 5 % is stretched, which nobody sees.
- Another one keeps its shape and is fitted in whole (letterbox). Nothing is cropped: what to cut off is its owner's decision.
- `squash=True` is the authors' way: every picture is stretched to the model's size.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from PIL import Image

STRETCH = 0.05


@dataclass(frozen=True)
class Fit:
    """Where a picture lies in one of (height, width) pixels: in `box` (x, y, width, height); the rest is padded."""

    height: int
    width: int
    box: tuple[int, int, int, int]

    @classmethod
    def plan(cls, size: tuple[int, int], height: int, width: int, squash: bool = False) -> "Fit":
        """The fit of a picture of `size` (width, height)."""
        ratio = (size[0] / size[1]) / (width / height)
        if squash or abs(ratio - 1) <= STRETCH:
            return cls(height, width, (0, 0, width, height))
        inner_width = width if ratio > 1 else max(1, round(width * ratio))
        inner_height = height if ratio < 1 else max(1, round(height / ratio))
        return cls(height, width, ((width - inner_width) // 2, (height - inner_height) // 2, inner_width, inner_height))

    @property
    def inner(self) -> tuple[int, int]:
        """(width, height) of the picture itself."""
        return self.box[2:]

    @property
    def padded(self) -> bool:
        return self.inner != (self.width, self.height)

    def picture(self, image: Image.Image, fill: int | None = None) -> np.ndarray:
        """(H, W, 3) uint8; padded with the grey value `fill`, or with the picture's own border if None."""
        resized = image if image.size == self.inner else image.resize(self.inner, Image.Resampling.BICUBIC)
        return self._pad(np.asarray(resized), fill)

    def mask(self, mask: np.ndarray) -> np.ndarray:
        """(H, W) uint8 from a mask of 0 and 255: the share of white under each pixel; padded with 0."""
        return self._pad(cv2.resize(mask, self.inner, interpolation=cv2.INTER_AREA), 0)

    def labels(self, image: Image.Image) -> np.ndarray:
        """(H, W) uint8, each pixel one of the map's own labels; padded with 0, background."""
        return self._pad(np.array(image.resize(self.inner, Image.Resampling.NEAREST)), 0)

    def points(self, points: np.ndarray, size: tuple[int, int]) -> np.ndarray:
        """(N, 2) pixels (x, y) of a picture of `size` (width, height) -> pixels of the fitted picture."""
        return points * np.divide(self.inner, size) + self.box[:2]

    def _pad(self, pixels: np.ndarray, fill: int | None) -> np.ndarray:
        if not self.padded:
            return pixels
        x, y, width, height = self.box
        sides = (y, self.height - y - height, x, self.width - x - width)
        if fill is None:
            return cv2.copyMakeBorder(pixels, *sides, cv2.BORDER_REPLICATE)
        return cv2.copyMakeBorder(pixels, *sides, cv2.BORDER_CONSTANT, value=(fill,) * 3)
