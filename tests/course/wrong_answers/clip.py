"""Typical wrong answers of lesson 1: (what is wrong, the answer, a part of the message it must get)."""

import torch
import torch.nn.functional as F


def shares(cosines, scale, rows=True, columns=True):
    """The mean of -log p over the questions that are asked."""
    parts = [-(scale * cosines).log_softmax(dim).diagonal().mean() for dim, asked in ((1, rows), (0, columns)) if asked]
    return sum(parts) / len(parts)


def gradient(logits, rows=1.0, columns=1.0, right=2.0, over=None):
    n = len(logits)
    over = 2 * n if over is None else over
    return (rows * logits.softmax(1) + columns * logits.softmax(0) - right * torch.eye(n)) / over


def counts(labels):
    return (labels[:, None] == labels[None]).sum(1).double()


def cosines_of(pictures, sentences):
    return torch.einsum("bd,wtd->bwt", pictures, sentences)


def decisions(cosines):
    own = cosines.diagonal(dim1=1, dim2=2)
    return own > torch.stack([cosines[:, 0, 1], cosines[:, 1, 0]], 1), own > torch.stack([cosines[:, 1, 0], cosines[:, 0, 1]], 1)


def scores(cosines, swap=False, whole=False, wrong=False, third=None):
    """The three shares with one thing changed."""
    sentence, picture = decisions(cosines)
    both = (sentence & picture).all(1).double().mean()
    first, second = ((each.all(1) if whole else each).double().mean() for each in (sentence, picture))
    both = both if third is None else third(sentence, picture)
    result = (second, first, both) if swap else (first, second, both)
    return tuple(1 - each for each in result) if wrong else result


