"""The exercises of lesson 5: a region's decibels, the taps, the decoder with skips, the mask, the start, the seam."""

import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL
from torch import nn

from ladi_mini.course.answers import exercise, expect, expect_close, expect_shape, rule_out
from ladi_mini.emasc import decode_with_skips, encode_with_taps, skip_channels
from ladi_mini.evaluation.metrics import psnr_where
from ladi_mini.show.emasc import seam_error as library_seam_error


@exercise("region_psnr", "1. Decibels of a region")
def region_psnr(answer):
    """`answer` is a function of (image, target, region), it returns (B,)."""
    generator = torch.Generator().manual_seed(0)
    image, target = (torch.rand(3, 3, 6, 4, generator=generator) * 2 - 1 for _ in range(2))
    region = (torch.rand(3, 1, 6, 4, generator=generator) > torch.tensor([0.2, 0.5, 0.7]).view(3, 1, 1, 1)).float()
    hint = "One number for each of the 3 people."
    got = expect_shape(answer(image.clone(), target.clone(), region.clone()), (3,), "The result", hint).double()
    squared = ((image - target) / 2).double().square()
    size = region.sum((1, 2, 3)).double()
    total = (squared * region).sum((1, 2, 3))

    def decibels(error):
        return -10 * torch.log10(error)

    whole = decibels(squared.mean((1, 2, 3)))
    rule_out(got, whole, "That is the PSNR of the whole picture.", "Only the pixels where `region` is 1 count.")
    rule_out(got, decibels((squared * region).mean((1, 2, 3))), "Pixels outside the region count as perfect.",
             "Divide by how many values lie inside.")  # fmt: skip
    rule_out(got, decibels(total / size), "You divide by the number of pixels.", "A pixel has three values, one a channel.")
    rule_out(got, decibels(4 * total / (3 * size)), "Every value is 6.02 dB too low.",
             "Pictures run from -1 to 1: the range is 2, not 1.")  # fmt: skip
    pooled = decibels(total.sum() / (3 * size.sum()))
    rule_out(got, pooled.expand(3), "All people have one common number.", "Do not sum over people.")
    rule_out(got, -(total / (3 * size)).log() * 10, "The logarithm is the natural one.", "Decibels use the logarithm to base 10.")
    rule_out(got, decibels(total / (3 * size)) / 2, "Every value is half of what it should be.",
             "10 log of squared errors, or 20 log of their root.")  # fmt: skip
    rule_out(got, -decibels(total / (3 * size)), "The sign is wrong.", "A small error has many decibels.")
    each = (decibels(squared.clamp(min=1e-10)) * region).sum((1, 2, 3)) / (3 * size)
    rule_out(got, each, "You average the decibels of single values.", "Average the squared errors, then take the logarithm.")
    expect_close(got, psnr_where(image, target, region), "The result", "Do it for one person, with a list of pixels.", atol=1e-4)
    region[1] = 0
    empty = answer(image.clone(), target.clone(), region.clone())
    expect(bool(torch.isnan(empty[1])), f"An empty region gives {float(empty[1]):.3g}.", "No pixel, no number: NaN.")
    expect(bool(torch.isfinite(empty[[0, 2]]).all()), "One empty region spoils the others.", "One mean a person.")


