"""The released model, number for number: every entry of the reference vectors, and every name and shape of the released files.

The vectors were computed with the authors' own code on made-up weights and inputs (`reference.py` makes the same ones).
`LADI_REFERENCE_VECTORS=DIR pytest tests/test_reference.py` checks another folder of the same form.
"""

import json
import lzma
import re
from functools import cache

import numpy as np
import pytest
import torch
from diffusers import UNet2DConditionModel
from reference import ROOT, difference, expected, fill, golden, randn, stored
from transformers import CLIPTextConfig, CLIPTextModel

from ladi_mini.datasets import DressCode, VitonHD
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
from ladi_mini.emasc import Emasc, build_emasc, decode_with_skips, encode_with_taps, skip_channels, tap_channels
from ladi_mini.inversion import build_adapter, encode_prompt
from ladi_mini.presets import FULL
from ladi_mini.warping import RefinementNetwork, build_refinement, build_warping, second_order_constraint

SMALL = FULL.with_(  # the small networks of the vectors
    height=64, width=48, vae_channels=(32, 64, 64, 64), unet_channels=(32, 64), unet_attention=(True, False), unet_heads=(2, 4),
    unet_layers=1, text_width=64,
)  # fmt: skip
PLACEHOLDER_ID = 259


def tolerance(key: str) -> float:
    """The largest difference allowed: rounding alone, which five guided steps multiply."""
    return {"latents": 4e-4, "image": 1e-3}.get(key.rpartition(".")[2], 1e-4) if key.startswith("pipe.") else 1e-4


# ---------------------------------------------------------------- the modules, as golden.safetensors saw them


def matching_network() -> dict[str, torch.Tensor]:
    network = fill(build_warping(FULL, convention="released"), "tps")
    garment = randn("in.tps.cloth", (1, 3, 256, 192)).clamp(-1, 1)
    person = randn("in.tps.agnostic", (1, 21, 256, 192)).clamp(-1, 1)
    out = network(garment, person[:, :3], person[:, 3:])
    terms = second_order_constraint(out.control_points, convention="released")[0]
    return {"tps.control_points": out.control_points, "tps.grid_every8": out.grid[:, ::8, ::8], "tps.regularizer": terms}


def refinement() -> dict[str, torch.Tensor]:
    network = fill(build_refinement(FULL, convention="released"), "refinement")
    agnostic, pose_map, warped = randn("in.refinement", (1, 24, 64, 48)).split([3, 18, 3], dim=1)
    return {"refinement.out": network(agnostic, pose_map, warped)}


def emasc() -> dict[str, torch.Tensor]:
    sizes = [(32, 24), (32, 24), (16, 12), (8, 6), (4, 3)]
    channels = tap_channels(FULL.vae_channels)
    taps = [randn(f"in.emasc.{i}", (1, c, *size)) for i, (c, size) in enumerate(zip(channels, sizes, strict=True))]
    skips = fill(build_emasc(FULL), "emasc")(taps, (randn("in.emasc.mask", (1, 1, 32, 24)) > 0).float())
    return {f"emasc.out{i}": skip[:, ::4] for i, skip in enumerate(skips)}


def inversion_adapter() -> dict[str, torch.Tensor]:
    adapter = fill(build_adapter(FULL), "inversion_adapter")
    return {"inversion_adapter.out": adapter(randn("in.inversion_adapter", (1, 257, 1280)))}


@cache
def text_encoder() -> CLIPTextModel:
    config = CLIPTextConfig(
        vocab_size=49408, hidden_size=64, intermediate_size=128, num_hidden_layers=2, num_attention_heads=4, hidden_act="gelu"
    )
    encoder = CLIPTextModel(config)
    return fill(encoder, "text_encoder" if hasattr(encoder, "text_model") else "text_encoder.text_model")


def text() -> dict[str, torch.Tensor]:
    ids = golden()["text.input_ids"]
    words = randn("in.text.pseudo_words", (2, 16, 64))
    return {"text.input_ids": ids, "text.last_hidden_state": encode_prompt(text_encoder(), ids, words, PLACEHOLDER_ID)}


def small_autoencoder():
    skips = Emasc(tap_channels(SMALL.vae_channels), skip_channels(SMALL.vae_channels))
    return fill(build_autoencoder(SMALL), "vae"), fill(skips, "emasc_tiny")


def autoencoder() -> dict[str, torch.Tensor]:
    vae, skips = small_autoencoder()
    image = randn("in.vae.image", (1, 3, 64, 48)).clamp(-1, 1)
    mask = torch.zeros(1, 1, 64, 48)
    mask[:, :, 16:48, 12:40] = 1
    posterior, taps = encode_with_taps(vae, image * (1 - mask))
    latents = posterior.mode()
    return {
        "vae.latent_mode": latents,
        "vae.decode_plain": decode_with_skips(vae, latents),
        "vae.decode_emasc": decode_with_skips(vae, latents, skips(taps, mask)),
    }


