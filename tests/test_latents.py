"""evaluation/latents: two sides that differ in z alone, scored on the same people with the same noise."""

import json

import pytest
import torch
from tiny import TINY, noisy

from ladi_mini.checkpoints import CheckpointError, build_component, load_pipeline, save_stage
from ladi_mini.evaluation import latents
from ladi_mini.show.evaluation import prints_page


@pytest.fixture(scope="module")
def sides(tmp_path_factory):
    folder = tmp_path_factory.mktemp("latents")
    for seed, (stage, component) in enumerate((("clip", "clip"), ("warping", "warping"), ("refinement", "refinement"))):
        save_stage(folder / "own", TINY, stage, {component: noisy(build_component(TINY, component), seed)})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(latents, "LENGTHS", dict.fromkeys(latents.LENGTHS, 2))
        for z in (2, 4):
            cards = latents.train_side(TINY, z, folder / "own", folder / f"z{z}", progress=False)
            assert [card["steps"] for card in cards] == [2, 2, 2, 2]
            weights = folder / f"z{z}" / "tryon.safetensors"
            trained = weights.stat().st_mtime_ns
            assert latents.train_side(TINY, z, folder / "own", folder / f"z{z}", progress=False) == cards  # finished: kept
            assert weights.stat().st_mtime_ns == trained
        # the eighth test person is the first with a print that can be read
        return folder, latents.latent_study(TINY, {z: folder / f"z{z}" for z in (2, 4)}, samples=8, batch_size=4)


def test_sides_differ_in_their_latent_channels_and_share_the_rest(sides):
    folder, _ = sides
    small, large = (load_pipeline(latents.side(TINY, z), folder / f"z{z}") for z in (2, 4))
    assert (small.unet.config.in_channels, large.unet.config.in_channels) == (3 * 2 + 19, 3 * 4 + 19)
    for name in ("warping", "refinement", "image_encoder"):
        for a, b in zip(getattr(small, name).parameters(), getattr(large, name).parameters(), strict=True):
            assert torch.equal(a, b)
    assert all((conv[-1].weight == 0).all() for conv in small.emasc.conv)


def test_the_card_says_what_both_reach_and_how_far_they_are_apart(sides):
    card = sides[1][0]
    json.dumps(card)
    assert card["channels"] == [2, 4] and card["numbers_per_latent"] == {"2": 2 * 16 * 12, "4": 4 * 16 * 12}
    psnr = card["scores"]["psnr_inside_mask"]
    assert set(psnr) == {"autoencoder_z2", "tryon_z2", "autoencoder_z4", "tryon_z4"}
    for kind in ("autoencoder", "tryon"):
        means = psnr[f"{kind}_z4"]["mean"] - psnr[f"{kind}_z2"]["mean"]
        assert card["z4_minus_z2"][kind]["psnr_inside_mask"]["mean"] == pytest.approx(means, abs=2e-3)
    assert card["training"]["2"]["tryon"]["steps"] == 2


def test_the_prints_shown_are_the_same_ones_of_every_method(sides):
    strips = sides[1][1]
    ways = [f"z = {z}, {kind}" for z in (2, 4) for kind in ("autoencoder", "try-on")]
    assert list(strips) == ["true", *ways]
    for found in strips.values():
        assert [strip.shape for strip in found] == [(3, 40, 2 * 28)]  # "46"
        assert found[0].abs().max() <= 1
    assert not torch.equal(strips["true"][0], strips["z = 2, autoencoder"][0])


def test_the_first_stage_needs_nothing_of_the_model_and_the_others_say_what_is_missing(tmp_path, monkeypatch):
    monkeypatch.setattr(latents, "LENGTHS", dict.fromkeys(latents.LENGTHS, 1))
    (card,) = latents.train_side(TINY, 2, tmp_path / "none", tmp_path / "z2", stages=("autoencoder",), progress=False)
    assert card["steps"] == 1
    with pytest.raises(CheckpointError, match=r"none.clip\.safetensors is missing.*train clip --preset"):
        latents.train_side(TINY, 2, tmp_path / "none", tmp_path / "other", progress=False)
    assert not (tmp_path / "other" / "autoencoder.safetensors").exists()  # said before anything was trained


def test_the_page_has_a_column_a_picture_and_a_row_a_print():
    strips = {name: [torch.zeros(3, 40, 28 * n) for n in (1, 3)] for name in ("true", "z = 4, try-on")}
    page = prints_page(strips, "Prints", "A note.")
    assert page.info["alt"] == "Prints. A note. Columns: true, z = 4, try-on; 2 prints." and page.width > page.height
