"""Evaluation: how near a try-on comes to the truth, with intervals, against what simpler means give."""

from ladi_mini.evaluation.metrics import bootstrap, inside, psnr
from ladi_mini.evaluation.tryon import evaluate

__all__ = ["bootstrap", "evaluate", "inside", "psnr"]
