"""Numbers a picture, and their intervals (lesson 7).

Choices made here
- A metric gives one value a picture; means, intervals and differences come after, over people. NaN: it does not apply to them.
- PSNR is on RGB in [0, 1], decibels, one value a picture, then the mean: no picture outshouts the others.
- SSIM is torchmetrics' (Wang et al., 2004): RGB, Gaussian window of deviation 1.5, range 1, mean over the whole map. In float64:
  a variance is the difference of two squares there, and float32 loses what is left of it on even walls.
- Intervals are percentile bootstraps over people with a fixed seed (Efron, 1979). A difference of two methods is taken person by
  person first. Equal numbers of people share their resamples, so that a table of many intervals costs one drawing.
"""

from functools import lru_cache

import numpy as np
import torch
from torchmetrics.functional.image import structural_similarity_index_measure

RESAMPLES = 10_000


def inside(error: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
    """(B,) means of `error` (B, C, H, W) over the pixels where `mask` (B, 1, H, W) is 1, over all without a mask."""
    if mask is None:
        return error.flatten(1).mean(1)
    weight = mask.expand_as(error)
    return (error * weight).flatten(1).sum(1) / weight.flatten(1).sum(1).clamp(min=1)


def psnr(image: torch.Tensor, target: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
    """(B,) decibels of `image` (B, 3, H, W) in [-1, 1] against `target`, over the pixels where `mask` (B, 1, H, W) is 1."""
    error = inside(((image - target) / 2).double().square(), mask)
    return -10 * torch.log10(error.clamp(min=1e-10))


def psnr_where(image: torch.Tensor, target: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """`psnr` inside a mask that may be empty: NaN there."""
    found = mask.flatten(1).any(1)
    return torch.where(found, psnr(image, target, mask), torch.nan)


def ssim(image: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """(B,) structural similarity of pictures (B, 3, H, W) in [-1, 1]; 1 where they are equal."""
    unit = [(x.double() / 2 + 0.5).clamp(0, 1) for x in (image, target)]
    return structural_similarity_index_measure(*unit, sigma=1.5, data_range=1.0, reduction="none").reshape(-1)


# ---------------------------------------------------------------- over people


@lru_cache(maxsize=12)
def _resampled(n: int, resamples: int, seed: int) -> np.ndarray:
    """(resamples, n) float32: how often each of n people is drawn in each resample."""
    rng, counts = np.random.default_rng(seed), np.empty((resamples, n), np.float32)
    for chunk in np.array_split(counts, max(1, resamples // 500)):
        picks = rng.integers(n, size=chunk.shape) + n * np.arange(len(chunk))[:, None]
        chunk[:] = np.bincount(picks.ravel(), minlength=chunk.size).reshape(chunk.shape)
    return counts


def bootstrap(
    values: np.ndarray, resamples: int = RESAMPLES, confidence: float = 0.95, seed: int = 0
) -> tuple[float, float, float]:
    """(mean, low, high) of the mean of `values` (n,) by the percentile bootstrap over people."""
    values = np.asarray(values, dtype=np.float64)
    centre = values.mean()
    means = centre + _resampled(len(values), resamples, seed) @ (values - centre).astype(np.float32) / len(values)
    tail = (1 - confidence) / 2
    low, high = np.quantile(means, [tail, 1 - tail])
    return float(centre), float(low), float(high)


def bootstrap_median(values: np.ndarray, resamples: int = 2_000, seed: int = 0) -> tuple[float, float, float]:
    """(median, low, high) of the median of `values` (n,), 95 %, by the percentile bootstrap over people."""
    values = np.asarray(values, dtype=np.float64)
    picks = np.random.default_rng(seed).integers(len(values), size=(resamples, len(values)))
    low, high = np.quantile(np.median(values[picks], axis=1), [0.025, 0.975])
    return float(np.median(values)), float(low), float(high)


def interval(values: np.ndarray, digits: int = 4) -> dict | None:
    """Mean, low, high and n of those of `values` (n,) that are numbers, for a card; None if there are none."""
    values = np.asarray(values)[np.isfinite(values)]
    if not len(values):
        return None
    mean, low, high = bootstrap(values)
    return {"mean": round(mean, digits), "low": round(low, digits), "high": round(high, digits), "n": len(values)}
