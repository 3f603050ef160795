"""Stage 5: the network that repairs the warped garment (lesson 3; LaDI-VTON, section 3).

Choices made here
- The matching network is frozen; its warps are made once and are the input, the garment on the person is the target.
- L1 and the picture's differences; the authors' VGG term needs weights that are not ours to ship.
"""

import torch
import torch.nn.functional as F

from ladi_mini.checkpoints import build_component
from ladi_mini.training.stage import Stage, Tensors, collect, from_bytes, gradient_l1, in_parts, settle_statistics, to_bytes
from ladi_mini.training.warping import pose_of, warp_columns
from ladi_mini.warping import warp


class RefinementStage(Stage):
    name = "refinement"

    def __init__(self, preset, models):
        super().__init__(preset, models)
        self.refinement = build_component(preset, "refinement")

    def table(self, data) -> Tensors:
        warping = self.models["warping"]

        def columns(batch):
            grid = warping(batch.garment, batch.agnostic, batch.pose_map).grid
            return warp_columns(batch) | {"warped": to_bytes(warp(batch.garment, grid))}

        return collect(self, data, columns)

    def refine(self, batch: Tensors) -> torch.Tensor:
        """(B, 3, H, W) the repaired garment."""
        warped = from_bytes(batch["warped"])
        return self.refinement(from_bytes(batch["agnostic"]), pose_of(batch, *warped.shape[-2:]), warped)

    def forward(self, batch):
        out, worn = self.refine(batch), from_bytes(batch["worn"])
        l1, edges = F.l1_loss(out, worn), gradient_l1(out, worn)
        return {"loss": l1 + self.config.weights["edges"] * edges, "l1": l1, "edges": edges}

    def finish(self, table):
        settle_statistics(self, table)

    @torch.no_grad()
    def validate(self, table):
        refined = torch.cat([self.refine(part).clamp(-1, 1) for part in in_parts(table)])
        worn, warped = from_bytes(table["worn"]), from_bytes(table["warped"])
        return {"l1_before": (warped - worn).abs().mean().item(), "l1_after": (refined - worn).abs().mean().item()}
