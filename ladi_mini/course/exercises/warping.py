"""The exercises of lesson 3: the spline, sampling, and what is measured of a warp."""

import math

import torch

from ladi_mini.course.answers import exercise, expect, expect_close, expect_shape, rule_out
from ladi_mini.warping import end_point_error, identity_grid, radial_basis, regular_points, second_order_constraint


@exercise("tps_kernel", "1. The kernel of a thin plate")
def tps_kernel(answer):
    """`answer` is a function of points (M, 2) and (N, 2), it returns (M, N)."""
    a, b = torch.tensor([[0.0, 0.0], [3.0, 4.0]]), torch.tensor([[0.0, 2.0], [0.6, 0.8], [0.0, 0.3]])
    hint = "One row for each point of a, one column for each point of b."
    got = expect_shape(answer(a.clone(), b.clone()), (2, 3), "U of 2 and 3 points", hint)
    r = (a[:, None] - b[None]).square().sum(-1).sqrt()
    rule_out(got, r * r.log(), "You have r log r.", "Look at the power of r in front of the logarithm.")
    rule_out(got, r.square() * r.square().log(), "Every value is twice too large.", "log r² is 2 log r.")
    rule_out(got, r.square() * r.log10(), "You have the logarithm to base 10.", "The derivation integrates 1 / r.")
    rule_out(got, (a[:, None] - b[None]).abs().sum(-1).square() * (a[:, None] - b[None]).abs().sum(-1).log(),
             "You measure r along the axes.", "r is the length of the straight line between two points.")  # fmt: skip
    expect_close(got, r.square() * r.log(), "U", "Work out U for the points (0, 0) and (0, 2) by hand.")
    same = torch.tensor([[0.5, -0.2]])
    meeting = answer(same.clone(), same.clone())
    expect(not bool(meeting.isnan().any()), "U(0) is not a number.", "0 times minus infinity: which value has the limit?")
    expect_close(expect_shape(meeting, (1, 1), "U of one point with itself"), torch.zeros(1, 1), "U(0)", "U(r) goes to 0 with r.")


@exercise("tps_system", "2. The rows of the affine part")
def tps_system(answer):
    """`answer` is a function of centres (N, 2), it returns the matrix (N + 3, N + 3)."""
    centres = torch.tensor([[-1.0, -0.5], [1.0, -1.0], [-0.7, 1.0], [0.9, 0.8], [0.1, 0.2]], dtype=torch.float64)
    count = len(centres)
    hint = f"For {count} centres: {count} kernel weights and 3 numbers of the affine part."
    got = expect_shape(answer(centres.clone()), (count + 3, count + 3), f"The system of {count} centres", hint)
    got = got.double()
    kernel, affine = radial_basis(centres, centres), torch.cat([centres.new_ones(count, 1), centres], 1)
    expect_close(got[:count, :count], kernel, "The upper left block, U between the centres,", "That block is `radial_basis`.")
    right, below, corner = got[:count, count:], got[count:, :count], got[count:, count:]
    rule_out(right, affine.flip(1), "The columns at the right are (y, x, 1).", "The order in the equation is 1, x, y.")
    rule_out(right, affine[:, [0, 2, 1]], "The columns at the right are (1, y, x).", "Points are stored as (x, y).")
    expect_close(right, affine, "The columns at the right", "One row (1, x, y) for each centre.")
    expect(bool(below.abs().sum() > 0), "The three rows below are empty: the side conditions are missing.",
           "Σ w = 0, Σ w x = 0 and Σ w y = 0 are three equations for the same unknowns.")  # fmt: skip
    expect_close(below, affine.mT, "The three rows below", "In each side condition a weight is multiplied by 1, by x or by y.")
    expect(bool((corner == 0).all()), "The lower right block is not zero.", "Do a0, a1, a2 appear in the side conditions?")


