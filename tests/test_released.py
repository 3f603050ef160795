"""released.py: the whole path at a tiny size, from .pth files to a picture, and every way in which a file can be wrong."""

import json
import os
import sys
from copy import deepcopy

import pytest
import torch
import torch.nn.functional as F
from open_clip.constants import OPENAI_DATASET_MEAN, OPENAI_DATASET_STD
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from transformers import CLIPModel, CLIPTextModel, CLIPVisionModelWithProjection

from ladi_mini import cli_released
from ladi_mini.checkpoints import load_pipeline
from ladi_mini.clip import image_encoder_config, text_encoder_config
from ladi_mini.diffusion import (
    Conditions,
    build_autoencoder,
    build_scheduler,
    denoise,
    drop_garment,
    encode,
    static_channels,
)
from ladi_mini.emasc import decode_with_skips, encode_with_taps
from ladi_mini.inversion import encode_prompt
from ladi_mini.pipeline import TryOnPipeline
from ladi_mini.presets import FULL
from ladi_mini.released import BUILDERS, PARTS, convert, expected_tensors, load_converted, read_released
from ladi_mini.sample import InputError, collate
from ladi_mini.sums import CheckpointError, sha256
from ladi_mini.wardrobe import Wardrobe
from ladi_mini.warping import tps_grid

TINY = FULL.with_(  # the released model's form at the smallest size; the grid of 32 x 24 is resized to 64 x 48
    height=64, width=48, vae_channels=(8, 8, 8, 16), vae_layers=1, vae_groups=4, unet_channels=(16, 32), unet_layers=1,
    unet_attention=(True, False), unet_heads=(2, 4), unet_groups=8, vocab_size=514, text_width=16, text_layers=2, text_heads=2,
    vision_size=28, vision_patch=14, vision_width=16, vision_layers=2, vision_heads=2, clip_dim=16, adapter_hidden=16,
    warp_height=32, warp_width=24, warp_channels=(8,), warp_regression=(16, 16, 8, 8), refinement_channels=4, refinement_depth=1,
)  # fmt: skip
OLD_ATTENTION = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}


@pytest.fixture(scope="module")
def modules() -> dict[str, torch.nn.Module]:
    """Every network of the pipeline with weights of its own."""
    torch.manual_seed(0)
    made = {name: build(TINY) for name, build in BUILDERS.items()} | {
        "vae": build_autoencoder(TINY),
        "text_encoder": CLIPTextModel(text_encoder_config(TINY)),
        "image_encoder": CLIPVisionModelWithProjection(image_encoder_config(TINY)),
    }
    for seed, module in enumerate(made.values()):
        lively(module.eval().requires_grad_(False), torch.Generator().manual_seed(seed))
    return made


def lively(module: torch.nn.Module, generator: torch.Generator):
    """Fills a module so that every part of its input matters to its output, running statistics included."""
    for name, tensor in [*module.named_parameters(), *module.named_buffers()]:
        noise = torch.randn(tensor.shape, generator=generator)
        if name.endswith("running_var"):
            tensor.copy_(1 + 0.1 * noise.abs())
        elif name.endswith(("running_mean", "bias")):
            tensor.copy_(0.1 * noise)
        elif tensor.is_floating_point():
            tensor.copy_(1 + 0.1 * noise if tensor.ndim == 1 else noise / tensor[0].numel() ** 0.5)


def released_state(modules, kind: str) -> dict:
    """What the authors' file of `kind` holds, the spline's constants included."""
    parts = {part: dict(modules[component].state_dict()) for part, component in PARTS[kind].items()}
    if kind != "warping":
        return parts[""]
    unknowns = TINY.warp_points**2 + 3
    shapes = {
        "inverse_kernel": (unknowns, unknowns),
        "padding_matrix": (3, 2),
        "target_coordinate_repr": (TINY.warp_height * TINY.warp_width, unknowns),
    }
    parts["tps"] |= {f"gridGen.{name}": torch.zeros(shape) for name, shape in shapes.items()}
    return parts