def sampler(name: str, guidance_scale: float) -> dict[str, torch.Tensor]:
    (vae, skips), unet = small_autoencoder(), fill(build_unet(SMALL), "unet")
    image, warped = (randn(f"in.pipe.{n}", (2, 3, 64, 48)).clamp(-1, 1) for n in ("image", "warped"))
    pose = randn("in.pipe.pose", (2, 18, 64, 48)).abs().clamp(max=1)
    mask = torch.zeros(2, 1, 64, 48)
    mask[0, :, 16:48, 12:40] = 1
    mask[1, :, 8:40, 4:44] = 1
    posterior, taps = encode_with_taps(vae, image * (1 - mask))
    static = static_channels(mask, posterior.mode() * vae.config.scaling_factor, pose, encode(vae, warped))
    given = Conditions(static, golden()["text.last_hidden_state"])
    without = Conditions(drop_garment(static, 4), randn("in.pipe.negative_embeds", (2, 77, 64)))
    steps: list[torch.Tensor] = []
    start = randn("in.pipe.latents", (2, 4, 8, 6))
    end = denoise(
        unet, build_scheduler(SMALL), start, given, without, guidance_scale, 5, callback=lambda i, t, x, e: steps.append(x)
    )
    out = decode_with_skips(vae, end / vae.config.scaling_factor, skips(taps, mask))
    return {
        f"pipe.{name}.latents": torch.stack(steps),
        f"pipe.{name}.image": (out / 2 + 0.5).clamp(0, 1).permute(0, 2, 3, 1),
    }


PARTS = {
    "matching_network": matching_network,
    "refinement": refinement,
    "emasc": emasc,
    "inversion_adapter": inversion_adapter,
    "text": text,
    "autoencoder": autoencoder,
    "sampler_guided": lambda: sampler("cfg", 7.5),
    "sampler_unguided": lambda: sampler("nocfg", 1.0),
}


@cache
@torch.no_grad()
def computed(part: str) -> dict[str, torch.Tensor]:
    return PARTS[part]()


@pytest.mark.parametrize("part", PARTS)
def test_numbers_are_the_released_ones(part):
    for key, out in computed(part).items():
        assert difference(out, key) <= tolerance(key), key


def test_every_golden_entry_is_compared():
    assert {key for part in PARTS for key in computed(part)} == set(golden())


def test_constraint_terms_alone_are_exact():
    terms = second_order_constraint(golden()["tps.control_points"], convention="released")
    assert difference(terms[0], "tps.regularizer") < 1e-6


def test_numbers_depend_on_the_order_of_the_pseudo_words():
    with torch.no_grad():
        words = randn("in.text.pseudo_words", (2, 16, 64)).flip(1)
        hidden = encode_prompt(text_encoder(), golden()["text.input_ids"], words, PLACEHOLDER_ID)
    assert difference(hidden, "text.last_hidden_state") > 1e-2


def test_numbers_depend_on_the_skips():
    assert difference(computed("autoencoder")["vae.decode_plain"], "vae.decode_emasc") > 1e-2


@torch.no_grad()
def test_refinement_residual_is_the_difference_to_the_warped_garment():
    plain, residual = (fill(RefinementNetwork(8, 2, residual=r), "refinement") for r in (False, True))
    agnostic, pose_map, warped = randn("in.refinement", (1, 24, 64, 48)).split([3, 18, 3], dim=1)
    assert torch.equal(residual(agnostic, pose_map, warped), warped + plain(agnostic, pose_map, warped))


# ---------------------------------------------------------------- names and shapes of the released files

BUILD = {
    "warping.tps": lambda: build_warping(FULL, convention="released"),
    "warping.refinement": lambda: build_refinement(FULL, convention="released"),
    "emasc": lambda: build_emasc(FULL),
    "inversion_adapter": lambda: build_adapter(FULL),
    "tiny_unet": lambda: build_unet(SMALL),
}


@cache
def released_shapes() -> dict[str, dict[str, list[int]]]:
    return json.loads((ROOT / "keys.json").read_text())


def shapes(module: torch.nn.Module) -> dict[str, list[int]]:
    return {name: list(tensor.shape) for name, tensor in module.state_dict().items()}


def test_every_released_file_is_compared():
    assert set(BUILD) == set(released_shapes())


@pytest.mark.parametrize("name", BUILD)
def test_names_and_shapes_are_those_of_the_released_file(name):
    with torch.device("meta"):
        own = shapes(BUILD[name]())
    spline_constants = {key for key in released_shapes()[name] if key.startswith("gridGen.")}
    assert own == {key: shape for key, shape in released_shapes()[name].items() if key not in spline_constants}