@exercise("grid_to_pixels", "3. From [-1, 1] to pixels")
def grid_to_pixels(answer):
    """`answer` is a function of (x, size, align_corners), it returns the place in pixels; x is a tensor (N,)."""
    x, size = torch.tensor([-1.0, -0.25, 0.0, 1.0]), 7
    hint = "Use the two ends: which pixel, or which edge, is -1, and which is 1?"
    with_corners = expect_shape(answer(x.clone(), size, True), (4,), "The places with align_corners=True", hint)
    without = expect_shape(answer(x.clone(), size, False), (4,), "The places with align_corners=False", hint)
    corners, edges = (x + 1) / 2 * (size - 1), ((x + 1) * size - 1) / 2
    rule_out(with_corners, (x + 1) / 2 * size, "With align_corners=True, 1 lands one pixel beyond the last.",
             "The first of 7 pixels is number 0; what is the number of the last?")  # fmt: skip
    rule_out(with_corners, edges, "You have the two cases the wrong way round.", "True means: -1 and 1 are centres of pixels.")
    expect_close(with_corners, corners, "align_corners=True", hint)
    rule_out(without, corners, "Both cases are the same.", "With False, -1 is the outer edge of pixel 0. What is its number?")
    rule_out(without, (x + 1) / 2 * size, "With align_corners=False you forgot half a pixel.",
             "The centre of pixel 0 has the number 0, so its outer edge has which?")  # fmt: skip
    expect_close(without, edges, "align_corners=False", hint)
    round_trip = torch.nn.functional.grid_sample(
        torch.arange(float(size)).view(1, 1, 1, size), torch.tensor([[[[0.3, 0.0]]]]), align_corners=False
    )
    mine = answer(torch.tensor([0.3]), size, False)
    expect(abs(float(mine) - float(round_trip)) < 1e-4, "grid_sample looks elsewhere.", "Compare with F.grid_sample on a ramp.")


@exercise("warp_backward", "4. Backward warping")
def warp_backward(answer):
    """`answer` is a function of image (C, h, w) and places (H, W, 2) in pixels, it returns (C, H, W)."""
    image = torch.arange(24.0).view(1, 4, 6) + torch.tensor([0.0, 100.0]).view(2, 1, 1)
    places = torch.tensor([[[0.0, 3.0], [5.0, 0.0], [2.6, 1.4]], [[-4.0, 1.0], [9.0, 2.0], [3.0, 7.0]]])
    hint = "One colour for each place; the size is that of `places`."
    got = expect_shape(answer(image.clone(), places.clone()), (2, 2, 3), "The warped image", hint)
    column, row = places.unbind(-1)

    def fetch(row, column):
        return image[:, row.long(), column.long()]

    near_row, near_column = row.round().clamp(0, 3), column.round().clamp(0, 5)
    swapped = fetch(column.round().clamp(0, 3), row.round().clamp(0, 5))
    rule_out(got, swapped, "Rows and columns are swapped.", "A place is (x, y); an image is indexed [channel, y, x].")
    floor = fetch(row.floor().clamp(0, 3), column.floor().clamp(0, 5))
    rule_out(got, floor, "Places are rounded down.", "The nearest pixel to 2.6 is 3; .long() cuts off.")
    wrapped = fetch(row.round() % 4, column.round() % 6)
    rule_out(
        got, wrapped, "Beyond the edge the picture starts again from its other side.", "Keep rows and columns inside: clamp."
    )
    empty = torch.where((row.round() == near_row) & (column.round() == near_column), fetch(near_row, near_column), 0)
    rule_out(got, empty, "Beyond the edge you give black.", "The nearest pixel to a place outside lies on the edge.")
    expect_close(got, fetch(near_row, near_column), "The warped image", "Take the place (2.6, 1.4): column 3, row 1.")
    many = torch.rand(40, 30, 2, generator=torch.Generator().manual_seed(0)) * torch.tensor([5.0, 3.0])
    large = expect_shape(answer(image.clone(), many), (2, 40, 30), "A warped image larger than the source", hint)
    expect(bool((large[1] - large[0] == 100).all()), "Some pixels were filled by nothing.", "Ask for every pixel of the output.")


