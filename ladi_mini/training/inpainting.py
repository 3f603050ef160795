"""Stage 6: the base, an inpainting denoiser that reads captions (lesson 4).

Choices made here
- It is to the mini models what Stable Diffusion 2 inpainting is to LaDI-VTON: 2z + 1 channels, text, nothing of the garment.
- Latents and text are computed once. The target is a fresh sample of its posterior each time, conditions are its mode.
- The empty text replaces the caption in a share of the samples, for guidance.
"""

import torch
import torch.nn.functional as F

from ladi_mini.checkpoints import build_component
from ladi_mini.clip import tokenize
from ladi_mini.diffusion import add_noise, alphas_cumprod, encode
from ladi_mini.inversion import caption_prompts, encode_prompt
from ladi_mini.training.stage import Stage, Tensors, chance, collect, repainted, shelved

FIXED_TIMESTEPS = (100, 300, 500, 700, 900)  # at which held-out noise prediction is measured


def latent_columns(stage: Stage, batch) -> Tensors:
    """Posterior of the picture to be painted, latents of the agnostic person, the mask at the latents' size."""
    vae = stage.models["vae"]
    scale = vae.config.scaling_factor
    posterior = vae.encode(repainted(batch)).latent_dist
    return {
        "mean": posterior.mean * scale,
        "std": posterior.std * scale,
        "masked_latents": encode(vae, batch.agnostic),
        "mask": F.interpolate(batch.inpaint_mask, stage.preset.latent_size, mode="nearest"),
    }


def latent_table(stage: Stage, data) -> Tensors:
    """`latent_columns` of all data, once for the three stages that train a denoiser."""
    return shelved(stage, data, "latents", lambda batch: latent_columns(stage, batch))


def encode_texts(stage: Stage, texts: list[str]) -> torch.Tensor:
    """(B, L, D) hidden states of sentences without placeholders."""
    ids = tokenize(stage.models["tokenizer"], texts)
    return encode_prompt(stage.models["text_encoder"], ids.to(stage.models.device))


def empty_text(stage: Stage) -> torch.Tensor:
    """(1, L, D) hidden states of the empty sentence, computed once: the text encoder is frozen."""
    if not hasattr(stage, "_empty_text"):
        stage.__dict__["_empty_text"] = encode_texts(stage, [""]).detach()
    return stage._empty_text


def draw_noise(stage: Stage, batch: Tensors, generator: torch.Generator) -> Tensors:
    """Noise, timesteps and the posterior's noise for a step."""
    mean, device = batch["mean"], generator.device
    shape = tuple(mean.shape)
    timesteps = torch.randint(stage.preset.train_timesteps, (shape[0],), generator=generator, device=device)
    return batch | {
        "timesteps": timesteps,
        "noise": torch.randn(shape, generator=generator, device=device),
        "posterior_noise": torch.randn(shape, generator=generator, device=device),
    }


def noise_loss(stage: Stage, unet, batch: Tensors, static: torch.Tensor, text: torch.Tensor) -> torch.Tensor:
    """Mean squared error of the predicted noise (Ho et al., equation 14)."""
    latents = batch["mean"] + batch["std"] * batch["posterior_noise"]
    noisy = add_noise(latents, batch["noise"], batch["timesteps"], alphas_cumprod(stage.preset).to(latents))
    noise_pred = unet(torch.cat([noisy, static], dim=1), batch["timesteps"], encoder_hidden_states=text).sample
    return F.mse_loss(noise_pred, batch["noise"])


def fixed_time_losses(stage: Stage, table: Tensors) -> dict[str, float]:
    """The loss at fixed timesteps with fixed noise and nothing dropped: it falls where the mean over random ones hides it."""
    generator = torch.Generator(table["mean"].device).manual_seed(0)
    batch = stage.draw(table, generator)
    for name in [n for n in batch if n.startswith("drop_")]:
        batch[name] = torch.zeros_like(batch[name])
    losses = {}
    for t in FIXED_TIMESTEPS:
        losses[f"noise_mse_at_{t}"] = stage(batch | {"timesteps": torch.full_like(batch["timesteps"], t)})["loss"].item()
    return losses


class InpaintingStage(Stage):
    name = "inpainting"

    def __init__(self, preset, models):
        super().__init__(preset, models)
        self.base = build_component(preset, "base")

    def table(self, data) -> Tensors:
        def columns(batch):
            return {"text": encode_texts(self, caption_prompts(batch.caption))}

        return latent_table(self, data) | collect(self, data, columns)

    def draw(self, batch, generator):
        drop = chance(self.preset.condition_dropout, len(batch["mean"]), generator)
        return draw_noise(self, batch, generator) | {"drop_text": drop}

    def forward(self, batch):
        text = torch.where(batch["drop_text"][:, None, None], empty_text(self), batch["text"])
        static = torch.cat([batch["mask"], batch["masked_latents"]], dim=1)
        return {"loss": noise_loss(self, self.base, batch, static, text)}

    @torch.no_grad()
    def validate(self, table):
        return fixed_time_losses(self, table)