def write_tokenizer(folder):
    """A tokenizer of CLIP's form without merges: every byte, every byte that ends a word, start and end."""
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    letters = [chr(b) for b in printable] + [chr(256 + i) for i in range(256 - len(printable))]
    tokens = [*letters, *(f"{letter}</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    folder.mkdir(parents=True)
    (folder / "vocab.json").write_text(json.dumps({token: i for i, token in enumerate(tokens)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    config = {"tokenizer_class": "CLIPTokenizer", "model_max_length": 77, "pad_token": "<|endoftext|>"}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))


@pytest.fixture(scope="module")
def written(modules, tmp_path_factory):
    """The authors' files, a base and an image encoder on disk, as a user has them; not to be changed."""
    root = tmp_path_factory.mktemp("released")
    (root / "pth").mkdir()
    for kind in PARTS:
        torch.save(released_state(modules, kind), root / "pth" / f"{kind}_vitonhd.pth")
    modules["vae"].save_pretrained(root / "base" / "vae")
    modules["text_encoder"].save_pretrained(root / "base" / "text_encoder")
    build_scheduler(TINY).save_pretrained(root / "base" / "scheduler")
    write_tokenizer(root / "base" / "tokenizer")
    modules["image_encoder"].save_pretrained(root / "image_encoder")
    convert(sorted((root / "pth").iterdir()), root / "weights", preset=TINY)
    return root


@pytest.fixture()
def folder(written, tmp_path):
    """A copy of it that a test may spoil."""
    import shutil

    shutil.copytree(written, tmp_path / "copy")
    return tmp_path / "copy"


def load(root, **changes):
    options = {"released": "vitonhd", "weights": root / "weights", "base": root / "base", "image_encoder": root / "image_encoder"}
    pipe = load_pipeline(TINY, **options | changes)
    pipe.set_progress_bar_config(disable=True)
    return pipe


def batch(count: int = 2):
    people = Wardrobe("test", TINY.height, TINY.width, unpaired=True)
    return collate([people[i] for i in range(count)])


def said(error) -> str:
    """The error's text, which must be one sentence of one line."""
    text = str(error.value)
    assert "\n" not in text and text.endswith(".") and text.count(". ") == 0, text
    return text


# ---------------------------------------------------------------- the whole path


@torch.no_grad()
def by_hand(modules, people, start, steps: int, align_corners: bool = False) -> torch.Tensor:
    """The authors' inference, step by step, in plain calls."""
    m, scale = modules, TINY.scaling_factor
    agnostic = people.person * (1 - people.inpaint_mask)
    points = m["warping"](people.garment, agnostic, people.pose_map).control_points
    grid = F.interpolate(tps_grid(points, 32, 24).permute(0, 3, 1, 2), (64, 48), mode="bilinear", align_corners=False)
    warped = F.grid_sample(people.garment, grid.permute(0, 2, 3, 1), padding_mode="border", align_corners=align_corners)
    refined = m["refinement"](agnostic, people.pose_map, warped).clamp(-1, 1)
    pixels = F.interpolate((people.garment + 1) / 2, (28, 28), mode="bilinear", antialias=True).clamp(0, 1)
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in (OPENAI_DATASET_MEAN, OPENAI_DATASET_STD))
    seen = m["image_encoder"](((pixels * 255).floor() / 255 - mean) / std).last_hidden_state
    words = m["inversion_adapter"](seen)
    garments = {"upper_body": "an upper body garment", "lower_body": "a lower body garment", "dresses": "a dress"}
    sentences = [f"a photo of a model wearing {garments[c]}" for c in people.category]
    ids = torch.tensor([spelled(sentence, 16) for sentence in sentences])
    posterior, taps = encode_with_taps(m["vae"], agnostic)
    static = static_channels(people.inpaint_mask, posterior.mode() * scale, people.pose_map, encode(m["vae"], refined))
    given = Conditions(static, encode_prompt(m["text_encoder"], ids, words, 259))
    empty = m["text_encoder"](torch.tensor([spelled("", 0)] * len(people))).last_hidden_state
    without = Conditions(drop_garment(static, 4), empty)
    latents = denoise(m["unet"], build_scheduler(TINY), start, given, without, 7.5, steps)
    image = decode_with_skips(m["vae"], latents / scale, m["emasc"](taps, people.inpaint_mask))
    return (image / 2 + 0.5).clamp(0, 1)


def spelled(sentence: str, words: int) -> list[int]:
    """Token ids of small letters under `write_tokenizer`: a letter is its place after "!", the last of a word 256 later."""
    ids = [512]
    for word in sentence.split():
        numbers = [ord(letter) - ord("!") for letter in word]
        ids += [*numbers[:-1], numbers[-1] + 256]
    ids += [259] * words + [513]
    return ids + [0] * (77 - len(ids))


def test_the_pipeline_gives_what_the_same_weights_give_by_hand(written, modules):
    people, start = batch(), torch.randn(2, 4, 8, 6, generator=torch.Generator().manual_seed(1))
    out = load(written)(people, num_inference_steps=2, latents=start, output_type="pt").images
    expected = by_hand(modules, people, start, steps=2)
    assert out.shape == (2, 3, 64, 48) and expected.std() > 0.01
    assert (out - expected).abs().max() <= 1e-4
    ours = by_hand(modules, people, start, steps=2, align_corners=True)
    assert (out - ours).abs().max() > 1e-2  # even the smallest difference of conventions shows


def test_a_call_is_guided_by_7_5_for_50_steps_in_the_released_convention(written):
    pipe = load(written)
    assert pipe.config.guidance_scale == 7.5 and pipe.config.num_inference_steps == 50
    assert pipe.config.convention == pipe.warping.config.convention == "released"
    assert not pipe.warping.align_corners and not pipe.refinement.config.residual


def test_prompts_hold_token_259_for_words_and_token_0_for_padding(written):
    tokenizer = load(written).tokenizer
    ids = tokenizer("a $ $", padding="max_length").input_ids
    assert ids == [512, ord("a") - ord("!") + 256, 259, 259, 513] + [0] * 72


def test_nothing_is_left_on_the_meta_device_or_in_training(written):
    for name, part in load(written).components.items():
        if isinstance(part, torch.nn.Module):
            tensors = [*part.parameters(), *part.buffers()]
            assert not any(t.is_meta or t.requires_grad for t in tensors) and not part.training, name


def test_every_component_but_the_warp_takes_the_precision_asked_for(written):
    pipe = load(written, dtype=torch.bfloat16)
    parts = {name: part for name, part in pipe.components.items() if isinstance(part, torch.nn.Module)}
    kept = {"warping", "refinement"}
    for name, part in parts.items():
        assert {p.dtype for p in part.parameters()} == {torch.float32 if name in kept else torch.bfloat16}, name
    people, start = batch(1), torch.randn(1, 4, 8, 6, generator=torch.Generator().manual_seed(1))
    options = {"num_inference_steps": 2, "output_type": "pt", "guidance_scale": 1.5}
    rough = pipe(people, latents=start.bfloat16(), **options).images
    exact = load(written)(people, latents=start, **options).images
    assert 0 < (rough - exact).abs().mean() < 0.02


def test_saved_and_loaded_it_is_still_the_released_model(written, tmp_path):
    pipe = load(written)
    pipe.save_pretrained(tmp_path / "saved")
    again = TryOnPipeline.from_pretrained(tmp_path / "saved")
    again.set_progress_bar_config(disable=True)
    assert again.config.convention == "released" and again.tokenizer.pad_token_id == 0
    start = torch.randn(2, 4, 8, 6, generator=torch.Generator().manual_seed(1))
    options = {"num_inference_steps": 2, "latents": start, "output_type": "pt"}
    assert torch.equal(pipe(batch(), **options).images, again(batch(), **options).images)


def test_an_old_bases_attention_names_are_understood(folder, modules):
    path = folder / "base" / "vae" / "diffusion_pytorch_model.safetensors"
    state = load_file(path)
    renamed = {}
    for name, value in state.items():
        for new, old in OLD_ATTENTION.items():
            name = name.replace(f".{new}.", f".{old}.")
        renamed[name] = value.clone()
    assert sum("proj_attn" in name for name in renamed) == 4
    save_file(renamed, path, metadata={"format": "pt"})
    loaded = load(folder).vae.state_dict()
    assert all(torch.equal(loaded[name], value) for name, value in modules["vae"].state_dict().items())


def test_a_text_encoder_of_older_transformers_is_understood(folder, modules):
    path = folder / "base" / "text_encoder" / "model.safetensors"
    state = {f"text_model.{name.removeprefix('text_model.')}": value for name, value in load_file(path).items()}
    save_file(state | {"text_model.embeddings.position_ids": torch.arange(77)[None]}, path, metadata={"format": "pt"})
    loaded = load(folder).text_encoder.state_dict()
    assert all(torch.equal(loaded[name], value) for name, value in modules["text_encoder"].state_dict().items())


def test_the_image_tower_is_taken_out_of_a_whole_clip(folder, modules, capfd):
    from transformers import CLIPConfig

    text, vision = text_encoder_config(TINY).to_dict(), image_encoder_config(TINY).to_dict()
    whole = CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=TINY.clip_dim))
    whole.load_state_dict(modules["image_encoder"].state_dict(), strict=False)
    whole.save_pretrained(folder / "whole")
    capfd.readouterr()
    loaded = load(folder, image_encoder=folder / "whole").image_encoder.state_dict()
    assert all(torch.equal(loaded[name], value) for name, value in modules["image_encoder"].state_dict().items())
    assert "UNEXPECTED" not in "".join(capfd.readouterr())


