"""The exercises of lesson 8: cost, rounding, two clocks, what stays, slices of a batch, terms, and the gap between groups."""

import torch
import torch.nn.functional as F

from ladi_mini.course.answers import Wrong, exercise, expect, expect_close, expect_shape, rule_out


@exercise("full_conv_cost", "1. What a convolution costs")
def full_conv_cost(answer):
    """`answer` is a function of (inputs, outputs, kernel, height, width), it returns (parameters, operations)."""
    i, o, k, h, w = 5, 7, 3, 11, 13
    got = answer(i, o, k, h, w)
    expect(isinstance(got, tuple | list) and len(got) == 2, "The answer is not a pair.", "Return parameters, operations.")
    found, operations = (int(number) for number in got)
    products = k * k * i * o
    expect(found != products, "The bias is missing from the parameters.", "One number for each output channel.")
    expect(found != products + i, "There is a bias for each input.", "A bias is added to an output channel.")
    expect(found != k * i * o + o, "The kernel has one side only.", "It is k x k.")
    expect(
        found == products + o,
        f"The parameters are {found} for 5 to 7 channels and a 3 x 3 kernel.",
        "k x k numbers for each pair of channels.",
    )
    expect(operations != products * h * w, "The operations are half of what they should be.", "Each product is also added.")
    expect(operations != 2 * products, "The operations are those of one pixel.", "Every pixel of the output is such a sum.")
    expect(operations != 2 * (products + o) * h * w, "The bias is among the operations.", "Only products and their sums count.")
    expect(operations == 2 * products * h * w, f"The operations are {operations} on 11 x 13 pixels.", "Count one output number.")
    module = torch.nn.Conv2d(4, 6, 5)
    again = int(answer(4, 6, 5, 1, 1)[0])
    expect(again == sum(p.numel() for p in module.parameters()), "PyTorch's layer has another number of parameters.")


@exercise("full_round", "2. Round by hand")
def full_round(answer):
    """`answer` is a function of (x, fraction), it returns x rounded to that many stored bits."""
    hint = "Try it on 3.3 with 7 bits: 211 / 64."
    x = torch.tensor([3.3, 0.7, -3.3, 1.0, 100.3, 1e-12, -6e20])
    got = expect_shape(answer(x.clone(), 7), (7,), "The rounded numbers", hint).float()
    right = x.bfloat16().float()
    mantissa, exponent = torch.frexp(x)
    scaled = mantissa * 2**8
    share = (got - right).abs() / right.abs()
    for mistake, message, advice in (
        (torch.round(x * 2**7) / 2**7, "Steps have one size everywhere.", "They double from one power of two to the next."),
        (torch.ldexp(torch.trunc(scaled), exponent - 8), "Numbers are cut, not rounded.", "Go to the nearest, up or down."),
        (torch.ldexp(torch.floor(scaled), exponent - 8), "Numbers are rounded down.", "Go to the nearest, up or down."),
        (torch.ldexp(torch.round(mantissa * 2**7), exponent - 7), "One bit is missing.",
         "The 1 before the point is not stored; frexp's mantissa begins behind the point."),
        (torch.ldexp(torch.round(mantissa * 2**9), exponent - 9), "One bit too many is kept.", "Count the bits behind the 1."),
    ):  # fmt: skip
        expect(not torch.allclose(got, mistake, rtol=1e-6, atol=0), message, advice)
    expect_close(share, torch.zeros(7), "The share by which a rounded number differs", hint, atol=1e-7)
    middle = torch.tensor([1 + 2**-8, 1 + 3 * 2**-8])
    expect(
        bool((answer(middle.clone(), 7).float() == middle.bfloat16().float()).all()),
        "Halves do not go to the even neighbour.",
        "torch.round does that; adding a half and cutting does not.",
    )
    many = torch.randn(2000, generator=torch.Generator().manual_seed(0))
    expect_close(answer(many.clone(), 10).float(), many.half().float(), "10 bits, against float16,", hint, atol=1e-7)
    zero = answer(torch.zeros(1), 7)
    expect(bool((zero == 0).all()), "Zero does not stay zero.", "frexp gives it mantissa 0 and exponent 0.")


