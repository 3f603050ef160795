"""EMASC: Enhanced Mask-Aware Skip Connections, which carry the known pixels past the autoencoder's bottleneck.

Lesson 5. LaDI-VTON, section 3 (EMASC). A latent holds a face in a handful of numbers, so decoding it changes the face. The
encoder has seen the masked picture in full detail; its features are convolved, silenced inside the repaint region and added to
the decoder's. The repaint region itself gets nothing: there the encoder has only seen grey.

Choices made here
- The autoencoder stays diffusers' `AutoencoderKL`. Its encoder and decoder are walked block by block, so that the taps and
  additions are visible; without skips the result equals `vae.decode` bit for bit.
- Taps, from fine to coarse: `conv_in` twice, then every encoder block but the last. Each is added where the decoder has the same
  resolution, the first of them just before `conv_out`, the others before an up block:

      tap                conv_in          conv_in          down 0        ...   down n-2
      added before       conv_out         up n-1           up n-2        ...   up 0

- The mask is applied after the convolutions, since before them a bias and the 3 x 3 window would leak into the region.
- Nothing is changed in place: taps, masks and skips can be used again.
- The last convolution starts at zero, so that the first step decodes as the plain autoencoder does. The authors start only
  their linear variant so; `zero_init=False` is their nonlinear one. The layout of their files is the same.
"""

import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL, ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from diffusers.models.autoencoders.vae import DiagonalGaussianDistribution
from diffusers.utils.accelerate_utils import apply_forward_hook
from torch import nn
from torch.utils.checkpoint import checkpoint

from ladi_mini.presets import Preset


def tap_channels(vae_channels: tuple[int, ...]) -> tuple[int, ...]:
    """Channels of the encoder's taps: 128, 128, 128, 256, 512 for Stable Diffusion's (128, 256, 512, 512)."""
    return (vae_channels[0], vae_channels[0], *vae_channels[:-1])


def skip_channels(vae_channels: tuple[int, ...]) -> tuple[int, ...]:
    """Channels of the decoder where each tap is added: 128, 256, 512, 512, 512 for Stable Diffusion's."""
    return (*vae_channels, vae_channels[-1])


@apply_forward_hook  # so that a pipeline's CPU offload brings the autoencoder to the device
def encode_with_taps(vae: AutoencoderKL, image: torch.Tensor) -> tuple[DiagonalGaussianDistribution, list[torch.Tensor]]:
    """What `vae.encode` gives for `image` (B, 3, H, W) in [-1, 1], and the features on the way there.

    Returns the posterior over unscaled latents and n + 1 taps for an autoencoder of n blocks: tap 0 and 1 (B, c, H, W), then
    half the size each. For EMASC the image is the agnostic one.
    """
    encoder = vae.encoder
    x = encoder.conv_in(image)
    taps = [x, x]
    for block in encoder.down_blocks:
        x = _run(encoder, block, x)
        taps.append(x)
    x = encoder.conv_out(encoder.conv_act(encoder.conv_norm_out(_run(encoder, encoder.mid_block, x))))
    moments = x if vae.quant_conv is None else vae.quant_conv(x)
    return DiagonalGaussianDistribution(moments), taps[:-1]  # the last block's output goes no other way than the latent


@apply_forward_hook
def decode_with_skips(vae: AutoencoderKL, latents: torch.Tensor, skips: list[torch.Tensor] | None = None) -> torch.Tensor:
    """(B, 3, H, W), about [-1, 1], of unscaled `latents` (B, z, H/f, W/f), with `skips` as `Emasc` gives them.

    Without skips it equals `vae.decode(latents).sample`, without slicing or tiling. Raises `ValueError` for a wrong number of
    skips.
    """
    decoder = vae.decoder
    places = [*decoder.up_blocks, decoder.conv_out]
    if skips is not None and len(skips) != len(places):
        raise ValueError(f"got {len(skips)} skips, expected {len(places)} for an autoencoder of {len(decoder.up_blocks)} blocks")
    coarse_to_fine = [None] * len(places) if skips is None else skips[::-1]
    x = latents if vae.post_quant_conv is None else vae.post_quant_conv(latents)
    x = _run(decoder, decoder.mid_block, decoder.conv_in(x))
    for block, skip in zip(decoder.up_blocks, coarse_to_fine[:-1], strict=True):
        x = _run(decoder, block, x if skip is None else x + skip)
    x = decoder.conv_act(decoder.conv_norm_out(x))
    return decoder.conv_out(x if skips is None else x + coarse_to_fine[-1])


def _run(half: nn.Module, block: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """A block of one half of the autoencoder, recomputed in the backward pass if gradient checkpointing is on."""
    if half.gradient_checkpointing and torch.is_grad_enabled():
        return checkpoint(block, x, use_reentrant=False)
    return block(x)


class Emasc(ModelMixin, ConfigMixin):
    """The skip connections: tap i (in_channels[i]) to skip i (out_channels[i]), two convolutions each, or one if linear."""

    @register_to_config
    def __init__(
        self,
        in_channels: tuple[int, ...] = (128, 128, 128, 256, 512),
        out_channels: tuple[int, ...] = (128, 256, 512, 512, 512),
        linear: bool = False,
        zero_init: bool = True,
    ):
        super().__init__()
        self.conv = nn.ModuleList()
        for i, o in zip(in_channels, out_channels, strict=True):
            last = nn.Conv2d(i, o, 3, padding=1)
            if linear or zero_init:
                nn.init.zeros_(last.weight)
                nn.init.zeros_(last.bias)
            self.conv.append(last if linear else nn.Sequential(nn.Conv2d(i, i, 3, padding=1), nn.SiLU(), last))

    def forward(self, taps: list[torch.Tensor], inpaint_mask: torch.Tensor) -> list[torch.Tensor]:
        """The features to add, from fine to coarse, exactly 0 where the model repaints.

        taps: as `encode_with_taps` gives them; inpaint_mask: (B, 1, H, W) in {0, 1}, 1 = repaint, resized to each tap by
        nearest pixel. Raises `ValueError` for a wrong number of taps.
        """
        if len(taps) != len(self.conv):
            raise ValueError(f"got {len(taps)} taps, expected {len(self.conv)}; the autoencoder has another number of blocks")
        return [
            conv(tap) * (1 - F.interpolate(inpaint_mask.to(tap.dtype), tap.shape[2:]))
            for conv, tap in zip(self.conv, taps, strict=True)
        ]


def build_emasc(preset: Preset, linear: bool = False, zero_init: bool = True) -> Emasc:
    """The skip connections for the autoencoder of a size, fresh: with `zero_init` they add nothing yet."""
    return Emasc(
        in_channels=tap_channels(preset.vae_channels),
        out_channels=skip_channels(preset.vae_channels),
        linear=linear,
        zero_init=zero_init,
    )
