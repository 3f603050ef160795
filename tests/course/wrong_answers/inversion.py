"""Typical wrong answers of lesson 2: (what is wrong, the answer, a part of the message it must get)."""

import math

import torch


def place(embedded, ids, words, placeholder, how="right"):
    """Pseudo-words in their places, with one thing done wrong."""
    out = embedded if how == "in place" else embedded.clone()
    for b, row in enumerate(ids):
        places = (row == placeholder).nonzero()[:, 0]
        if len(places) == 0:
            continue
        if how == "block":
            out[b, places[0] : places[0] + words.shape[1]] = words[b]
        elif how == "first":
            out[b, places] = words[b, 0]
        elif how == "added":
            out[b, places] += words[b]
        else:
            out[b, places] = words[0 if how == "others" else b]
    return out


def everywhere(embedded, ids, words, placeholder):
    """After the start token, whether placeholders are there or not."""
    out = place(embedded, ids, words, placeholder)
    out[1, 1:4] = words[1]
    return out


def loss(denoiser, latents, noise, timesteps, abar, text, root=True, swap=False, target="noise", each=True, total=False):
    a = (abar[timesteps] if each else abar[timesteps[:1]].expand(len(latents))).view(-1, 1, 1, 1)
    signal, spread = (a.sqrt(), (1 - a).sqrt()) if root else (a, 1 - a)
    signal, spread = (spread, signal) if swap else (signal, spread)
    squares = (denoiser(signal * latents + spread * noise, timesteps, text) - (noise if target == "noise" else latents)).square()
    return squares.sum() if total else squares.mean()


def blind(*args):
    with torch.no_grad():
        return loss(*args)


def descend(loss_of_words, words, steps, lr, copy=True, zero=True, once=False, backward=True, detach=True):
    words = words.detach().clone() if copy else words
    words.requires_grad_()
    for _ in range(1 if once else steps):
        value = loss_of_words(words)
        if backward:
            value.backward()
            gradient = words.grad.clone()
            if zero:
                words.grad = None
        else:
            (gradient,) = torch.autograd.grad(value, words)
        with torch.no_grad():
            words -= lr * gradient
    if not copy:
        words.requires_grad_(False)
    return words.detach() if detach else words


def shares(queries, keys, positions, scale=None, dim=-1, heads="mean", first=False, only=False):
    scores = queries @ keys.mT / (queries.shape[-1] ** 0.5 if scale is None else scale)
    if only:
        return scores[..., positions].softmax(-1).mean(0).mT
    if first:
        return scores.mean(0).softmax(-1)[:, positions].mT
    maps = scores.softmax(dim)
    return (maps.mean(0) if heads == "mean" else maps.sum(0))[:, positions].mT


WRONG = {
    "inversion_lookup": [
        ("no places", lambda ids, table, positions: table[ids], "no places"),
        ("one place for all", lambda ids, table, positions: table[ids] + positions[0], "the place of the first"),
        ("places from 1", lambda ids, table, positions: table[ids] + positions[1 : ids.shape[1] + 1], "counted from 1"),
        ("scaled as Vaswani", lambda ids, table, p: table[ids] * table.shape[1] ** 0.5 + p[: ids.shape[1]], "scaled by the root"),
        ("places by id", lambda ids, table, positions: table[ids] + positions[ids.clamp(max=6)], "looked up by the ids"),
        ("all places", lambda ids, table, positions: table[ids] + positions, "raised RuntimeError"),
        ("summed", lambda ids, table, positions: (table[ids] + positions[: ids.shape[1]]).sum(1), "has shape (2, 6)"),
    ],
    "inversion_place": [
        ("nothing done", lambda embedded, ids, words, placeholder: embedded, "Nothing was replaced"),
        ("the first word everywhere", lambda *given: place(*given, how="first"), "has the first word"),
        ("the first sentence's words", lambda *given: place(*given, how="others"), "the words of the first"),
        ("a block", lambda *given: place(*given, how="block"), "between the placeholders"),
        ("added", lambda *given: place(*given, how="added"), "are added"),
        ("in place", lambda *given: place(*given, how="in place"), "that was given has changed"),
        ("without asking", everywhere, "without a placeholder have changed"),
    ],
    "inversion_loss": [
        ("no roots", lambda *given: loss(*given, root=False), "without the roots"),
        ("swapped", lambda *given: loss(*given, swap=True), "are swapped"),
        ("against the picture", lambda *given: loss(*given, target="latents"), "compared with the picture"),
        ("one level for all", lambda *given: loss(*given, each=False), "noise level of the first"),
        ("summed", lambda *given: loss(*given, total=True), "added up"),
        ("without gradient", blind, "No gradient reaches"),
    ],
    "inversion_descend": [
        ("uphill", lambda f, w, steps, lr: descend(f, w, steps, -lr, backward=False), "goes up"),
        ("one step", lambda f, w, steps, lr: descend(f, w, steps, lr, once=True, backward=False), "Only one step"),
        ("accumulated", lambda f, w, steps, lr: descend(f, w, steps, lr, zero=False), "are added up"),
        ("the start is changed", lambda f, w, steps, lr: descend(f, w, steps, lr, copy=False, backward=False), "were given have"),
        ("the model learns too", lambda f, w, steps, lr: descend(f, w, steps, lr), "has gathered gradients"),
        ("on the graph", lambda f, w, steps, lr: descend(f, w, steps, lr, backward=False, detach=False), "hangs on the graph"),
        ("nothing moves", lambda f, w, steps, lr: w.clone(), "have not moved"),
    ],
    "inversion_attention": [
        ("unscaled", lambda q, k, p: shares(q, k, p, scale=1), "not scaled"),
        ("by the width", lambda q, k, p: shares(q, k, p, scale=q.shape[-1]), "not by its root"),
        ("over the places", lambda q, k, p: shares(q, k, p, dim=1), "over the places"),
        ("among the words", lambda q, k, p: shares(q, k, p, only=True), "among themselves"),
        ("heads added", lambda q, k, p: shares(q, k, p, heads="sum"), "heads are added"),
        ("heads first", lambda q, k, p: shares(q, k, p, first=True), "before the softmax"),
        ("transposed", lambda q, k, p: shares(q, k, p).mT, "has shape (6, 3)"),
    ],
    "inversion_cost": [
        ("a ratio", lambda a, b, c, d: a * b / (c * d) + 0.25, "no parts of garments"),
        ("rounded down", lambda a, b, c, d: a * b // (c * d), "less one by one"),
        ("without batches", lambda a, b, c, d: math.ceil(a / c), "batches are left out"),
        ("upside down", lambda a, b, c, d: c * d / (a * b), "wrong way round"),
        ("one more", lambda a, b, c, d: math.ceil(a * b / (c * d)) + 1, "you say 11"),
    ],
}
