"""The three sizes of the one model: every number that makes `nano`, `mini` and `full` differ.

Choices made here
- A preset is a frozen dataclass of plain numbers. Modules are built from it by their `build_*` functions;
  no other file holds a size.
- `full` is LaDI-VTON (Morelli et al., 2023, section 3): Stable Diffusion 2 inpainting, a ViT-H image encoder
  and a thin-plate spline of 5 x 5 control points predicted at 256 x 192. `mini` and `nano` keep every part
  and every rule and shrink the widths.
- The denoiser sees `3z + 19` channels (noisy latents z, mask 1, masked latents z, pose 18, warped garment z),
  so 31 where the autoencoder has z = 4 latent channels.
- The lengths of training live here too, one `StageConfig` a stage, in the order in which they are trained.
"""

from dataclasses import dataclass, field, replace

from ladi_mini.errors import InputError

POSE_CHANNELS = 18  # COCO-18 keypoints, one heat map each
CATEGORIES = ("upper_body", "lower_body", "dresses")  # Dress Code's three folders
STAGES = ("clip", "autoencoder", "emasc", "warping", "refinement", "inpainting", "inversion", "tryon")


@dataclass(frozen=True)
class StageConfig:
    """How long and how fast one stage trains.

    `steps` optimiser steps of `batch_size` samples with AdamW at `learning_rate` (linear warm-up over `warmup`
    steps, then a cosine down to a tenth), gradients clipped at `clip_norm`; `beta2` is the decay of the second moments,
    `ema` that of the averaged weights, which are shipped, `weights` the factors of the loss terms by name. `samples` of the
    training split, the preset's number if None; `mirror` is the share of a batch that is mirrored left to right.
    """

    steps: int
    batch_size: int
    learning_rate: float
    warmup: int = 50
    clip_norm: float = 1.0
    beta2: float = 0.999
    ema: float = 0.999
    weights: dict[str, float] = field(default_factory=dict)
    samples: int | None = None
    mirror: float = 0.0


AUTOENCODER = {"edges": 0.5, "means": 1.0, "chroma": 1.0, "kl": 1e-4}
EDGES = {"edges": 0.5}


@dataclass(frozen=True)
class Preset:
    """One size of the model. Sizes are pixels unless a comment says otherwise; see the module docstring."""

    name: str
    height: int
    width: int
    # autoencoder (diffusers AutoencoderKL); every block but the last halves the picture
    latent_channels: int
    vae_channels: tuple[int, ...]
    vae_layers: int
    vae_groups: int
    scaling_factor: float
    # denoiser (diffusers UNet2DConditionModel); attention from the block on where it is True
    unet_channels: tuple[int, ...]
    unet_layers: int
    unet_attention: tuple[bool, ...]
    unet_heads: tuple[int, ...]
    unet_groups: int
    # text and vision towers of CLIP
    vocab_size: int
    context_length: int
    text_width: int
    text_layers: int
    text_heads: int
    vision_size: int
    vision_patch: int
    vision_width: int
    vision_layers: int
    vision_heads: int
    clip_dim: int
    # inversion adapter: garment features -> pseudo-words
    pseudo_words: int
    adapter_hidden: int
    adapter_dropout: float
    # matching network and refinement
    warp_height: int
    warp_width: int
    warp_channels: tuple[int, ...]  # one halving each; the correlation is taken at the last
    warp_regression: tuple[int, ...]
    warp_points: int  # control points a side
    refinement_channels: int
    refinement_depth: int  # halvings of its UNet
    # training
    train_samples: int
    validation_samples: int
    stages: dict[str, StageConfig]
    train_unpaired: bool = False  # people of the training data wear another garment, see `training.stage.repainted`
    # noise schedule (Stable Diffusion's) and sampling
    train_timesteps: int = 1000
    beta_start: float = 0.00085
    beta_end: float = 0.012
    num_inference_steps: int = 20
    guidance_scale: float = 1.5
    condition_dropout: float = 0.2

    @property
    def downscale(self) -> int:
        """Factor f between a picture's side and its latents' side."""
        return 2 ** (len(self.vae_channels) - 1)

    @property
    def latent_size(self) -> tuple[int, int]:
        """(height, width) of the latents."""
        return self.height // self.downscale, self.width // self.downscale

    @property
    def base_channels(self) -> int:
        """Input channels of the inpainting base: noisy latents, mask, masked latents."""
        return 2 * self.latent_channels + 1

    @property
    def tryon_channels(self) -> int:
        """Input channels of the try-on denoiser: the base's, the pose map's, the warped garment's latents."""
        return self.base_channels + POSE_CHANNELS + self.latent_channels

    def with_(self, **changes) -> "Preset":
        """A copy with some numbers changed, for tests and studies."""
        return replace(self, **changes)


