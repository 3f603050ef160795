"""Typical wrong answers of lesson 8: (what is wrong, the answer, a part of the message it must get)."""

import torch
import torch.nn.functional as F


def cost(parameters, operations):
    return lambda i, o, k, h, w: (parameters(i, o, k), operations(i, o, k, h, w))


def right_parameters(i, o, k):
    return k * k * i * o + o


def right_operations(i, o, k, h, w):
    return 2 * k * k * i * o * h * w


def rounding(how=torch.round, extra=1):
    def rounded(x, fraction):
        mantissa, exponent = torch.frexp(x)
        return torch.ldexp(how(mantissa * 2 ** (fraction + extra)), exponent - (fraction + extra))

    return rounded


def half_up(x):
    return torch.floor(x.abs() + 0.5) * x.sign()


def settled(static, weight, bias):
    return F.conv2d(static, weight[:, -static.shape[1] :], bias, padding=1)


def moving(latents, weight, part):
    return F.conv2d(latents, weight[:, : latents.shape[1]], padding=1) + part


def means_of(values, groups, count):
    return torch.stack([values[groups == g].nanmean() for g in range(count)])


def gap_of(means):
    return means[~means.isnan()].max() - means[~means.isnan()].min()


def with_gap(gap):
    return lambda values, groups, count: (means_of(values, groups, count), gap(values, means_of(values, groups, count)))


WRONG = {
    "full_conv_cost": [
        ("no bias", cost(lambda i, o, k: k * k * i * o, right_operations), "bias is missing"),
        ("bias of the inputs", cost(lambda i, o, k: k * k * i * o + i, right_operations), "bias for each input"),
        ("k once", cost(lambda i, o, k: k * i * o + o, right_operations), "one side only"),
        ("products only", cost(right_parameters, lambda i, o, k, h, w: k * k * i * o * h * w), "half of what"),
        ("one pixel", cost(right_parameters, lambda i, o, k, h, w: 2 * k * k * i * o), "of one pixel"),
        ("with the bias", cost(right_parameters, lambda i, o, k, h, w: 2 * (k * k * i * o + o) * h * w), "bias is among"),
        ("one number", lambda *sizes: right_operations(*sizes), "not a pair"),
    ],
    "full_round": [
        ("fixed steps", lambda x, p: torch.round(x * 2**p) / 2**p, "one size everywhere"),
        ("cut", rounding(torch.trunc), "cut, not rounded"),
        ("down", rounding(torch.floor), "rounded down"),
        ("a bit too few", rounding(extra=0), "One bit is missing"),
        ("a bit too many", rounding(extra=2), "One bit too many"),
        ("halves up", rounding(half_up), "even neighbour"),
        ("not at all", lambda x, p: x, "differs is off by up to"),
        ("always to 7 bits", lambda x, p: x.bfloat16().float(), "against float16"),
        ("logarithm of zero", lambda x, p: torch.where(x == 0, torch.nan, rounding()(x, p)), "Zero does not stay zero"),
    ],
    "full_two_clocks": [
        ("added", lambda b, launch, work, n: b / (n * (launch + b * work)), "are added"),
        ("the shorter", lambda b, launch, work, n: b / (n * (b * work).clamp(max=launch)), "shorter time wins"),
        ("one step", lambda b, launch, work, n: b / (b * work).clamp(min=launch), "One step makes a picture"),
        ("batches", lambda b, launch, work, n: 1 / (n * (b * work).clamp(min=launch)), "batches a second"),
        ("seconds", lambda b, launch, work, n: n * (b * work).clamp(min=launch) / b, "seconds a picture"),
        ("work of one", lambda b, launch, work, n: b / (n * max(launch, work)), "does not grow"),
        ("one number", lambda b, launch, work, n: 1 / (n * launch), "has shape (), expected (4,)"),
    ],
    "full_split_conv": [
        ("no bias", (lambda s, w, b: settled(s, w, None), moving), "leaves the bias out"),
        ("first weights", (lambda s, w, b: F.conv2d(s, w[:, : s.shape[1]], b, padding=1), moving), "of the first channels"),
        ("no padding", (lambda s, w, b: F.conv2d(s, w[:, -s.shape[1] :], b), moving), "has shape (2, 3, 4, 2)"),
        ("part forgotten", (settled, lambda x, w, part: moving(x, w, 0)), "forgets the settled part"),
        ("last weights", (settled, lambda x, w, part: F.conv2d(x, w[:, -x.shape[1] :], padding=1) + part), "the last weights"),
        ("part scaled", (settled, lambda x, w, part: moving(x, w, part / 2)), "sum of both parts is off"),
        ("one function", settled, "not a pair of functions"),
    ],
    "full_slices": [
        ("all alike", lambda g, n: g.mean(0), "counts alike"),
        ("added", lambda g, n: g.sum(0), "are added up"),
        ("a sum's", lambda g, n: (n[:, None] * g).sum(0), "gradient of a sum"),
        ("by slices", lambda g, n: (n[:, None] * g).sum(0) / len(n), "number of slices"),
        ("inverse", lambda g, n: (g / n[:, None]).sum(0) / (1 / n).sum(), "Small slices count more"),
        ("wrong axis", lambda g, n: g.mean(1), "has shape (3,), expected (4,)"),
    ],
    "full_terms": [
        ("only what is sold", {"b"}, "Three cases are missing"),
        ("the workshop too", {"a", "b", "d", "e", "g"}, "Case a is not ruled out"),
        ("the thesis too", {"b", "c", "d", "e", "g"}, "Case c is not ruled out"),
        ("the shop's own too", {"b", "d", "e", "f", "g"}, "Case f is not ruled out"),
        ("the server forgotten", {"b", "d", "e"}, "One case is missing"),
        ("another letter", {"b", "h"}, "no case 'h'"),
        ("a number", 4, "not a set of letters"),
    ],
    "full_gap": [
        ("unknown is zero", lambda v, g, n: (torch.stack([v.nan_to_num()[g == i].mean() for i in range(n)]), 0.0), "count as 0"),
        ("plain mean", lambda v, g, n: (torch.stack([v[g == i].mean() for i in range(n)]), 0.0), "has no mean"),
        ("empty is zero", lambda v, g, n: (means_of(v, g, n).nan_to_num(), 20.0), "empty group has a mean"),
        ("gap of all", with_gap(lambda v, m: m.max() - m.min()), "gap is not a number"),
        ("to the mean", with_gap(lambda v, m: m[~m.isnan()].max() - v.nanmean()), "to the mean of all"),
        ("between people", with_gap(lambda v, m: v[~v.isnan()].max() - v[~v.isnan()].min()), "between people"),
        ("deviation", with_gap(lambda v, m: m[~m.isnan()].std()), "standard deviation"),
        ("only groups that exist", lambda v, g, n: (means_of(v, g, n)[:2], 18.0), "have shape (2,), expected (4,)"),
    ],
}