def test_the_default_pipeline_refuses_the_released_models_options():
    with pytest.raises(InputError, match="add released="):
        load_pipeline("nano", base="somewhere")


# ---------------------------------------------------------------- converting


@pytest.mark.parametrize("kind", PARTS)
def test_a_converted_file_holds_the_tensors_bit_for_bit(written, modules, kind):
    for component, module in load_converted(written / "weights" / f"{kind}_vitonhd.safetensors", kind, TINY).items():
        expected = modules[component].state_dict()
        state = module.state_dict()
        assert set(state) == set(expected)
        assert all(torch.equal(state[name], value) and state[name].dtype == value.dtype for name, value in expected.items())


def test_a_converted_file_says_where_it_comes_from(written):
    with safe_open(written / "weights" / "emasc_vitonhd.safetensors", framework="pt") as file:
        provenance = json.loads(file.metadata()["provenance"])
    assert provenance == {
        "preset": "full", "kind": "emasc", "dataset": "vitonhd", "dtype": "stored", "source": "emasc_vitonhd.pth",
        "source_sha256": sha256(written / "pth" / "emasc_vitonhd.pth"), "licence": "CC BY-NC 4.0",
    }  # fmt: skip


def test_converting_twice_gives_the_same_bytes(written, tmp_path):
    convert(sorted((written / "pth").iterdir()), tmp_path, preset=TINY)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == sorted(path.name for path in (written / "weights").iterdir()) and len(names) == 5
    assert all((tmp_path / name).read_bytes() == (written / "weights" / name).read_bytes() for name in names)


