"""Typical wrong answers of lesson 3: (what is wrong, the answer, a part of the message it must get)."""

import torch

from ladi_mini.course.exercises.warping import _terms
from ladi_mini.warping import radial_basis, second_order_constraint


def squared(a, b):
    return (a[:, None] - b[None]).square().sum(-1)


def xlogy(x, y):
    return torch.special.xlogy(x, y)


def block(centres, columns=(0, 1, 2), rows=True, corner=0.0):
    """The system with chosen columns, with or without side conditions."""
    affine = torch.cat([torch.ones_like(centres[:, :1]), centres], 1)
    right = affine[:, list(columns)]
    below = torch.cat([affine.mT * rows, corner * torch.eye(3, dtype=centres.dtype)], 1)
    return torch.cat([torch.cat([radial_basis(centres, centres), right], 1), below])


def fetch(image, row, column):
    return image[:, row.long(), column.long()]


def nearest(image, places, swap=False, cut=False, beyond="clamp"):
    column, row = places.flip(-1).unbind(-1) if swap else places.unbind(-1)
    row, column = (row.floor(), column.floor()) if cut else (row.round(), column.round())
    height, width = image.shape[1:]
    if beyond == "wrap":
        return fetch(image, row % height, column % width)
    inside = fetch(image, row.clamp(0, height - 1), column.clamp(0, width - 1))
    if beyond == "black":
        return torch.where((row >= 0) & (row < height) & (column >= 0) & (column < width), inside, 0)
    return inside


def throw(image, places):
    """Forward: each pixel of the image goes to its place, whatever is left stays empty."""
    out = torch.zeros(len(image), *places.shape[:2])
    for y in range(min(image.shape[1], places.shape[0])):
        for x in range(min(image.shape[2], places.shape[1])):
            column, row = (int(p.round().clamp(0, size - 1)) for p, size in zip(places[y, x], out.shape[:0:-1], strict=True))
            out[:, row, column] = image[:, y, x]
    return out


def error(grid, true_grid, visible, height, width, scale=None, power=1, masked=True, over="visible"):
    pixels = torch.tensor([(width - 1) / 2, (height - 1) / 2]) if scale is None else torch.tensor(scale)
    distance = ((grid - true_grid) * pixels).norm(dim=-1) ** power
    shows = visible[:, 0] if masked else torch.ones_like(visible[:, 0])
    if over == "batch":
        return ((distance * shows).sum() / shows.sum()).expand(len(grid))
    return (distance * shows).sum((1, 2)) / (shows.sum((1, 2)) if over == "visible" else shows[0].numel())


def sides(points):
    return points.unflatten(1, (5, 5))


