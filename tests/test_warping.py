"""Thin-plate splines, the constraint on their control points, the matching network and the refinement."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from scipy.interpolate import RBFInterpolator
from tiny import batch

from ladi_mini.presets import MINI, NANO
from ladi_mini.warping import (
    NEW_SWITCHES,
    STIFFNESS,
    RefinementNetwork,
    WarpingNetwork,
    build_refinement,
    build_warping,
    correlation,
    end_point_error,
    fit_spline,
    identity_grid,
    normalise,
    regular_points,
    second_order_constraint,
    tps_grid,
    warp,
)

SIZES = [(64, 48), (256, 192), (37, 53)]


def bent_points(batch: int = 1, points: int = 5, spread: float = 0.15, seed: int = 0) -> torch.Tensor:
    noise = torch.randn(batch, points**2, 2, generator=torch.Generator().manual_seed(seed))
    return regular_points(points).float() + spread * noise


def inputs(batch: int = 2, height: int = 64, width: int = 48, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    garment, agnostic = (torch.rand(batch, 3, height, width, generator=generator) * 2 - 1 for _ in range(2))
    return garment, agnostic, torch.rand(batch, 18, height, width, generator=generator)


# ---------------------------------------------------------------- thin-plate spline


def test_regular_points_run_row_by_row_in_xy():
    points = regular_points(5)
    assert points[0].tolist() == pytest.approx([-0.9, -0.9])
    assert points[1].tolist() == pytest.approx([-0.45, -0.9])
    assert points[5].tolist() == pytest.approx([-0.9, -0.45])


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_points_at_rest_give_the_identity(height, width):
    grid = tps_grid(regular_points(5).float()[None], height, width)
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    assert np.abs(grid[0].numpy() - np.stack([x, y], -1)).max() < 1e-6


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_the_identity_warp_returns_the_picture(height, width):
    y, x = identity_grid(height, width).float().unbind(-1)
    picture = torch.stack([torch.sin(9 * x + y), torch.cos(7 * y), x * y])[None]
    grid = tps_grid(regular_points(5).float()[None], height, width)
    assert (warp(picture, grid) - picture).abs().max() < 1e-5


def test_sampling_with_the_other_corner_rule_is_not_the_identity():
    garment = inputs()[0][:1]
    grid = tps_grid(regular_points(5).float()[None], 64, 48)
    assert (warp(garment, grid, align_corners=False) - garment).abs().mean() > 0.01  # what the released convention does


@pytest.mark.parametrize("points", [2, 3, 5])
def test_spline_equals_scipy(points):
    control_points = bent_points(points=points)
    y, x = np.mgrid[-1:1:31j, -1:1:23j]
    oracle = RBFInterpolator(
        regular_points(points).numpy(), control_points[0].double().numpy(), kernel="thin_plate_spline", degree=1
    )
    expected = oracle(np.stack([x.ravel(), y.ravel()], -1)).reshape(31, 23, 2)
    assert np.abs(tps_grid(control_points, 31, 23)[0].numpy() - expected).max() < 1e-4


def test_spline_passes_through_its_control_points():
    bend = bent_points(points=3) - regular_points(3).float()
    control_points = regular_points(3, extent=1.0).float() + bend
    grid = tps_grid(control_points, 11, 11, extent=1.0)  # at extent 1 the points rest on pixels 0, 5 and 10
    assert (grid[0, ::5, ::5].flatten(0, 1) - control_points[0]).abs().max() < 1e-5


def test_an_affine_move_of_the_points_is_that_affine_map_everywhere():
    matrix, shift = torch.tensor([[0.7, 0.3], [-0.2, 1.6]]), torch.tensor([0.25, -0.6])
    grid = tps_grid((regular_points(5).float() @ matrix.T + shift)[None], 64, 48)
    assert (grid[0] - (identity_grid(64, 48).float() @ matrix.T + shift)).abs().max() < 1e-5


def test_grid_stays_float32_under_autocast():
    control_points = bent_points()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        grid = tps_grid(control_points, 64, 48)
    assert grid.dtype == torch.float32
    assert torch.equal(grid, tps_grid(control_points, 64, 48))


def test_a_spline_first_used_for_inference_serves_training():
    with torch.inference_mode():
        tps_grid(bent_points(), 19, 17)  # a size that no other test has put into the cache
    control_points = bent_points().requires_grad_()
    tps_grid(control_points, 19, 17).square().sum().backward()
    assert bool((control_points.grad != 0).all())


@pytest.mark.parametrize("number", [24, 1])
def test_a_number_of_points_that_is_no_square_is_refused(number):
    with pytest.raises(ValueError, match=f"{number} points"):
        tps_grid(torch.zeros(1, number, 2), 8, 8)


@pytest.mark.parametrize("number", [24, 4])
def test_the_constraint_needs_three_points_in_a_row(number):
    with pytest.raises(ValueError, match=f"{number} points, expected the square of 3 or more"):
        second_order_constraint(torch.zeros(1, number, 2))


PRECISION = """
import sys, threading, torch
from ladi_mini.warping import NEW_SWITCHES, full_precision, regular_points, tps_grid

