"""The exercises of lesson 4: noise, the way back in steps, new channels for an old network, guidance."""

import torch
from torch import nn

from ladi_mini.course.answers import exercise, expect, expect_close, expect_shape, rule_out
from ladi_mini.diffusion import add_noise, alphas_cumprod, betas, ddim_step, guide, predict_original
from ladi_mini.presets import NANO


def _normal(*shape: int, seed: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@exercise("forward_jump", "1. To any time in one jump")
def forward_jump(answer):
    """`answer` is a function of x0 and noise (B, z, h, w), t (B,), abar (T,); it returns x_t (B, z, h, w)."""
    x0, noise, t, abar = (
        _normal(3, 4, 3, 2, seed=0),
        _normal(3, 4, 3, 2, seed=1),
        torch.tensor([3, 400, 950]),
        alphas_cumprod(NANO),
    )
    hint = "A factor a sample, (B, 1, 1, 1), multiplies latents (B, z, h, w)."
    got = expect_shape(answer(x0.clone(), noise.clone(), t.clone(), abar.clone()), (3, 4, 3, 2), "x_t", hint)

    def mixed(share, signal, rest):
        share = share[t].view(-1, 1, 1, 1)
        return signal(share) * x0 + rest(share) * noise

    root, linear = torch.sqrt, lambda share: share
    rule_out(got, mixed(abar, linear, lambda a: 1 - a), "Signal and noise are mixed without roots.",
             "Variances add, not standard deviations: what is the factor of a Gaussian with variance 1 - abar?")  # fmt: skip
    rule_out(got, mixed(abar, root, lambda a: 1 - a), "The noise's factor is its variance.", "A factor is a standard deviation.")
    rule_out(got, mixed(abar, lambda a: (1 - a).sqrt(), root), "Signal and noise have each other's factor.",
             "At t = 3 next to nothing has happened yet.")  # fmt: skip
    alpha = 1 - betas(NANO)
    rule_out(got, mixed(alpha, root, lambda a: (1 - a).sqrt()), "You took alpha of one step, not the product of all up to t.",
             "After 950 steps hardly anything of x0 is left.")  # fmt: skip
    mean = abar[t].mean()
    rule_out(got, mean.sqrt() * x0 + (1 - mean).sqrt() * noise, "All samples have one common time.", "t has an entry a sample.")
    expect_close(got, add_noise(x0, noise, t, abar), "x_t", "Put in x0 = 0, then noise = 0, and look at the factor that remains.")


@exercise("x0_estimate", "2. The picture that a noise implies")
def x0_estimate(answer):
    """`answer` is a function of x_t and noise_pred (B, z, h, w) and abar_t (scalar tensor); it returns x0."""
    noisy, noise_pred, abar_t = _normal(2, 4, 3, 2, seed=2), _normal(2, 4, 3, 2, seed=3), torch.tensor(0.3)
    hint = "Solve the equation of the jump for x0."
    got = expect_shape(answer(noisy.clone(), noise_pred.clone(), abar_t), (2, 4, 3, 2), "The estimate", hint)
    rule_out(got, noisy - (1 - abar_t).sqrt() * noise_pred, "The signal is still small: it is x0 times its factor.", hint)
    rule_out(got, (noisy - noise_pred) / abar_t.sqrt(), "The whole noise is taken away.", "How much of the noise is in x_t?")
    rule_out(got, (noisy - (1 - abar_t) * noise_pred) / abar_t, "The roots are missing.", hint)
    rule_out(got, (noisy + (1 - abar_t).sqrt() * noise_pred) / abar_t.sqrt(), "The noise is added once more.", "Watch the sign.")
    expect_close(got, predict_original(noisy, noise_pred, abar_t), "The estimate", hint)


@exercise("ddim_step", "3. A deterministic step")
def ddim(answer):
    """`answer` is a function of x_t, noise_pred, abar_t, abar_s; it returns x_s at the lower noise level."""
    noisy, noise_pred = _normal(2, 4, 3, 2, seed=4), _normal(2, 4, 3, 2, seed=5)
    abar_t, abar_s = torch.tensor(0.2), torch.tensor(0.7)
    hint = "First the estimate of x0, then the jump to s with the same noise."
    got = expect_shape(answer(noisy.clone(), noise_pred.clone(), abar_t, abar_s), (2, 4, 3, 2), "x_s", hint)
    x0 = predict_original(noisy, noise_pred, abar_t)
    rule_out(got, x0, "You jump all the way to x0.", "x_s still holds noise: how much?")
    rule_out(
        got, abar_s.sqrt() * x0 + (1 - abar_t).sqrt() * noise_pred, "The noise is still that of time t.", "Which time is x_s?"
    )
    rule_out(got, abar_t.sqrt() * x0 + (1 - abar_t).sqrt() * noise_pred, "You are back at x_t.", "Use abar_s for the jump.")
    rule_out(got, abar_s.sqrt() * x0, "The noise is gone.", "x_s lies on the line between x0 and the noise.")
    swapped = abar_t.sqrt() * predict_original(noisy, noise_pred, abar_s) + (1 - abar_t).sqrt() * noise_pred
    rule_out(got, swapped, "The two times are swapped.", "x0 is estimated with the noise level that x_t has.")
    expect_close(got, ddim_step(noisy, noise_pred, abar_t, abar_s), "x_s", hint)
    same = answer(noisy.clone(), noise_pred.clone(), abar_t, abar_t)
    expect_close(same, noisy, "A step from t to t", "If nothing changes, x_t must come out.")


@exercise("ddpm_step", "4. A step with fresh noise (harder)")
def ddpm(answer):
    """`answer` is a function of x_t, x0, abar_t, abar_s, noise; it returns a sample of q(x_s | x_t, x0)."""
    noisy, x0, noise = (_normal(2, 4, 3, 2, seed=seed) for seed in (6, 7, 8))
    abar_t, abar_s = torch.tensor(0.3), torch.tensor(0.5)
    hint = "Mean and variance are in the equation; a = abar_t / abar_s."
    got = expect_shape(answer(noisy.clone(), x0.clone(), abar_t, abar_s, noise.clone()), (2, 4, 3, 2), "x_s", hint)
    a = abar_t / abar_s
    mean = (abar_s.sqrt() * (1 - a) * x0 + a.sqrt() * (1 - abar_s) * noisy) / (1 - abar_t)
    variance = (1 - abar_s) * (1 - a) / (1 - abar_t)
    rule_out(got, mean, "No noise is added.", "Without it, x_s has too little variance for the network's training.")
    rule_out(got, mean + variance * noise, "The noise is multiplied by its variance.", "The factor is the standard deviation.")
    rule_out(got, mean + (1 - a).sqrt() * noise, "You took the variance of the step forward, 1 - a.",
             "Knowing x0 as well leaves less doubt about x_s.")  # fmt: skip
    rule_out(got, mean + (1 - abar_s).sqrt() * noise, "You took the variance of x_s without knowing x_t.", hint)
    swapped = (abar_s.sqrt() * (1 - a) * noisy + a.sqrt() * (1 - abar_s) * x0) / (1 - abar_t)
    rule_out(got, swapped + variance.sqrt() * noise, "x0 and x_t have each other's weight.",
             "If the step is tiny, a is nearly 1: then x_s must be nearly x_t.")  # fmt: skip
    expect_close(got, mean + variance.sqrt() * noise, "x_s", "Check mean and noise apart: put in noise = 0 first.")


@exercise("widen_conv", "5. New channels for an old network")
def widen_conv(answer):
    """`answer` is a function of a Conv2d and a number of channels; it returns a Conv2d with as many inputs."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(9)
        old = nn.Conv2d(3, 5, 3, padding=1)
        kept = {name: value.clone() for name, value in old.state_dict().items()}
        new = answer(old, 7)
    expect(isinstance(new, nn.Conv2d), f"You return {type(new).__name__}, expected a Conv2d.", "Make a new layer and fill it.")
    shape = tuple(new.weight.shape)
    expect(
        shape == (5, 7, 3, 3), f"The weight has shape {shape}, expected (5, 7, 3, 3).", "(out, in, height, width) of the kernel."
    )
    expect(new.padding == (1, 1), "The new layer does not pad as the old one.", "Give it kernel_size and padding of the old one.")
    first, rest, last = new.weight[:, :3], new.weight[:, 3:], new.weight[:, -3:]
    expect(not torch.equal(last, kept["weight"]) or torch.equal(first, kept["weight"]), "The new channels come first.",
           "The old network's channels keep their places: the noisy latents are the first.")  # fmt: skip
    expect(torch.equal(first, kept["weight"]), "The old weights are not in their places.", "Copy them to the first 3 channels.")
    expect(bool((rest == 0).all()), "The new weights are not zero.", "What the new channels hold must not matter at step 0.")
    has_bias = new.bias is not None and torch.equal(new.bias, kept["bias"])
    expect(has_bias, "The bias is lost.", "The output has the same channels as before, so its bias stays.")
    expect(
        new.weight.requires_grad, "The new weights cannot learn.", "Fill them in `torch.no_grad()`, but leave requires_grad on."
    )
    same = all(torch.equal(value, kept[name]) for name, value in old.state_dict().items())
    expect(same and old.in_channels == 3, "The old layer has changed.", "Make a new one and leave the old one as it is.")


@exercise("guidance", "6. Guidance")
def guidance(answer):
    """`answer` is a function of the noise without and with conditions (B, z, h, w) and a scale; it returns the guided noise."""
    without, given = _normal(2, 4, 3, 2, seed=10), _normal(2, 4, 3, 2, seed=11)
    hint = "Start from the noise without conditions and go `scale` times the way to the other."
    got = expect_shape(answer(without.clone(), given.clone(), 3.0), (2, 4, 3, 2), "The guided noise", hint)
    rule_out(got, guide(given, without, 3.0), "You go the other way, away from the conditions.", hint)
    rule_out(got, given + 3.0 * (given - without), "You start from the noise with conditions: your 3 is a 4.",
             "A scale of 1 must give the noise with conditions back.")  # fmt: skip
    rule_out(got, without + 2.0 * (given - without), "Your 3 is a 2.", "A scale of 1 must give the noise with conditions back.")
    rule_out(got, 3.0 * given, "The noise without conditions is not used.", hint)
    rule_out(got, without + 3.0 * given, "You add the whole noise, not the difference that the conditions make.", hint)
    expect_close(got, guide(without, given, 3.0), "The guided noise", hint)
    expect_close(answer(without.clone(), given.clone(), 0.0), without, "With scale 0", "No conditions are left then.")
