"""Typical wrong answers of lesson 7: (what is wrong, the answer, a part of the message it must get)."""

import torch

from ladi_mini.course.exercises.evaluation import (
    C1,
    C2,
    LUMA,
    discrepancy,
    distance_of_gaussians,
    perceptual,
    quantiles,
    structure,
)


def recolour(image, red=0.0, green=0.0, blue=0.0):
    return image + image.new_tensor([red, green, blue]).view(3, 1, 1)


def added(mx, my, vx, vy, covariance):
    return (2 * mx * my + C1) / (mx**2 + my**2 + C1) + (2 * covariance + C2) / (vx + vy + C2)


def one_deviation(means):
    return means.mean() + means.std() * torch.tensor([-1.0, 1.0])


WRONG = {
    "ssim_window": [
        ("no constants", lambda mx, my, vx, vy, c: structure(mx, my, vx, vy, c, 0.0, 0.0), "Two black windows"),
        ("constants of 8 bits", lambda mx, my, vx, vy, c: structure(mx, my, vx, vy, c, 2.55**2, 7.65**2), "from 0 to 255"),
        ("constants not squared", lambda mx, my, vx, vy, c: structure(mx, my, vx, vy, c, 0.01, 0.03), "not squared"),
        ("contrast for structure", lambda mx, my, vx, vy, c: structure(mx, my, vx, vy, (vx * vy).sqrt()), "contrast only"),
        ("no brightness", lambda mx, my, vx, vy, c: (2 * c + C2) / (vx + vy + C2), "brightness is missing"),
        ("sum of factors", added, "are added"),
        ("one number", lambda mx, my, vx, vy, c: structure(mx, my, vx, vy, c).mean(), "has shape"),
    ],
    "same_grey": [
        ("all from green", lambda image, d: recolour(image, d, -d), "as much as red grows"),
        ("weights swapped", lambda image, d: recolour(image, d, -d * LUMA[1] / LUMA[0]), "wrong way round"),
        ("red alone", lambda image, d: recolour(image, d), "Green has not changed"),
        ("the wrong sign", lambda image, d: recolour(image, d, d * LUMA[0] / LUMA[1]), "Green grows too"),
        ("from blue as well", lambda image, d: recolour(image, d, -d * 0.2, -d * 1.59), "change of blue"),
        ("nothing", lambda image, d: image, "Nothing has changed"),
    ],
    "feature_distance": [
        ("lengths kept", lambda a, b, w: perceptual(a, b, w, unit=False), "not scaled to length 1"),
        ("scaled over places", lambda a, b, w: perceptual(a, b, w, along=(2, 3)), "scaled over the places"),
        ("absolute differences", lambda a, b, w: perceptual(a, b, w, power=1), "not squared"),
        ("sum of places", lambda a, b, w: perceptual(a, b, w, mean=False), "places are summed"),
        ("weights inside the square", lambda a, b, w: perceptual(a, b, [x**2 for x in w]), "weights are squared"),
        ("no weights", lambda a, b, w: perceptual(a, b, [torch.ones_like(x) for x in w]), "weights are not used"),
        ("mean of layers", lambda a, b, w: perceptual(a, b, w) / len(w), "layers are averaged"),
    ],
    "frechet_distance": [
        ("no root", lambda x, y: distance_of_gaussians(x, y, root="none"), "root of the covariances is missing"),
        ("root of entries", lambda x, y: distance_of_gaussians(x, y, root="elementwise"), "entry by entry"),
        ("variances only", lambda x, y: distance_of_gaussians(x, y, root="diagonal"), "Only the variances"),
        ("means not squared", lambda x, y: distance_of_gaussians(x, y, square=False), "not squared"),
        ("divided by n", lambda x, y: distance_of_gaussians(x, y, correction=0), "divide by n"),
        ("means only", lambda x, y: distance_of_gaussians(x, y, spread=False), "Only the means"),
        ("root of it all", lambda x, y: distance_of_gaussians(x, y).sqrt(), "the root of the distance"),
        ("complex", lambda x, y: distance_of_gaussians(x, y) + 0j, "complex"),
    ],
    "kernel_distance": [
        ("with bias", lambda x, y: discrepancy(x, y, biased=True), "compared with themselves"),
        ("diagonals kept", lambda x, y: discrepancy(x, y, keep=True), "diagonals are still"),
        ("features not averaged", lambda x, y: discrepancy(x, y, divide=False), "does not divide"),
        ("square kernel", lambda x, y: discrepancy(x, y, degree=2), "is a square"),
        ("cross term once", lambda x, y: discrepancy(x, y, cross=1.0), "count once"),
        ("cross term added", lambda x, y: discrepancy(x, y, cross=-2.0), "are added"),
        ("times 1000", lambda x, y: 1000 * discrepancy(x, y), "times 1000"),
    ],
    "paired_interval": [
        ("drawn apart", lambda a, b, p: quantiles(a[p].mean(1) - b[p.roll(1, 0)].mean(1)), "drawn apart"),
        ("quantiles of people", lambda a, b, p: quantiles(a - b), "quantiles of people"),
        ("90 per cent", lambda a, b, p: quantiles((a - b)[p].mean(1), 0.05, 0.95), "90 % interval"),
        ("the other sign", lambda a, b, p: quantiles((b - a)[p].mean(1)), "b minus a"),
        ("intervals subtracted", lambda a, b, p: quantiles(a[p].mean(1)) - quantiles(b[p].mean(1)), "subtract two intervals"),
        ("a alone", lambda a, b, p: quantiles(a[p].mean(1)), "of a alone"),
        ("one deviation", lambda a, b, p: one_deviation((a - b)[p].mean(1)), "one deviation"),
    ],
}  # fmt: skip