WRONG = {
    "clip_cosine": [
        ("not normalised", lambda a, b: a @ b.T, "dot products"),
        ("pictures only", lambda a, b: F.normalize(a) @ b.T, "Only one of the two"),
        ("along the columns", lambda a, b: F.normalize(a, dim=0) @ F.normalize(b, dim=0).T, "length of the columns"),
        ("transposed", lambda a, b: F.normalize(b) @ F.normalize(a).T, "has shape (4, 3), expected (3, 4)"),
        (
            "squared lengths",
            lambda a, b: (a / a.square().sum(1, keepdim=True)) @ (b / b.square().sum(1, keepdim=True)).T,
            "squared",
        ),
        ("normalised afterwards", lambda a, b: F.normalize(a @ b.T, dim=1), "rows of the result"),
        ("pair by pair", lambda a, b: F.cosine_similarity(a, b[:3]), "has shape (3,), expected (3, 4)"),
    ],
    "clip_loss": [
        ("rows only", lambda c, s: shares(c, s, columns=False), "Only the rows are asked"),
        ("columns only", lambda c, s: shares(c, s, rows=False), "Only the columns are asked"),
        ("not halved", lambda c, s: 2 * shares(c, s), "twice too large"),
        ("summed", lambda c, s: len(c) * shares(c, s), "a sum over the batch"),
        ("scale forgotten", lambda c, s: shares(c, 1.0), "The scale is not used"),
        ("divided by the scale", lambda c, s: shares(c, 1 / s), "You divide by the scale"),
        ("no minus", lambda c, s: -shares(c, s), "The sign is wrong"),
        (
            "no logarithm",
            lambda c, s: -((s * c).softmax(1).diagonal().mean() + (s * c).softmax(0).diagonal().mean()) / 2,
            "The logarithm is missing",
        ),
        (
            "one softmax for all",
            lambda c, s: -(s * c).flatten().log_softmax(0).view_as(c).diagonal().mean(),
            "over the whole matrix",
        ),
        ("one number a pair", lambda c, s: -(s * c).log_softmax(1).diagonal(), "has shape (5,), expected ()"),
        (
            "exponentials that overflow",
            lambda c, s: (
                -(
                    ((s * c).exp() / (s * c).exp().sum(1, keepdim=True)).diagonal().log().mean()
                    + ((s * c).exp() / (s * c).exp().sum(0)).diagonal().log().mean()
                )
                / 2
            ),
            "not finite",
        ),
    ],
    "clip_gradient": [
        ("factor forgotten", lambda x: gradient(x, over=1), "1 / 2N is missing"),
        ("only N", lambda x: gradient(x, over=len(x)), "twice too large"),
        ("only two", lambda x: gradient(x, over=2), "N times too large"),
        ("rows only", lambda x: gradient(x, columns=0, right=1, over=len(x)), "Only the rows are in it"),
        ("columns only", lambda x: gradient(x, rows=0, right=1, over=len(x)), "Only the columns are in it"),
        ("no right answers", lambda x: gradient(x, right=0), "right answers are missing"),
        ("one right answer", lambda x: gradient(x, right=1), "diagonal is not low enough"),
        ("direction of descent", lambda x: -gradient(x), "The sign is wrong"),
        ("the shares alone", lambda x: x.softmax(1), "The gradient is off by up to"),
    ],
    "clip_floor": [
        ("mean over groups", lambda t: torch.unique(t, return_counts=True)[1].double().log().mean(), "average over the groups"),
        ("logarithm of the mean", lambda t: counts(t).mean().log(), "logarithm of the mean"),
        ("no logarithm", lambda t: counts(t).mean(), "The logarithm is missing"),
        ("a sum", lambda t: counts(t).log().sum(), "a sum over the pairs"),
        ("groups", lambda t: torch.tensor(float(len(t.unique()))).log(), "number of groups"),
        ("chance", lambda t: torch.tensor(float(len(t))).log(), "which is chance"),
        ("without itself", lambda t: (counts(t) - 1).clamp(min=1).log().mean(), "does not count itself"),
        ("base 2", lambda t: counts(t).log2().mean(), "base 2"),
        ("one number a pair", lambda t: counts(t).log(), "has shape (8,), expected ()"),
    ],
    "clip_zero_shot": [
        ("mean of cosines", lambda p, s: cosines_of(p, s).mean(2).argmax(1), "not brought back to length 1"),
        ("best sentence", lambda p, s: cosines_of(p, s).amax(2).argmax(1), "best single sentence"),
        ("first sentence", lambda p, s: (p @ s[:, 0].T).argmax(1), "Only the first sentence"),
        ("number of a sentence", lambda p, s: cosines_of(p, s).flatten(1).argmax(1), "number the sentences"),
        ("over the pictures", lambda p, s: (p @ F.normalize(s.mean(1), dim=-1).T).argmax(0), "one answer for each word"),
        ("the cosines", lambda p, s: (p @ F.normalize(s.mean(1), dim=-1).T).amax(1), "holds cosines"),
        ("the farthest", lambda p, s: (p @ F.normalize(s.mean(1), dim=-1).T).argmin(1), "farthest word"),
    ],
    "clip_pairs": [
        ("swapped", lambda c: scores(c, swap=True), "swapped"),
        ("pairs for decisions", lambda c: scores(c, whole=True), "You count pairs"),
        ("product", lambda c: scores(c, third=lambda a, b: a.double().mean() * b.double().mean()), "a product"),
        ("places", lambda c: scores(c, third=lambda a, b: (a & b).double().mean()), "places of the diagonal"),
        (
            "compares sums",
            lambda c: scores(c, third=lambda a, b: (c[:, 0, 0] + c[:, 1, 1] > c[:, 0, 1] + c[:, 1, 0]).double().mean()),
            "compares sums",
        ),
        ("wrong decisions", lambda c: scores(c, wrong=True), "wrong decisions"),
        ("two numbers", lambda c: scores(c)[:2], "has shape (2,), expected (3,)"),
        ("a table", lambda c: decisions(c), "not three numbers"),
    ],
}
