"""pipeline.py: nothing under the mask leaks, a seed names a picture, every intermediate is there, and it all saves and loads."""

from dataclasses import fields, replace

import pytest
import torch
from diffusers import DDPMScheduler, DPMSolverMultistepScheduler
from tiny import TINY, batch, samples, tiny_pipeline

from ladi_mini.pipeline import TryOnPipeline, TryOnTrace
from ladi_mini.sample import collate
from ladi_mini.wardrobe import Wardrobe


@pytest.fixture(scope="module")
def pipe() -> TryOnPipeline:
    return tiny_pipeline()


def run(pipe, given, seed=0, **options):
    return pipe(given, generator=torch.Generator().manual_seed(seed), output_type="pt", **options)


def test_what_lies_under_the_mask_reaches_no_output_to_the_bit(pipe):
    given = batch()
    hidden = given.inpaint_mask.bool().expand_as(given.person)
    other = replace(
        given,
        person=torch.where(hidden, torch.rand_like(given.person) * 2 - 1, given.person),
        parse=given.parse.roll(3, dims=-1), target=None, warped_garment=None, warp_grid=None, warp_visible=None,
    )  # fmt: skip
    before, after = (run(pipe, g, trace=True, paste_back=True) for g in (given, other))
    assert torch.equal(before.images, after.images)
    for name in ("warp_grid", "refined_garment", "pseudo_words", "image_with_emasc", "image_without_emasc"):
        assert torch.equal(getattr(before.trace, name), getattr(after.trace, name)), name


def test_what_lies_outside_the_mask_does_reach_the_output(pipe):
    given = batch()
    hidden = given.inpaint_mask.bool().expand_as(given.person)
    other = replace(given, person=torch.where(hidden, given.person, -given.person))
    assert not torch.equal(run(pipe, given).images, run(pipe, other).images)


def test_a_seed_names_a_picture(pipe):
    given = batch()
    first, same, other = run(pipe, given), run(pipe, given), run(pipe, given, seed=1)
    assert torch.equal(first.images, same.images)
    assert not torch.allclose(first.images, other.images, atol=1e-4)


def test_one_generator_a_sample_makes_the_picture_independent_of_its_batch(pipe):
    three = samples(3)
    generators = lambda index: [torch.Generator().manual_seed(i) for i in index]  # noqa: E731
    together = pipe(collate(three), generator=generators([0, 1, 2]), output_type="pt").images
    alone = pipe(three[1], generator=generators([1]), output_type="pt").images
    assert torch.allclose(together[1:2], alone, atol=1e-4)


def test_a_list_of_generators_seeds_schedulers_that_add_noise(pipe):
    own = pipe.scheduler
    pipe.scheduler = DDPMScheduler.from_config(own.config)
    seeds = lambda: [torch.Generator().manual_seed(i) for i in range(2)]  # noqa: E731
    try:
        first, again = (pipe(batch(2), generator=seeds(), output_type="pt").images for _ in range(2))
    finally:
        pipe.scheduler = own
    assert torch.equal(first, again)


def test_a_wrong_number_of_generators_is_refused(pipe):
    with pytest.raises(ValueError, match="2 generators for 1 samples"):
        pipe(batch(1), generator=[torch.Generator(), torch.Generator()])


def test_generators_may_come_as_a_tuple(pipe):
    seeds = lambda: [torch.Generator().manual_seed(seed) for seed in (1, 2)]  # noqa: E731
    listed, others = (pipe(batch(2), generator=kind(seeds()), output_type="pt").images for kind in (list, tuple))
    assert torch.equal(listed, others)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"latents": torch.zeros(1, TINY.latent_channels, *TINY.latent_size)}, r"latents have shape \(1, .*expected \(2, "),
        ({"latents": torch.zeros(2, TINY.latent_channels, 8, 8)}, r"latents have shape \(2, 4, 8, 8\), expected \(2, 4, 16, 12"),
        ({"num_inference_steps": 0}, "num_inference_steps is 0, expected 1 or more"),
    ],
    ids=["batch", "size", "steps"],
)
def test_what_does_not_fit_is_said(pipe, options, message):
    with pytest.raises(ValueError, match=message):
        pipe(batch(2), **options)


def of_size(height: int, width: int):
    wardrobe = Wardrobe("test", height, width, unpaired=True)
    return collate([wardrobe[0], wardrobe[1]])


