"""EMASC: taps, masked skips and where they are added."""

from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL

from ladi_mini.emasc import Emasc, build_emasc, decode_with_skips, encode_with_taps, skip_channels, tap_channels
from ladi_mini.presets import FULL, MINI, NANO


def build_vae(channels: tuple[int, ...] = NANO.vae_channels, layers: int = 1, groups: int = 8) -> AutoencoderKL:
    torch.manual_seed(0)
    vae = AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * len(channels),
        up_block_types=("UpDecoderBlock2D",) * len(channels),
        block_out_channels=channels,
        layers_per_block=layers,
        norm_num_groups=groups,
    )
    return vae.eval()


def picture(batch: int = 2, height: int = 64, width: int = 48) -> torch.Tensor:
    return torch.rand(batch, 3, height, width, generator=torch.Generator().manual_seed(1)) * 2 - 1


def repaint_mask(batch: int = 2, height: int = 64, width: int = 48) -> torch.Tensor:
    mask = torch.zeros(batch, 1, height, width)
    mask[:, :, height // 4 : height // 2 + 3, width // 4 + 1 : width // 2 + 5] = 1
    return mask


CHANNELS = [NANO.vae_channels, MINI.vae_channels, (32, 64, 64, 64), (8, 16)]


def test_channels_of_stable_diffusion():
    assert tap_channels(FULL.vae_channels) == (128, 128, 128, 256, 512)
    assert skip_channels(FULL.vae_channels) == (128, 256, 512, 512, 512)


@pytest.mark.parametrize("channels", CHANNELS, ids=str)
@torch.no_grad()
def test_channel_rules_hold_for_the_real_encoder_and_decoder(channels):
    vae = build_vae(channels)
    _, taps = encode_with_taps(vae, picture(1))
    assert tuple(tap.shape[1] for tap in taps) == tap_channels(channels)
    blocks = [block.resnets[0].in_channels for block in vae.decoder.up_blocks]  # coarse to fine
    assert (vae.decoder.conv_out.in_channels, *reversed(blocks)) == skip_channels(channels)


@torch.no_grad()
def test_taps_are_what_the_encoder_computes():
    vae, seen = build_vae(), {}
    for name, module in {"conv_in": vae.encoder.conv_in, **dict(vae.encoder.down_blocks.named_children())}.items():
        module.register_forward_hook(lambda _module, _input, output, name=name: seen.__setitem__(name, output))
    expected = vae.encode(picture()).latent_dist
    posterior, taps = encode_with_taps(vae, picture())
    assert torch.equal(posterior.mean, expected.mean)
    assert torch.equal(posterior.logvar, expected.logvar)
    for tap, name in zip(taps, ["conv_in", "conv_in", "0", "1"], strict=True):
        assert torch.equal(tap, seen[name])


@pytest.mark.parametrize("channels", CHANNELS, ids=str)
@torch.no_grad()
def test_decoding_without_skips_is_the_plain_decoder_bit_for_bit(channels):
    vae = build_vae(channels)
    latents = torch.randn(2, 4, 8, 6)
    assert torch.equal(decode_with_skips(vae, latents), vae.decode(latents).sample)


@torch.no_grad()
def test_each_skip_is_added_before_its_own_block():
    vae = build_vae()
    latents = torch.randn(1, 4, 16, 12)
    sizes = [(64, 48), (64, 48), (32, 24), (16, 12)]
    skips = [torch.randn(1, c, *size) for c, size in zip(skip_channels(NANO.vae_channels), sizes, strict=True)]
    places = [vae.decoder.conv_out, *reversed(vae.decoder.up_blocks)]
    handles = [
        place.register_forward_pre_hook(lambda _module, args, skip=skip: (args[0] + skip, *args[1:]))
        for place, skip in zip(places, skips, strict=True)
    ]
    expected = vae.decode(latents).sample  # diffusers' own decoder, with the additions hooked in
    for handle in handles:
        handle.remove()
    assert torch.equal(decode_with_skips(vae, latents, skips), expected)
    assert not torch.allclose(expected, vae.decode(latents).sample, atol=1e-3)


@pytest.mark.parametrize("linear", [False, True])
@torch.no_grad()
def test_nothing_at_all_is_added_inside_the_repaint_region(linear):
    vae, emasc, mask = build_vae(), build_emasc(NANO, linear=linear), repaint_mask()
    for parameter in emasc.parameters():
        torch.nn.init.normal_(parameter)  # biases too
    _, taps = encode_with_taps(vae, picture() * (1 - mask))
    for skip in emasc(taps, mask):
        inside = F.interpolate(mask, skip.shape[2:]).bool().expand_as(skip)
        assert bool(inside.any())
        assert bool((skip[inside] == 0).all())
        assert (skip[~inside] != 0).float().mean() > 0.99


@torch.no_grad()
def test_the_convolutions_see_the_taps_before_the_mask():
    emasc = Emasc((4,), (6,), linear=True)
    for parameter in emasc.parameters():
        torch.nn.init.normal_(parameter)
    tap, mask = torch.randn(1, 4, 8, 8), torch.zeros(1, 1, 8, 8)
    mask[..., 3:6, 3:6] = 1
    assert torch.allclose(emasc([tap], mask)[0], emasc.conv[0](tap) * (1 - mask))


@torch.no_grad()
def test_inputs_are_left_as_they_were():
    vae, emasc, mask = build_vae(), build_emasc(NANO, zero_init=False), repaint_mask()
    _, taps = encode_with_taps(vae, picture())
    skips = emasc(taps, mask)
    before = [x.clone() for x in (*taps, mask, *skips)]
    latents = torch.randn(2, 4, 16, 12)
    first, second = (decode_with_skips(vae, latents, skips) for _ in range(2))
    repeated = emasc(taps, mask)
    assert torch.equal(first, second)
    assert all(torch.equal(a, b) for a, b in zip(skips, repeated, strict=True))
    assert all(torch.equal(a, b) for a, b in zip(before, (*taps, mask, *skips), strict=True))


@pytest.mark.parametrize("kind", [{}, {"linear": True}, {"linear": True, "zero_init": False}], ids=str)
@torch.no_grad()
def test_fresh_skips_decode_as_the_plain_autoencoder(kind):
    vae = build_vae()
    posterior, taps = encode_with_taps(vae, picture())
    skips = build_emasc(NANO, **kind)(taps, repaint_mask())
    assert torch.equal(decode_with_skips(vae, posterior.mode(), skips), vae.decode(posterior.mode()).sample)


@pytest.mark.parametrize("linear", [False, True])
def test_fresh_skips_can_take_their_first_step(linear):
    vae, emasc = build_vae().requires_grad_(False), build_emasc(NANO, linear=linear)
    posterior, taps = encode_with_taps(vae, picture())
    out = decode_with_skips(vae, posterior.mode(), emasc(taps, repaint_mask()))
    (out - picture()).square().mean().backward()
    last = [conv if linear else conv[2] for conv in emasc.conv]
    assert all(bool((conv.weight.grad != 0).any()) for conv in last)
    assert all(p.grad is None for p in vae.parameters())


def test_gradient_checkpointing_gives_the_same_gradients():
    vae, emasc = build_vae(), build_emasc(NANO, zero_init=False)
    gradients = []
    for enable in (False, True):
        if enable:
            vae.enable_gradient_checkpointing()
        emasc.zero_grad()
        posterior, taps = encode_with_taps(vae, picture(1))
        decode_with_skips(vae, posterior.mode(), emasc(taps, repaint_mask(1))).square().mean().backward()
        gradients.append([p.grad.clone() for p in emasc.parameters()])
    assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(*gradients, strict=True))


