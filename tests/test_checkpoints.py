"""checkpoints.py: what is saved comes back, what is damaged is refused, and nothing on disk is lost on the way."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny import TINY, batch, noisy, tiny_pipeline

from ladi_mini.checkpoints import (
    BUILDERS,
    STAGE_COMPONENTS,
    Models,
    build_component,
    default_folder,
    load_pipeline,
    load_stage,
    save_stage,
    stage_files,
)
from ladi_mini.errors import InputError
from ladi_mini.presets import NANO, STAGES
from ladi_mini.sums import CheckpointError, fingerprints, read_sums, sha256, write_sums


@pytest.fixture()
def folder(tmp_path):
    """Weights of every stage at the tiny size."""
    for seed, stage in enumerate(STAGES):
        modules = {name: noisy(build_component(TINY, name), seed) for name in STAGE_COMPONENTS[stage]}
        if "vae" in modules:
            modules["vae"].register_to_config(scaling_factor=0.4375)
        save_stage(tmp_path, TINY, stage, modules, {"stage": stage})
    return tmp_path


def test_every_component_belongs_to_a_stage():
    assert {name for names in STAGE_COMPONENTS.values() for name in names} == set(BUILDERS)
    assert tuple(STAGE_COMPONENTS) == STAGES


@pytest.mark.parametrize("stage", STAGES)
def test_every_component_comes_back_as_it_was_to_half_precision(tmp_path, stage):
    modules = {name: noisy(build_component(TINY, name), 3) for name in STAGE_COMPONENTS[stage]}
    save_stage(tmp_path, TINY, stage, modules)
    for name, module in load_stage(tmp_path, TINY, stage).items():
        expected = modules[name].state_dict()
        for key, value in module.state_dict().items():
            halved = expected[key].half().to(value.dtype) if value.is_floating_point() else expected[key]
            assert torch.equal(value, halved), f"{name}.{key}"
        assert not module.training and not any(p.requires_grad for p in module.parameters())


def test_the_latents_scale_comes_back(folder):
    assert load_stage(folder, TINY, "autoencoder")["vae"].config.scaling_factor == 0.4375


def test_the_try_on_pipeline_is_made_of_the_last_stages(folder):
    pipe = load_pipeline(TINY, folder)
    pipe.set_progress_bar_config(disable=True)
    stored = load_file(folder / "tryon.safetensors")
    assert torch.equal(pipe.inversion_adapter.layers[0].weight, stored["inversion_adapter.layers.0.weight"].float())
    assert pipe.unet.config.in_channels == TINY.tryon_channels
    assert pipe(batch(1), output_type="pt", generator=torch.Generator().manual_seed(0)).images.isfinite().all()


def test_saving_a_stage_does_not_certify_a_damaged_neighbour(folder):
    (folder / "clip.safetensors").write_bytes(b"damaged")
    (folder / "inpainting.safetensors").unlink()
    before = read_sums(folder)
    save_stage(folder, TINY, "emasc", {"emasc": noisy(build_component(TINY, "emasc"), 9)})
    with pytest.raises(CheckpointError, match=r"clip\.safetensors is damaged"):
        load_stage(folder, TINY, "clip")
    assert load_stage(folder, TINY, "emasc") and read_sums(folder)["emasc.safetensors"] != before["emasc.safetensors"]
    assert set(before) - set(read_sums(folder)) == {"inpainting.safetensors"}


def test_a_list_of_sums_that_was_cut_off_is_refused_by_file_and_line(folder):
    sums = folder / "SHA256SUMS"
    sums.write_text(sums.read_text()[: 3 * 64])  # in the second or third sum
    with pytest.raises(CheckpointError, match=r"SHA256SUMS, line \d is '[0-9a-f]+', expected a sha256 .*; restore it"):
        load_stage(folder, TINY, "clip")
    save_stage(folder, TINY, "emasc", {"emasc": build_component(TINY, "emasc")})  # a training is not lost for it
    assert load_stage(folder, TINY, "emasc")


@pytest.mark.parametrize("stage", [s for s in STAGES if s not in ("inpainting", "inversion")])
def test_one_flipped_bit_is_refused_with_the_files_name(folder, stage):
    path = folder / f"{stage}.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=rf"{stage}\.safetensors is damaged.*sha256.*git checkout"):
        load_pipeline(TINY, folder)


def test_a_missing_file_is_named(folder):
    (folder / "emasc.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"emasc\.safetensors is missing"):
        load_pipeline(TINY, folder)


def test_an_unlisted_file_is_refused(folder):
    (folder / "SHA256SUMS").unlink()
    with pytest.raises(CheckpointError, match="no line in"):
        load_stage(folder, TINY, "clip")


def test_weights_of_another_size_are_refused(folder):
    with pytest.raises(CheckpointError, match="do not fit preset nano"):
        load_stage(folder, NANO, "clip")


def test_weights_of_another_preset_are_refused(folder):
    with pytest.raises(CheckpointError, match="trained for preset 'nano', not 'other'"):
        load_stage(folder, TINY.with_(name="other"), "clip")


def test_a_listed_file_that_is_no_safetensors_is_refused(folder):
    path = folder / "clip.safetensors"
    path.write_bytes(b"\x80\x05K\x01.")  # a pickle
    sums = folder / "SHA256SUMS"
    sums.write_text("".join(f"{sha256(f)}  {f.name}\n" for f in sorted(folder.glob("*.safetensors"))))
    with pytest.raises(CheckpointError, match="no safetensors file"):
        load_stage(folder, TINY, "clip")


def test_a_failed_save_leaves_the_old_weights(folder, monkeypatch):
    before = (folder / "clip.safetensors").read_bytes()

    def fail(tensors, path, metadata):
        path.write_bytes(b"half")
        raise OSError("disk full")

    monkeypatch.setattr("ladi_mini.checkpoints.save_file", fail)
    with pytest.raises(OSError, match="disk full"):
        save_stage(folder, TINY, "clip", {"clip": build_component(TINY, "clip")})
    assert (folder / "clip.safetensors").read_bytes() == before
    assert load_stage(folder, TINY, "clip")


def test_the_card_lies_beside_its_weights(folder):
    assert json.loads((folder / "cards" / "warping.json").read_text()) == {"stage": "warping"}


def test_models_prefer_the_adapter_trained_last(folder):
    last = load_file(folder / "tryon.safetensors")["inversion_adapter.post_layernorm.weight"].float()
    assert torch.equal(Models(TINY, folder)["inversion_adapter"].post_layernorm.weight, last)
    (folder / "tryon.safetensors").unlink()
    first = load_file(folder / "inversion.safetensors")["inversion_adapter.post_layernorm.weight"].float()
    assert torch.equal(Models(TINY, folder)["inversion_adapter"].post_layernorm.weight, first)


def test_models_say_what_they_know():
    with pytest.raises(InputError, match=r"'text_encodr' is no component; choose from .*text_encoder"):
        Models(TINY, default_folder("nano"))["text_encodr"]


def test_older_weights_do_not_stand_in_for_damaged_newer_ones(folder, monkeypatch):
    modules = {name: noisy(build_component(TINY, name), 5) for name in STAGE_COMPONENTS["tryon"]}
    monkeypatch.setattr("ladi_mini.checkpoints.SHARD", 60_000)
    save_stage(folder, TINY, "tryon", modules)[0].unlink()
    with pytest.raises(CheckpointError, match=r"tryon-00001-of-.*is missing"):
        Models(TINY, folder)["inversion_adapter"]


def test_weights_that_half_precision_cannot_hold_are_not_written(folder):
    before = sha256(folder / "warping.safetensors")
    warping = load_stage(folder, TINY, "warping")["warping"]
    name = next(name for name in warping.state_dict() if name.endswith("running_var"))
    warping.get_buffer(name)[0] = 1e5
    with pytest.raises(CheckpointError, match=rf"warping: warping\.{name} reaches 1e\+05, beyond half precision"):
        save_stage(folder, TINY, "warping", {"warping": warping})
    assert sha256(folder / "warping.safetensors") == before


def test_an_autoencoder_without_its_scale_is_refused(folder):
    path = folder / "autoencoder.safetensors"
    save_file(load_file(path), path, metadata={"preset": TINY.name, "stage": "autoencoder"})
    write_sums(folder, [path])
    with pytest.raises(CheckpointError, match=r"autoencoder\.safetensors has no scaling_factor"):
        load_stage(folder, TINY, "autoencoder")


def test_shipped_weights_of_a_folder_equal_a_pipeline_built_by_hand(folder):
    by_hand = tiny_pipeline()
    for stage in STAGES:
        modules = {n: getattr(by_hand, n) for n in STAGE_COMPONENTS[stage] if hasattr(by_hand, n)}
        if modules and stage != "inversion":
            save_stage(folder, TINY, stage, modules)
    loaded = load_pipeline(TINY, folder)
    for name in ("vae", "emasc", "warping", "refinement", "unet", "inversion_adapter"):
        for key, value in getattr(loaded, name).state_dict().items():
            expected = getattr(by_hand, name).state_dict()[key]
            assert torch.allclose(value.float(), expected.float(), atol=1e-3, rtol=1e-3), f"{name}.{key}"


def test_a_large_stage_lies_in_several_files_and_comes_back(folder, monkeypatch):
    modules = {name: noisy(build_component(TINY, name), 5) for name in STAGE_COMPONENTS["tryon"]}
    monkeypatch.setattr("ladi_mini.checkpoints.SHARD", 60_000)
    paths = save_stage(folder, TINY, "tryon", modules)
    assert len(paths) > 2 and paths == stage_files(folder, "tryon") and not (folder / "tryon.safetensors").exists()
    assert paths[0].name == f"tryon-00001-of-{len(paths):05d}.safetensors"
    assert all(sum(t.nbytes for t in load_file(path).values()) <= 60_000 or len(load_file(path)) == 1 for path in paths)
    for name, module in load_stage(folder, TINY, "tryon").items():
        for key, value in module.state_dict().items():
            assert torch.equal(value, modules[name].state_dict()[key].half().to(value.dtype)), f"{name}.{key}"
    assert torch.equal(
        Models(TINY, folder)["inversion_adapter"].post_layernorm.weight, modules["inversion_adapter"].post_layernorm.weight.half()
    )
    paths[1].unlink()
    with pytest.raises(CheckpointError, match=rf"{paths[1].name} is missing; train it with `ladi-mini train tryon "):
        load_pipeline(TINY, folder)


def test_a_stage_saved_whole_takes_the_place_of_its_parts(folder, monkeypatch):
    modules = {name: noisy(build_component(TINY, name), 6) for name in STAGE_COMPONENTS["tryon"]}
    with monkeypatch.context() as patch:
        patch.setattr("ladi_mini.checkpoints.SHARD", 60_000)
        save_stage(folder, TINY, "tryon", modules)
    assert save_stage(folder, TINY, "tryon", modules) == [folder / "tryon.safetensors"]
    assert not list(folder.glob("tryon-*")) and not [name for name in read_sums(folder) if name.startswith("tryon-")]
    assert load_stage(folder, TINY, "tryon")


def test_what_is_shipped_is_light_enough_to_carry():
    weights = {path: path.stat().st_size for path in default_folder("mini").parent.glob("*/*.safetensors")}
    assert max(weights.values()) <= 15e6 and sum(weights.values()) <= 44e6
    tryon = [stage for stage in STAGES if stage not in ("inpainting", "inversion")]
    assert sum(weights[path] for stage in tryon for path in stage_files(default_folder("mini"), stage)) <= 38e6


def test_fingerprints_tell_the_weights_and_nothing_else(folder):
    models = Models(TINY, folder)
    parts = {name: models[name] for name in ("unet", "vae", "scheduler")}
    before = fingerprints(parts)
    assert set(before) == {"unet", "vae"} and all(len(value) == 12 for value in before.values())
    parts["unet"].half()
    assert fingerprints(parts) == before  # the file's own precision
    other = Models(TINY, folder)
    assert fingerprints({name: other[name] for name in ("unet", "vae")}) == before
    next(other["vae"].parameters()).flatten()[0] += 1
    after = fingerprints({name: other[name] for name in ("unet", "vae")})
    assert after["unet"] == before["unet"] and after["vae"] != before["vae"]
