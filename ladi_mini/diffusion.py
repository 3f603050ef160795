"""Latent inpainting diffusion: the autoencoder, the noise, the denoiser and the walk back from noise to a picture.

Lesson 4. Rombach et al., 2022 (latent diffusion, inpainting by extra channels); Ho et al., 2020 (the forward process and the
noise-prediction loss); Song et al., 2021 (DDIM); Ho & Salimans, 2022 (classifier-free guidance); LaDI-VTON, section 3
(the extended denoiser).

Choices made here
- Networks are diffusers' `AutoencoderKL` and `UNet2DConditionModel`, so that released weights load; what the lesson teaches
  (schedule, noise, DDIM step, guidance, channel order) is written out here and held equal to diffusers' in the tests.
- The denoiser's channels are, in this order: noisy latents z, mask 1, masked latents z, pose map 18, warped garment's
  latents z. Only the first z change from step to step; the rest is `Conditions.static`, made once.
- The base (2z + 1 channels) becomes the try-on denoiser by new input channels whose weights are zero: at step 0 the extended
  network computes what the base computed.
- Conditioning latents are the posterior's mode, so that a seed names one picture; the authors sample them.
- Latents stay float32 from step to step, whatever the denoiser computes in. The scheduler counts on the CPU: diffusers' own
  look up their step by its number, and on a GPU each look-up would wait for all work given to it before.
"""

import inspect
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel

from ladi_mini.presets import Preset

# ---------------------------------------------------------------- networks


def build_autoencoder(preset: Preset) -> AutoencoderKL:
    """The autoencoder of a size: (B, 3, H, W) in [-1, 1] to a Gaussian over (B, z, H/f, W/f) and back, fresh weights."""
    blocks = len(preset.vae_channels)
    return AutoencoderKL(
        in_channels=3,
        out_channels=3,
        down_block_types=("DownEncoderBlock2D",) * blocks,
        up_block_types=("UpDecoderBlock2D",) * blocks,
        block_out_channels=preset.vae_channels,
        layers_per_block=preset.vae_layers,
        latent_channels=preset.latent_channels,
        norm_num_groups=preset.vae_groups,
        sample_size=preset.height,
        scaling_factor=preset.scaling_factor,
    )


def build_unet(preset: Preset, in_channels: int | None = None) -> UNet2DConditionModel:
    """The denoiser of a size with fresh weights; `in_channels` defaults to the try-on model's 3z + 19."""
    attention = preset.unet_attention
    return UNet2DConditionModel(
        sample_size=preset.latent_size[0],
        in_channels=preset.tryon_channels if in_channels is None else in_channels,
        out_channels=preset.latent_channels,
        down_block_types=tuple("CrossAttnDownBlock2D" if a else "DownBlock2D" for a in attention),
        up_block_types=tuple("CrossAttnUpBlock2D" if a else "UpBlock2D" for a in reversed(attention)),
        block_out_channels=preset.unet_channels,
        layers_per_block=preset.unet_layers,
        attention_head_dim=preset.unet_heads,  # diffusers' historic name: these are numbers of heads
        cross_attention_dim=preset.text_width,
        norm_num_groups=preset.unet_groups,
        use_linear_projection=True,
    )


def extend_conv_in(unet: UNet2DConditionModel, in_channels: int) -> UNet2DConditionModel:
    """Widens the first convolution to `in_channels` in place: old weights copied, new ones zero, bias kept; returns `unet`.

    LaDI-VTON, section 3. Raises `ValueError` if the network already has more channels than that.
    """
    old = unet.conv_in
    if in_channels < old.in_channels:
        raise ValueError(f"conv_in has {old.in_channels} channels and cannot be extended to {in_channels}; give at least as many")
    new = torch.nn.Conv2d(in_channels, old.out_channels, old.kernel_size, padding=old.padding).to(old.weight)
    with torch.no_grad():
        new.weight.zero_()
        new.weight[:, : old.in_channels] = old.weight
        new.bias.copy_(old.bias)
    unet.conv_in = new
    unet.register_to_config(in_channels=in_channels)
    return unet


# ---------------------------------------------------------------- latents


