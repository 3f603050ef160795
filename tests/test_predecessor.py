"""evaluation/predecessor and fitting: composition is what the papers write, the loss sees what it should, and training learns."""

import copy

import pytest
import torch
from tiny import TINY, batch, tiny_pipeline

from ladi_mini.agnostic import pose_maps
from ladi_mini.checkpoints import BUILDERS, build_component, save_stage
from ladi_mini.evaluation import predecessor as p
from ladi_mini.evaluation.fitting import fit
from ladi_mini.sums import CheckpointError


def inputs(given):
    return given.agnostic, given.inpaint_mask, given.pose_map, given.warped_garment


def test_the_picture_is_composed_of_garment_and_rendering():
    torch.manual_seed(0)
    network, given = p.build_predecessor(TINY).eval(), batch(2)
    out = network(*inputs(given))
    assert out.image.shape == given.person.shape and out.mask.shape == given.inpaint_mask.shape
    for bias, expected in ((40.0, given.warped_garment), (-40.0, out.rendered)):
        with torch.no_grad():
            network.out.conv.weight[3:].zero_()
            network.out.conv.bias[3:].fill_(bias)
        assert torch.allclose(network(*inputs(given)).image, expected, atol=1e-5)


def test_it_never_sees_the_person_under_the_mask():
    torch.manual_seed(0)
    network, given = p.build_predecessor(TINY).eval(), batch(2)
    before = p.render(network, given.warped_garment, given)
    given.person = torch.where(given.inpaint_mask.bool(), -given.person, given.person)
    assert torch.equal(p.render(network, given.warped_garment, given), before)


def test_its_heat_maps_are_those_of_the_data():
    given = batch(3)
    given.keypoint_visible[0, 3] = False
    height, width = given.person.shape[2:]
    expected = pose_maps(given.keypoints, given.keypoint_visible, height, width)
    assert torch.allclose(p.heat_maps(given.keypoints, given.keypoint_visible, height, width), expected, atol=1e-4)


def test_the_perceptual_loss_is_zero_for_equal_pictures_grows_and_has_gradients():
    encoder, image = tiny_pipeline().image_encoder, batch(2).person
    assert p.perceptual(encoder, image, image).item() < 1e-6  # but for the last bits of two products of the same numbers
    noise = torch.randn(image.shape, generator=torch.Generator().manual_seed(0))
    values = [p.perceptual(encoder, image + amount * noise, image).item() for amount in (0.05, 0.2, 0.8)]
    assert 1e-4 < values[0] < values[1] < values[2]
    changed = (image + 0.1 * noise).requires_grad_()
    p.perceptual(encoder, changed, image).backward()
    assert changed.grad.abs().sum() > 0


def test_the_loop_finds_the_least_squares_line_and_ends_at_its_budget():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(256, 3, generator=generator)
    y = x @ torch.tensor([1.0, -2.0, 0.5]) + 0.3
    line = torch.nn.Linear(3, 1)

    def loss_of(index, _):
        return (line(x[index])[:, 0] - y[index]).square().mean()

    start = copy.deepcopy(line)
    card = fit(line, loss_of, 256, batch_size=32, learning_rate=0.05, steps=500)
    assert line.weight.flatten().tolist() == pytest.approx([1.0, -2.0, 0.5], abs=0.05) and card["steps"] == 500
    assert not any(q.requires_grad for q in line.parameters())
    found, line = line, copy.deepcopy(start)
    again = fit(line, loss_of, 256, batch_size=32, learning_rate=0.05, steps=500)
    assert again["loss"] == card["loss"] and torch.equal(line.weight, found.weight)  # the seed decides
    line = copy.deepcopy(start)
    assert fit(line, loss_of, 256, batch_size=32, learning_rate=0.05, steps=500, seed=1)["loss"] != card["loss"]
    line = torch.nn.Linear(3, 1)
    short = fit(line, loss_of, 256, batch_size=32, learning_rate=0.05, steps=10**9, budget=0.3)
    assert 0.3 <= short["seconds"] < 5 and 10 < short["steps"] < 10**6


@pytest.mark.slow
def test_training_learns_and_the_weights_come_back_from_disk(tmp_path):
    weights = tmp_path / "weights"
    for stage, component in (("clip", "clip"), ("warping", "warping")):
        save_stage(weights, TINY, stage, {component: build_component(TINY, component)})
    assert {"clip", "warping"} <= set(BUILDERS)
    card = p.train_predecessor(TINY, weights, tmp_path / "out", samples=24, validation=6, steps=60, batch_size=8, seed=1)
    losses = [entry["loss"] for entry in card["loss"]]
    assert sum(losses[-5:]) < 0.75 * sum(losses[:5]) and card["held_out"]["psnr"]["mean"] > 8
    network, given = p.load_predecessor(tmp_path / "out", TINY), batch(2)
    image = p.render(network, given.warped_garment, given)
    assert image.shape == given.person.shape and image.abs().max() <= 1 and not network.training
    assert p.load_predecessor(tmp_path / "nowhere", TINY) is None
    (tmp_path / "out" / p.FILE).write_bytes(b"broken")
    with pytest.raises(CheckpointError, match="damaged"):
        p.load_predecessor(tmp_path / "out", TINY)