@exercise("full_two_clocks", "3. Two clocks")
def full_two_clocks(answer):
    """`answer` is a function of (batch (N,), launch, work, steps), it returns pictures a second (N,)."""
    batch, launch, work, steps = torch.tensor([1.0, 2.0, 8.0, 40.0]), 0.03, 0.004, 25
    got = expect_shape(answer(batch.clone(), launch, work, steps), (4,), "The answer", "One for each batch.").double()
    batch = batch.double()
    step = (batch * work).clamp(min=launch)
    for mistake, message, advice in (
        (batch / (steps * (launch + batch * work)), "The two times are added.", "Python asks while the GPU computes."),
        (batch / (steps * (batch * work).clamp(max=launch)), "The shorter time wins.", "A step is done when both are."),
        (batch / step, "One step makes a picture.", "All steps must be done first."),
        (1 / (steps * step), "These are batches a second.", "A batch has B pictures."),
        (steps * step / batch, "These are seconds a picture.", "Turn the fraction round."),
        (batch / (steps * max(launch, work)), "The work does not grow with the batch.", "w is for one picture."),
    ):
        expect(not torch.allclose(got, mistake.double(), rtol=1e-5, atol=0), message, advice)
    expect_close(got, batch / (steps * step), "The rate", "Take one picture: a step takes as long as asking for it.")


@exercise("full_split_conv", "4. What stays, stays")
def full_split_conv(answer):
    """`answer` is a pair of functions: settled(static, weight, bias) and moving(latents, weight, part)."""
    if not (isinstance(answer, tuple | list) and len(answer) == 2):
        raise Wrong("The answer is not a pair of functions.", "check gets (settled, moving).")
    settled, moving = answer
    generator = torch.Generator().manual_seed(0)
    x, weight = torch.randn(2, 5, 6, 4, generator=generator), torch.randn(3, 5, 3, 3, generator=generator)
    bias = torch.tensor([0.5, -1.0, 2.0])
    part = expect_shape(settled(x[:, 2:].clone(), weight, bias), (2, 3, 6, 4), "What settled gives",
                        "A convolution with padding 1 keeps the size.")  # fmt: skip
    static = F.conv2d(x[:, 2:], weight[:, 2:], padding=1)
    rule_out(part, static, "settled leaves the bias out.", "It belongs to the part that is computed once.")
    wrong = F.conv2d(x[:, 2:], weight[:, :3], bias, padding=1)
    rule_out(part, wrong, "settled reads with the weights of the first channels.", "The static channels are the last ones.")
    expect_close(part, static + bias.view(1, 3, 1, 1), "What settled gives", "Compare with F.conv2d on these channels alone.")
    whole = F.conv2d(x, weight, bias, padding=1)
    got = expect_shape(moving(x[:, :2].clone(), weight, part.clone()), (2, 3, 6, 4), "What moving gives", "Add the settled part.")
    mine = F.conv2d(x[:, :2], weight[:, :2], padding=1)
    rule_out(got, mine, "moving forgets the settled part.", "The convolution of all channels is the sum of both.")
    rule_out(got, whole + bias.view(1, 3, 1, 1), "The bias is there twice.", "The settled part already holds it.")
    crossed = F.conv2d(x[:, :2], weight[:, -2:], padding=1) + part
    rule_out(got, crossed, "moving reads with the last weights.", "The latents are the first channels.")
    expect_close(got, whole, "The sum of both parts", "Compare with F.conv2d of all channels.", atol=1e-4)


@exercise("full_slices", "5. Slices of different sizes")
def full_slices(answer):
    """`answer` is a function of gradients (N, P) and sizes (N,), it returns (P,)."""
    samples = torch.randn(16, 4, generator=torch.Generator().manual_seed(0))
    sizes = torch.tensor([6, 5, 5])
    gradients = torch.stack([part.mean(0) for part in samples.split(sizes.tolist())])
    got = expect_shape(answer(gradients.clone(), sizes.clone()), (4,), "The gradient", "One number for each parameter.").float()
    rule_out(
        got, gradients.mean(0), "Every slice counts alike.", "A sample in a small slice would count more than one in a large."
    )
    rule_out(got, gradients.sum(0), "The gradients are added up.", "The whole batch's loss is a mean.")
    total = (sizes[:, None] * gradients).sum(0)
    rule_out(got, total, "This is the gradient of a sum.", "How many samples are there in all?")
    rule_out(got, total / len(sizes), "The sum is divided by the number of slices.", "Divide by the number of samples.")
    inverse = (gradients / sizes[:, None]).sum(0) / (1 / sizes).sum()
    rule_out(got, inverse, "Small slices count more than large ones.", "Each sample has the same right.")
    expect_close(got, samples.mean(0), "The gradient", "Turn the means into sums first.")