def encode(vae: AutoencoderKL, image: torch.Tensor, generator: torch.Generator | None = None) -> torch.Tensor:
    """Scaled latents (B, z, H/f, W/f) of `image` (B, 3, H, W): the posterior's mode, or a sample of it with `generator`."""
    posterior = vae.encode(image).latent_dist
    latents = posterior.mode() if generator is None else posterior.sample(generator)
    return latents * vae.config.scaling_factor


def decode(vae: AutoencoderKL, latents: torch.Tensor) -> torch.Tensor:
    """(B, 3, H, W), about [-1, 1], of scaled latents."""
    return vae.decode(latents / vae.config.scaling_factor).sample


# ---------------------------------------------------------------- the forward process


def betas(preset: Preset) -> torch.Tensor:
    """(T,) variances of the forward steps, linear in their square roots (Stable Diffusion's "scaled linear")."""
    return torch.linspace(preset.beta_start**0.5, preset.beta_end**0.5, preset.train_timesteps) ** 2


def alphas_cumprod(preset: Preset) -> torch.Tensor:
    """(T,) the share of the signal's variance left after t steps, "alpha bar" (Ho et al., equation 4)."""
    return torch.cumprod(1 - betas(preset), dim=0)


def add_noise(latents: torch.Tensor, noise: torch.Tensor, timesteps: torch.Tensor, abar: torch.Tensor) -> torch.Tensor:
    """x_t = sqrt(abar_t) x_0 + sqrt(1 - abar_t) noise (Ho et al., equation 4); `timesteps` is (B,) int64."""
    a = abar.to(latents)[timesteps].view(-1, 1, 1, 1)
    return a.sqrt() * latents + (1 - a).sqrt() * noise


def predict_original(noisy: torch.Tensor, noise_pred: torch.Tensor, abar_t: torch.Tensor) -> torch.Tensor:
    """The x_0 that `noise_pred` implies for `noisy` (Song et al., equation 9)."""
    return (noisy - (1 - abar_t).sqrt() * noise_pred) / abar_t.sqrt()


def ddim_step(noisy: torch.Tensor, noise_pred: torch.Tensor, abar_t: torch.Tensor, abar_next: torch.Tensor) -> torch.Tensor:
    """One deterministic step from noise level `abar_t` to the lower one `abar_next` (Song et al., equation 12 with eta = 0)."""
    return abar_next.sqrt() * predict_original(noisy, noise_pred, abar_t) + (1 - abar_next).sqrt() * noise_pred


def build_scheduler(preset: Preset) -> DDIMScheduler:
    """diffusers' DDIM with Stable Diffusion's constants; any scheduler of diffusers can take its place in the pipeline."""
    return DDIMScheduler(
        num_train_timesteps=preset.train_timesteps,
        beta_start=preset.beta_start,
        beta_end=preset.beta_end,
        beta_schedule="scaled_linear",
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
        prediction_type="epsilon",
    )


# ---------------------------------------------------------------- conditions and guidance


@dataclass
class Conditions:
    """What the denoiser is told besides the noisy latents; the same at every step.

    static: (B, C, h, w), all input channels after the first z; text: (B, L, D) hidden states for the cross-attention.
    """

    static: torch.Tensor
    text: torch.Tensor


def static_channels(
    inpaint_mask: torch.Tensor,
    masked_latents: torch.Tensor,
    pose_map: torch.Tensor | None = None,
    garment_latents: torch.Tensor | None = None,
) -> torch.Tensor:
    """Mask 1, masked latents z and, for the try-on denoiser, pose map 18 and warped garment z: (B, z+1 or 2z+19, h, w).

    `inpaint_mask` (B, 1, H, W) is resized by nearest, `pose_map` (B, 18, H, W) bilinearly to the latents' size.
    """
    size = masked_latents.shape[-2:]
    channels = [F.interpolate(inpaint_mask, size, mode="nearest"), masked_latents]
    if pose_map is not None:
        channels.append(F.interpolate(pose_map, size, mode="bilinear", align_corners=False))
    if garment_latents is not None:
        channels.append(garment_latents)
    return torch.cat([c.to(masked_latents) for c in channels], dim=1)


