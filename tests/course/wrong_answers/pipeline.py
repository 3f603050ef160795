"""Typical wrong answers of lesson 6: (what is wrong, the answer, a part of the message it must get)."""

from dataclasses import replace

import torch

from ladi_mini.course.exercises.pipeline import OF_GARMENT, TRUTHS


def spans(sizes, shift=0):
    stop = torch.tensor(sizes).cumsum(0)
    return [(int(b) - s, int(b) - shift) for b, s in zip(stop, sizes, strict=True)]


def zeroed(static, *parts):
    out = static.clone()
    for part in parts:
        out[:, part] = 0
    return out


def in_place(static, z):
    static[:, 1 + z :] = 0
    return static


def mix(person, garment, leave=(), take=(), truths=TRUTHS):
    names = [name for name in (*OF_GARMENT, *take) if name not in leave]
    return replace(person, **{name: getattr(garment, name) for name in names}, **dict.fromkeys(truths))


def mixed_in_place(person, garment):
    person.garment, person.garment_mask = garment.garment, garment.garment_mask
    return person


def one_generator(seeds, shape):
    return torch.randn(len(seeds), *shape, generator=torch.Generator().manual_seed(seeds[0]))


def each(seeds, shape, draw=torch.randn, seed_of=lambda i, s: s):
    made = [draw(*shape, generator=torch.Generator().manual_seed(seed_of(i, s))) for i, s in enumerate(seeds)]
    return torch.stack(made)


def global_seed(seeds, shape):
    out = []
    for seed in seeds:
        torch.manual_seed(seed)
        out.append(torch.randn(*shape))
    return torch.stack(out)


WRONG = {
    "pipeline_compose": [
        ("the wrong way round", lambda r, m, w: m * r + (1 - m) * w, "lies where the garment should"),
        ("added", lambda r, m, w: m * w + r, "not taken away"),
        ("thresholded", lambda r, m, w: torch.where(m > 0.5, w, r), "yes or no"),
        ("mean", lambda r, m, w: (w + r) / 2, "mask is not used"),
        ("the mask only", lambda r, m, w: m, "has shape (2, 1, 4, 3)"),
    ],
    "pipeline_groups": [
        ("last channels", lambda z: spans([z, 1, z, 18, z], 1), "stops are the last channels"),
        ("pose first", lambda z: spans([z, 1, 18, z, z]), "pose map comes before"),
        ("no mask", lambda z: spans([z, 0, z, 18, z]), "mask has no channel"),
        ("always four", lambda z: spans([4, 1, 4, 18, 4]), "z = 4 for every z"),
        ("a dict", lambda z: {"mask": (z, z + 1)}, "a dict"),
        ("four groups", lambda z: spans([z, 1, z, 18]), "has shape (4, 2), expected (5, 2)"),
        ("lengths", lambda z: [(a, b - a) for a, b in spans([z, 1, z, 18, z])], "is off by"),
    ],
    "pipeline_twin": [
        ("all zero", lambda s, z: torch.zeros_like(s), "Nothing is left"),
        ("untouched", lambda s, z: s.clone(), "Nothing is dropped"),
        ("counted with the noisy latents", lambda s, z: zeroed(s, slice(1 + 2 * z, None)), "counted the noisy latents"),
        ("only the pose", lambda s, z: zeroed(s, slice(1 + z, 19 + z)), "garment is still there"),
        ("only the garment", lambda s, z: zeroed(s, slice(-z, None)), "pose map is still there"),
        ("the person too", lambda s, z: zeroed(s, slice(1, None)), "masked latents are gone"),
        ("in place", in_place, "changed the channels"),
        ("cut off", lambda s, z: s[:, : 1 + z], "expected (2, 27, 3, 2)"),
    ],
    "pipeline_drops": [
        ("one condition", lambda p, t: (p, 1 - p), "shares of one condition"),
        ("added", lambda p, t: (3 * p, 1 - 3 * p), "multiplied, not added"),
        ("the rest sees all", lambda p, t: (p**3, 1 - p**3), "not yet seeing everything"),
        ("no difference", lambda p, t: (p**3, (1 - p) ** 3), "Both schemes give the same"),
        (
            "only the common draw",
            lambda p, t: (p / 2, (1 - p / 2) ** 4) if t else (p**3, (1 - p) ** 3),
            "single draws may all say drop",
        ),
        (
            "three draws for everything",
            lambda p, t: (p / 2 + (1 - p / 2) * (p / 2) ** 3, (1 - p / 2) ** 3) if t else (p**3, (1 - p) ** 3),
            "forgot the common draw",
        ),
        (
            "half forgotten",
            lambda p, t: (p + (1 - p) * p**3, (1 - p) ** 4) if t else (p**3, (1 - p) ** 3),
            "The pair for ours is off",
        ),
    ],
    "pipeline_mix": [
        ("the old outline", lambda a, b: mix(a, b, leave=("garment_mask",)), "garment_mask is not that of the garment"),
        ("the old sentence", lambda a, b: mix(a, b, leave=("caption",)), "caption is not that of the garment"),
        ("the other one's mask", lambda a, b: mix(a, b, take=("inpaint_mask",)), "inpaint_mask is not that of the person"),
        ("the other one's pose", lambda a, b: mix(a, b, take=("pose_map",)), "pose_map is not that of the person"),
        ("an old truth", lambda a, b: mix(a, b, truths=TRUTHS[:3]), "target is given as a truth"),
        ("the old warp", lambda a, b: mix(a, b, truths=TRUTHS[1:]), "warp_grid is given as a truth"),
        ("in place", mixed_in_place, "You changed garment"),
        ("a dict", lambda a, b: vars(a) | {"garment": b.garment}, "of type dict"),
    ],
    "pipeline_noise": [
        ("one generator for all", one_generator, "The same seed gives different noise"),
        ("all the first seed", lambda s, shape: each(s, shape, seed_of=lambda i, _: s[0]), "Different seeds give the same"),
        ("PyTorch's own generator", global_seed, "own generator was reseeded"),
        ("uniform", lambda s, shape: each(s, shape, draw=torch.rand), "not a standard normal"),
        (
            "the place in the batch",
            lambda s, shape: each(s, shape, seed_of=lambda i, x: x + i),
            "The same seed gives different noise",
        ),
        (
            "no batch",
            lambda s, shape: torch.randn(*shape, generator=torch.Generator().manual_seed(s[0])),
            "expected (3, 4, 3, 2)",
        ),
    ],
}
