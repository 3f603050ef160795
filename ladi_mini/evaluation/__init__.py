"""Evaluation: how near a try-on comes to the truth, with intervals, against what simpler means give.

metrics      PSNR, SSIM, and intervals over people
colour       CIEDE2000 inside the garment
regions      head, hands, garment
warps        end-point errors, the best spline, refinement
prints       a print, unwarped by the true warp
reader       what is printed there
features     FID, KID, LPIPS with the user's weights; the same mathematics on the shipped CLIP
fitting      the training loop of reader and predecessor
predecessor  the encoder-decoder that VITON and CP-VTON stand for
baselines    the garment pasted
methods      what is scored, and the variants of the component study
scoring      every method on every person, and the tables of a card
tryon        the card of a model; study: the card of its components
"""

from ladi_mini.evaluation.metrics import bootstrap, inside, psnr
from ladi_mini.evaluation.study import study
from ladi_mini.evaluation.tryon import evaluate

__all__ = ["bootstrap", "evaluate", "inside", "psnr", "study"]
