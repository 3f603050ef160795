"""Typical wrong answers of lesson 5: (what is wrong, the answer, a part of the message it must get)."""

import torch
import torch.nn.functional as F
from torch import nn

from ladi_mini.course.exercises.emasc import _early, _seam
from ladi_mini.emasc import decode_with_skips


def errors(image, target):
    return ((image - target) / 2).square()


def decibels(error):
    return -10 * torch.log10(error)


def psnr(image, target, region, scale=1.0, per=3, empty=torch.nan):
    count = per * region.sum((1, 2, 3))
    found = decibels(scale * (errors(image, target) * region).sum((1, 2, 3)) / count.clamp(min=1))
    return torch.where(count > 0, found, torch.full_like(found, empty))


def shapes(channels, height, width, late=False, last=False, once=False, turned=False):
    blocks = channels if last else channels[:-1]
    taken = [(channels[0], height, width)] * (1 if once else 2)
    for i, c in enumerate(blocks):
        halvings = min(i if late else i + 1, len(channels) - 1)
        taken.append((c, height >> halvings, width >> halvings))
    return [(c, w, h) for c, h, w in taken] if turned else taken


def reversing(vae, latents, skips):
    skips.reverse()
    picture = decode_with_skips(vae, latents, skips[::-1])
    return picture


def unreversed(vae, latents, skips):
    x = vae.decoder.mid_block(vae.decoder.conv_in(vae.post_quant_conv(latents)))
    for block, skip in zip(vae.decoder.up_blocks, skips[:-1], strict=True):
        x = block(x + skip)
    x = vae.decoder.conv_act(vae.decoder.conv_norm_out(x))
    return vae.decoder.conv_out(x + skips[-1])


def silent(skips, which):
    return [torch.zeros_like(skip) if i == which else skip for i, skip in enumerate(skips)]


def resized(mask, tap, mode="nearest"):
    return F.interpolate(mask, tap.shape[2:], mode=mode)


def pair(i, o, zero=(), bias=True, padding=1):
    first, last = nn.Conv2d(i, i, 3, padding=padding), nn.Conv2d(i, o, 3, padding=padding)
    for conv, name in ((first, "first"), (last, "last")):
        if name in zero:
            nn.init.zeros_(conv.weight)
            if bias:
                nn.init.zeros_(conv.bias)
    return nn.Sequential(first, nn.SiLU(), last)


class Switched(nn.Module):
    """Two convolutions times a zero that is no parameter."""

    def __init__(self, i, o):
        super().__init__()
        self.body = pair(i, o)

    def forward(self, x):
        return 0 * self.body(x)


