"""The numbers and their intervals (lesson 7).

Choices made here
- A metric gives one value a sample; means, intervals and differences come after, over samples.
- PSNR is on RGB in [0, 1], decibels, one value a picture, then the mean: no picture outshouts the others.
- Intervals are percentile bootstraps over samples with a fixed seed. A difference of two methods is taken sample by sample first.
"""

import numpy as np
import torch


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


def bootstrap(values: np.ndarray, resamples: int = 10_000, confidence: float = 0.95, seed: int = 0) -> tuple[float, float, float]:
    """(mean, low, high) of the mean of `values` (n,) by the percentile bootstrap over samples (Efron, 1979)."""
    values = np.asarray(values, dtype=np.float64)
    picks = np.random.default_rng(seed).integers(len(values), size=(resamples, len(values)))
    means = values[picks].mean(1)
    tail = (1 - confidence) / 2
    low, high = np.quantile(means, [tail, 1 - tail])
    return float(values.mean()), float(low), float(high)