def test_half_precision_spares_running_statistics_and_whole_numbers(written, tmp_path):
    (path,) = convert([written / "pth" / "warping_vitonhd.pth"], tmp_path, dtype="fp16", preset=TINY)
    for name, value in load_file(path).items():
        kept = {"running_mean": torch.float32, "running_var": torch.float32, "num_batches_tracked": torch.int64}
        assert value.dtype == kept.get(name.rpartition(".")[2], torch.float16), name
    module = load_converted(path, "warping", TINY)["warping"]
    assert {p.dtype for p in module.parameters()} == {torch.float32}


def test_a_half_precision_file_becomes_full_precision_on_request(modules, tmp_path):
    torch.save({name: value.half() for name, value in modules["emasc"].state_dict().items()}, tmp_path / "emasc_dresscode.pth")
    (stored,) = convert([tmp_path / "emasc_dresscode.pth"], tmp_path / "stored", preset=TINY)
    (full,) = convert([tmp_path / "emasc_dresscode.pth"], tmp_path / "full", dtype="fp32", preset=TINY)
    assert {v.dtype for v in load_file(stored).values()} == {torch.float16}
    assert {v.dtype for v in load_file(full).values()} == {torch.float32}


def test_the_format_before_torch_1_6_is_read(modules, tmp_path):
    path = tmp_path / "emasc_vitonhd.pth"
    torch.save(modules["emasc"].state_dict(), path, _use_new_zipfile_serialization=False)
    assert set(read_released(path, "emasc", TINY)) == set(expected_tensors("emasc", TINY))