def full():
    if NEW_SWITCHES:
        return torch.backends.cuda.matmul.fp32_precision == "ieee"
    return torch.get_float32_matmul_precision() == "highest"

def other():
    with full_precision(cpu):
        seen.append(full())
        left.wait(5)  # a thread that came in before the first one left, and leaves after it

exec(sys.argv[1])
before, seen, left, cpu = eval(sys.argv[2]), [], threading.Event(), torch.device("cpu")
with full_precision(cpu):
    thread = threading.Thread(target=other)
    thread.start()
    thread.join(0.2)
    tps_grid(regular_points(5).float()[None], 8, 6)  # one within another
    seen.append(full())
left.set()
thread.join()
assert seen == [True, True], seen
assert eval(sys.argv[2]) == before, (eval(sys.argv[2]), before)
"""
SWITCHES = {
    "older": ("torch.set_float32_matmul_precision('high')", "torch.get_float32_matmul_precision()"),
    "newer": ("torch.backends.cuda.matmul.fp32_precision = 'tf32'", "torch.backends.cuda.matmul.fp32_precision"),
}


@pytest.mark.parametrize("which", SWITCHES)
def test_full_precision_ends_as_it_began_whichever_switch_was_used_and_by_however_many_threads(which):
    """In a process of its own: torch refuses the older switch for good once the newer one was used."""
    if which == "newer" and not NEW_SWITCHES:
        pytest.skip("this torch has the older switch only")
    subprocess.run([sys.executable, "-c", PRECISION, *SWITCHES[which]], check=True, timeout=120)


def test_warp_reads_x_from_the_first_coordinate_and_continues_the_border():
    picture = torch.arange(12.0).view(1, 1, 3, 4)
    grid = torch.tensor([[[[1.0, -1.0], [-1.0, 1.0], [5.0, -5.0]]]])  # top right, bottom left, far beyond the top right
    assert warp(picture, grid).flatten().tolist() == [3.0, 8.0, 3.0]


def test_warp_keeps_the_dtype_of_the_garment():
    assert warp(torch.ones(1, 3, 8, 8, dtype=torch.bfloat16), identity_grid(8, 8).float()[None]).dtype == torch.bfloat16


# ---------------------------------------------------------------- measuring warps


def test_end_point_error_counts_visible_pixels_of_the_garment():
    true_grid = identity_grid(6, 4).float().repeat(2, 1, 1, 1)
    grid = true_grid.clone()
    grid[:, :3, :, 0] += 0.06  # 0.06 x (201 - 1) / 2 = 6 pixels, in the upper half
    grid[:, :3, :, 1] += 8 / 240  # of (481 - 1) / 2 pixels: 8
    visible = torch.zeros(2, 1, 6, 4)
    visible[0, :, 2:4] = 1  # one row moved, one at rest
    true_grid[:, 5] = torch.nan  # a grid may hold anything where it is not valid
    error = end_point_error(grid, true_grid, visible, height=481, width=201)
    assert error[0].item() == pytest.approx(5.0, rel=1e-4)  # half of the 10 = |(6, 8)|
    assert bool(error[1].isnan())  # nothing visible


def test_fit_spline_finds_a_spline_again():
    control_points = bent_points(batch=2)
    true_grid = tps_grid(control_points, 64, 48)
    assert (fit_spline(true_grid, torch.ones(2, 1, 64, 48)) - control_points).abs().max() < 1e-3


def test_fit_spline_ignores_what_is_not_visible_and_is_the_least_squares_optimum():
    y, x = identity_grid(32, 24).float().unbind(-1)
    true_grid = torch.stack([x + 0.2 * torch.sin(6 * y), y * (1 + 0.3 * x)], dim=-1)[None]
    visible = ((x**2 + y**2) < 0.6).float()[None, None]
    hidden = torch.where(visible[:, 0, ..., None] > 0, true_grid, torch.nan)
    fitted = fit_spline(hidden, visible)

    def squared_error(points: torch.Tensor) -> float:
        return (visible[:, 0, ..., None] * (tps_grid(points.double(), 32, 24) - true_grid)).square().sum().item()

    best = squared_error(fitted)
    nearby = [squared_error(fitted + 0.02 * (bent_points(seed=s) - regular_points(5).float())) for s in range(8)]
    assert best < min(nearby)
    assert best < 0.01 * squared_error(regular_points(5).float()[None])


def test_no_stiffness_brings_a_spline_nearer_than_none():
    people = batch(6, unpaired=True)
    truth = people.warp_grid, people.warp_visible

    def squared_error(stiffness: float) -> torch.Tensor:
        apart = tps_grid(fit_spline(*truth, stiffness=stiffness), *people.person.shape[2:]) - people.warp_grid
        return torch.where(people.warp_visible[:, 0, ..., None] > 0, apart, 0).square().sum((1, 2, 3))

    best = squared_error(0.0)
    for stiffness in (1e-9, 1e-7, STIFFNESS):
        assert (best <= squared_error(stiffness) * (1 + 1e-4)).all(), stiffness
    assert (best < 0.98 * squared_error(STIFFNESS)).all()


def test_fit_spline_continues_what_it_sees_where_it_sees_nothing():
    matrix, shift = torch.tensor([[1.5, 0.3], [-0.2, 2.0]]), torch.tensor([0.25, -0.6])
    visible = torch.zeros(1, 1, 64, 48)
    visible[..., 40:60, 20:30] = 1
    fitted = fit_spline((identity_grid(64, 48).float() @ matrix.T + shift)[None], visible, stiffness=STIFFNESS)
    assert (fitted[0] - (regular_points(5).float() @ matrix.T + shift)).abs().max() < 1e-3


def test_fit_spline_rests_where_nothing_is_visible():
    fitted = fit_spline(torch.full((1, 16, 12, 2), torch.nan), torch.zeros(1, 1, 16, 12))
    assert (fitted[0] - regular_points(5)).abs().max() < 1e-6


# ---------------------------------------------------------------- second-order constraint


def test_constraint_of_affine_maps_is_its_floor():
    matrix, shift = torch.tensor([[2.2, 0.4], [-0.3, 1.7]]), torch.tensor([0.3, -1.0])
    points = torch.stack([regular_points(5).float(), regular_points(5).float() @ matrix.T + shift])
    assert second_order_constraint(points).sum(1).tolist() == pytest.approx([0.36, 0.36])


def test_constraint_terms_name_rows_columns_spacing_and_areas():
    points = regular_points(3).float().view(3, 3, 2).clone()
    points[1, 1, 0] += 0.5  # the middle of the middle row: steps 0.9, 0.9 become 1.4, 0.4
    rx, ry, cx, cy, rg, cg = second_order_constraint(points.view(1, 9, 2))[0].tolist()
    assert rx == pytest.approx((abs(0.4**2 - 1.4**2) + 0.08 + 0.08) / 3, rel=1e-4)
    assert (ry, cy) == pytest.approx((0.08, 0.08))
    assert cx == pytest.approx(0.08)  # 0.25 and 0.25: both steps of the column change alike
    assert rg == pytest.approx(0.02)  # the row is still a line
    assert cg == pytest.approx(0.5 * 1.8, rel=1e-4)  # the column is a triangle of base 1.8 and height 0.5


def test_constraint_does_not_depend_on_the_order_of_the_batch():
    points = bent_points(batch=4)
    order = torch.tensor([2, 0, 3, 1])
    terms = second_order_constraint(points)
    assert torch.allclose(second_order_constraint(points[order]), terms[order])
    assert second_order_constraint(points[order]).mean().item() == pytest.approx(terms.mean().item(), rel=1e-6)
    assert terms.std(0).min() > 0  # every term tells the samples apart, so the test could fail


def test_released_areas_see_the_first_sample_alone():
    points = bent_points(batch=3)
    ours, released = second_order_constraint(points), second_order_constraint(points, convention="released")
    assert torch.equal(released[:, :4], ours[:, :4])
    assert torch.equal(released[:, 4:], ours[:1, 4:].expand(3, 2))


def test_constraint_pulls_a_stray_point_back():
    points = regular_points(5).float()[None].clone()
    points[0, 12, 0] += 0.4
    points.requires_grad_()
    second_order_constraint(points).mean().backward()
    assert points.grad[0, 12, 0] > 0


# ---------------------------------------------------------------- matching network


def test_features_are_normalised_to_length_one_unless_they_are_nothing():
    features = torch.full((1, 3, 1, 2), 1e-3)  # squared length 3e-6, of which the 1e-6 that guards zero is a third
    features[..., 1] = 5.0
    assert normalise(features).norm(dim=1).flatten().tolist() == pytest.approx([0.75**0.5, 1.0], rel=1e-4)


def test_correlation_is_the_dot_product_of_every_pair_of_places():
    garment, person = torch.randn(2, 7, 4, 3), torch.randn(2, 7, 4, 3)
    expected = torch.einsum("bcyx,bcij->bxyij", garment, person).flatten(1, 2)  # channel x * height + y
    assert torch.allclose(correlation(garment, person), expected, atol=1e-5)
    y, x, i, j = 3, 1, 2, 0
    assert correlation(garment, person)[1, x * 4 + y, i, j].item() == pytest.approx(
        (garment[1, :, y, x] @ person[1, :, i, j]).item(), abs=1e-5
    )


@pytest.mark.parametrize("preset", [NANO, MINI], ids=lambda preset: preset.name)
def test_a_fresh_network_is_the_identity_at_any_output_size(preset):
    network = build_warping(preset).eval()
    with torch.no_grad():
        output = network(*inputs(1, preset.height, preset.width), size=(100, 75))
    assert torch.equal(output.grid[0], identity_grid(100, 75).float())
    assert torch.equal(output.control_points[0], regular_points(5).float())
    assert network.align_corners


def test_a_fresh_released_network_starts_at_the_regular_points():
    network = build_warping(NANO, convention="released").eval()
    with torch.no_grad():
        output = network(*inputs(1), size=(128, 96))
    assert output.grid.shape == (1, 128, 96, 2)
    assert (output.control_points[0] - regular_points(5)).abs().max() < 1e-6
    assert not network.align_corners


def test_released_grid_is_resized_and_ours_is_evaluated():
    own, released = (build_warping(NANO, convention=c).eval() for c in ("ours", "released"))
    moves = 0.2 * torch.randn(50, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        own.loc_net["regression"].linear.bias.copy_(moves)
        released.loc_net["regression"].linear.bias.add_(moves)
        for network, exact in ((own, True), (released, False)):
            output = network(*inputs(1), size=(128, 96))
            difference = (output.grid - tps_grid(output.control_points, 128, 96)).abs().max().item()
            assert (difference < 1e-6) == exact


def test_released_grid_is_resized_like_a_picture():
    network = build_warping(NANO, convention="released").eval()
    with torch.no_grad():
        grid = network(*inputs(1), size=(128, 96)).grid[0]
    pixel = ((torch.arange(96) + 0.5) / 2 - 0.5).clamp(0, 47)  # pixel areas keep their place: half pixels, corners not aligned
    assert torch.allclose(grid[64, :, 0], 2 * pixel / 47 - 1, atol=1e-5)
    assert (grid[64, :, 0] - identity_grid(128, 96)[64, :, 0]).abs().max() * 95 / 2 > 0.4  # what that costs, in pixels


def test_control_points_may_leave_the_frame_only_in_our_convention():
    own, released = (build_warping(NANO, convention=c).eval() for c in ("ours", "released"))
    with torch.no_grad():
        for network in (own, released):
            network.loc_net["regression"].linear.bias.fill_(50.0)
        assert own(*inputs(1)).control_points.max().item() == pytest.approx(0.9 + own.config.reach, rel=1e-4)
        assert released(*inputs(1)).control_points.max() <= 1


def test_small_predictions_move_control_points_by_themselves():
    network = build_warping(NANO).eval()
    with torch.no_grad():
        network.loc_net["regression"].linear.bias.copy_(torch.linspace(-0.05, 0.05, 50))
        moved = (network(*inputs(1)).control_points[0] - regular_points(5)).flatten()
    assert moved.tolist() == pytest.approx(torch.linspace(-0.05, 0.05, 50).tolist(), abs=1e-4)


def test_detail_too_fine_for_the_network_reads_as_its_mean():
    network = build_warping(NANO).eval()
    torch.nn.init.normal_(network.loc_net["regression"].linear.weight)
    garment, agnostic, pose_map = (x.repeat_interleave(4, 2).repeat_interleave(4, 3) for x in inputs(1))
    stripes = torch.tensor([-1.0, 1.0, 1.0, -1.0]).repeat(48)  # sampling without a filter would see the middle two, 1
    with torch.no_grad():
        grey, fine, white = (
            network(x, agnostic, pose_map).control_points
            for x in (torch.zeros_like(garment), torch.zeros_like(garment) + stripes, torch.ones_like(garment))
        )
    assert (fine - grey).abs().mean() < 0.1 * (white - grey).abs().mean()


def test_inputs_of_another_size_are_resized_to_the_network():
    network = build_warping(NANO).eval()
    torch.nn.init.normal_(network.loc_net["regression"].linear.weight, std=0.5)
    garment, agnostic, pose_map = inputs(1)
    with torch.no_grad():
        small = network(garment, agnostic, pose_map)
        large = network(*(x.repeat_interleave(2, 2).repeat_interleave(2, 3) for x in (garment, agnostic, pose_map)))
    assert small.grid.shape[1:3] == (64, 48)
    assert large.grid.shape[1:3] == (128, 96)
    moved = (small.control_points - regular_points(5)).abs().mean()
    assert (large.control_points - small.control_points).abs().mean() < 0.5 * moved


def test_gradients_reach_every_parameter():
    network = build_warping(NANO)
    torch.nn.init.normal_(network.loc_net["regression"].linear.weight, std=0.01)
    garment, agnostic, pose_map = inputs(4)
    warp(garment, network(garment, agnostic, pose_map).grid).square().mean().backward()
    assert all(p.grad is not None and bool(p.grad.isfinite().all()) for p in network.parameters())
    assert all(bool((p.grad != 0).any()) for name, p in network.named_parameters() if name.endswith("weight"))


def test_a_fresh_network_can_take_its_first_step():
    network = build_warping(NANO)
    garment, agnostic, pose_map = inputs(4)
    output = network(garment, agnostic, pose_map)
    (output.grid - 0.1).square().mean().backward()
    assert bool((network.loc_net["regression"].linear.weight.grad != 0).any())


def test_half_precision_leaves_points_and_grid_in_float32():
    network = build_warping(NANO).to(torch.bfloat16).eval()
    with torch.no_grad():
        output = network(*(x.bfloat16() for x in inputs(1)))
    assert output.grid.dtype == output.control_points.dtype == torch.float32


def test_autocast_leaves_the_last_layer_in_float32():
    network = build_warping(NANO).eval()
    torch.nn.init.constant_(network.loc_net["regression"].linear.bias, 0.123)  # bfloat16 would make it 0.1230469
    with torch.no_grad():
        expected = network(*inputs(1))
        with torch.autocast("cpu", dtype=torch.bfloat16):
            output = network(*inputs(1))
    assert torch.equal(output.control_points, expected.control_points)
    assert torch.equal(output.grid, expected.grid)


def test_warping_network_survives_saving(tmp_path):
    network = build_warping(NANO.with_(warp_points=4), convention="released").eval()
    torch.nn.init.normal_(network.loc_net["regression"].linear.weight)
    network.save_pretrained(tmp_path)
    again = WarpingNetwork.from_pretrained(tmp_path).eval()
    assert not again.align_corners
    with torch.no_grad():
        assert torch.equal(again(*inputs()).grid, network(*inputs()).grid)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"height": 60}, "divisible by 16"),
        ({"regression_channels": (8, 8)}, "expected 4"),
        ({"convention": "theirs"}, "theirs"),
    ],
)
def test_a_network_that_cannot_be_built_says_why(change, message):
    numbers = {"height": 64, "width": 48, "channels": (8, 8), "regression_channels": (8, 8, 8, 8)}
    with pytest.raises(ValueError, match=message):
        WarpingNetwork(**(numbers | change))


# ---------------------------------------------------------------- refinement


def test_a_fresh_refinement_leaves_the_warped_garment_alone():
    garment, agnostic, pose_map = inputs()
    assert torch.equal(build_refinement(NANO)(agnostic, pose_map, garment), garment)
    assert not torch.equal(build_refinement(NANO, convention="released")(agnostic, pose_map, garment), garment)


def test_refinement_survives_saving(tmp_path):
    network = build_refinement(NANO, convention="released").eval()
    network.save_pretrained(tmp_path)
    garment, agnostic, pose_map = inputs()
    with torch.no_grad():
        again = RefinementNetwork.from_pretrained(tmp_path).eval()
        assert torch.equal(again(agnostic, pose_map, garment), network(agnostic, pose_map, garment))


def test_refinement_refuses_a_size_that_it_cannot_halve():
    garment, agnostic, pose_map = inputs(1, 62, 48)
    with pytest.raises(ValueError, match="divisible by 4"):
        build_refinement(NANO)(agnostic, pose_map, garment)


# ---------------------------------------------------------------- both together


def test_a_few_steps_learn_one_shift():
    torch.manual_seed(0)
    network = build_warping(NANO.with_(warp_channels=(8, 16), warp_regression=(16, 16, 16, 16)))
    optimizer = torch.optim.Adam(network.parameters(), lr=3e-3)
    garment, agnostic, pose_map = inputs(4)
    target = identity_grid(64, 48).float() + torch.tensor([0.3, -0.2])
    losses = []
    for _ in range(60):
        loss = (network(garment, agnostic, pose_map).grid - target).abs().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.2 * losses[0]
