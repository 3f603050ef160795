"""Typical wrong answers of lesson 4: (what is wrong, the answer, a part of the message it must get)."""

import torch
from torch import nn

from ladi_mini.diffusion import betas, ddim_step, guide, predict_original
from ladi_mini.presets import NANO


def jump(x0, noise, share, signal=torch.sqrt, rest=lambda a: (1 - a).sqrt()):
    share = share.view(-1, 1, 1, 1)
    return signal(share) * x0 + rest(share) * noise


def posterior(noisy, x0, abar_t, abar_s, noise, std=None, swap=False):
    """A sample of q(x_s | x_t, x0) with another standard deviation, or with the two weights swapped."""
    a = abar_t / abar_s
    first, second = (noisy, x0) if swap else (x0, noisy)
    mean = (abar_s.sqrt() * (1 - a) * first + a.sqrt() * (1 - abar_s) * second) / (1 - abar_t)
    variance = (1 - abar_s) * (1 - a) / (1 - abar_t)
    return mean + (variance.sqrt() if std is None else std(variance, a, abar_s)) * noise


def widened(old, channels, at=0, rest=0.0, bias=True, padding=True, frozen=False):
    """The wider layer with one thing wrong."""
    new = nn.Conv2d(channels, old.out_channels, old.kernel_size, padding=old.padding if padding else 0)
    with torch.no_grad():
        if rest is not None:
            new.weight.fill_(rest)
        new.weight[:, at : at + old.in_channels] = old.weight
        if bias:
            new.bias.copy_(old.bias)
    return new.requires_grad_(not frozen)


def in_place(old, channels):
    new = widened(old, channels)
    old.weight, old.in_channels = new.weight, channels
    return new


WRONG = {
    "forward_jump": [
        ("no roots", lambda x, n, t, abar: jump(x, n, abar[t], lambda a: a, lambda a: 1 - a), "without roots"),
        ("variance as factor", lambda x, n, t, abar: jump(x, n, abar[t], rest=lambda a: 1 - a), "factor is its variance"),
        ("factors swapped", lambda x, n, t, abar: jump(x, n, 1 - abar[t]), "each other's factor"),
        ("alpha of one step", lambda x, n, t, abar: jump(x, n, (1 - betas(NANO))[t]), "alpha of one step"),
        ("one time for all", lambda x, n, t, abar: jump(x, n, abar[t].mean()), "one common time"),
        ("no broadcasting", lambda x, n, t, abar: abar[t].sqrt() * x + (1 - abar[t]).sqrt() * n, "your code raised RuntimeError"),
    ],
    "x0_estimate": [
        ("not scaled up", lambda x, e, a: x - (1 - a).sqrt() * e, "still small"),
        ("all of the noise", lambda x, e, a: (x - e) / a.sqrt(), "whole noise"),
        ("no roots", lambda x, e, a: (x - (1 - a) * e) / a, "roots are missing"),
        ("wrong sign", lambda x, e, a: (x + (1 - a).sqrt() * e) / a.sqrt(), "added once more"),
    ],
    "ddim_step": [
        ("to the end", lambda x, e, t, s: predict_original(x, e, t), "all the way to x0"),
        ("noise of t", lambda x, e, t, s: s.sqrt() * predict_original(x, e, t) + (1 - t).sqrt() * e, "still that of time t"),
        ("nowhere", lambda x, e, t, s: x, "back at x_t"),
        ("no noise", lambda x, e, t, s: s.sqrt() * predict_original(x, e, t), "noise is gone"),
        ("times swapped", lambda x, e, t, s: ddim_step(x, e, s, t), "two times are swapped"),
    ],
    "ddpm_step": [
        ("the mean alone", lambda *given: posterior(*given, std=lambda v, a, s: 0), "No noise is added"),
        ("variance as factor", lambda *given: posterior(*given, std=lambda v, a, s: v), "multiplied by its variance"),
        (
            "forward variance",
            lambda *given: posterior(*given, std=lambda v, a, s: (1 - a).sqrt()),
            "variance of the step forward",
        ),
        ("variance of s", lambda *given: posterior(*given, std=lambda v, a, s: (1 - s).sqrt()), "without knowing x_t"),
        ("weights swapped", lambda *given: posterior(*given, swap=True), "each other's weight"),
    ],
    "widen_conv": [
        ("random weights", lambda old, n: widened(old, n, rest=None), "new weights are not zero"),
        ("new channels first", lambda old, n: widened(old, n, at=n - old.in_channels), "new channels come first"),
        ("bias of its own", lambda old, n: widened(old, n, bias=False), "bias is lost"),
        ("no padding", lambda old, n: widened(old, n, padding=False), "does not pad"),
        ("in place", in_place, "old layer has changed"),
        ("frozen", lambda old, n: widened(old, n, frozen=True), "cannot learn"),
        ("the old one", lambda old, n: old, "expected (5, 7, 3, 3)"),
    ],
    "guidance": [
        ("the other way", lambda without, given, w: guide(given, without, w), "other way"),
        ("Ho's w", lambda without, given, w: given + w * (given - without), "your 3 is a 4"),
        ("one less", lambda without, given, w: guide(without, given, w - 1), "Your 3 is a 2"),
        ("only the given", lambda without, given, w: w * given, "is not used"),
        ("no difference", lambda without, given, w: without + w * given, "not the difference"),
    ],
}