WRONG = {
    "tps_kernel": [
        ("r instead of r squared", lambda a, b: xlogy(squared(a, b).sqrt(), squared(a, b).sqrt()), "r log r"),
        ("log of r squared without the half", lambda a, b: xlogy(squared(a, b), squared(a, b)), "twice too large"),
        ("nothing done about r = 0", lambda a, b: squared(a, b) * squared(a, b).sqrt().log(), "U(0) is not a number"),
        ("base 10", lambda a, b: squared(a, b) * squared(a, b).sqrt().clamp(min=1e-9).log10(), "base 10"),
        ("transposed", lambda a, b: 0.5 * xlogy(squared(b, a), squared(b, a)), "shape (3, 2), expected (2, 3)"),
        (
            "city-block distance",
            lambda a, b: (a[:, None] - b).abs().sum(-1) ** 2 * (a[:, None] - b).abs().sum(-1).clamp(min=1e-9).log(),
            "along the axes",
        ),
        ("minus", lambda a, b: -0.5 * xlogy(squared(a, b), squared(a, b)), "U is off by up to"),
    ],
    "tps_system": [
        ("no side conditions", lambda c: block(c, rows=False), "side conditions are missing"),
        ("only the rows that pass through", lambda c: block(c)[: len(c)], "has shape (5, 8), expected (8, 8)"),
        ("no constant", lambda c: block(c)[:-1, :-1], "has shape (7, 7), expected (8, 8)"),
        ("x and y swapped", lambda c: block(c, columns=(0, 2, 1)), "(1, y, x)"),
        ("another order", lambda c: block(c, columns=(2, 1, 0)), "(y, x, 1)"),
        ("identity in the corner", lambda c: block(c, corner=1.0), "lower right block is not zero"),
        ("kernel forgotten", lambda c: block(c) * (block(c) != block(c)[0, 1]), "U between the centres"),
    ],
    "grid_to_pixels": [
        ("size for size - 1", lambda x, size, align: (x + 1) / 2 * size, "one pixel beyond the last"),
        ("the flag ignored", lambda x, size, align: (x + 1) / 2 * (size - 1), "Both cases are the same"),
        (
            "half a pixel forgotten",
            lambda x, size, align: (x + 1) / 2 * (size - 1) if align else (x + 1) / 2 * size,
            "forgot half a pixel",
        ),
        (
            "the flag turned round",
            lambda x, size, align: ((x + 1) * size - 1) / 2 if align else (x + 1) / 2 * (size - 1),
            "wrong way round",
        ),
        ("x from 0 to 1", lambda x, size, align: x * (size - 1), "align_corners=True is off by up to"),
    ],
    "warp_backward": [
        ("x and y swapped", lambda image, places: nearest(image, places, swap=True), "Rows and columns are swapped"),
        ("cut off", lambda image, places: nearest(image, places, cut=True), "rounded down"),
        ("wrapped round", lambda image, places: nearest(image, places, beyond="wrap"), "from its other side"),
        ("black outside", lambda image, places: nearest(image, places, beyond="black"), "you give black"),
        ("forward", throw, "The warped image is off by"),
        ("the size of the source", lambda image, places: image.clone(), "has shape (2, 4, 6), expected (2, 2, 3)"),
    ],
    "warp_error": [
        ("visibility ignored", lambda *a: error(*a, masked=False), "do not show the garment count"),
        ("divided by all pixels", lambda *a: error(*a, over="all"), "count as perfect"),
        ("pooled over the batch", lambda *a: error(*a, over="batch"), "one common mean"),
        ("half the size", lambda g, t, v, h, w: error(g, t, v, h, w, scale=[w / 2, h / 2]), "a little too long"),
        ("height for x", lambda g, t, v, h, w: error(g, t, v, h, w, scale=[(h - 1) / 2, (w - 1) / 2]), "measured by the height"),
        ("squares", lambda *a: error(*a, power=2), "mean of squared distances"),
        ("not in pixels", lambda *a: error(*a, scale=[1.0, 1.0]), "not in pixels"),
        ("one number", lambda *a: error(*a).mean(), "has shape (), expected (3,)"),
    ],
    "tps_constraint": [
        ("the first sample's areas", lambda p: second_order_constraint(p, "released"), "areas of the first one"),
        (
            "mean over the batch",
            lambda p: second_order_constraint(p).mean(0).expand(len(p), 6),
            "All samples have the same terms",
        ),
        ("rows for columns", lambda p: _terms(sides(p).transpose(1, 2)), "Rows and columns are swapped"),
        ("no floors", lambda p: _terms(sides(p), floor=False), "floors are missing"),
        ("steps not squared", lambda p: _terms(sides(p), power=1), "steps are not squared"),
        ("area of the triangle", lambda p: _terms(sides(p), area_scale=0.5), "those of triangles"),
        ("areas averaged", lambda p: _terms(sides(p), area_mean=True), "areas are averaged"),
        ("floor after the mean", lambda p: _terms(sides(p), floor_last=True), "floor comes after the mean"),
        ("one number a sample", lambda p: second_order_constraint(p).sum(1), "has shape (4,), expected (4, 6)"),
    ],
}
