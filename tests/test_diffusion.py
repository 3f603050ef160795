"""diffusion.py: the written-out maths equals diffusers', and extending the base changes nothing at step 0."""

import diffusers
import pytest
import torch
from diffusers import DDIMScheduler, DDPMScheduler

from ladi_mini.diffusion import (
    Conditions,
    _estimate,
    add_noise,
    alphas_cumprod,
    betas,
    build_autoencoder,
    build_scheduler,
    build_unet,
    ddim_step,
    decode,
    denoise,
    denoise_once,
    drop_garment,
    encode,
    extend_conv_in,
    guide,
    predict_original,
    static_channels,
)
from ladi_mini.presets import FULL, MINI, NANO

TINY = NANO.with_(unet_channels=(16, 32), unet_groups=8, vae_channels=(8, 8, 16), vae_groups=4, context_length=6, text_width=8)


def noise(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def conditions(preset, count=2, seed=1):
    h, w = preset.latent_size
    return Conditions(
        noise(count, preset.tryon_channels - preset.latent_channels, h, w, seed=seed), noise(count, 6, 8, seed=seed)
    )


@pytest.mark.parametrize("preset", [NANO, MINI, FULL], ids=lambda p: p.name)
def test_noise_schedule_equals_diffusers(preset):
    scheduler = build_scheduler(preset)
    assert torch.allclose(betas(preset), scheduler.betas, atol=1e-7)
    assert torch.allclose(alphas_cumprod(preset), scheduler.alphas_cumprod, atol=1e-6)


def test_forward_process_equals_diffusers():
    x, eps, t = noise(4, 4, 8, 6), noise(4, 4, 8, 6, seed=1), torch.tensor([0, 10, 500, 999])
    expected = DDPMScheduler(beta_start=NANO.beta_start, beta_end=NANO.beta_end, beta_schedule="scaled_linear").add_noise(
        x, eps, t
    )
    assert torch.allclose(add_noise(x, eps, t, alphas_cumprod(NANO)), expected, atol=1e-5)


def test_ddim_walk_equals_diffusers_step_by_step():
    scheduler = build_scheduler(NANO)
    scheduler.set_timesteps(7)
    abar = scheduler.alphas_cumprod
    x = noise(2, 4, 8, 6)
    for i, t in enumerate(scheduler.timesteps):
        eps = noise(2, 4, 8, 6, seed=10 + i)
        below = t - scheduler.config.num_train_timesteps // 7
        abar_next = abar[below] if below >= 0 else scheduler.final_alpha_cumprod
        mine, theirs = ddim_step(x, eps, abar[t], abar_next), scheduler.step(eps, t, x)
        assert torch.allclose(mine, theirs.prev_sample, atol=1e-4)
        assert torch.allclose(predict_original(x, eps, abar[t]), theirs.pred_original_sample, atol=1e-3)
        x = mine


def test_original_is_found_again_from_its_own_noise():
    x, eps, t = noise(3, 4, 8, 6), noise(3, 4, 8, 6, seed=1), torch.tensor([5, 5, 5])
    abar = alphas_cumprod(NANO)
    assert torch.allclose(predict_original(add_noise(x, eps, t, abar), eps, abar[5]), x, atol=1e-5)


def test_guidance_of_one_is_no_guidance_and_zero_is_unconditional():
    a, b = noise(2, 4, 8, 6), noise(2, 4, 8, 6, seed=1)
    assert torch.allclose(guide(a, b, 1.0), b, atol=1e-6)
    assert torch.equal(guide(a, b, 0.0), a)


@pytest.mark.parametrize(
    ("preset", "channels"), [(NANO, 31), (FULL, 31), (MINI, 3 * MINI.latent_channels + 19)], ids=["nano", "full", "mini"]
)
def test_denoiser_input_has_3z_plus_19_channels(preset, channels):
    assert preset.tryon_channels == channels


def test_static_channels_are_in_the_papers_order():
    h, w = TINY.latent_size
    mask = torch.zeros(1, 1, TINY.height, TINY.width)
    mask[..., : TINY.height // 2, :] = 1
    masked, pose, garment = (
        torch.full((1, 4, h, w), 2.0),
        torch.full((1, 18, TINY.height, TINY.width), 0.3),
        torch.full((1, 4, h, w), 5.0),
    )
    static = static_channels(mask, masked, pose, garment)
    assert static.shape == (1, 27, h, w)
    assert static[0, 0, 0, 0] == 1 and static[0, 0, -1, 0] == 0
    assert (static[0, 1:5] == 2).all() and torch.allclose(static[0, 5:23], torch.tensor(0.3)) and (static[0, 23:] == 5).all()
    dropped = drop_garment(static, 4)
    assert torch.equal(dropped[:, :5], static[:, :5]) and (dropped[:, 5:] == 0).all() and (static[0, 23:] == 5).all()


def test_extending_conv_in_leaves_the_bases_output_unchanged():
    torch.manual_seed(0)
    base = build_unet(TINY, TINY.base_channels).eval()
    given, latents, t = conditions(TINY), noise(2, 4, *TINY.latent_size), torch.tensor([7, 400])
    own = Conditions(given.static[:, : TINY.base_channels - 4], given.text)
    with torch.no_grad():
        before = denoise_once(base, latents, t, own)
        extended = extend_conv_in(base, TINY.tryon_channels)
        after = denoise_once(extended, latents, t, given)
    assert extended.config.in_channels == TINY.tryon_channels == extended.conv_in.in_channels
    assert torch.allclose(before, after, atol=1e-6)
    assert before.abs().max() > 1e-3


def test_extended_channels_learn():
    unet = extend_conv_in(build_unet(TINY, TINY.base_channels), TINY.tryon_channels)
    denoise_once(unet, noise(2, 4, *TINY.latent_size), 9, conditions(TINY)).square().mean().backward()
    assert unet.conv_in.weight.grad[:, TINY.base_channels :].abs().max() > 0


def test_conv_in_is_not_narrowed():
    with pytest.raises(ValueError, match="cannot be extended"):
        extend_conv_in(build_unet(TINY), 9)


def test_walk_calls_back_with_every_estimate_and_ends_where_the_scheduler_ends():
    torch.manual_seed(0)
    unet, scheduler, given = build_unet(TINY).eval(), build_scheduler(TINY), conditions(TINY)
    start, seen = noise(2, 4, *TINY.latent_size), []
    end = denoise(unet, scheduler, start, given, num_inference_steps=3, callback=lambda *a: seen.append(a))
    assert [int(t) for _, t, _, _ in seen] == [int(t) for t in scheduler.timesteps]
    assert torch.equal(seen[-1][2], end)
    with torch.no_grad():
        eps = denoise_once(unet, start, scheduler.timesteps[0], given)
    assert torch.allclose(seen[0][3], predict_original(start, eps, scheduler.alphas_cumprod[scheduler.timesteps[0]]), atol=1e-4)


def test_guided_walk_equals_two_separate_evaluations():
    torch.manual_seed(0)
    unet, given, without = build_unet(TINY).eval(), conditions(TINY), conditions(TINY, seed=2)
    start = noise(2, 4, *TINY.latent_size)
    scheduler = build_scheduler(TINY)
    end = denoise(unet, scheduler, start, given, without, guidance_scale=3.0, num_inference_steps=1)
    with torch.no_grad():
        t = scheduler.timesteps[0]
        eps = guide(denoise_once(unet, start, t, without), denoise_once(unet, start, t, given), 3.0)
    assert torch.allclose(end, scheduler.step(eps, t, start).prev_sample, atol=1e-4)


SCHEDULERS = ("DDIM", "DDPM", "EulerDiscrete", "EulerAncestralDiscrete", "HeunDiscrete", "LMSDiscrete", "LCM", "PNDM",
              "DPMSolverMultistep", "UniPCMultistep")  # fmt: skip


@pytest.mark.parametrize("name", SCHEDULERS)
def test_any_scheduler_of_diffusers_walks_and_reports_estimates(name):
    torch.manual_seed(0)
    unet, given, start = build_unet(TINY).eval(), conditions(TINY), noise(2, 4, *TINY.latent_size)
    scheduler, estimates = getattr(diffusers, f"{name}Scheduler").from_config(build_scheduler(TINY).config), []
    out = denoise(unet, scheduler, start, given, num_inference_steps=4, callback=lambda i, t, x, e: estimates.append(e))
    assert out.isfinite().all() and len(estimates) >= 4 and all(e.shape == start.shape and e.isfinite().all() for e in estimates)


def test_the_estimate_of_a_v_prediction_is_found_from_the_velocity():
    abar, x, eps = alphas_cumprod(NANO)[300], noise(1, 4, 8, 6), noise(1, 4, 8, 6, seed=1)
    velocity = abar.sqrt() * eps - (1 - abar).sqrt() * x
    noisy = abar.sqrt() * x + (1 - abar).sqrt() * eps
    scheduler = diffusers.DPMSolverMultistepScheduler.from_config(build_scheduler(NANO).config, prediction_type="v_prediction")
    estimate = _estimate(scheduler, object(), noisy, velocity, torch.tensor(300))
    assert torch.allclose(estimate, x, atol=1e-4)


def test_the_estimate_of_a_network_that_predicts_the_sample_is_its_prediction():
    scheduler = diffusers.DPMSolverMultistepScheduler.from_config(build_scheduler(NANO).config, prediction_type="sample")
    x = noise(1, 4, 8, 6)
    assert torch.equal(_estimate(scheduler, object(), noise(1, 4, 8, 6, seed=1), x, torch.tensor(300)), x)


def test_guidance_without_its_twins_is_refused():
    unet, given = build_unet(TINY).eval(), conditions(TINY)
    with pytest.raises(ValueError, match="guidance_scale is 3, but without is None"):
        denoise(unet, build_scheduler(TINY), noise(2, 4, *TINY.latent_size), given, guidance_scale=3)


def test_latents_are_scaled_and_decoding_undoes_it():
    torch.manual_seed(0)
    vae = build_autoencoder(TINY).eval()
    image = noise(1, 3, TINY.height, TINY.width).clamp(-1, 1)
    with torch.no_grad():
        plain = vae.encode(image).latent_dist.mode()
        vae.register_to_config(scaling_factor=0.25)
        latents = encode(vae, image)
        assert torch.allclose(latents, 0.25 * plain)
        assert torch.allclose(decode(vae, latents), vae.decode(plain).sample, atol=1e-5)
        sampled = encode(vae, image, torch.Generator().manual_seed(0))
    assert not torch.equal(sampled, latents)


def test_scheduler_has_stable_diffusions_constants():
    scheduler = build_scheduler(FULL)
    scheduler.set_timesteps(50)
    assert (
        isinstance(scheduler, DDIMScheduler)
        and scheduler.timesteps[:2].tolist() == [981, 961]
        and int(scheduler.timesteps[-1]) == 1
    )
    assert abs(scheduler.final_alpha_cumprod.item() - 0.99915) < 1e-5
    assert abs(scheduler.alphas_cumprod[-1].item() - 0.00466) < 1e-5