@torch.no_grad()
def test_offloading_is_told_before_the_autoencoder_is_used():
    vae, woken = build_vae(), []
    vae._hf_hook = SimpleNamespace(pre_forward=woken.append)  # where accelerate keeps its CPU offload
    posterior, _ = encode_with_taps(vae, picture())
    decode_with_skips(vae, posterior.mode())
    assert woken == [vae, vae]


@torch.no_grad()
def test_emasc_survives_saving(tmp_path):
    emasc = build_emasc(NANO, zero_init=False)
    emasc.save_pretrained(tmp_path)
    _, taps = encode_with_taps(build_vae(), picture())
    again = Emasc.from_pretrained(tmp_path)
    assert all(torch.equal(a, b) for a, b in zip(again(taps, repaint_mask()), emasc(taps, repaint_mask()), strict=True))


def test_linear_names_are_those_of_the_authors_linear_variant():
    names = {name for name, _ in build_emasc(NANO, linear=True).named_parameters()}
    assert names == {f"conv.{i}.{kind}" for i in range(4) for kind in ("weight", "bias")}


def test_a_wrong_number_of_features_is_refused():
    vae, emasc = build_vae(), build_emasc(NANO)
    with pytest.raises(ValueError, match="got 1 taps, expected 4"):
        emasc([torch.zeros(1, 24, 8, 8)], torch.zeros(1, 1, 8, 8))
    with pytest.raises(ValueError, match="got 3 skips, expected 4"):
        decode_with_skips(vae, torch.zeros(1, 4, 2, 2), [torch.zeros(1)] * 3)
