"""Where a try-on is looked at: the garment, the head, the hands.

Choices made here
- Head and hands are pixels that the model keeps: what they lose, they lose in the autoencoder. So they are what EMASC is for.
- A hand is what an arm's label shows near the wrist, a little beyond it, as far as 0.4 forearms.
- The garment is where the true warp is known (drawn data), else where the worn garment is cut out of the photograph (paired).
"""

import torch

from ladi_mini.agnostic import ARM_LABELS, ARMS, HEAD
from ladi_mini.sample import PARSE_LABELS, TryOnBatch


def labelled(batch: TryOnBatch, names: tuple[str, ...]) -> torch.Tensor:
    """(B, 1, H, W) bool: pixels of the person whose parse label is one of `names`."""
    numbers = torch.tensor([PARSE_LABELS.index(name) for name in names], device=batch.parse.device)
    return torch.isin(batch.parse, numbers)[:, None]


def head(batch: TryOnBatch) -> torch.Tensor:
    """(B, 1, H, W) in {0, 1}: face, hair and hat that the model keeps."""
    return (labelled(batch, HEAD) & (batch.inpaint_mask == 0)).float()


def hands(batch: TryOnBatch) -> torch.Tensor:
    """(B, 1, H, W) in {0, 1}: hands that the model keeps; empty where no wrist is seen."""
    height, width = batch.parse.shape[1:]
    y, x = torch.meshgrid(
        torch.arange(height, device=batch.parse.device), torch.arange(width, device=batch.parse.device), indexing="ij"
    )
    near = torch.zeros_like(batch.inpaint_mask, dtype=torch.bool)
    for _, elbow, wrist in ARMS:
        forearm = batch.keypoints[:, wrist] - batch.keypoints[:, elbow]
        middle = (batch.keypoints[:, wrist] + 0.25 * forearm)[:, :, None, None]  # (B, 2, 1, 1)
        reach = 0.4 * forearm.norm(dim=1)[:, None, None]
        seen = (batch.keypoint_visible[:, wrist] & batch.keypoint_visible[:, elbow])[:, None, None]
        near |= (seen & (torch.hypot(x - middle[:, 0], y - middle[:, 1]) <= reach))[:, None]
    return (near & labelled(batch, ARM_LABELS) & (batch.inpaint_mask == 0)).float()


def garment(batch: TryOnBatch) -> torch.Tensor | None:
    """(B, 1, H, W) in {0, 1}: the worn garment, None where it is not known."""
    if batch.warp_visible is not None:
        return batch.warp_visible
    if batch.warped_garment is None:
        return None
    return (batch.warped_garment < 1).any(1, keepdim=True).float()
