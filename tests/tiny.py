"""Real components at the smallest size, with fresh weights: what the tests of pipeline, checkpoints and training share."""

from dataclasses import replace

import torch

from ladi_mini.checkpoints import build_component
from ladi_mini.clip import build_tokenizer, to_image_encoder, to_text_encoder
from ladi_mini.diffusion import build_scheduler
from ladi_mini.pipeline import TryOnPipeline
from ladi_mini.presets import NANO, Preset
from ladi_mini.sample import TryOnBatch, TryOnSample, collate
from ladi_mini.wardrobe import Wardrobe

TINY = NANO.with_(
    vae_channels=(8, 8, 16), vae_groups=4, unet_channels=(16, 32), text_width=16, text_layers=1, text_heads=2, vision_width=16,
    vision_layers=1, vision_heads=2, vision_size=32, clip_dim=16, adapter_hidden=16, warp_channels=(8, 16),
    warp_regression=(16, 16, 8, 8), refinement_channels=4, train_samples=24, validation_samples=8, num_inference_steps=3,
    stages={name: replace(config, steps=4, batch_size=4, warmup=2) for name, config in NANO.stages.items()},
)  # fmt: skip


def noisy(module: torch.nn.Module, seed: int) -> torch.nn.Module:
    """The module with a little noise on every weight, so that nothing that starts at zero hides a fault."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape, generator=generator))
    return module.eval().requires_grad_(False)


def tiny_pipeline(preset: Preset = TINY) -> TryOnPipeline:
    """A pipeline of fresh, noisy components."""
    torch.manual_seed(0)
    names = ("clip", "vae", "emasc", "warping", "refinement", "inversion_adapter", "unet")
    parts = {name: noisy(build_component(preset, name), seed) for seed, name in enumerate(names)}
    clip = parts.pop("clip")
    pipe = TryOnPipeline(
        **parts, image_encoder=to_image_encoder(clip, preset), text_encoder=to_text_encoder(clip, preset),
        tokenizer=build_tokenizer(preset), scheduler=build_scheduler(preset), num_inference_steps=3, guidance_scale=2.0,
    )  # fmt: skip
    pipe.set_progress_bar_config(disable=True)
    return pipe


def samples(count: int = 3, unpaired: bool = True) -> list[TryOnSample]:
    """The first test samples of the wardrobe at the tiny size."""
    wardrobe = Wardrobe("test", TINY.height, TINY.width, unpaired=unpaired)
    return [wardrobe[i] for i in range(count)]


def batch(count: int = 3, unpaired: bool = True) -> TryOnBatch:
    return collate(samples(count, unpaired))