def drop_garment(static: torch.Tensor, latent_channels: int) -> torch.Tensor:
    """The unconditional twin of the try-on model's static channels: mask and masked latents stay, pose and garment are zero."""
    dropped = static.clone()
    dropped[:, 1 + latent_channels :] = 0
    return dropped


def denoise_once(
    unet: UNet2DConditionModel, latents: torch.Tensor, timestep: torch.Tensor | int, given: Conditions
) -> torch.Tensor:
    """The noise (B, z, h, w) that the denoiser sees in `latents` under the conditions `given`."""
    return unet(torch.cat([latents, given.static], dim=1), timestep, encoder_hidden_states=given.text).sample


def guide(noise_uncond: torch.Tensor, noise_cond: torch.Tensor, guidance_scale: float) -> torch.Tensor:
    """Classifier-free guidance (Ho & Salimans, equation 6, in the form in which 1 means no guidance)."""
    return noise_uncond + guidance_scale * (noise_cond - noise_uncond)


@torch.no_grad()
def denoise(
    unet: UNet2DConditionModel,
    scheduler,
    latents: torch.Tensor,
    given: Conditions,
    without: Conditions | None = None,
    guidance_scale: float = 1.0,
    num_inference_steps: int = 20,
    callback: Callable[[int, torch.Tensor, torch.Tensor, torch.Tensor], None] | None = None,
    generator: torch.Generator | list[torch.Generator] | None = None,
    progress: Callable[[Iterable], Iterable] = iter,
) -> torch.Tensor:
    """Walks from noise (B, z, h, w) to latents in `num_inference_steps` steps of a diffusers scheduler.

    `scheduler`: one with `init_noise_sigma` and `scale_model_input`, and for a callback `alphas_cumprod`; those for flows have
    none. `without` are the unconditional twins, needed when `guidance_scale` is not 1. `callback(step, timestep, latents,
    estimate)` gets the timestep on the CPU, the latents after the step and the estimate of x_0 made in it. `generator` feeds
    schedulers that add noise. `progress` wraps the steps, as tqdm does. The latents come back in float32 (float64 for float64).
    Raises `ValueError` for a guidance scale without twins.
    """
    if guidance_scale != 1 and without is None:
        raise ValueError(f"guidance_scale is {guidance_scale}, but without is None; give the unconditional twins, or scale 1")
    guided = guidance_scale != 1
    both = Conditions(torch.cat([without.static, given.static]), torch.cat([without.text, given.text])) if guided else given
    scheduler.set_timesteps(num_inference_steps)
    timesteps = scheduler.timesteps.to(latents.device)  # the denoiser's copy, sent once
    latents = latents.to(torch.promote_types(latents.dtype, torch.float32)) * scheduler.init_noise_sigma
    extra = {"generator": generator} if _takes_generator(scheduler) else {}
    for i, t in enumerate(progress(scheduler.timesteps)):
        model_input = scheduler.scale_model_input(torch.cat([latents] * 2) if guided else latents, t)
        noise_pred = denoise_once(unet, model_input.to(both.static), timesteps[i], both).to(latents)
        if guided:
            noise_pred = guide(*noise_pred.chunk(2), guidance_scale)
        step = scheduler.step(noise_pred, t, latents, **extra)
        if callback is not None:
            callback(i, t, step.prev_sample, _estimate(scheduler, step, latents, noise_pred, t))
        latents = step.prev_sample
    return latents


def _takes_generator(scheduler) -> bool:
    return "generator" in inspect.signature(scheduler.step).parameters


def _estimate(scheduler, step, latents: torch.Tensor, noise_pred: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
    """The scheduler's own estimate of x_0 where it gives one, else the one that its kind of prediction implies."""
    for name in ("pred_original_sample", "denoised"):
        if getattr(step, name, None) is not None:
            return getattr(step, name)
    if scheduler.config.prediction_type == "sample":
        return noise_pred
    abar = scheduler.alphas_cumprod.to(latents.device, torch.float32)[t]
    if scheduler.config.prediction_type == "v_prediction":
        return (abar.sqrt() * latents - (1 - abar).sqrt() * noise_pred).to(latents)
    return predict_original(latents, noise_pred, abar).to(latents)