TERMS = {
    "a": (False, "CC BY 4.0 allows selling, if the authors are named"),
    "b": (True, "the released weights are non-commercial, and a paid service is commercial"),
    "c": (False, "research with both is what their terms allow"),
    "d": (True, "works made with Dress Code inherit its restrictions"),
    "e": (True, "text under CC BY-NC cannot be given on under Apache-2.0"),
    "f": (False, "the code is Apache-2.0 and the photographs are the shop's own"),
    "g": (True, "Dress Code is given to those who ask for it, and must not be passed on"),
}


@exercise("full_terms", "6. May we?")
def full_terms(answer):
    """`answer` is a set of letters."""
    expect(isinstance(answer, set | list | tuple | str), "The answer is not a set of letters.", 'Write {"a", "b"}.')
    given = {str(letter).strip().lower() for letter in answer}
    unknown = sorted(given - set(TERMS))
    expect(not unknown, f"There is no case {unknown[0]!r}." if unknown else "", "The letters are a to g.")
    for letter, (ruled_out, why) in TERMS.items():
        if letter in given and not ruled_out:
            raise Wrong(f"Case {letter} is not ruled out: {why}.", "Look up each part in the table.")
    missing = [letter for letter, (ruled_out, _) in TERMS.items() if ruled_out and letter not in given]
    if missing:
        count = {1: "One case is", 2: "Two cases are", 3: "Three cases are"}.get(len(missing), "All cases are")
        parts = {"b": "the weights", "d": "the data", "e": "the code", "g": "the data"}
        raise Wrong(f"{count} missing.", f"Look again at what the terms of {parts[missing[0]]} say.")


@exercise("full_gap", "7. The gap between groups")
def full_gap(answer):
    """`answer` is a function of values (N,), groups (N,) and their count, it returns (means (count,), gap)."""
    nan = float("nan")
    values = torch.tensor([1.0, 3.0, nan, 10.0, 20.0, 30.0, nan, 5.0])
    groups = torch.tensor([0, 0, 0, 1, 1, 1, 1, 3])
    got = answer(values.clone(), groups.clone(), 4)
    expect(isinstance(got, tuple | list) and len(got) == 2, "The answer is not a pair.", "Return the means and the gap.")
    means, gap = (torch.as_tensor(part).float() for part in got)
    expect(tuple(means.shape) == (4,), f"The means have shape {tuple(means.shape)}, expected (4,).", "One for each group.")
    known = torch.tensor([True, True, False, True])
    zeros = torch.tensor([4 / 3, 15.0, 0.0, 5.0])
    rule_out(means.nan_to_num()[known], zeros[known], "Unknown values count as 0.", "Leave them out of sum and count.")
    expect(not bool(means[known].isnan().any()), "A group with an unknown value has no mean.", "nanmean leaves them out.")
    expect(bool(means[2].isnan()), "The empty group has a mean.", "Nobody was measured: say so with NaN.")
    right = torch.tensor([2.0, 20.0, 5.0])
    expect_close(means[known], right, "The mean of a group", "Group 0 has the values 1 and 3.")
    expect(gap.ndim == 0, f"The gap has shape {tuple(gap.shape)}, expected one number.")
    expect(not bool(gap.isnan()), "The gap is not a number.", "The empty group must not count for it.")
    rule_out(gap, right.max() - 69 / 6, "The gap is to the mean of all.", "From the worst group to the best.")
    rule_out(gap, torch.tensor(29.0), "The gap is between people.", "Between the means of groups.")
    rule_out(gap, right.std(), "The gap is a standard deviation.", "The largest mean minus the smallest.")
    rule_out(gap, right.max(), "An empty group counts as 0.", "Leave it out.")
    expect_close(gap, torch.tensor(18.0), "The gap", "The largest mean minus the smallest.")
