"""Stage 8: the try-on denoiser, the base extended to 3z + 19 channels and trained with the adapter (lesson 6).

Choices made here
- It starts as the base: the new input channels are zero, so the first step predicts what the base predicts.
- It sees the garment as it will see it later, warped by the matching network and refined, so that it learns to repair both.
- For guidance, text, pose and garment are dropped: half of the dropped share all together, which is what guidance asks for, and
  half one by one. (The authors draw three independent times, so that all three are gone in 0.8 % of the samples only.)
"""

import torch
import torch.nn.functional as F

from ladi_mini.checkpoints import load_stage
from ladi_mini.diffusion import build_unet, encode, extend_conv_in
from ladi_mini.training.inpainting import chance, draw_noise, empty_text, fixed_time_losses, latent_table, noise_loss
from ladi_mini.training.inversion import text_of_words, word_table
from ladi_mini.training.stage import Stage, Tensors, collect
from ladi_mini.warping import warp


class TryOnStage(Stage):
    name = "tryon"

    def __init__(self, preset, models):
        super().__init__(preset, models)
        self.unet = build_unet(preset, preset.base_channels)
        self.unet.load_state_dict(models["base"].state_dict())
        extend_conv_in(self.unet, preset.tryon_channels)
        adapter = load_stage(models.folder, preset, "inversion")["inversion_adapter"]
        self.inversion_adapter = adapter.to(models.device).requires_grad_(True)

    def heavy(self):
        return [self.unet]

    def table(self, data) -> Tensors:
        vae, warping, refinement = (self.models[name] for name in ("vae", "warping", "refinement"))

        def columns(batch):
            warped = warp(batch.garment, warping(batch.garment, batch.agnostic, batch.pose_map).grid)
            refined = refinement(batch.agnostic, batch.pose_map, warped).clamp(-1, 1)
            return {
                "garment_latents": encode(vae, refined),
                "pose": F.interpolate(batch.pose_map, self.preset.latent_size, mode="bilinear", align_corners=False).half(),
            }

        return latent_table(self, data) | word_table(self, data) | collect(self, data, columns)

    def draw(self, batch, generator):
        half, count = self.preset.condition_dropout / 2, len(batch["mean"])
        everything = chance(half, count, generator)
        drops = {f"drop_{name}": chance(half, count, generator) | everything for name in ("text", "pose", "garment")}
        return draw_noise(self, batch, generator) | drops

    def forward(self, batch):
        text = text_of_words(self, self.inversion_adapter, batch)
        text = torch.where(batch["drop_text"][:, None, None], empty_text(self), text)
        pose = batch["pose"].float() * ~batch["drop_pose"][:, None, None, None]
        garment = batch["garment_latents"] * ~batch["drop_garment"][:, None, None, None]
        static = torch.cat([batch["mask"], batch["masked_latents"], pose, garment], dim=1)
        return {"loss": noise_loss(self, self.unet, batch, static, text)}

    @torch.no_grad()
    def validate(self, table):
        return fixed_time_losses(self, table)