def test_a_second_conversion_keeps_the_first_ones_sums(written, modules, tmp_path):
    convert([written / "pth" / "unet_vitonhd.pth"], tmp_path, preset=TINY)
    convert([written / "pth" / "emasc_vitonhd.pth"], tmp_path, preset=TINY)
    lines = (tmp_path / "SHA256SUMS").read_text().splitlines()
    assert lines == [f"{sha256(path)}  {path.name}" for path in sorted(tmp_path.glob("*.safetensors"))] and len(lines) == 2


def test_full_size_files_are_expected_to_hold_what_the_authors_files_hold():
    counts = {kind: len(expected_tensors(kind)) for kind in PARTS}
    assert counts == {"warping": 107 - 3 + 110, "emasc": 20, "inversion_adapter": 24, "unet": 686}


def without(name):
    return lambda state: state.pop(name)


def put(name, value):
    return lambda state: state.__setitem__(name, value)


class Code:
    """Pickled, it asks the reader to run a function."""

    def __reduce__(self):
        return os.mkdir, ("was_run",)


EMASC_FAULTS = {
    "missing tensor": (without("conv.3.0.bias"), "1 of 20 tensors missing, first conv.3.0.bias"),
    "unknown tensor": (put("conv.9.bias", torch.zeros(1)), "1 of 20 tensors unknown, first conv.9.bias"),
    "wrong shape": (put("conv.0.0.bias", torch.zeros(9)), r"conv.0.0.bias has shape \(9,\), expected \(8,\)"),
    "whole numbers": (put("conv.0.0.bias", torch.zeros(8, dtype=torch.int64)), "whole numbers, expected fractions"),
    "no tensor": (put("conv.0.0.bias", [0.0] * 8), "conv.0.0.bias is a list, expected a tensor"),
    "not finite": (put("conv.0.0.bias", torch.full((8,), torch.nan)), "values that are no numbers"),
    "code": (put("conv.0.0.bias", Code()), "holds code, expected tensors alone, and was not run"),
}


@pytest.mark.parametrize("fault", EMASC_FAULTS)
def test_a_wrong_file_is_refused_in_one_sentence_and_nothing_is_written(modules, written, tmp_path, monkeypatch, fault):
    monkeypatch.chdir(tmp_path)
    spoil, words = EMASC_FAULTS[fault]
    state = dict(modules["emasc"].state_dict())
    spoil(state)
    torch.save(state, tmp_path / "emasc_vitonhd.pth")
    with pytest.raises(CheckpointError, match=words) as error:  # a good file comes first, and is not written either
        convert([written / "pth" / "unet_vitonhd.pth", tmp_path / "emasc_vitonhd.pth"], tmp_path / "out", preset=TINY)
    assert "emasc_vitonhd.pth" in said(error)
    assert not (tmp_path / "out").exists() and not (tmp_path / "was_run").exists()


