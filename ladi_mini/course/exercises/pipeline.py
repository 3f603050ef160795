"""Checks of lesson 6: two pictures composed, channels by group, the unconditional twin, dropped conditions, mixing, noise."""

import copy
from dataclasses import fields

import torch

from ladi_mini.course.answers import Wrong, exercise, expect, expect_close, expect_shape, rule_out
from ladi_mini.sample import TryOnSample

TRUTHS = ("warp_grid", "warp_visible", "warped_garment", "target")
OF_GARMENT = ("garment", "garment_mask", "caption", "print_text", "print_box")


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


@exercise("pipeline_compose", "1. What the mask decides")
def pipeline_compose(answer):
    """`answer` is a function of rendered (B, 3, H, W), mask (B, 1, H, W) and warped (B, 3, H, W): (B, 3, H, W)."""
    rendered, warped, mask = random(2, 3, 4, 3), random(2, 3, 4, 3, seed=1), random(2, 1, 4, 3, seed=2)
    hint = "Where the mask is 1 the garment is seen and nothing else."
    got = expect_shape(answer(rendered.clone(), mask.clone(), warped.clone()), (2, 3, 4, 3), "The picture")
    rule_out(got, mask * rendered + (1 - mask) * warped, "The rendered person lies where the garment should.", hint)
    rule_out(got, mask * warped + rendered, "The person is not taken away where the garment is laid over.", hint)
    rule_out(got, torch.where(mask > 0.5, warped, rendered), "The mask is used as yes or no.",
             "It is between 0 and 1, and a gradient has to get through it.")  # fmt: skip
    rule_out(got, (warped + rendered) / 2, "The mask is not used.", hint)
    expect_close(got, mask * warped + (1 - mask) * rendered, "The picture", hint)


@exercise("pipeline_groups", "2. Who sits where")
def pipeline_groups(answer):
    """`answer` is a function of z: five pairs (start, stop) of noisy latents, mask, masked latents, pose map, garment."""
    hint = "A group starts where the one before it stopped."
    for z in (4, 16):
        given = answer(z)
        if isinstance(given, dict):
            raise Wrong("You give a dict, expected a list of five pairs.", "The order is part of the answer.")
        got = expect_shape(torch.as_tensor(given), (5, 2), f"The list for z = {z}", "Five pairs (start, stop).").long()
        sizes = torch.tensor([z, 1, z, 18, z])
        stop = sizes.cumsum(0)
        expected = torch.stack([stop - sizes, stop], 1)
        rule_out(got, torch.stack([stop - sizes, stop - 1], 1), "Your stops are the last channels.",
                 "As in a slice: the first channel that does not belong to the group any more.")  # fmt: skip
        swapped = torch.tensor([z, 1, 18, z, z]).cumsum(0)
        rule_out(got[:, 1], swapped, "The pose map comes before the masked latents.", "The base's channels come first.")
        no_mask = torch.tensor([z, 0, z, 18, z]).cumsum(0)
        rule_out(got[:, 1], no_mask, "The mask has no channel.", "It has one, whatever z is.")
        if z != 4:
            four = torch.tensor([4, 1, 4, 18, 4]).cumsum(0)
            rule_out(got[:, 1], four, "The list is that of z = 4 for every z.", "Count with z.")
        expect_close(got, expected, f"The list for z = {z}", hint)


@exercise("pipeline_twin", "3. The unconditional twin")
def pipeline_twin(answer):
    """`answer` is a function of static (B, 2z + 19, h, w) and z: (B, 2z + 19, h, w)."""
    for z in (4, 16):
        static = 1 + random(2, 2 * z + 19, 3, 2)
        given = static.clone()
        got = expect_shape(answer(given, z), tuple(static.shape), "The twin", "The twin has as many channels.")
        expect(
            torch.equal(given, static),
            "You changed the channels that you were given.",
            "The other half needs them: .clone().",
        )
        expected = static.clone()
        expected[:, 1 + z :] = 0
        rule_out(got, torch.zeros_like(static), "Nothing is left.", "The model always has to know where to paint.")
        rule_out(got, static, "Nothing is dropped.", "What would you not tell, if you wanted to know what the model guesses?")
        late = static.clone()
        late[:, 1 + 2 * z :] = 0
        rule_out(got, late, "You counted the noisy latents, which are not among these channels.", "The mask is channel 0 here.")
        no_pose = static.clone()
        no_pose[:, 1 + z : 19 + z] = 0
        rule_out(got, no_pose, "The garment is still there.", "Pose map and garment are dropped.")
        no_garment = static.clone()
        no_garment[:, -z:] = 0
        rule_out(got, no_garment, "The pose map is still there.", "Pose map and garment are dropped.")
        early = static.clone()
        early[:, 1:] = 0
        rule_out(got, early, "The masked latents are gone.", "The person around the hole is never dropped.")
        expect_close(got, expected, "The twin", "Mask and masked latents stay, pose map and garment are zero.")


