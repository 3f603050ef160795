"""Warping, refinement and EMASC against the reference vectors: the same numbers, the same parameter names and shapes."""

import json

import pytest
import torch
from diffusers import AutoencoderKL
from reference import ROOT, difference, fill, golden, randn

from ladi_mini.emasc import Emasc, build_emasc, decode_with_skips, encode_with_taps, skip_channels, tap_channels
from ladi_mini.presets import FULL
from ladi_mini.warping import RefinementNetwork, build_refinement, build_warping, second_order_constraint

BUILD = {
    "warping.tps": lambda: build_warping(FULL, convention="released"),
    "warping.refinement": lambda: build_refinement(FULL, convention="released"),
    "emasc": lambda: build_emasc(FULL),
}


@pytest.fixture(scope="module")
def released_shapes() -> dict[str, dict[str, list[int]]]:
    return json.loads((ROOT / "keys.json").read_text())


@pytest.mark.parametrize("name", BUILD)
def test_names_and_shapes_are_those_of_the_released_file(name, released_shapes):
    own = {key: list(value.shape) for key, value in BUILD[name]().state_dict().items()}
    spline_constants = {key for key in released_shapes[name] if key.startswith("gridGen.")}
    assert own == {key: shape for key, shape in released_shapes[name].items() if key not in spline_constants}


def test_a_whole_released_warping_file_loads_strictly(released_shapes):
    state = {key: torch.full(shape, 0.5) for key, shape in released_shapes["warping.tps"].items()}
    network = build_warping(FULL, convention="released")
    network.load_state_dict(state, strict=True)
    assert bool((network.loc_net["regression"].linear.bias == 0.5).all())
    assert "gridGen.inverse_kernel" in state  # the caller's dictionary is not touched


def test_loading_still_refuses_a_name_that_does_not_belong(released_shapes):
    state = {key: torch.zeros(shape) for key, shape in released_shapes["warping.tps"].items()}
    with pytest.raises(RuntimeError, match="stranger"):
        build_warping(FULL, convention="released").load_state_dict(state | {"stranger": torch.zeros(1)}, strict=True)


@torch.no_grad()
def test_matching_network_gives_the_reference_grid():
    network = fill(build_warping(FULL, convention="released"), "tps")
    garment = randn("in.tps.cloth", (1, 3, 256, 192)).clamp(-1, 1)
    person = randn("in.tps.agnostic", (1, 21, 256, 192)).clamp(-1, 1)
    output = network(garment, person[:, :3], person[:, 3:])
    assert difference(output.control_points, "tps.control_points") < 1e-4
    assert difference(output.grid[:, ::8, ::8], "tps.grid_every8") < 1e-4


def test_constraint_terms_are_the_reference_ones():
    terms = second_order_constraint(golden()["tps.control_points"], convention="released")
    assert difference(terms[0], "tps.regularizer") < 1e-6


@torch.no_grad()
def test_refinement_gives_the_reference_picture():
    network = fill(build_refinement(FULL, convention="released"), "refinement")
    agnostic, pose_map, warped = randn("in.refinement", (1, 24, 64, 48)).split([3, 18, 3], dim=1)
    assert difference(network(agnostic, pose_map, warped), "refinement.out") < 1e-4


@torch.no_grad()
def test_refinement_residual_is_the_difference_to_the_warped_garment():
    plain, residual = (fill(RefinementNetwork(8, 2, residual=r), "refinement") for r in (False, True))
    agnostic, pose_map, warped = randn("in.refinement", (1, 24, 64, 48)).split([3, 18, 3], dim=1)
    assert torch.equal(residual(agnostic, pose_map, warped), warped + plain(agnostic, pose_map, warped))


@torch.no_grad()
def test_emasc_gives_the_reference_skips():
    emasc = fill(build_emasc(FULL), "emasc")
    sizes = [(32, 24), (32, 24), (16, 12), (8, 6), (4, 3)]
    channels = tap_channels(FULL.vae_channels)
    taps = [randn(f"in.emasc.{i}", (1, c, *size)) for i, (c, size) in enumerate(zip(channels, sizes, strict=True))]
    skips = emasc(taps, (randn("in.emasc.mask", (1, 1, 32, 24)) > 0).float())
    for i, skip in enumerate(skips):
        assert difference(skip[:, ::4], f"emasc.out{i}") < 1e-4


@torch.no_grad()
def test_autoencoder_with_emasc_gives_the_reference_pictures():
    channels = (32, 64, 64, 64)
    vae = AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=channels,
        layers_per_block=2,
        latent_channels=4,
        norm_num_groups=32,
    )
    fill(vae, "vae")
    emasc = fill(Emasc(tap_channels(channels), skip_channels(channels)), "emasc_tiny")
    image = randn("in.vae.image", (1, 3, 64, 48)).clamp(-1, 1)
    mask = torch.zeros(1, 1, 64, 48)
    mask[:, :, 16:48, 12:40] = 1
    posterior, taps = encode_with_taps(vae, image * (1 - mask))
    latents = posterior.mode()
    assert difference(latents, "vae.latent_mode") < 1e-4
    assert difference(decode_with_skips(vae, latents), "vae.decode_plain") < 1e-4
    assert difference(decode_with_skips(vae, latents, emasc(taps, mask)), "vae.decode_emasc") < 1e-4