@exercise("warp_error", "5. The error of a warp, where the garment is seen")
def warp_error(answer):
    """`answer` is a function of (grid, true_grid, visible, height, width), it returns (B,)."""
    generator = torch.Generator().manual_seed(1)
    height, width = 6, 4
    true_grid = identity_grid(height, width).float().expand(3, -1, -1, -1)
    grid = true_grid + 0.2 * torch.randn(3, height, width, 2, generator=generator)
    visible = (torch.rand(3, 1, height, width, generator=generator) > torch.tensor([0.2, 0.5, 0.8]).view(3, 1, 1, 1)).float()
    args = grid, true_grid, visible, height, width
    hint = "One number for each of the 3 samples."
    got = expect_shape(answer(*(a.clone() if isinstance(a, torch.Tensor) else a for a in args)), (3,), "The error", hint)
    pixels = torch.tensor([(width - 1) / 2, (height - 1) / 2])
    distance, shows = ((grid - true_grid) * pixels).norm(dim=-1), visible[:, 0]
    count = shows.sum((1, 2))
    rule_out(got, distance.mean((1, 2)), "Pixels that do not show the garment count as well.", "What is `visible` for?")
    rule_out(got, (distance * shows).mean((1, 2)), "Hidden pixels count as perfect.", "Divide by how many pixels are visible.")
    pooled = (distance * shows).sum() / count.sum()
    rule_out(got, pooled.expand(3), "All samples have one common mean.", "Sum over the two axes of the picture, not the batch.")
    half = ((grid - true_grid) * torch.tensor([width / 2, height / 2])).norm(dim=-1)
    rule_out(got, (half * shows).sum((1, 2)) / count, "The distances are a little too long.",
             "With align_corners=True, from -1 to 1 are width - 1 pixels.")  # fmt: skip
    swapped = ((grid - true_grid) * pixels.flip(0)).norm(dim=-1)
    rule_out(got, (swapped * shows).sum((1, 2)) / count, "x is measured by the height, and y by the width.", "Points are (x, y).")
    rule_out(got, (distance.square() * shows).sum((1, 2)) / count, "You have the mean of squared distances.", "Take the root.")
    unscaled = (grid - true_grid).norm(dim=-1)
    rule_out(
        got, (unscaled * shows).sum((1, 2)) / count, "The error is not in pixels.", "Scale the difference before its length."
    )
    expect_close(got, end_point_error(*args), "The error", "Do it for one sample with a loop over its visible pixels.")


@exercise("tps_constraint", "6. The constraint on a whole batch (harder)")
def tps_constraint(answer):
    """`answer` is a function of control points (B, 25, 2), it returns (B, 6)."""
    generator = torch.Generator().manual_seed(2)
    points = regular_points(5).float() + 0.25 * torch.randn(4, 25, 2, generator=generator)
    expected = second_order_constraint(points)
    got = expect_shape(answer(points.clone()), (4, 6), "The result", "Four samples, six terms: rx, ry, cx, cy, rg, cg.").float()
    side = points.unflatten(1, (5, 5))
    first = second_order_constraint(points, "released")
    rule_out(
        got, first, "Every sample has the areas of the first one.", "Sum the areas over a sample, keep the axis of the batch."
    )
    rule_out(
        got, expected.mean(0).expand(4, 6), "All samples have the same terms.", "No mean over the batch: that is the loss's."
    )
    rule_out(got, expected[:, [2, 3, 0, 1, 5, 4]], "Rows and columns are swapped.", "After unflatten the axes are (row, column).")
    bare = _terms(side, power=2, floor=False)
    rule_out(got, bare, "The floors are missing.", "A change below 0.08 and a sum of areas below 0.02 are not punished.")
    rule_out(got, _terms(side, power=1), "The steps are not squared.", "It is the change of the squared step.")
    halves = _terms(side, power=2, area_scale=0.5)
    rule_out(got, halves, "The areas are those of triangles.", "The term is |cross product|, twice the area of the triangle.")
    means = _terms(side, power=2, area_mean=True)
    rule_out(got, means, "The areas are averaged.", "The two area terms are sums over the 15 triples.")
    late = _terms(side, power=2, floor_last=True)
    rule_out(got, late, "The floor comes after the mean.", "First the floor for each change, then the mean.")
    expect_close(got, expected, "The terms", "Take one row of five points and compute its three changes by hand.", atol=1e-4)
    still = answer(regular_points(5).float()[None].clone())
    expect(math.isclose(float(still.sum()), 0.36, abs_tol=1e-4), "At rest the six terms do not add up to 4 x 0.08 + 2 x 0.02.")


def _terms(side, power=2, floor=True, floor_last=False, area_scale=1.0, area_mean=False):
    """The constraint with one thing changed; side (B, row, column, 2)."""
    spacing, areas = [], []
    for lines in (side, side.transpose(1, 2)):
        step = lines.diff(dim=2)
        change = (step**power).diff(dim=2).abs()
        if floor and not floor_last:
            change = change.clamp(min=0.08)
        mean = change.mean((1, 2))
        spacing += (mean.clamp(min=0.08) if floor_last else mean).unbind(-1)
        before, after = step[:, :, :-1], step[:, :, 1:]
        area = area_scale * (before[..., 0] * after[..., 1] - before[..., 1] * after[..., 0]).abs()
        area = area.mean((1, 2)) if area_mean else area.sum((1, 2))
        areas.append(area.clamp(min=0.02) if floor else area)
    return torch.stack([*spacing, *areas], dim=1)
