"""The whole sampler against the reference vectors: five DDIM steps, with and without guidance, decoded with the masked skips."""

import pytest
import torch
from reference import difference, fill, golden, randn

from ladi_mini.diffusion import (
    Conditions,
    build_autoencoder,
    build_scheduler,
    build_unet,
    denoise,
    drop_garment,
    encode,
    static_channels,
)
from ladi_mini.emasc import Emasc, decode_with_skips, encode_with_taps
from ladi_mini.presets import FULL

TINY = FULL.with_(
    height=64, width=48, vae_channels=(32, 64, 64, 64), unet_channels=(32, 64), unet_attention=(True, False), unet_heads=(2, 4),
    unet_layers=1, text_width=64,
)  # fmt: skip


@pytest.mark.parametrize(("name", "guidance_scale"), [("cfg", 7.5), ("nocfg", 1.0)])
def test_sampler_equals_the_released_one(name, guidance_scale):
    vae, unet = fill(build_autoencoder(TINY), "vae"), fill(build_unet(TINY), "unet")
    emasc = fill(Emasc((32, 32, 32, 64, 64), (32, 64, 64, 64, 64)), "emasc_tiny")
    image, warped = (randn(f"in.pipe.{n}", (2, 3, 64, 48)).clamp(-1, 1) for n in ("image", "warped"))
    pose = randn("in.pipe.pose", (2, 18, 64, 48)).abs().clamp(max=1)
    mask = torch.zeros(2, 1, 64, 48)
    mask[0, :, 16:48, 12:40] = 1
    mask[1, :, 8:40, 4:44] = 1
    with torch.no_grad():
        posterior, taps = encode_with_taps(vae, image * (1 - mask))
        masked = posterior.mode() * vae.config.scaling_factor
        static = static_channels(mask, masked, pose, encode(vae, warped))
        given = Conditions(static, golden()["text.last_hidden_state"])
        without = Conditions(drop_garment(static, 4), randn("in.pipe.negative_embeds", (2, 77, 64)))
        steps: list[torch.Tensor] = []
        start = randn("in.pipe.latents", (2, 4, 8, 6))
        end = denoise(
            unet, build_scheduler(TINY), start, given, without, guidance_scale, 5, callback=lambda i, t, x, e: steps.append(x)
        )
        out = decode_with_skips(vae, end / vae.config.scaling_factor, emasc(taps, mask))
    assert difference(torch.stack(steps), f"pipe.{name}.latents") <= 4e-4
    assert difference((out / 2 + 0.5).clamp(0, 1).permute(0, 2, 3, 1), f"pipe.{name}.image") <= 1e-3
