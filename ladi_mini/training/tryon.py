"""Stage 8: the try-on denoiser, the base extended to 3z + 19 channels and trained with the adapter (lesson 6).

Choices made here
- It starts as the base: the new input channels are zero, so the first step predicts what the base predicts.
- It sees the garment as it will see it later, warped by the matching network and refined, so that it learns to repair both.
- For guidance, text, pose and garment are dropped: half of the dropped share all together, which is what guidance asks for, and
  half one by one. (The authors draw three independent times, so that all three are gone in 0.8 % of the samples only.)
- Its switches are those of the pipeline's call: the component study trains the stage with another text or garment (`variants`).
"""

import torch
import torch.nn.functional as F

from ladi_mini.checkpoints import load_stage
from ladi_mini.diffusion import build_unet, encode, extend_conv_in
from ladi_mini.inversion import plain_sentences
from ladi_mini.pipeline import known_switches
from ladi_mini.training.inpainting import (
    draw_noise,
    empty_text,
    encode_texts,
    fixed_time_losses,
    latent_table,
    noise_loss,
)
from ladi_mini.training.inversion import text_of_words, word_table
from ladi_mini.training.stage import Stage, Tensors, chance, collect, shelved
from ladi_mini.warping import warp


class TryOnStage(Stage):
    name = "tryon"

    def __init__(self, preset, models, text: str = "words", garment: str = "refined", use_pose: bool = True):
        super().__init__(preset, models)
        known_switches(text, garment)
        self.text, self.garment, self.use_pose = text, garment, use_pose
        self.unet = build_unet(preset, preset.base_channels)
        self.unet.load_state_dict(models["base"].state_dict())
        extend_conv_in(self.unet, preset.tryon_channels)
        adapter = load_stage(models.folder, preset, "inversion")["inversion_adapter"]
        self.inversion_adapter = adapter.to(models.device).requires_grad_(True)

    def heavy(self):
        return [self.unet]

    def table(self, data) -> Tensors:
        def pose(batch):
            return {"pose": F.interpolate(batch.pose_map, self.preset.latent_size, mode="bilinear", align_corners=False).half()}

        def garment(batch):
            return {"garment_latents": encode(self.models["vae"], self.worn_garment(batch))}

        def text(batch):
            return {"text": encode_texts(self, plain_sentences(self.text, batch.category, batch.caption))}

        table = latent_table(self, data) | shelved(self, data, "pose", pose)
        table |= word_table(self, data) if self.text == "words" else collect(self, data, text)
        return table if self.garment == "none" else table | shelved(self, data, f"garment-{self.garment}", garment)

    def worn_garment(self, batch) -> torch.Tensor:
        """(B, 3, H, W) the garment on the body, as the switch `garment` says."""
        if self.garment == "true":
            return batch.warped_garment
        warped = warp(batch.garment, self.models["warping"](batch.garment, batch.agnostic, batch.pose_map).grid)
        if self.garment == "tps":
            return warped
        return self.models["refinement"](batch.agnostic, batch.pose_map, warped).clamp(-1, 1)

    def draw(self, batch, generator):
        half, count = self.preset.condition_dropout / 2, len(batch["mean"])
        everything = chance(half, count, generator)
        drops = {f"drop_{name}": chance(half, count, generator) | everything for name in ("text", "pose", "garment")}
        return draw_noise(self, batch, generator) | drops

    def forward(self, batch):
        text = text_of_words(self, self.inversion_adapter, batch) if self.text == "words" else batch["text"]
        text = torch.where(batch["drop_text"][:, None, None], empty_text(self), text)
        pose = batch["pose"].float() * (~batch["drop_pose"] & self.use_pose)[:, None, None, None]
        garment = torch.zeros_like(batch["masked_latents"]) if self.garment == "none" else batch["garment_latents"]
        garment = garment * ~batch["drop_garment"][:, None, None, None]
        static = torch.cat([batch["mask"], batch["masked_latents"], pose, garment], dim=1)
        return {"loss": noise_loss(self, self.unet, batch, static, text)}

    @torch.no_grad()
    def validate(self, table):
        return fixed_time_losses(self, table)
