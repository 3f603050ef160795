"""Typical wrong answers of lesson 0: (what is wrong, the answer, a part of the message it must get)."""

import torch


def painted_over(person, mask):
    person[mask.expand_as(person) > 0] = 0
    return person


def decibels(image, target, scale=2.0, factor=-10.0, log=torch.log10, root=False, power=2):
    mean = ((image - target) / scale).abs().pow(power).mean()
    return factor * log(mean.sqrt() if root else mean)


WRONG = {
    "room_agnostic": [
        ("upside down", lambda person, mask: person * mask, "kept what should be hidden"),
        ("white", lambda person, mask: torch.where(mask > 0, 1.0, person), "The hole is white"),
        ("black", lambda person, mask: torch.where(mask > 0, -1.0, person), "The hole is black"),
        ("half", lambda person, mask: torch.where(mask > 0, 0.5, person), "too light"),
        ("nothing hidden", lambda person, mask: person.clone(), "still whole"),
        ("in place", painted_over, "painted over the person"),
        ("the mask", lambda person, mask: 1 - mask, "has shape (1, 5, 4), expected (3, 5, 4)"),
    ],
    "room_channels": [
        ("no mask", lambda z: 3 * z + 18, "mask is not counted"),
        ("no pose", lambda z: 3 * z + 1, "pose map is not counted"),
        ("the base", lambda z: 2 * z + 1, "inpainting base"),
        ("no garment", lambda z: 2 * z + 19, "garment are not counted"),
        ("always 31", lambda z: 31, "31 is right for z = 4 only"),
        ("colours", lambda z: 25 + z, "latents, not in colours"),
        ("one too many", lambda z: 3 * z + 20, "off by 1"),
    ],
    "room_paired": [
        ("always", lambda s: True, "everybody wears"),
        ("never", lambda s: False, "nobody wears"),
        ("the other way round", lambda s: not torch.equal(s.person, s.target), "other way round"),
        ("the same object", lambda s: s.person is s.target, "A copy of the same picture"),
        ("any pixel", lambda s: bool((s.person == s.target).all(0).float().mean() > 0.95), "One pixel is different"),
        ("a tensor", lambda s: s.person == s.target, "a tensor of shape (3, 64, 48)"),
    ],
    "room_psnr": [
        ("not brought to [0, 1]", lambda a, b: decibels(a, b, scale=1.0), "6 dB too low"),
        ("sign", lambda a, b: decibels(a, b, factor=10.0), "The sign is wrong"),
        ("natural logarithm", lambda a, b: decibels(a, b, log=torch.log), "natural logarithm"),
        ("20", lambda a, b: decibels(a, b, factor=-20.0), "twice the decibels"),
        ("root and 10", lambda a, b: decibels(a, b, root=True), "half the decibels"),
        ("absolute", lambda a, b: decibels(a, b, power=1), "mean absolute difference"),
        ("no logarithm", lambda a, b: ((a - b) / 2).square().mean(), "mean squared error"),
        ("a value a channel", lambda a, b: (a - b).square().mean((1, 2)), "has shape (3,), expected ()"),
    ],
}