@exercise("tap_shapes", "2. The shapes of the taps")
def tap_shapes(answer):
    """`answer` is a function of (channels, height, width), it returns a list of (C, h, w), from fine to coarse."""
    channels, height, width = (8, 16, 24, 32), 64, 48
    got = answer(channels, height, width)
    expect(isinstance(got, list | tuple), f"The result is of type {type(got).__name__}.", "Give a list of (C, h, w).")
    expect(all(len(shape) == 3 for shape in got), "A shape has three numbers.", "Channels, height, width.")
    got = [tuple(int(number) for number in shape) for shape in got]
    with torch.no_grad():
        taps = encode_with_taps(_autoencoder(channels), torch.zeros(1, 3, height, width))[1]
    expected = [tuple(tap.shape[1:]) for tap in taps]
    last = (channels[-1], *expected[-1][1:])
    hint = "Which block's output goes into the latent and nowhere else?"
    expect(got != [*expected, last], "The last block's output is among them.", hint)
    expect(got != expected[1:], "conv_in is there once.", "It is added at two places of the decoder, so it is tapped twice.")
    expect(got != expected[::-1], "They go from coarse to fine.", "The encoder meets the finest first.")
    full = [expected[0], expected[0], *((c, height >> i, width >> i) for i, c in enumerate(channels[:-1]))]
    expect(got != full, "The blocks halve too late.", "A block ends with its halving: the output of block 0 has half the height.")
    wide = [(c, *shape[1:]) for c, shape in zip(skip_channels(channels), expected, strict=True)]
    expect(got != wide, "These are the channels of the decoder.", "A tap has the channels of the encoder's block that it leaves.")
    swapped = [(c, w, h) for c, h, w in expected]
    expect(got != swapped, "Height and width are swapped.", "Tensors are (C, H, W).")
    expect(len(got) == len(expected), f"You have {len(got)} taps, expected {len(expected)}.", "conv_in twice, then the blocks.")
    first = next((i for i, (a, b) in enumerate(zip(got, expected, strict=True)) if a != b), None)
    expect(first is None, f"Tap {first} is wrong.", "Walk down: conv_in, block 0, block 1, ...")
    other = [tuple(shape) for shape in answer((16, 32), 32, 24)]
    expect(other == [(16, 32, 24), (16, 32, 24), (16, 16, 12)], "It fails for an autoencoder of two blocks.", "Use `channels`.")


@exercise("decode_skips", "3. The decoder with skips")
def decode_skips(answer):
    """`answer` is a function of (vae, latents, skips), it returns the picture (B, 3, H, W)."""
    vae, generator = _autoencoder((8, 16)), torch.Generator().manual_seed(1)
    latents = torch.randn(2, 4, 8, 6, generator=generator)
    sizes = [(16, 12), (16, 12), (8, 6)]
    skips = [torch.randn(2, c, *size, generator=generator) for c, size in zip((8, 16, 16), sizes, strict=True)]
    given = [skip.clone() for skip in skips]
    with torch.no_grad():
        hint = "Walk as the plain decoder does, and add."
        got = expect_shape(answer(vae, latents.clone(), given), (2, 3, 16, 12), "The picture", hint)
        right = decode_with_skips(vae, latents, skips)
        plain = decode_with_skips(vae, latents)
        rule_out(got, plain, "Nothing is added.", "Each up block gets its input plus a skip.", atol=1e-4)
        zero = [torch.zeros_like(skip) for skip in skips]
        rule_out(got, decode_with_skips(vae, latents, [zero[0], *skips[1:]]), "The finest skip is missing.",
                 "There is one more place than there are up blocks: just before conv_out.", atol=1e-4)  # fmt: skip
        rule_out(got, decode_with_skips(vae, latents, [*skips[:-1], zero[-1]]), "The coarsest skip is missing.",
                 "The first up block gets one too.", atol=1e-4)  # fmt: skip
        rule_out(got, _early(vae, latents, skips), "The finest skip comes before the last normalisation.",
                 "It is added to what conv_out gets, after conv_norm_out and conv_act.", atol=1e-4)  # fmt: skip
        halved = [skip / 2 for skip in skips]
        rule_out(got, decode_with_skips(vae, latents, halved), "You average where you should add.", "x + skip.", atol=1e-4)
        expect_close(got, right, "The picture", "Print the shape of x before each block and of the skip that you add.", atol=1e-4)
        kept = len(given) == 3 and all(torch.equal(a, b) for a, b in zip(given, skips, strict=False))
        expect(kept, "The skips are changed by decoding.", "`reverse()` and `pop()` work in place; skips[::-1] is a new list.")


