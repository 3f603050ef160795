"""Stage 4: the matching network that predicts the spline's control points (lesson 3; LaDI-VTON, section 3).

Choices made here
- The authors' loss: L1 between the warped garment and the garment on the person, plus 0.01 times the second-order constraint.
- It is not trained in half precision: a control point in bfloat16 is off by up to half a pixel.
- On drawn data the true warp is known, and a grid term uses it: photometric L1 alone is blind on plain cloth. Its weight is in
  the preset; 0 is the authors' training.
- What limits the network is how few pairs it has seen: those it trained on it warps far better than others. So a preset may give
  it more pairs than the other stages, and mirror a share of them, which is exact and costs nothing; mini has both.
"""

import torch

from ladi_mini.agnostic import pose_maps
from ladi_mini.checkpoints import build_component
from ladi_mini.errors import InputError
from ladi_mini.sample import KEYPOINTS
from ladi_mini.training.stage import Stage, Tensors, chance, collect, from_bytes, in_parts, settle_statistics, to_bytes
from ladi_mini.warping import end_point_error, identity_grid, second_order_constraint, warp


def warp_columns(batch) -> Tensors:
    """What warping and refinement need of a batch, as bytes and half floats."""
    columns = {
        "garment": to_bytes(batch.garment),
        "agnostic": to_bytes(batch.agnostic),
        "keypoints": batch.keypoints,
        "keypoint_visible": batch.keypoint_visible,
        "worn": to_bytes(batch.warped_garment),
    }
    if batch.warp_grid is not None:
        columns |= {"warp_grid": batch.warp_grid.half(), "warp_visible": batch.warp_visible.bool()}
    return columns


def _opposite(joint: str) -> str:
    """The same joint on the other side, by name: left_knee of right_knee, nose of nose."""
    side, _, rest = joint.partition("_")
    return {"left": f"right_{rest}", "right": f"left_{rest}"}.get(side, joint)


OPPOSITE = [KEYPOINTS.index(_opposite(joint)) for joint in KEYPOINTS]


def mirrored(batch: Tensors, which: torch.Tensor) -> Tensors:
    """A batch of `warp_columns` with the rows where `which` (B,) is True mirrored left to right, garment and person alike.

    Joints of the left become those of the right; a grid's columns are reversed and its x negated.
    """
    width = batch["garment"].shape[-1]
    new = {name: batch[name].flip(-1) for name in ("garment", "agnostic", "worn")}
    x, y = batch["keypoints"].unbind(-1)
    new["keypoints"] = torch.stack([width - 1 - x, y], dim=-1)[:, OPPOSITE]
    new["keypoint_visible"] = batch["keypoint_visible"][:, OPPOSITE]
    if "warp_grid" in batch:
        x, y = batch["warp_grid"].flip(2).unbind(-1)
        new |= {"warp_grid": torch.stack([-x, y], dim=-1), "warp_visible": batch["warp_visible"].flip(-1)}
    return batch | {
        name: torch.where(which.view(-1, *[1] * (column.dim() - 1)), column, batch[name]) for name, column in new.items()
    }


def pose_of(batch: Tensors, height: int, width: int) -> torch.Tensor:
    """(B, 18, H, W) pose maps of a table's keypoints."""
    return pose_maps(batch["keypoints"], batch["keypoint_visible"], height, width)


class WarpingStage(Stage):
    name = "warping"

    def __init__(self, preset, models):
        super().__init__(preset, models)
        self.warping = build_component(preset, "warping")

    def heavy(self):
        return [self.warping.extractionA, self.warping.extractionB, self.warping.loc_net["regression"]]

    def table(self, data) -> Tensors:
        return collect(self, data, warp_columns)

    def draw(self, batch, generator):
        if not self.config.mirror:
            return batch
        return mirrored(batch, chance(self.config.mirror, len(batch["garment"]), generator))

    def forward(self, batch):
        garment, agnostic, worn = (from_bytes(batch[k]) for k in ("garment", "agnostic", "worn"))
        with torch.autocast(garment.device.type, enabled=False):
            out = self.warping(garment, agnostic, pose_of(batch, *garment.shape[-2:]))
        l1 = (warp(garment, out.grid) - worn).abs().mean()
        constraint = second_order_constraint(out.control_points).sum(1).mean()
        terms = {"l1": l1, "constraint": constraint}
        loss = l1 + self.config.weights["constraint"] * constraint
        if self.config.weights["grid"]:
            if "warp_grid" not in batch:
                raise InputError(
                    f"warping's weight 'grid' is {self.config.weights['grid']:g}, but these data know no true warp; set it to 0, "
                    "as the authors train."
                )
            visible = batch["warp_visible"][:, 0, :, :, None]
            offset = (out.grid - batch["warp_grid"].float()).abs() * visible
            terms["grid"] = offset.sum() / visible.sum().clamp(min=1)
            loss = loss + self.config.weights["grid"] * terms["grid"]
        return {"loss": loss, **terms}

    def finish(self, table):
        settle_statistics(self, table)

    @torch.no_grad()
    def validate(self, table):
        if "warp_grid" not in table:  # photographs
            return {}
        errors, identity_errors = [], []
        for part in in_parts(table):
            garment, agnostic = from_bytes(part["garment"]), from_bytes(part["agnostic"])
            height, width = garment.shape[-2:]
            grid = self.warping(garment, agnostic, pose_of(part, height, width)).grid
            truth = part["warp_grid"].float(), part["warp_visible"].float(), height, width
            errors.append(end_point_error(grid, *truth))
            identity_errors.append(end_point_error(identity_grid(height, width).to(grid).expand_as(grid), *truth))
        return {
            "end_point_error_px": torch.cat(errors).nanmean().item(),  # NaN where nothing of a garment is seen
            "end_point_error_px_identity": torch.cat(identity_errors).nanmean().item(),
        }