@exercise("pipeline_drops", "4. How often is nothing seen?")
def pipeline_drops(answer):
    """`answer` is a function of p and together: (share of samples that see nothing, share that see everything)."""
    for p in (0.2, 0.1, 0.5):
        q, h = 1 - p, p / 2
        alone = expect_shape(torch.as_tensor(answer(p, False), dtype=torch.float64), (2,), "The pair for independent draws")
        expected = torch.tensor([p**3, q**3], dtype=torch.float64)
        rule_out(alone, torch.tensor([p, q]), "You have the shares of one condition.", "Three conditions, three draws.")
        rule_out(alone, torch.tensor([3 * p, 1 - 3 * p]), "Chances of independent draws are multiplied, not added.")
        rule_out(alone, torch.tensor([p**3, 1 - p**3]), "Not seeing nothing is not yet seeing everything.",
                 "Between the two are samples that see one or two of three.")  # fmt: skip
        expect_close(alone, expected, "The pair for independent draws", "All three draws say drop, or none of them.")
        both = expect_shape(torch.as_tensor(answer(p, True), dtype=torch.float64), (2,), "The pair for ours")
        rule_out(both, expected, "Both schemes give the same.", "What does `together` change?")
        rule_out(both[:1], torch.tensor([h]), "You forgot that the three single draws may all say drop as well.",
                 "Nothing is seen if the common draw drops, or if it does not and all three single ones do.")  # fmt: skip
        rule_out(both[1:], torch.tensor([(1 - h) ** 3]), "You forgot the common draw in the share that sees everything.",
                 "Four draws have to say keep.")  # fmt: skip
        ours = torch.tensor([h + (1 - h) * h**3, (1 - h) ** 4], dtype=torch.float64)
        expect_close(both, ours, "The pair for ours", "One common draw and three single ones, each with p / 2.")


def _sample(seed: int) -> TryOnSample:
    """Small, complete and different for every seed."""
    h, w, inside = 8, 6, torch.zeros(1, 8, 6)
    inside[:, 1 + seed : 4 + seed, 1:4] = 1
    keypoints = torch.stack([torch.linspace(0, w - 1, 18), torch.linspace(0, h - 1 - seed, 18)], 1)
    pictures = [random(3, h, w, seed=10 * seed + n) for n in range(4)]
    return TryOnSample(
        pictures[0], pictures[1], inside, inside.flip(2), random(18, h, w, seed=seed + 5),
        torch.full((h, w), seed, dtype=torch.int64), keypoints, torch.ones(18, dtype=torch.bool), "dresses",
        f"a dress number {seed}", f"person {seed}", torch.zeros(h, w, 2) + seed / 10, inside, pictures[2], pictures[3],
        f"{seed}", torch.tensor([0.0, 0.0, 1.0 + seed, 1.0]),
    )  # fmt: skip


@exercise("pipeline_mix", "5. Any person, any garment")
def pipeline_mix(answer):
    """`answer` is a function of two samples: the first one's person in the second one's garment."""
    person, garment = _sample(0), _sample(1)
    kept = copy.deepcopy((person, garment))
    got = answer(person, garment)
    if not isinstance(got, TryOnSample):
        raise Wrong(f"The result is of type {type(got).__name__}, expected a TryOnSample.", "dataclasses.replace makes one.")
    for before, after in zip(kept, (person, garment), strict=True):
        changed = [f.name for f in fields(before) if not _same(getattr(before, f.name), getattr(after, f.name))]
        expect(not changed, f"You changed {changed and changed[0]} of a sample that you were given.", "Use dataclasses.replace.")
    for name in OF_GARMENT:
        hint = "Take from the second sample whatever describes the garment."
        expect(_same(getattr(got, name), getattr(garment, name)), f"{name} is not that of the garment.", hint)
    for name in ("person", "inpaint_mask", "pose_map", "parse", "keypoints", "keypoint_visible", "category"):
        hint = "Mask and pose belong to the body."
        expect(_same(getattr(got, name), getattr(person, name)), f"{name} is not that of the person.", hint)
    for name in TRUTHS:
        hint = "Nobody has drawn this person in this garment; what is not known is None."
        expect(getattr(got, name) is None, f"{name} is given as a truth that it is not.", hint)


def _same(a, b) -> bool:
    return torch.equal(a, b) if isinstance(a, torch.Tensor) and isinstance(b, torch.Tensor) else a is b or a == b


@exercise("pipeline_noise", "6. A picture that does not depend on its neighbours (harder)")
def pipeline_noise(answer):
    """`answer` is a function of a list of seeds and a shape (z, h, w): (B, z, h, w)."""
    shape, seeds = (4, 3, 2), [7, 7, 3]
    torch.manual_seed(99)
    state = torch.random.get_rng_state()
    got = expect_shape(answer(list(seeds), shape), (3, *shape), "The noise", "One seed, one sample.")
    expect(torch.equal(state, torch.random.get_rng_state()), "PyTorch's own generator was reseeded or used.",
           "A generator of your own: torch.Generator().manual_seed(seed).")  # fmt: skip
    expect(not torch.equal(got[0], got[2]), "Different seeds give the same noise.", "Each sample has its own seed.")
    expect(torch.equal(got[0], got[1]), "The same seed gives different noise.",
           "One generator that all samples draw from makes a picture depend on its place in the batch.")  # fmt: skip
    alone = expect_shape(answer([3], shape), (1, *shape), "The noise of one")
    expect(torch.equal(alone[0], got[2]), "A sample alone has other noise than in a batch.", "Seed a generator for each sample.")
    many = answer(list(range(64)), (4, 16, 12))
    expect(abs(float(many.mean())) < 0.02 and abs(float(many.std()) - 1) < 0.02, "The noise is not a standard normal.",
           "torch.randn, not torch.rand.")  # fmt: skip