NANO = Preset(
    name="nano",
    height=64,
    width=48,
    latent_channels=4,
    vae_channels=(16, 32, 32),
    vae_layers=1,
    vae_groups=8,
    scaling_factor=1.0,
    unet_channels=(32, 64),
    unet_layers=1,
    unet_attention=(False, True),
    unet_heads=(2, 4),
    unet_groups=8,
    vocab_size=256,
    context_length=40,
    text_width=64,
    text_layers=2,
    text_heads=4,
    vision_size=64,
    vision_patch=8,
    vision_width=64,
    vision_layers=2,
    vision_heads=4,
    clip_dim=64,
    pseudo_words=16,
    adapter_hidden=128,
    adapter_dropout=0.1,
    warp_height=64,
    warp_width=48,
    warp_channels=(24, 48),
    warp_regression=(48, 32, 32, 24),
    warp_points=5,
    refinement_channels=16,
    refinement_depth=2,
    condition_dropout=0.1,
    train_samples=5120,
    validation_samples=256,
    stages={  # under a quarter of an hour in all on two CPU cores
        "clip": StageConfig(steps=300, batch_size=64, learning_rate=2e-3),
        "autoencoder": StageConfig(steps=1500, batch_size=16, learning_rate=3e-3, beta2=0.98, weights=AUTOENCODER),
        "emasc": StageConfig(steps=120, batch_size=16, learning_rate=2e-3, warmup=10, weights=EDGES),
        "warping": StageConfig(steps=2000, batch_size=16, learning_rate=1e-3, weights={"constraint": 0.001, "grid": 1.0}),
        "refinement": StageConfig(steps=220, batch_size=16, learning_rate=2e-3, warmup=10, weights=EDGES),
        "inpainting": StageConfig(steps=220, batch_size=64, learning_rate=3e-3, warmup=20),
        "inversion": StageConfig(steps=100, batch_size=32, learning_rate=1e-3, warmup=10),
        "tryon": StageConfig(steps=820, batch_size=48, learning_rate=4e-3),
    },
)

MINI = Preset(
    name="mini",
    height=256,
    width=192,
    latent_channels=16,
    vae_channels=(32, 64, 96, 128),
    vae_layers=1,
    vae_groups=8,
    scaling_factor=1.0,
    unet_channels=(96, 128, 144),
    unet_layers=1,
    unet_attention=(False, True, True),
    unet_heads=(3, 4, 6),
    unet_groups=16,
    vocab_size=256,
    context_length=40,
    text_width=128,
    text_layers=3,
    text_heads=4,
    vision_size=128,
    vision_patch=16,
    vision_width=128,
    vision_layers=4,
    vision_heads=4,
    clip_dim=128,
    pseudo_words=16,
    adapter_hidden=256,
    adapter_dropout=0.1,
    warp_height=256,
    warp_width=192,
    warp_channels=(32, 64, 96, 128),
    warp_regression=(224, 160, 112, 64),
    warp_points=5,
    refinement_channels=12,
    refinement_depth=4,
    train_samples=24_000,
    validation_samples=512,
    train_unpaired=True,
    stages={
        "clip": StageConfig(steps=2500, batch_size=512, learning_rate=1e-3),
        "autoencoder": StageConfig(
            steps=16_000, batch_size=48, learning_rate=1.5e-3, warmup=300, beta2=0.99, weights=AUTOENCODER
        ),
        "emasc": StageConfig(steps=2500, batch_size=32, learning_rate=1e-3, weights=EDGES),
        "warping": StageConfig(
            steps=18_000,
            batch_size=192,
            learning_rate=1e-3,
            warmup=300,
            weights={"constraint": 0.001, "grid": 10.0},
            samples=72_000,
            mirror=0.5,
        ),
        "refinement": StageConfig(steps=2400, batch_size=64, learning_rate=1e-3, weights=EDGES),
        "inpainting": StageConfig(steps=4300, batch_size=256, learning_rate=1e-3),
        "inversion": StageConfig(steps=900, batch_size=256, learning_rate=5e-4),
        "tryon": StageConfig(steps=15_200, batch_size=256, learning_rate=1e-3),
    },
)

FULL = Preset(
    name="full",
    height=512,
    width=384,
    latent_channels=4,
    vae_channels=(128, 256, 512, 512),
    vae_layers=2,
    vae_groups=32,
    scaling_factor=0.18215,
    unet_channels=(320, 640, 1280, 1280),
    unet_layers=2,
    unet_attention=(True, True, True, False),
    unet_heads=(5, 10, 20, 20),
    unet_groups=32,
    vocab_size=49408,
    context_length=77,
    text_width=1024,
    text_layers=23,
    text_heads=16,
    vision_size=224,
    vision_patch=14,
    vision_width=1280,
    vision_layers=32,
    vision_heads=16,
    clip_dim=1024,
    pseudo_words=16,
    adapter_hidden=5120,
    adapter_dropout=0.5,
    warp_height=256,
    warp_width=192,
    warp_channels=(64, 128, 256, 512),
    warp_regression=(512, 256, 128, 64),
    warp_points=5,
    refinement_channels=64,
    refinement_depth=4,
    train_samples=60_000,
    validation_samples=512,
    num_inference_steps=50,
    guidance_scale=7.5,
    stages={  # the authors' training lengths (reference: their released scripts' defaults)
        "clip": StageConfig(steps=0, batch_size=1, learning_rate=0.0),  # the text and image encoders come with the base
        "autoencoder": StageConfig(steps=0, batch_size=1, learning_rate=0.0, weights=AUTOENCODER),
        "emasc": StageConfig(steps=40_001, batch_size=16, learning_rate=1e-5, warmup=500, weights=EDGES),
        "warping": StageConfig(steps=36_000, batch_size=16, learning_rate=1e-4, weights={"constraint": 0.01, "grid": 0.0}),
        "refinement": StageConfig(steps=36_000, batch_size=16, learning_rate=1e-4, weights=EDGES),
        "inpainting": StageConfig(steps=0, batch_size=1, learning_rate=0.0),
        "inversion": StageConfig(steps=200_001, batch_size=16, learning_rate=1e-5, warmup=500),
        "tryon": StageConfig(steps=200_001, batch_size=16, learning_rate=1e-5, warmup=500),
    },
)

PRESETS = {preset.name: preset for preset in (NANO, MINI, FULL)}


def get_preset(name: str) -> Preset:
    """The preset called `name`; `InputError` that lists the three if there is none."""
    if name not in PRESETS:
        raise InputError(f"preset {name!r} does not exist; choose one of {', '.join(PRESETS)}.")
    return PRESETS[name]
