"""cli: `tryon --released` loads the authors' model and reads samples by their rules; `bench` says what it needs."""

import pytest
import torch
from tiny import TINY, samples, tiny_pipeline

from ladi_mini import checkpoints, cli
from ladi_mini.datasets import VitonHD

VITONHD = __file__.replace("test_cli_released.py", "fixtures/reference/vitonhd")
PARTS = ("--weights", "W", "--base", "B", "--image-encoder", "E")


@pytest.mark.parametrize(("options", "convention"), [(("--released", "vitonhd", *PARTS), "released"), ((), "ours")])
def test_samples_are_read_in_the_convention_of_the_weights(run, monkeypatch, options, convention):
    monkeypatch.setattr(cli, "get_preset", lambda name: TINY.with_(name=name, height=128, width=96))
    seen = {}
    monkeypatch.setattr(cli, "_run", lambda samples, preset, *_, **parts: seen.update(sample=samples[0], preset=preset, **parts))
    assert run("tryon", "--data", VITONHD, "--layout", "vitonhd", "--pair", 1, *options)[0] == 0
    expected, other = (VitonHD(VITONHD, "test", "unpaired", 128, 96, convention=c)[1] for c in ("released", "ours"))
    expected, other = (expected, other) if convention == "released" else (other, expected)
    assert torch.equal(seen["sample"].inpaint_mask, expected.inpaint_mask)
    assert torch.equal(seen["sample"].pose_map, expected.pose_map) and not torch.equal(seen["sample"].pose_map, other.pose_map)
    if convention == "released":
        assert {k: seen[k] for k in ("preset", "released", "base", "image_encoder")} == {
            "preset": "full", "released": "vitonhd", "base": "B", "image_encoder": "E"
        }  # fmt: skip
    else:
        assert seen["preset"] == "mini" and "released" not in seen


def test_the_released_model_is_loaded_from_the_parts_that_were_named(monkeypatch, tmp_path):
    asked = {}

    def load(preset, *_, **options):
        asked.update(options, preset=preset)
        return tiny_pipeline()

    monkeypatch.setattr(checkpoints, "load_pipeline", load)
    parts = {"released": "vitonhd", "base": "B", "image_encoder": "E"}
    cli._run(samples(1), "full", "W", 2, None, 0, tmp_path / "out.png", **parts)
    assert (tmp_path / "out_result.png").is_file()
    assert {k: asked[k] for k in ("preset", "weights", *parts)} == {"preset": "full", "weights": "W", **parts}


def test_parts_that_are_missing_are_named_in_one_sentence(run, tmp_path):
    options = ("--data", VITONHD, "--layout", "vitonhd", "--released", "vitonhd", "--weights", tmp_path)
    code, _, err = run("tryon", *options)
    assert code == 2 and "unet_vitonhd" in err and "no base is given" in err and "no image encoder" in err


def test_parts_without_the_released_model_are_refused(run):
    code, _, err = run("tryon", "--data", VITONHD, "--layout", "vitonhd", "--base", "B")
    assert code == 2 and "--released" in err


def test_an_unknown_benchmark_is_refused(run):
    code, _, err = run("bench", "brain")
    assert code == 2 and "choose wardrobe, tryon or full" in err


def test_the_full_models_benchmark_needs_a_gpu(run, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    code, _, err = run("bench", "full")
    assert code == 2 and "CUDA GPU" in err