def test_full_denoiser_is_stable_diffusion_2s_with_a_wider_first_convolution():
    with torch.device("meta"):
        own = shapes(build_unet(FULL))
        stock = shapes(
            UNet2DConditionModel(  # Stable Diffusion 2 inpainting as its own configuration says it; the rest are defaults
                sample_size=64, in_channels=9, attention_head_dim=[5, 10, 20, 20], cross_attention_dim=1024,
                use_linear_projection=True,
            )
        )  # fmt: skip
    assert len(own) == len(stock) == 686
    assert stock["conv_in.weight"] == [320, 9, 3, 3]
    assert own == stock | {"conv_in.weight": [320, 31, 3, 3]}
    assert sum(int(np.prod(shape)) for shape in own.values()) == 865_988_484


def test_a_whole_released_warping_file_loads_strictly():
    state = {key: torch.full(shape, 0.5) for key, shape in released_shapes()["warping.tps"].items()}
    network = build_warping(FULL, convention="released")
    network.load_state_dict(state, strict=True)
    assert bool((network.loc_net["regression"].linear.bias == 0.5).all())
    assert "gridGen.inverse_kernel" in state  # the caller's dictionary is not touched


def test_loading_still_refuses_a_name_that_does_not_belong():
    state = {key: torch.zeros(shape) for key, shape in released_shapes()["warping.tps"].items()}
    with pytest.raises(RuntimeError, match="stranger"):
        build_warping(FULL, convention="released").load_state_dict(state | {"stranger": torch.zeros(1)}, strict=True)


# ---------------------------------------------------------------- the loaders, as expected.safetensors saw them

CATEGORIES = ("dresses", "upper_body", "lower_body")  # the vectors' order


@cache
def data_set(name: str, order: str):
    if name == "vitonhd":
        return VitonHD(ROOT / "vitonhd", "test", order, convention="released")
    return DressCode(ROOT / "dresscode", "test", order, categories=CATEGORIES, convention="released")


def loaded(name: str, order: str, index: int) -> dict[str, torch.Tensor]:
    """What the loader gives for one person, under the names of the entries that hold it."""
    got, key = data_set(name, order)[index], f"{name}.{order}.{index}"
    entries = {f"{key}.cloth_every16": got.garment[:, ::16, ::16]}
    if order == "paired":
        packed = np.packbits(got.inpaint_mask[0].numpy().astype(np.uint8), axis=1)
        entries[f"{key}.inpaint_mask_packbits"] = torch.from_numpy(packed)
        entries[f"{key}.pose_map_every8"] = got.pose_map[:, ::8, ::8]
        entries[f"{key}.image_every16"] = got.person[:, ::16, ::16]
    return entries


PEOPLE = sorted({(m[1], m[2], int(m[3])) for m in (re.match(r"(\w+)\.(\w+)\.(\d+)\.", key) for key in expected())})


@pytest.mark.parametrize(("name", "order", "index"), PEOPLE)
def test_loaders_give_what_the_authors_do(name, order, index):
    entries = loaded(name, order, index)
    assert set(entries) == {key for key in expected() if key.startswith(f"{name}.{order}.{index}.")}  # every entry, no other
    for key, got in entries.items():
        wanted = expected()[key]
        assert got.shape == wanted.shape, key
        if wanted.dtype == torch.uint8:
            assert torch.equal(got, wanted), key
        else:
            rounding = wanted.float().abs() * 2**-11 if wanted.dtype == torch.float16 else 0  # of the stored entry itself
            assert ((got - wanted.float()).abs() - rounding).max() <= 1e-4, key


def test_a_plain_file_of_vectors_is_read_before_a_packed_one(tmp_path):
    (tmp_path / "golden.safetensors.xz").write_bytes(lzma.compress(b"packed"))
    assert stored("golden", tmp_path) == b"packed"
    (tmp_path / "golden.safetensors").write_bytes(b"plain")
    assert stored("golden", tmp_path) == b"plain"


def test_every_person_of_both_data_sets_is_compared():
    sizes = {(name, order): len(data_set(name, order)) for name in ("vitonhd", "dresscode") for order in ("paired", "unpaired")}
    assert sorted((*key, index) for key, size in sizes.items() for index in range(size)) == PEOPLE


@pytest.mark.parametrize(("name", "index"), sorted({(name, index) for name, _, index in PEOPLE}))
def test_unpaired_sample_shows_the_same_person(name, index):
    paired, unpaired = (data_set(name, order)[index] for order in ("paired", "unpaired"))
    assert torch.equal(paired.person, unpaired.person)
    assert torch.equal(paired.inpaint_mask, unpaired.inpaint_mask)
    assert not torch.equal(paired.garment, unpaired.garment)