@exercise("masked_skip", "4. A masked skip")
def masked_skip(answer):
    """`answer` is a function of (conv, tap, inpaint_mask), it returns the skip (B, C, h, w)."""
    generator = torch.Generator().manual_seed(2)
    conv = nn.Conv2d(3, 5, 3, padding=1)
    with torch.no_grad():
        for parameter in conv.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator))
        tap = torch.randn(2, 3, 8, 6, generator=generator)
        inpaint_mask = torch.zeros(2, 1, 32, 24)
        inpaint_mask[0, :, 5:22, 7:18] = 1
        inpaint_mask[1, :, 14:30, 2:11] = 1
        hint = "As many channels as the convolution gives, the size of the tap."
        got = expect_shape(answer(conv, tap.clone(), inpaint_mask.clone()), (2, 5, 8, 6), "The skip", hint)
        hole = F.interpolate(inpaint_mask, (8, 6))
        keep = 1 - hole
        rule_out(got, conv(tap), "Nothing is masked.", "Multiply by 0 where the model repaints.")
        rule_out(got, conv(tap) * hole, "You keep the repaint region and silence the rest.", "1 means repaint.")
        rule_out(got, conv(tap * keep), "The mask comes before the convolution.",
                 "A bias and a 3 x 3 window fill the hole again. What must be silent is what is added.")  # fmt: skip
        rule_out(got, conv(tap * keep) * keep, "The mask comes twice.",
                 "Before the convolution it cuts an edge into the features that no picture has.")  # fmt: skip
        smooth = F.interpolate(inpaint_mask, (8, 6), mode="bilinear", align_corners=False)
        rule_out(got, conv(tap) * (1 - smooth), "The mask is neither 0 nor 1 at its border.", "Resize it by the nearest pixel.")
        rule_out(got, conv(tap) * (1 - F.interpolate(inpaint_mask, (8, 6), mode="area")),
                 "The mask is neither 0 nor 1 at its border.", "Resize it by the nearest pixel.")  # fmt: skip
        rule_out(got, conv(tap) * (1 - F.adaptive_max_pool2d(inpaint_mask, (8, 6))), "The hole has grown.",
                 "You silence a cell that has any pixel of the hole; here the cell's first pixel decides.")  # fmt: skip
        exact = F.interpolate(inpaint_mask, (8, 6), mode="nearest-exact")
        rule_out(got, conv(tap) * (1 - exact), "The mask is half a cell off.", "'nearest', the default, takes the first pixel.")
        expect_close(got, conv(tap) * keep, "The skip", "conv(tap), times 1 where the model keeps and 0 where it repaints.")


@exercise("zero_start", "5. A start that changes nothing and learns")
def zero_start(answer):
    """`answer` is a function of (in_channels, out_channels), it returns a module: conv, SiLU, conv."""
    torch.manual_seed(0)
    module = answer(3, 5)
    expect(isinstance(module, nn.Module), f"The result is of type {type(module).__name__}.", "Give an nn.Sequential.")
    tap, wanted = torch.randn(4, 3, 8, 6), torch.randn(4, 5, 8, 6)
    start = module(tap)
    expect_shape(start, (4, 5, 8, 6), "What it adds", "3 x 3 convolutions with padding=1 keep the size.")
    largest = float(start.detach().abs().max())
    flat = largest > 0 and float((start - start[:1, :, :1, :1]).detach().abs().max()) == 0
    expect(not flat, "It adds the same number everywhere: a bias.", "Weight and bias of the last convolution start at zero.")
    expect(largest == 0, f"At the start it adds up to {largest:.2f}.", "Then the first step spoils a decoder that works.")
    trained = [p for p in module.parameters() if p.requires_grad]
    expect(sum(p.numel() for p in trained) == 3 * 3 * 9 + 3 + 3 * 5 * 9 + 5, "These are not two convolutions to be trained.",
           "Conv2d(in, in, 3), SiLU, Conv2d(in, out, 3), all with a bias.")  # fmt: skip
    optimiser, before = torch.optim.SGD(trained, lr=0.1), [p.detach().clone() for p in trained]
    for _ in range(5):
        optimiser.zero_grad()
        (module(tap) - wanted).square().mean().backward()
        optimiser.step()
    weights = [(p, old) for p, old in zip(trained, before, strict=True) if p.ndim == 4]
    still = [not bool((p.detach() != old).any()) for p, old in weights]
    expect(not all(still), "No weight has moved after five steps.",
           "If both convolutions are zero, each waits for the other: work out both gradients.")  # fmt: skip
    expect(not any(still), "One of the two convolutions has not moved after five steps.", "Is anything detached or frozen?")
    bound = (1 / (3 * 9)) ** 0.5
    first = before[0] if before[0].ndim == 4 else before[1]
    expect(float(first.abs().max()) <= 1.01 * bound, "The first convolution does not start as PyTorch starts it.",
           "Leave it alone; only the last one starts at zero.")  # fmt: skip