WRONG = {
    "region_psnr": [
        ("the whole picture", lambda a, b, r: decibels(errors(a, b).mean((1, 2, 3))), "PSNR of the whole picture"),
        ("divided by all", lambda a, b, r: decibels((errors(a, b) * r).mean((1, 2, 3))), "count as perfect"),
        ("pixels for values", lambda a, b, r: psnr(a, b, r, per=1), "divide by the number of pixels"),
        ("range 1", lambda a, b, r: psnr(a, b, r, scale=4.0), "6.02 dB too low"),
        (
            "pooled",
            lambda a, b, r: decibels((errors(a, b) * r).sum() / (3 * r.sum())).expand(len(a)),
            "one common number",
        ),
        ("empty is perfect", lambda a, b, r: psnr(a, b, r, empty=100.0), "An empty region gives 100"),
        (
            "natural logarithm",
            lambda a, b, r: -10 * ((errors(a, b) * r).sum((1, 2, 3)) / (3 * r.sum((1, 2, 3)))).log(),
            "natural",
        ),
        (
            "mean of decibels",
            lambda a, b, r: (decibels(errors(a, b).clamp(min=1e-10)) * r).sum((1, 2, 3)) / (3 * r.sum((1, 2, 3))),
            "average the decibels",
        ),
    ],
    "tap_shapes": [
        ("the last block too", lambda c, h, w: shapes(c, h, w, last=True), "last block's output is among them"),
        ("conv_in once", lambda c, h, w: shapes(c, h, w, once=True), "conv_in is there once"),
        ("halved too late", lambda c, h, w: shapes(c, h, w, late=True), "halve too late"),
        ("coarse to fine", lambda c, h, w: shapes(c, h, w)[::-1], "from coarse to fine"),
        ("width first", lambda c, h, w: shapes(c, h, w, turned=True), "Height and width are swapped"),
        (
            "the decoder's channels",
            lambda c, h, w: [(o, *s[1:]) for o, s in zip((*c, c[-1]), shapes(c, h, w), strict=True)],
            "channels of the decoder",
        ),
        ("always four blocks", lambda c, h, w: shapes((8, 16, 24, 32), h, w), "fails for an autoencoder of two blocks"),
    ],
    "decode_skips": [
        ("plain", lambda vae, z, skips: vae.decode(z).sample, "Nothing is added"),
        ("not reversed", unreversed, "your code raised RuntimeError"),
        ("no finest", lambda vae, z, skips: decode_with_skips(vae, z, silent(skips, 0)), "The finest skip is missing"),
        ("no coarsest", lambda vae, z, skips: decode_with_skips(vae, z, silent(skips, 2)), "The coarsest skip is missing"),
        ("before the norm", _early, "before the last normalisation"),
        ("averaged", lambda vae, z, skips: decode_with_skips(vae, z, [s / 2 for s in skips]), "You average where you should add"),
        ("reversed in place", reversing, "The skips are changed by decoding"),
    ],
    "masked_skip": [
        ("no mask", lambda conv, tap, m: conv(tap), "Nothing is masked"),
        ("inverted", lambda conv, tap, m: conv(tap) * resized(m, tap), "You keep the repaint region"),
        ("mask first", lambda conv, tap, m: conv(tap * (1 - resized(m, tap))), "The mask comes before the convolution"),
        (
            "mask twice",
            lambda conv, tap, m: conv(tap * (1 - resized(m, tap))) * (1 - resized(m, tap)),
            "The mask comes twice",
        ),
        ("bilinear", lambda conv, tap, m: conv(tap) * (1 - resized(m, tap, "bilinear")), "neither 0 nor 1"),
        ("average", lambda conv, tap, m: conv(tap) * (1 - resized(m, tap, "area")), "neither 0 nor 1"),
        (
            "any pixel of the hole",
            lambda conv, tap, m: conv(tap) * (1 - F.adaptive_max_pool2d(m, tap.shape[2:])),
            "The hole has grown",
        ),
        ("not resized", lambda conv, tap, m: conv(tap) * (1 - m), "your code raised RuntimeError"),
    ],
    "zero_start": [
        ("PyTorch's start", lambda i, o: pair(i, o), "At the start it adds up to"),
        ("bias forgotten", lambda i, o: pair(i, o, zero=("last",), bias=False), "It adds the same number everywhere"),
        ("the first at zero", lambda i, o: pair(i, o, zero=("first",)), "It adds the same number everywhere"),
        ("both at zero", lambda i, o: pair(i, o, zero=("first", "last")), "No weight has moved"),
        ("times zero", Switched, "No weight has moved"),
        ("no padding", lambda i, o: pair(i, o, zero=("last",), padding=0), "has shape (4, 5, 4, 2), expected (4, 5, 8, 6)"),
        ("one convolution", lambda i, o: pair(i, o, zero=("last",))[2], "not two convolutions"),
    ],
    "seam_error": [
        ("the jump itself", lambda *a: _seam(*a, compare=False), "That is the jump itself"),
        ("all pairs", lambda *a: _seam(*a, where="all"), "All pairs of neighbours count"),
        ("the whole hole", lambda *a: _seam(*a, where="inside"), "inside the hole count"),
        ("side by side only", lambda *a: _seam(*a, ways=(-1,)), "side by side"),
        ("above each other only", lambda *a: _seam(*a, ways=(-2,)), "above each other"),
        ("range forgotten", lambda *a: 2 * _seam(*a), "twice too large"),
        ("mean of two means", lambda *a: _seam(*a, apart=True), "average the two directions"),
        ("signed", lambda *a: _seam(*a, signed=True), "opposite sign cancel"),
        ("channels summed", lambda *a: 3 * _seam(*a), "sum over the channels"),
        ("pooled", lambda *a: _seam(*a, pooled=True), "one common number"),
    ],
}
