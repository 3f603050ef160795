"""Checks of lesson 0: the agnostic picture, the input channels, paired or unpaired, decibels by hand."""

from dataclasses import replace

import torch

from ladi_mini.course.answers import Wrong, exercise, expect, expect_close, expect_shape, rule_out
from ladi_mini.course.exercises.pipeline import random


@exercise("room_agnostic", "1. What the model may see")
def room_agnostic(answer):
    """`answer` is a function of person (3, H, W) in [-1, 1] and mask (1, H, W): (3, H, W)."""
    person, mask = 2 * random(3, 5, 4) - 1, (random(1, 5, 4, seed=1) > 0.5).float()
    given = person.clone()
    got = expect_shape(answer(given, mask.clone()), (3, 5, 4), "The agnostic picture")
    expect(torch.equal(given, person), "You painted over the person that you were given.", "torch.where makes a new picture.")
    rule_out(got, person, "The person is still whole.", "Something has to be hidden where the mask is 1.")
    rule_out(got, person * mask, "You kept what should be hidden.", "The mask is 1 where the model repaints.")
    for colour, name in ((1.0, "white"), (-1.0, "black"), (0.5, "too light")):
        rule_out(got, torch.where(mask > 0, colour, person), f"The hole is {name}, not grey.",
                 "Colours run from -1 to 1 here: which number is in the middle?")  # fmt: skip
    expect_close(
        got, torch.where(mask > 0, 0.0, person), "The agnostic picture", "Grey (0) where the mask is 1, else the person."
    )


@exercise("room_channels", "2. How many channels?")
def room_channels(answer):
    """`answer` is a function of z: the number of channels that the denoiser gets."""
    for z in (4, 16, 8):
        got = float(expect_shape(answer(z), (), f"The number for z = {z}", "One number."))
        mistakes = {
            "The mask is not counted.": 3 * z + 18,
            "The pose map is not counted.": 3 * z + 1,
            "That is the inpainting base, without pose and garment.": 2 * z + 1,
            "Noisy latents or garment are not counted.": 2 * z + 19,
            "The pictures go in as latents, not in colours.": 3 + 1 + 18 + 3 + z,
        }
        for said, value in mistakes.items():
            expect(got != value, said, "Go through the list once more: three times z, and two more.")
        expect(z == 4 or got != 31, "31 is right for z = 4 only.", "Count with z.")
        expect(
            got == 3 * z + 19, f"The number is off by {abs(got - 3 * z - 19):g} for z = {z}.", "Three of the five groups have z."
        )


@exercise("room_paired", "3. Paired or not?")
def room_paired(answer):
    """`answer` is a function of a sample with `person` and `target`: True if the person wears the garment already."""
    from ladi_mini.wardrobe import sample

    paired, unpaired = sample(0, 20_000_004, 64, 48), sample(0, 20_000_004, 64, 48, unpaired=True)
    paired = replace(paired, target=paired.person)
    copied = replace(paired, target=paired.person.clone())
    nearly = replace(paired, target=paired.person.clone())
    nearly.target[:, 30, 20] = -nearly.target[:, 30, 20].sign()
    told = []
    for each in (paired, copied, unpaired, nearly):
        given = answer(each)
        if isinstance(given, torch.Tensor) and given.numel() != 1:
            raise Wrong(
                f"The answer is a tensor of shape {tuple(given.shape)}, expected True or False.", "torch.equal gives one."
            )
        told.append(bool(given))
    expect(told[0] or told[2], "You say that nobody wears the garment already.", "Compare the person with the truth.")
    expect(not (told[0] and told[2]), "You say that everybody wears the garment already.", "Compare the person with the truth.")
    expect(told[0], "It is the other way round.", "Who wears the garment already looks in it as they look now.")
    expect(told[1], "A copy of the same picture is taken for another one.", "Compare what is in the tensors.")
    expect(not told[3], "One pixel is different and you did not see it.", "All pixels have to agree, not some.")


@exercise("room_psnr", "4. Decibels by hand")
def room_psnr(answer):
    """`answer` is a function of two pictures (3, H, W) in [-1, 1]: decibels, a scalar."""
    image, target = 2 * random(3, 6, 5) - 1, 2 * random(3, 6, 5, seed=1) - 1
    mean = ((image - target) / 2).square().mean()
    got = expect_shape(answer(image.clone(), target.clone()), (), "The result", "One number for the picture.").double()
    right = -10 * mean.log10()
    hint = "Bring both pictures to [0, 1], take the mean square of the difference, then -10 log10."
    raw = (image - target).square().mean()
    rule_out(got, -10 * raw.log10(), "You are 6 dB too low: the pictures are still in [-1, 1].", hint)
    rule_out(got, -right, "The sign is wrong.", "A better picture has more decibels.")
    rule_out(got, -10 * mean.log(), "That is the natural logarithm.", "log10.")
    rule_out(got, -20 * mean.log10(), "You have twice the decibels.", "20 goes with the root of the mean square.")
    rule_out(got, -10 * mean.sqrt().log10(), "You have half the decibels.", "10 goes with the mean square, 20 with its root.")
    rule_out(got, mean, "That is the mean squared error.", "Decibels are -10 log10 of it.")
    rule_out(got, -10 * ((image - target) / 2).abs().mean().log10(), "That is the mean absolute difference.", "Square it first.")
    expect_close(got, right, "The result", hint, atol=1e-3)