@exercise("seam_error", "6. How visible is the seam?")
def seam_error(answer):
    """`answer` is a function of (image, target, inpaint_mask), it returns (B,)."""
    generator = torch.Generator().manual_seed(4)
    image, target = (torch.rand(2, 3, 8, 6, generator=generator) * 2 - 1 for _ in range(2))
    mask = torch.zeros(2, 1, 8, 6)
    mask[0, :, 2:7, 1:4] = 1
    mask[1, :, 3:5, 2:6] = 1
    args = image, target, mask
    hint = "One number for each of the 2 people."
    got = expect_shape(answer(*(each.clone() for each in args)), (2,), "The result", hint).float()
    right = library_seam_error(*args)
    rule_out(got, _seam(*args, compare=False), "That is the jump itself.", "An edge may belong there: subtract the target's.")
    rule_out(got, _seam(*args, where="all"), "All pairs of neighbours count.", "Only pairs of a kept and a repainted pixel.")
    rule_out(got, _seam(*args, where="inside"), "Pairs inside the hole count as well.", "mask.diff(dim=...) finds the border.")
    rule_out(got, _seam(*args, ways=(-1,)), "Only neighbours side by side count.", "The border runs level too.")
    rule_out(got, _seam(*args, ways=(-2,)), "Only neighbours above each other count.", "The border runs upright too.")
    rule_out(got, 2 * right, "Every value is twice too large.", "Pictures run from -1 to 1; the result is a share of white.")
    rule_out(got, _seam(*args, apart=True), "You average the two directions, not the pairs.",
             "Sum both directions first, then divide by the number of all pairs.")  # fmt: skip
    rule_out(got, _seam(*args, signed=True), "Jumps of opposite sign cancel.", "Take the size of the difference before the mean.")
    rule_out(got, 3 * right, "You sum over the channels.", "Mean over the three channels.")
    rule_out(got, _seam(*args, pooled=True), "All people have one common number.", "Do not sum over people.")
    expect_close(got, right, "The result", "Do it for one person: list the pairs, and average over them.")


# ---------------------------------------------------------------- what the checkers need


def _autoencoder(channels: tuple[int, ...]) -> AutoencoderKL:
    state = torch.random.get_rng_state()
    torch.manual_seed(0)
    vae = AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * len(channels),
        up_block_types=("UpDecoderBlock2D",) * len(channels),
        block_out_channels=channels,
        layers_per_block=1,
        norm_num_groups=4,
    )
    torch.random.set_rng_state(state)
    return vae.eval().requires_grad_(False)


def _early(vae, latents, skips):
    """The finest skip added one step too early."""
    decoder = vae.decoder
    x = decoder.mid_block(decoder.conv_in(vae.post_quant_conv(latents)))
    for block, skip in zip(decoder.up_blocks, skips[:0:-1], strict=True):
        x = block(x + skip)
    return decoder.conv_out(decoder.conv_act(decoder.conv_norm_out(x + skips[0])))


def _seam(image, target, mask, compare=True, where="border", ways=(-1, -2), apart=False, signed=False, pooled=False):
    """The seam's error with one thing changed."""
    totals, counts = [], []
    for way in ways:
        jump = image.diff(dim=way) - (target.diff(dim=way) if compare else 0)
        jump = (jump if signed else jump.abs()).mean(1, keepdim=True) / 2
        pair = (mask.diff(dim=way) != 0).float()
        if where == "all":
            pair = torch.ones_like(pair)
        elif where == "inside":
            length = mask.shape[way] - 1
            pair = ((mask.narrow(way, 0, length) + mask.narrow(way, 1, length)) > 0).float()
        totals.append((jump * pair).sum((1, 2, 3)))
        counts.append(pair.sum((1, 2, 3)))
    if apart:
        return sum(total / count for total, count in zip(totals, counts, strict=True)) / len(totals)
    if pooled:
        return (sum(totals).sum() / sum(counts).sum()).expand(len(image))
    return sum(totals) / sum(counts)
