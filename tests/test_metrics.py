"""evaluation/metrics, colour, regions, warps: each number equals its definition, made some other way, and moves the right way."""

import math

import cv2
import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from tiny import batch, tiny_pipeline

from ladi_mini.evaluation import regions
from ladi_mini.evaluation.colour import ciede2000, colour_error, srgb_to_lab
from ladi_mini.evaluation.metrics import bootstrap, bootstrap_median, interval, psnr, psnr_where, ssim
from ladi_mini.evaluation.warps import warp_scores
from ladi_mini.sample import KEYPOINTS, PARSE_LABELS
from ladi_mini.warping import WarpOutput, fit_spline, tps_grid

# Sharma, Wu and Dalal (2005), table 1: L a b, L a b, difference
SHARMA = """
50 2.6772 -79.7751 50 0 -82.7485 2.0425
50 3.1571 -77.2803 50 0 -82.7485 2.8615
50 2.8361 -74.0200 50 0 -82.7485 3.4412
50 -1.3802 -84.2814 50 0 -82.7485 1.0000
50 -1.1848 -84.8006 50 0 -82.7485 1.0000
50 -0.9009 -85.5211 50 0 -82.7485 1.0000
50 0 0 50 -1 2 2.3669
50 -1 2 50 0 0 2.3669
50 2.4900 -0.0010 50 -2.4900 0.0009 7.1792
50 2.4900 -0.0010 50 -2.4900 0.0010 7.1792
50 2.4900 -0.0010 50 -2.4900 0.0011 7.2195
50 2.4900 -0.0010 50 -2.4900 0.0012 7.2195
50 -0.0010 2.4900 50 0.0009 -2.4900 4.8045
50 -0.0010 2.4900 50 0.0010 -2.4900 4.8045
50 -0.0010 2.4900 50 0.0011 -2.4900 4.7461
50 2.5 0 50 0 -2.5 4.3065
50 2.5 0 73 25 -18 27.1492
50 2.5 0 61 -5 29 22.8977
50 2.5 0 56 -27 -3 31.9030
50 2.5 0 58 24 15 19.4535
50 2.5 0 50 3.1736 0.5854 1.0000
50 2.5 0 50 3.2972 0 1.0000
50 2.5 0 50 1.8634 0.5757 1.0000
50 2.5 0 50 3.2592 0.3350 1.0000
60.2574 -34.0099 36.2677 60.4626 -34.1751 39.4387 1.2644
63.0109 -31.0961 -5.8663 62.8187 -29.7946 -4.0864 1.2630
61.2901 3.7196 -5.3901 61.4292 2.2480 -4.9620 1.8731
35.0831 -44.1164 3.7933 35.0232 -40.0716 1.5901 1.8645
22.7233 20.0904 -46.6940 23.0331 14.9730 -42.5619 2.0373
36.4612 47.8580 18.3852 36.2715 50.5065 21.2231 1.4146
90.8027 -2.0831 1.4410 91.1528 -1.6435 0.0447 1.4441
90.9257 -0.5406 -0.9208 88.6381 -0.8985 -0.7239 1.5381
6.7747 -0.2908 -2.4247 5.8714 -0.0985 -2.2286 0.6377
2.0776 0.0795 -1.1350 0.9033 -0.0636 -0.5514 0.9082
"""


