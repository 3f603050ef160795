"""How well the garment is brought onto the body: against the truth, against doing nothing, against the best of its kind.

Choices made here
- End-point error counts where the garment is visible, in pixels of the flat garment's picture.
- The best spline is the least-squares fit of the same control grid to the true warp, without any stiffness: no network with that
  grid comes nearer in mean squares, so the error is split into what the grid cannot say and what the network did not find.
- What refinement does is L1 and PSNR to the worn garment, before and after, where the garment is visible.
"""

import torch

from ladi_mini.evaluation.metrics import inside, psnr_where
from ladi_mini.pipeline import TryOnPipeline
from ladi_mini.sample import TryOnBatch
from ladi_mini.warping import end_point_error, fit_spline, identity_grid, tps_grid

CHUNK = 8  # people whose splines are fitted together: double precision at full size takes memory


def warp_scores(pipe: TryOnPipeline, batch: TryOnBatch, best: bool = True) -> dict[str, torch.Tensor]:
    """(B,) values by name, NaN where no garment is visible: end-point errors and the garment before and after refinement.

    `best=False` leaves the fit out, which takes longer than all the rest.
    """
    height, width = batch.person.shape[2:]
    visible = batch.warp_visible
    out = pipe.warp_garment(batch, "refined")
    truth = batch.warp_grid, visible, height, width
    grids = {"": out.grid, "_identity": identity_grid(height, width).to(out.grid).expand_as(out.grid)}
    if best:
        side = pipe.warping.config.points
        fits = [fit_spline(g, v, side) for g, v in zip(batch.warp_grid.split(CHUNK), visible.split(CHUNK), strict=True)]
        grids["_best_spline"] = tps_grid(torch.cat(fits), height, width)
    scores = {f"warp_end_point_error_px{name}": end_point_error(grid, *truth) for name, grid in grids.items()}
    empty = ~visible.flatten(1).any(1)
    for name, image in (("before", out.warped), ("after", out.image)):
        error = inside((image.float() - batch.warped_garment).abs() / 2, visible)
        scores[f"garment_l1_{name}_refinement"] = error.masked_fill(empty, torch.nan)
        scores[f"garment_psnr_{name}_refinement"] = psnr_where(image.float(), batch.warped_garment, visible)
    return scores