def test_sides_that_the_autoencoder_cannot_halve_are_refused(pipe):
    for options in ({}, {"garment": "tps"}, {"garment": "true", "use_emasc": False}):
        with pytest.raises(ValueError, match="62 x 46 pixels, sides must be divisible by 4"):
            pipe(of_size(62, 46), **options)


def test_latents_of_odd_sides_are_traced_as_well(pipe):
    """17 x 13 latents: the denoiser's halvings round up."""
    given = of_size(68, 52)
    plain, traced = run(pipe, given), run(pipe, given, trace=True)
    assert torch.equal(plain.images, traced.images)
    assert traced.trace.attention.shape[-2:] == (17, 13) and traced.trace.attention.isfinite().all()


def test_the_steps_alone_know_their_switches_too(pipe):
    given = pipe._on_device(batch(2))
    with pytest.raises(ValueError, match="garment='tsp': choose from"):
        pipe.warp_garment(given, "tsp")
    with pytest.raises(ValueError, match="text is 'poem'"):
        pipe.encode_text(given, "poem")
    with torch.no_grad():
        assert torch.equal(pipe.encode_text(given), pipe.encode_text(given, "words", pipe.pseudo_words(given)))


def test_half_precision_runs_and_is_near_to_full(pipe):
    latents = torch.randn(2, TINY.latent_channels, *TINY.latent_size, generator=torch.Generator().manual_seed(3))
    full = run(pipe, batch(2), latents=latents).images
    half = run(tiny_pipeline().to(torch.bfloat16), batch(2), latents=latents, trace=True, paste_back=True).images
    assert half.dtype == torch.float32 and half.isfinite().all()
    hole = batch(2).inpaint_mask.bool().expand_as(full)
    assert (half - full)[hole].abs().mean() < 0.03


def test_trace_has_every_intermediate_with_its_documented_shape(pipe):
    trace = run(pipe, batch(2), trace=True, num_inference_steps=3).trace
    h, w, z = *TINY.latent_size, TINY.latent_channels
    shapes = {
        "person": (2, 3, 64, 48), "garment": (2, 3, 64, 48), "agnostic": (2, 3, 64, 48), "target": (2, 3, 64, 48),
        "inpaint_mask": (2, 1, 64, 48), "pose_map": (2, 18, 64, 48), "control_points": (2, 25, 2), "warp_grid": (2, 64, 48, 2),
        "warped_garment": (2, 3, 64, 48), "refined_garment": (2, 3, 64, 48), "pseudo_words": (2, 16, TINY.text_width),
        "attention": (2, 16, h, w), "image_without_emasc": (2, 3, 64, 48), "image_with_emasc": (2, 3, 64, 48),
        "image_pasted": (2, 3, 64, 48), "image": (2, 3, 64, 48),
    }  # fmt: skip
    for name, shape in shapes.items():
        assert tuple(getattr(trace, name).shape) == shape, name
    assert len(trace.timesteps) == len(trace.latents) == len(trace.pred_original_latents) == len(trace.pred_original_images) == 3
    assert trace.latents[0].shape == (2, z, h, w) and len(trace.emasc_features) == len(TINY.vae_channels) + 1
    assert len(trace.category) == 2
    assert {f.name for f in fields(TryOnTrace)} == {*shapes, "category", "timesteps", "latents", "pred_original_latents",
                                                    "pred_original_images", "emasc_features"}  # fmt: skip


def test_tracing_changes_nothing(pipe):
    given = batch(2)
    assert torch.equal(run(pipe, given).images, run(pipe, given, trace=True).images)


def test_attention_is_a_share_and_the_network_is_left_as_it_was(pipe):
    before = pipe.unet.attn_processors
    attention = run(pipe, batch(2), trace=True).trace.attention
    assert pipe.unet.attn_processors == before
    assert (attention >= 0).all() and (attention.sum(1) <= 1 + 1e-5).all() and attention.sum() > 0


def test_paste_back_restores_the_known_pixels_and_no_others(pipe):
    given = batch(2)
    plain, pasted = run(pipe, given).images, run(pipe, given, paste_back=True).images
    known = (1 - given.inpaint_mask).bool().expand_as(plain)
    assert torch.allclose(pasted[known], (given.person[known] / 2 + 0.5), atol=1e-6)
    assert torch.equal(pasted[~known], plain[~known])
    assert not torch.equal(pasted, plain)