def pictures(seed, count=4, height=24, width=20):
    return torch.rand(count, 3, height, width, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def disturbed(image, amount, seed=9):
    return (image + amount * torch.randn(image.shape, generator=torch.Generator().manual_seed(seed))).clamp(-1, 1)


# ---------------------------------------------------------------- SSIM, PSNR


def plain_ssim(a: np.ndarray, b: np.ndarray) -> float:
    """Wang et al., equation 13, on one channel in [0, 1], window of deviation 1.5 and radius 5."""

    def mean(x):
        return gaussian_filter(x, 1.5, mode="mirror", truncate=3.5)

    ma, mb = mean(a), mean(b)
    va, vb, cov = mean(a * a) - ma**2, mean(b * b) - mb**2, mean(a * b) - ma * mb
    c1, c2 = 0.01**2, 0.03**2
    return float(((2 * ma * mb + c1) * (2 * cov + c2) / ((ma**2 + mb**2 + c1) * (va + vb + c2))).mean())


def test_ssim_equals_the_formula_written_with_scipy():
    a = pictures(0)
    b = disturbed(a, 0.3)
    for i, value in enumerate(ssim(a, b)):
        channels = [plain_ssim((a[i, c] / 2 + 0.5).double().numpy(), (b[i, c] / 2 + 0.5).double().numpy()) for c in range(3)]
        assert value.item() == pytest.approx(np.mean(channels), abs=1e-9)


def test_ssim_of_an_even_wall_is_as_exact_as_of_noise():
    wall = torch.full((1, 3, 32, 32), 0.8) + 0.004 * pictures(2, 1, 32, 32)
    other = disturbed(wall, 0.004)
    a, b = ((x[0] / 2 + 0.5).double().numpy() for x in (wall, other))
    assert ssim(wall, other).item() == pytest.approx(np.mean([plain_ssim(a[c], b[c]) for c in range(3)]), abs=1e-6)


def test_ssim_and_psnr_fall_as_a_picture_gets_worse():
    a = pictures(0)
    for metric in (ssim, psnr):
        values = [metric(disturbed(a, amount), a).mean().item() for amount in (0.0, 0.1, 0.3, 0.9)]
        assert values == sorted(values, reverse=True) and len(set(values)) == 4
    assert torch.allclose(ssim(a, a), torch.ones(4, dtype=torch.float64))


def test_an_empty_region_has_no_number():
    a, mask = pictures(0), torch.ones(4, 1, 24, 20)
    mask[1] = 0
    values = psnr_where(a, disturbed(a, 0.2), mask)
    assert values.isnan().tolist() == [False, True, False, False]
    assert torch.equal(values[0], psnr(a, disturbed(a, 0.2))[0])


# ---------------------------------------------------------------- intervals


def test_a_paired_difference_is_narrower_than_two_methods_apart():
    rng = np.random.default_rng(0)
    people = rng.normal(20, 5, 300)
    first, second = people + rng.normal(0, 0.3, 300), people - 0.2 + rng.normal(0, 0.3, 300)
    mean, low, _ = bootstrap(first - second)
    assert low > 0 and mean == pytest.approx(0.2, abs=0.06)
    assert bootstrap(first)[1] < bootstrap(second)[2]  # apart, the same methods cannot be told from each other


def test_ninety_five_per_cent_of_the_intervals_hold_the_truth():
    rng = np.random.default_rng(1)
    held = [low <= 1.0 <= high for _, low, high in (bootstrap(rng.exponential(1.0, 120), 1000) for _ in range(300))]
    assert 0.90 <= np.mean(held) <= 0.98


def test_the_median_forgets_one_outlier_that_moves_the_mean():
    values = np.arange(101.0)
    values[-1] = 1e6
    median, low, high = bootstrap_median(values)
    assert median == 50 and 35 < low < 50 < high < 65
    assert bootstrap(values)[0] > 9000


def test_an_interval_counts_only_numbers():
    assert interval(np.array([np.nan, 2.0, 2.0, np.inf])) == {"mean": 2.0, "low": 2.0, "high": 2.0, "n": 2}
    assert interval(np.array([np.nan])) is None


# ---------------------------------------------------------------- colour


@pytest.mark.parametrize("line", SHARMA.split("\n")[1:-1])
def test_ciede2000_equals_the_published_pairs_both_ways(line):
    numbers = torch.tensor([float(x) for x in line.split()], dtype=torch.float64)
    first, second = numbers[:3].view(1, 3), numbers[3:6].view(1, 3)
    for a, b in ((first, second), (second, first)):
        assert ciede2000(a, b).item() == pytest.approx(numbers[6].item(), abs=5e-5)


def test_lab_is_near_opencvs():
    image = pictures(3, 1)
    expected = cv2.cvtColor((image[0] / 2 + 0.5).permute(1, 2, 0).contiguous().numpy(), cv2.COLOR_RGB2LAB)
    assert np.abs(srgb_to_lab(image)[0].permute(1, 2, 0).numpy() - expected).max() < 0.5  # OpenCV interpolates a table


@pytest.mark.parametrize(
    ("colour", "lab"),
    [
        ((1, -1, -1), (53.2408, 80.0925, 67.2032)),
        ((-1, 1, -1), (87.7347, -86.1827, 83.1793)),
        ((-1, -1, 1), (32.2970, 79.1875, -107.8602)),
        ((1, 1, 1), (100, 0, 0)),
        ((-1, -1, -1), (0, 0, 0)),
    ],
)
def test_lab_of_the_primaries_is_the_published_one(colour, lab):
    found = srgb_to_lab(torch.tensor(colour, dtype=torch.float64).view(1, 3, 1, 1)).flatten().tolist()
    assert found == pytest.approx(lab, abs=0.03)


def test_colour_error_sees_shade_but_neither_outlines_nor_what_is_outside():
    garment = torch.zeros(1, 1, 24, 20)
    garment[..., 4:20, 4:16] = 1
    truth = torch.full((1, 3, 24, 20), 0.2)
    edge, outside, shade = truth.clone(), truth.clone(), truth.clone()
    edge[..., 4:6, 4:16] = -1.0
    outside[..., :4, :] = -1.0
    shade[:, 0] += 0.1
    assert colour_error(edge, truth, garment).item() == colour_error(outside, truth, garment).item() == 0
    direct = ciede2000(srgb_to_lab(shade), srgb_to_lab(truth))[0, 10, 10].item()
    assert colour_error(shade, truth, garment).item() == pytest.approx(direct) and direct > 1
    assert colour_error(shade + 0.1, truth, garment) > colour_error(shade, truth, garment)
    assert colour_error(shade, truth, torch.zeros_like(garment)).isnan().all()


# ---------------------------------------------------------------- regions


def test_head_and_hands_are_known_pixels_of_their_labels():
    given = batch(6)
    for name, look in (("head", regions.head), ("hands", regions.hands)):
        region = look(given).bool()[:, 0]
        assert region.flatten(1).any(1).sum() >= 5, name
        assert not (region & given.inpaint_mask[:, 0].bool()).any()
        labels = {PARSE_LABELS[k] for k in given.parse[region].unique().tolist()}
        assert labels <= ({"hat", "hair", "face", "sunglasses"} if name == "head" else {"left_arm", "right_arm"})


def test_hands_are_near_wrists_and_gone_where_no_wrist_is_seen():
    given = batch(6)
    y, x = np.nonzero(regions.hands(given)[0, 0].numpy())
    wrists = given.keypoints[0, [KEYPOINTS.index("right_wrist"), KEYPOINTS.index("left_wrist")]].numpy()
    distance = np.hypot(x[:, None] - wrists[:, 0], y[:, None] - wrists[:, 1]).min(1)
    forearm = (given.keypoints[0, KEYPOINTS.index("right_wrist")] - given.keypoints[0, KEYPOINTS.index("right_elbow")]).norm()
    assert distance.max() <= 0.7 * forearm.item()
    given.keypoint_visible[:] = False
    assert regions.hands(given).sum() == 0


# ---------------------------------------------------------------- warps


class Known:
    """A pipeline whose matching network predicts the control points it is told."""

    def __init__(self, pipe, points):
        self.pipe, self.points, self.warping = pipe, points, pipe.warping

    def warp_garment(self, given, which):
        grid = tps_grid(self.points, *given.person.shape[2:])
        out = WarpOutput(grid=grid, control_points=self.points)
        out.warped, out.image = given.warped_garment * 0.5, given.warped_garment
        return out


def test_the_best_spline_beats_the_network_and_the_network_that_predicts_it_equals_it():
    given, pipe = batch(3), tiny_pipeline()
    found = warp_scores(pipe, given)
    best, own, still = (found[f"warp_end_point_error_px{name}"] for name in ("_best_spline", "", "_identity"))
    assert (best < own).all() and (best < still).all()
    perfect = warp_scores(Known(pipe, fit_spline(given.warp_grid, given.warp_visible, stiffness=0)), given)
    assert torch.allclose(perfect["warp_end_point_error_px"], best, atol=1e-4)


def test_refinement_is_measured_on_the_garment_alone():
    given, pipe = batch(3), tiny_pipeline()
    found = warp_scores(Known(pipe, fit_spline(given.warp_grid, given.warp_visible)), given, best=False)
    assert (found["garment_l1_after_refinement"] == 0).all() and (found["garment_psnr_after_refinement"] == 100).all()
    visible = given.warp_visible.expand(-1, 3, -1, -1).bool()
    expected = [given.warped_garment[i][visible[i]].abs().mean().item() / 4 for i in range(3)]
    assert found["garment_l1_before_refinement"].tolist() == pytest.approx(expected, rel=1e-5)
    assert "warp_end_point_error_px_best_spline" not in found


def test_end_point_error_is_in_pixels_of_the_garment():
    given, pipe = batch(1), tiny_pipeline()
    height, width = given.person.shape[2:]
    given.warp_grid = tps_grid(Known(pipe, fit_spline(given.warp_grid, given.warp_visible)).points, height, width)
    points = fit_spline(given.warp_grid, given.warp_visible, stiffness=0)
    shifted = points + torch.tensor([2 * 3 / (width - 1), 2 * 4 / (height - 1)])  # 3 pixels right, 4 down
    error = warp_scores(Known(pipe, shifted), given, best=False)["warp_end_point_error_px"].item()
    assert error == pytest.approx(math.hypot(3, 4), abs=0.02)