BROKEN_BYTES = {
    "empty": (lambda content: b"", "damaged or no PyTorch file"),
    "half": (lambda content: content[: len(content) // 2], "truncated"),
    "last kilobyte gone": (lambda content: content[:-1024], "truncated"),
    "a web page": (lambda content: b"<!DOCTYPE html><html>Not Found</html>", "no PyTorch file"),
    "a text pointer": (lambda content: b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "no PyTorch file"),
    "another zip": (lambda content: zipped(), "damaged or no PyTorch file"),
}


def zipped() -> bytes:
    import io
    import zipfile

    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("readme.txt", "nothing")
    return buffer.getvalue()


@pytest.mark.parametrize("fault", BROKEN_BYTES)
def test_broken_bytes_are_refused_in_one_sentence_and_nothing_is_written(written, tmp_path, fault):
    spoil, words = BROKEN_BYTES[fault]
    path = tmp_path / "warping_vitonhd.pth"
    path.write_bytes(spoil((written / "pth" / "warping_vitonhd.pth").read_bytes()))
    with pytest.raises(CheckpointError, match=words) as error:
        convert([path], tmp_path / "out", preset=TINY)
    assert "warping_vitonhd.pth" in said(error) and "github.com/miccunifi/ladi-vton" in said(error)
    assert not (tmp_path / "out").exists()


WARPING_FAULTS = {
    "training checkpoint": (put("optimizer_tps", {}), "holds optimizer_tps, refinement, tps, expected refinement, tps"),
    "half of it": (without("refinement"), "holds tps, expected refinement, tps"),
    "part that is no dictionary": (put("tps", torch.zeros(3)), "holds a Tensor, expected names with tensors"),
    "spline constant of another size": (
        lambda state: state["tps"].update({"gridGen.padding_matrix": torch.zeros(4, 2)}),
        r"tps.gridGen.padding_matrix has shape \(4, 2\), expected \(3, 2\)",
    ),
    "unknown spline constant": (
        lambda state: state["tps"].update({"gridGen.other": torch.zeros(1)}),
        "unknown, first tps.gridGen.other",
    ),
    "missing tensor": (lambda state: state["tps"].pop("loc_net.regression.linear.bias"), "missing, first tps.loc_net"),
}


@pytest.mark.parametrize("fault", WARPING_FAULTS)
def test_a_wrong_warping_file_is_refused(modules, tmp_path, fault):
    spoil, words = WARPING_FAULTS[fault]
    state = deepcopy(released_state(modules, "warping"))
    spoil(state)
    torch.save(state, tmp_path / "warping_vitonhd.pth")
    with pytest.raises(CheckpointError, match=words) as error:
        convert([tmp_path / "warping_vitonhd.pth"], tmp_path / "out", preset=TINY)
    assert said(error) and not (tmp_path / "out").exists()


def test_a_file_that_is_one_list_is_refused(tmp_path):
    torch.save([1, 2], tmp_path / "emasc_vitonhd.pth")
    with pytest.raises(CheckpointError, match="holds a list, expected names with tensors") as error:
        convert([tmp_path / "emasc_vitonhd.pth"], tmp_path / "out", preset=TINY)
    assert said(error)


def test_values_beyond_half_precision_are_refused_in_half_precision_alone(modules, tmp_path):
    state = dict(modules["emasc"].state_dict()) | {"conv.0.0.bias": torch.full((8,), 1e5)}
    torch.save(state, tmp_path / "emasc_vitonhd.pth")
    with pytest.raises(CheckpointError, match="beyond half precision; convert with --dtype fp32") as error:
        convert([tmp_path / "emasc_vitonhd.pth"], tmp_path / "out", dtype="fp16", preset=TINY)
    assert said(error) and not (tmp_path / "out").exists()
    assert convert([tmp_path / "emasc_vitonhd.pth"], tmp_path / "out", preset=TINY)


@pytest.mark.parametrize(
    ("names", "options", "words"),
    [
        (["vgg_vitonhd.pth"], {}, "no known kind"),
        (["emasc.pth"], {}, "--dataset vitonhd or --dataset dresscode"),
        (["emasc_vitonhd.pth"], {"dataset": "dresscode"}, "is for vitonhd by its name"),
        (["emasc_vitonhd.pth"], {"dataset": "deepfashion"}, "expected vitonhd or dresscode"),
        (["emasc_vitonhd.pth"], {"dtype": "int8"}, "expected fp16 or fp32"),
        (["emasc_vitonhd.pth", "emasc_40000_vitonhd.pth"], {}, "both become emasc_vitonhd.safetensors"),
        (["emasc_vitonhd.pth", "missing_vitonhd.pth"], {}, "no known kind"),
        (["unet_dresscode.pth"], {}, "does not exist"),
        ([], {}, "no file was given"),
    ],
)
def test_a_wrong_request_is_refused_in_one_sentence(written, tmp_path, names, options, words):
    with pytest.raises(InputError, match=words) as error:
        convert([written / "pth" / name for name in names], tmp_path / "out", preset=TINY, **options)
    assert said(error) and not (tmp_path / "out").exists()


def test_the_data_set_is_taken_from_the_option_where_the_name_lacks_it(written, tmp_path):
    (tmp_path / "emasc.pth").write_bytes((written / "pth" / "emasc_vitonhd.pth").read_bytes())
    assert convert([tmp_path / "emasc.pth"], tmp_path, dataset="dresscode", preset=TINY) == [
        tmp_path / "emasc_dresscode.safetensors"
    ]


def test_an_unwritable_folder_is_refused_and_leaves_no_part(written, tmp_path, monkeypatch):
    def fail(tensors, path, metadata):
        path.write_bytes(b"half")
        raise OSError("No space left on device")

    monkeypatch.setattr("ladi_mini.released.save_file", fail)
    with pytest.raises(InputError, match=r"cannot be written \(No space left on device\)") as error:
        convert([written / "pth" / "emasc_vitonhd.pth"], tmp_path / "out", preset=TINY)
    assert said(error) and list((tmp_path / "out").iterdir()) == []


def test_the_command_converts_and_says_what_it_wrote(written, tmp_path, monkeypatch, capsys):
    import typer

    app = typer.Typer(add_completion=False)
    app.command()(cli_released.convert)
    monkeypatch.setattr("ladi_mini.released.convert.__defaults__", (None, None, TINY))
    files = [str(written / "pth" / f"{kind}_vitonhd.pth") for kind in ("emasc", "unet")]
    monkeypatch.setattr(sys, "argv", ["convert", *files, "--out", str(tmp_path / "new"), "--dtype", "fp16"])
    with pytest.raises(SystemExit) as stop:
        app()
    assert stop.value.code == 0
    out = capsys.readouterr().out
    assert all((tmp_path / "new" / f"{kind}_vitonhd.safetensors").is_file() for kind in ("emasc", "unet"))
    assert "emasc_vitonhd.safetensors" in out and "unet_vitonhd.safetensors" in out


# ---------------------------------------------------------------- what is missing or of another model


def test_all_that_is_missing_is_said_at_once_with_where_to_get_it():
    with pytest.raises(CheckpointError) as error:
        load_pipeline("full", released="vitonhd")
    text = said(error)
    for words in (
        *(f"{kind}_vitonhd.pth" for kind in PARTS), "Weights and Dress Code masks release", "ladi-mini convert",
        "sd2-community/stable-diffusion-2-inpainting", "laion/CLIP-ViT-H-14-laion2B-s32B-b79K",
    ):  # fmt: skip
        assert words in text


@pytest.mark.parametrize("kind", PARTS)
def test_a_missing_file_alone_is_named_with_the_file_to_download(folder, kind):
    (folder / "weights" / f"{kind}_vitonhd.safetensors").unlink()
    with pytest.raises(CheckpointError, match=rf"lacks {kind}_vitonhd \(download {kind}_vitonhd.pth from") as error:
        load(folder)
    assert "base" not in said(error)


def test_the_other_data_sets_weights_do_not_serve(written):
    with pytest.raises(CheckpointError, match="lacks warping_dresscode") as error:
        load(written, released="dresscode")
    assert said(error)


@pytest.mark.parametrize("part", ["vae/config.json", "text_encoder/config.json", "scheduler/scheduler_config.json"])
def test_a_base_that_lacks_a_part_is_refused(folder, part):
    (folder / "base" / part).unlink()
    with pytest.raises(CheckpointError, match=f"lacks {part}") as error:
        load(folder)
    assert said(error)


def spoil_json(path, **changes):
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def spoil_tensors(path, change):
    state = load_file(path)
    change(state)
    save_file({name: value.clone() for name, value in state.items()}, path, metadata={"format": "pt"})


BASE_FAULTS = {
    "vae without a tensor": (
        lambda f: spoil_tensors(f / "base/vae/diffusion_pytorch_model.safetensors", without("encoder.conv_in.weight")),
        "vae of .* 1 tensors are missing, first encoder.conv_in.weight",
    ),
    "text encoder without a tensor": (
        lambda f: spoil_tensors(f / "base/text_encoder/model.safetensors", without("final_layer_norm.weight")),
        "text_encoder of .* 1 tensors are missing",
    ),
    "image encoder without a tensor": (
        lambda f: spoil_tensors(f / "image_encoder/model.safetensors", without("vision_model.pre_layrnorm.weight")),
        "image encoder of .* 1 tensors are missing",
    ),
    "vae of another size": (
        lambda f: build_autoencoder(TINY.with_(vae_layers=2)).save_pretrained(f / "base/vae"),
        "vae of .* is another model's: .* unknown",
    ),
    "vae of another scale": (
        lambda f: spoil_json(f / "base/vae/config.json", scaling_factor=1.0),
        "vae of .* is another model's: scaling_factor is 1.0, expected 0.18215",
    ),
    "text encoder of another activation": (
        lambda f: spoil_json(f / "base/text_encoder/config.json", hidden_act="quick_gelu"),
        "text_encoder of .* hidden_act is 'quick_gelu', expected 'gelu'",
    ),
    "image encoder of another size": (
        lambda f: CLIPVisionModelWithProjection(image_encoder_config(TINY.with_(vision_width=32))).save_pretrained(
            f / "image_encoder"
        ),
        r"image encoder of .* has shape \(32,\), expected \(16,\)",
    ),
    "base that predicts velocity": (
        lambda f: spoil_json(f / "base/scheduler/scheduler_config.json", prediction_type="v_prediction"),
        "scheduler of .* prediction_type is 'v_prediction', expected 'epsilon'",
    ),
    "tokenizer of another vocabulary": (
        lambda f: (f / "base/tokenizer/vocab.json").write_text(
            json.dumps({"<|startoftext|>": 0, "<|endoftext|>": 1, "$</w>": 2})
        ),
        "tokenizer of .* becomes tokens",
    ),
    "truncated vae": (
        lambda f: os.truncate(f / "base/vae/diffusion_pytorch_model.safetensors", 3000),
        "vae cannot be read from .* check that folder",
    ),
    "truncated text encoder": (
        lambda f: os.truncate(f / "base/text_encoder/model.safetensors", 3000),
        "text_encoder cannot be read from .* check that folder",
    ),
    "broken configuration": (
        lambda f: (f / "base/vae/config.json").write_text("{"),
        "vae cannot be read from .* check that folder",
    ),
    "pickled weights alone": (
        lambda f: (f / "image_encoder/model.safetensors").rename(f / "image_encoder/pytorch_model.bin"),
        "image encoder cannot be read from .* check that folder",
    ),
}


@pytest.mark.parametrize("fault", BASE_FAULTS)
def test_a_wrong_base_or_image_encoder_is_refused_in_one_sentence(folder, fault):
    spoil, words = BASE_FAULTS[fault]
    spoil(folder)
    with pytest.raises(CheckpointError, match=words) as error:
        load(folder)
    assert said(error)


def test_a_damaged_converted_file_is_refused(folder):
    path = folder / "weights" / "unet_vitonhd.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"is damaged: its sha256 .* convert unet_vitonhd.pth again") as error:
        load(folder)
    assert said(error)


def test_a_converted_file_under_another_name_is_refused(folder):
    weights = folder / "weights"
    for kind in PARTS:
        (weights / f"{kind}_vitonhd.safetensors").rename(weights / f"{kind}_dresscode.safetensors")
    sums = weights / "SHA256SUMS"
    sums.write_text(sums.read_text().replace("vitonhd", "dresscode"))
    with pytest.raises(CheckpointError, match=r"was converted as warping_vitonhd; give it that name back") as error:
        load(folder, released="dresscode")
    assert said(error)


@pytest.mark.parametrize("part", ["base", "image_encoder"])
def test_a_place_that_is_neither_folder_nor_hub_id_is_refused(written, part):
    with pytest.raises(CheckpointError, match="neither a folder nor a hub id") as error:
        load(written, **{part: "/no/such/folder"})
    assert said(error)


@pytest.mark.parametrize("part", ["base", "image_encoder"])
def test_a_hub_id_without_network_is_refused_in_one_sentence(written, part):
    with pytest.raises(CheckpointError, match=r"cannot be read from nobody/nothing .* switched off by HF_HUB_OFFLINE") as error:
        load(written, **{part: "nobody/nothing"})
    assert said(error)


def test_a_hub_id_is_handed_to_the_libraries_as_it_is(written, monkeypatch):
    asked = []
    original = CLIPVisionModelWithProjection.from_pretrained.__func__

    def from_pretrained(cls, place, **options):
        asked.append(place)
        return original(cls, written / "image_encoder", **options)

    monkeypatch.setattr(CLIPVisionModelWithProjection, "from_pretrained", classmethod(from_pretrained))
    load(written, image_encoder="somebody/vit")
    assert asked == ["somebody/vit"]


@pytest.mark.parametrize(
    ("preset", "released", "words"),
    [
        ("full", "deepfashion", "expected vitonhd or dresscode"),
        ("nano", "vitonhd", "released weights are of preset full, not nano"),
    ],
)
def test_a_wrong_model_is_refused(preset, released, words):
    with pytest.raises(InputError, match=words) as error:
        load_pipeline(preset, released=released)
    assert said(error)