@pytest.mark.parametrize(
    "switch",
    [
        {"text": "caption"},
        {"text": "category"},
        {"text": "empty"},
        {"garment": "tps"},
        {"garment": "true"},
        {"garment": "none"},
        {"use_pose": False},
        {"use_emasc": False},
        {"guidance_scale": 1.0},
        {"num_inference_steps": 5},
    ],
    ids=str,
)
def test_every_switch_changes_the_picture(pipe, switch):
    given = batch(2)
    assert not torch.equal(run(pipe, given).images, run(pipe, given, **switch).images)


def test_without_emasc_is_the_traces_plain_decode(pipe):
    given = batch(2)
    trace = run(pipe, given, trace=True).trace
    assert torch.allclose(run(pipe, given, use_emasc=False).images, trace.image_without_emasc / 2 + 0.5, atol=1e-6)
    assert torch.allclose(run(pipe, given).images, trace.image_with_emasc / 2 + 0.5, atol=1e-6)


def test_given_latents_replace_the_generator(pipe):
    latents = torch.randn(2, TINY.latent_channels, *TINY.latent_size, generator=torch.Generator().manual_seed(3))
    one, two = (pipe(batch(2), latents=latents, generator=torch.Generator().manual_seed(s), output_type="pt") for s in (0, 1))
    assert torch.equal(one.images, two.images)


def test_output_types_hold_the_same_picture(pipe):
    sample = samples(1)[0]
    generator = lambda: torch.Generator().manual_seed(0)  # noqa: E731
    pil, array, tensor = (pipe(sample, generator=generator(), output_type=kind).images for kind in ("pil", "np", "pt"))
    assert pil[0].size == (48, 64) and array.shape == (1, 64, 48, 3) and tensor.shape == (1, 3, 64, 48)
    assert torch.allclose(torch.from_numpy(array).permute(0, 3, 1, 2), tensor, atol=1e-6)


@pytest.mark.parametrize("wrong", [{"text": "poem"}, {"garment": "folded"}, {"output_type": "gif"}], ids=str)
def test_an_unknown_switch_is_refused(pipe, wrong):
    with pytest.raises(ValueError, match="choose"):
        pipe(samples(1)[0], **wrong)


def test_the_true_garment_needs_the_truth(pipe):
    with pytest.raises(ValueError, match="warped_garment"):
        pipe(replace(samples(1)[0], warped_garment=None), garment="true")


def test_another_scheduler_of_diffusers_runs_and_calls_back(pipe):
    own = pipe.scheduler
    pipe.scheduler = DPMSolverMultistepScheduler.from_config(own.config)
    try:
        out = run(pipe, batch(2), num_inference_steps=4, trace=True)
    finally:
        pipe.scheduler = own
    assert out.images.isfinite().all() and len(out.trace.timesteps) == 4


def test_a_callback_sees_every_step_in_single_precision_whatever_the_model_computes_in(pipe):
    latents, seen = torch.randn(1, TINY.latent_channels, *TINY.latent_size), []
    half = tiny_pipeline().to(torch.bfloat16)
    half(batch(1), latents=latents, callback=lambda i, t, x, e: seen.append((i, int(t), x, e)), output_type="pt")
    half.scheduler.set_timesteps(3)
    assert [(i, t) for i, t, _, _ in seen] == list(enumerate(half.scheduler.timesteps.tolist()))
    assert all(x.dtype == e.dtype == torch.float32 for _, _, x, e in seen)


def test_a_seed_names_the_same_noise_in_every_precision(pipe):
    first = lambda p: run(p, batch(1), trace=True, num_inference_steps=20).trace.latents[0]  # noqa: E731
    assert torch.allclose(first(pipe), first(tiny_pipeline().to(torch.bfloat16)), atol=0.1)


def test_without_a_garment_the_denoiser_gets_the_unconditional_twins_channels(pipe):
    given = batch(1)
    masked, _ = pipe.encode_picture(given.agnostic)
    cond, uncond = pipe.conditions(given, masked, None, pipe.encode_text(given, "empty"), use_pose=False)
    assert torch.equal(cond.static, uncond.static)


def test_saved_and_loaded_it_gives_the_same_picture_to_the_bit(pipe, tmp_path):
    given = batch(2)
    before = run(pipe, given).images
    pipe.save_pretrained(tmp_path / "saved")
    loaded = TryOnPipeline.from_pretrained(tmp_path / "saved")
    loaded.set_progress_bar_config(disable=True)
    assert {type(c) for c in loaded.components.values()} == {type(c) for c in pipe.components.values()}
    assert loaded.config.guidance_scale == pipe.config.guidance_scale
    assert torch.equal(run(loaded, given).images, before)
