"""The figures of lesson 3 say what is in the tensors, and the pins bend a garment as a thin-plate spline does."""

import io
import re
import time
from dataclasses import replace

import matplotlib
import numpy as np
import pytest
import torch
import traitlets
from drawn import assert_fits_and_speaks, assert_nothing_is_cut_or_hidden, labels_and_titles
from matplotlib.figure import Figure
from PIL import Image
from scipy.interpolate import RBFInterpolator

from ladi_mini import show
from ladi_mini.errors import InputError
from ladi_mini.sample import collate
from ladi_mini.show import widgets
from ladi_mini.wardrobe import Wardrobe
from ladi_mini.warping import identity_grid, regular_points, tps_grid, warp

H, W = 64, 48
IDENTITY = identity_grid(H, W).float()
VISIBLE = torch.ones(1, H, W)


@pytest.fixture(scope="module")
def samples():
    """The first 30 test samples of the wardrobe at nano's size, as many of each category."""
    wardrobe = Wardrobe("test", H, W)
    return [wardrobe[i] for i in range(30)]


@pytest.fixture(scope="module")
def batch(samples):
    return collate(samples)


@pytest.fixture(scope="module")
def sleeves(samples):
    """The top for which an affine map is worst: its sleeves must bend."""
    tops = [sample for sample in samples if sample.category == "upper_body"]
    return max(tops, key=lambda sample: show.sample_error(sample, affine(sample)))


def affine(sample) -> torch.Tensor:
    """(H, W, 2) the best affine map."""
    return show.affine_grid(sample.warp_grid[None], sample.warp_visible[None])[0]


def moved(amount: float = 0.1, seed: int = 0) -> torch.Tensor:
    """Control points (25, 2) away from rest."""
    return regular_points(5).float() + amount * torch.randn(25, 2, generator=torch.Generator().manual_seed(seed))


def every_figure(samples, batch) -> dict[str, Figure]:
    """One of each kind."""
    grid = tps_grid(moved()[None], H, W)[0]
    grids = tps_grid(torch.stack([moved(seed=i) for i in range(len(samples))]), H, W)
    errors = torch.tensor([show.sample_error(s, g) for s, g in zip(samples, grids, strict=True)])
    picked = show.ranking(errors, batch.category)
    nine = [i for chosen in picked.values() for i in chosen]
    letters = [i for i, text in enumerate(batch.print_text) if text]
    log = [{"step": i, "loss": 1 / (1 + i)} for i in range(60)] + [{"step": 60, "error": 2.0}]
    rest, points = regular_points(5), moved().double()
    bend = show.Bend(rest, points, tps_grid(points[None], 33, 33)[0], "25 points", "energy 3")
    picture, volume = samples[0].garment, torch.rand(12, 4, 3, generator=torch.Generator().manual_seed(1))
    return {
        "paste": show.paste_figure(samples[:3]),
        "kernel": show.kernel_figure(),
        "spline": show.spline_figure([bend, bend], torch.full((33, 33), 1e-14)),
        "direction": show.direction_figure(picture, picture, picture, picture[0] > 0),
        "corners": show.corners_figure(),
        "half pixel": show.half_pixel_figure(IDENTITY / 2, picture, picture, 30.0),
        "padding": show.padding_figure(picture, 1.5 * IDENTITY),
        "correlation": show.correlation_figure(samples[0], volume, [(0, 0), (2, 1), (3, 2)]),
        "constraint": show.constraint_figure(samples[0], {"a": moved(), "b": rest.float()}, {"a": grid, "b": IDENTITY}),
        "training": show.training_figure(log, [(0, picture), (60, picture)], picture, 7.0),
        "error": show.error_figure(samples[:2], [grid, grid], 5.0),
        "ranking": show.ranking_figure(picked, batch.select(nine), grids[nine], errors),
        "error by": show.error_by_figure({"a": errors.flip(0), "b": errors}, errors, batch.category),
        "refinement": show.refinement_figure(batch, batch.garment, batch.garment, letters[:2]),
        "change": show.change_figure({"all": errors, "letters": -errors}, errors, 0.9 * errors),
        "pins": widgets.pins_figure(samples[0]),
    }


@pytest.mark.slow
def test_every_figure_fits_a_notebook_speaks_and_leaves_no_trace(samples, batch):
    settings, before = dict(matplotlib.rcParams), batch.garment.clone()
    for name, figure in every_figure(samples, batch).items():
        assert_fits_and_speaks(name, figure, (500, 900), (150, 1000), 80)
        assert_nothing_is_cut_or_hidden(name, figure, labels_and_titles(figure))
    assert dict(matplotlib.rcParams) == settings
    assert torch.equal(before, batch.garment)


# ---------------------------------------------------------------- what is measured for them


def test_affine_map_is_found_again_where_only_a_part_is_visible():
    rows = torch.tensor([[0.1, -0.2], [1.5, 0.3], [-0.4, 2.0]])
    grid = rows[0] + IDENTITY @ rows[1:]
    visible = (IDENTITY[..., 0] * IDENTITY[..., 1] > 0.2).float()[None]
    wrong_elsewhere = torch.where(visible[0, ..., None] > 0, grid, torch.full_like(grid, 9.0))
    both = torch.stack([IDENTITY, wrong_elsewhere]), torch.stack([VISIBLE, visible])
    assert torch.allclose(show.affine_map(*both)[0], torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]]), atol=1e-5)
    assert torch.allclose(show.affine_map(*both)[1], rows, atol=1e-5)
    assert torch.allclose(show.affine_grid(*both), torch.stack([IDENTITY, grid]), atol=1e-5)


@pytest.mark.parametrize(("x", "y", "expected"), [(2.0, 2.0, 2.0), (1.0, 4.0, 2.0), (-1.0, 1.0, 1.0)])
def test_shrinkage_is_garment_pixels_a_body_pixel(x, y, expected):
    assert show.shrinkage(IDENTITY[None] * torch.tensor([x, y]), VISIBLE[None]).item() == pytest.approx(expected, abs=1e-4)


def test_wearing_covers_the_body_exactly_where_the_garment_is():
    body, garment = torch.full((3, H, W), -0.5), torch.full((3, H, W), 0.5)
    mask = torch.zeros(1, H, W)
    mask[:, 10:20, 5:15] = 1
    worn = show.wear(body, garment, mask, IDENTITY)
    assert torch.allclose(worn, torch.where(mask > 0, garment, body), atol=1e-4)
    beyond = show.wear(body, garment, torch.ones_like(mask), IDENTITY + 3)  # looks outside: no garment there
    assert torch.equal(beyond, body)


def test_error_map_is_pixels_and_says_nothing_where_the_garment_is_hidden(samples):
    sample = samples[0]
    one_pixel_right = sample.warp_grid + torch.tensor([2 / (W - 1), 0.0])
    error = show.error_map(sample, one_pixel_right)
    shown = sample.warp_visible[0] > 0.5
    assert torch.allclose(error[shown], torch.ones(()), atol=1e-3)
    assert error[~shown].isnan().all()


def test_ranking_takes_best_median_and_worst_of_each_category_and_skips_unknown_ones():
    errors = torch.tensor([3.0, 1.0, torch.nan, 2.0, 9.0, 8.0, 7.0])
    picked = show.ranking(errors, ["a", "a", "a", "a", "b", "b", "b"])
    assert picked == {"a": (1, 3, 0), "b": (6, 5, 4)}


def test_print_region_holds_the_pixels_that_show_the_printed_box(batch):
    region = show.print_region(batch)
    written = torch.tensor([bool(text) for text in batch.print_text])
    assert written.any() and not region[~written].any()
    for i in written.nonzero()[:, 0].tolist():
        x0, y0, x1, y1 = batch.print_box[i].tolist()
        box = torch.zeros(1, 1, H, W)
        ys, xs = torch.arange(H)[:, None], torch.arange(W)[None]
        box[0, 0] = ((xs >= x0) & (xs <= x1) & (ys >= y0) & (ys <= y1)).float()
        fetched = warp(box, batch.warp_grid[i : i + 1], padding_mode="zeros")[0] * batch.warp_visible[i]
        agree = ((fetched > 0.5) == (region[i] > 0.5)).float().mean()
        assert agree > 0.97 and region[i].sum() > 0


def test_correlation_figure_finds_the_true_partner_of_a_perfect_volume(samples):
    """Each place of the person matches the garment's place that it truly shows, and no other."""
    sample = samples[0]
    h, w = 16, 12
    truth = sample.warp_grid[2::4, 2::4]  # (16, 12, 2), the places at the middles of the coarse grid
    column = ((truth[..., 0] + 1) / 2 * (W - 1) / 4 - 0.5).round().long().clamp(0, w - 1)
    row = ((truth[..., 1] + 1) / 2 * (H - 1) / 4 - 0.5).round().long().clamp(0, h - 1)
    volume = torch.zeros(w * h, h, w)
    volume.scatter_(0, (column * h + row)[None], 1.0)
    covered = (sample.warp_visible[0, 2::4, 2::4] > 0.5).nonzero().tolist()
    alt = show.correlation_figure(sample, volume, covered[:: len(covered) // 2][:3]).alt
    offs = [float(off) for off in re.findall(r"best match (\d+) px", alt)]
    assert len(offs) >= 2 and max(offs) <= 3


def test_pasting_says_how_far_off_it_is(samples):
    sample = samples[1]
    assert f"pasted {show.sample_error(sample, IDENTITY):.0f} px off" in show.paste_figure([sample]).alt


def test_training_can_be_shown_before_the_first_step(samples):
    figure = show.training_figure([{"step": 0, "error": 7.0}], [(0, samples[0].garment)], samples[0].warped_garment, 7.0)
    assert "after 0 steps it is 7.00 px" in figure.alt


@pytest.mark.parametrize(("sign", "way"), [(1, "away from the middle"), (-1, "towards the middle")])
def test_alt_text_says_which_way_the_pixels_move(samples, sign, way):
    picture = samples[0].garment
    alt = show.half_pixel_figure(sign * IDENTITY / 2, picture, picture, 30.0).alt
    assert way in alt and f"at most {0.5 * 2**0.5:.2f} px" in alt


def test_a_figure_without_a_picture_is_refused():
    with pytest.raises(ValueError, match="at least one picture"):
        show.panel_figure([[show.Panel(None, "empty")]], "nothing")


# ---------------------------------------------------------------- the spline behind the pins


def test_lattice_spans_the_garment_row_by_row():
    mask = torch.zeros(1, 11, 21)
    mask[:, 5:11, 0:11] = 1
    lattice = widgets.garment_lattice(mask, 3)
    assert torch.allclose(lattice.view(3, 3, 2)[:, :, 0], torch.tensor([-1.0, -0.5, 0.0]).expand(3, 3))
    assert torch.allclose(lattice.view(3, 3, 2)[:, :, 1], torch.tensor([[0.0], [0.5], [1.0]]).expand(3, 3))


def test_pins_at_rest_paste_the_garment(samples):
    lattice = widgets.garment_lattice(samples[0].garment_mask)
    assert torch.allclose(widgets.pinned_grid(lattice, lattice, H, W), IDENTITY, atol=1e-4)


def test_pins_hold_what_they_pin_and_scipy_bends_the_rest_alike():
    lattice, pins = regular_points(5), moved(0.15).double()
    points = IDENTITY.double().flatten(0, 1)[::7]
    ours = widgets.pinned_spline(pins, lattice, points)
    scipys = torch.from_numpy(RBFInterpolator(pins, lattice, kernel="thin_plate_spline")(points))
    assert (ours - scipys).abs().max() * W / 2 < 0.01  # pixels: what the trace of stiffness may cost
    assert torch.allclose(widgets.pinned_spline(pins, lattice, pins), lattice, atol=1e-3)


@pytest.mark.parametrize("case", ["two meet", "all meet", "on one line"])
def test_pins_may_meet_or_lie_on_one_line(case):
    lattice, pins = regular_points(5).float(), moved()
    if case == "two meet":
        pins[3] = pins[4]
    elif case == "all meet":
        pins[:] = pins[0]
    else:
        pins[:, 1] = 0
    assert torch.isfinite(widgets.pinned_grid(pins, lattice, H, W)).all()


def test_pins_in_place_come_nearer_to_the_truth_than_any_affine_map(sleeves):
    lattice = widgets.garment_lattice(sleeves.garment_mask)
    grid = widgets.pinned_grid(widgets.true_pins(sleeves, lattice), lattice, H, W)
    assert show.sample_error(sleeves, grid) < 0.6 * show.sample_error(sleeves, affine(sleeves))


def test_pins_need_a_sample_that_knows_its_warp(samples):
    unknown = replace(samples[0], warp_grid=None, warp_visible=None, target=None)
    with pytest.raises(InputError, match="true warp"):
        widgets.PinWidget(unknown)


def test_lines_of_the_lattice_run_through_its_points_and_are_straight_at_rest():
    lattice = regular_points(3, 0.8).float()
    lines = widgets.lattice_lines(identity_grid(81, 81).float(), lattice)
    straight = (lines > 0.5).float()
    rows, columns = straight.mean(1) > 0.95, straight.mean(0) > 0.95
    assert rows.nonzero()[:, 0].tolist() == columns.nonzero()[:, 0].tolist() == [8, 40, 72]


# ---------------------------------------------------------------- the widget without a browser


@pytest.fixture
def widget(sleeves):
    return widgets.PinWidget(sleeves)


def pixels(content: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGB")).astype(int)


def test_widget_starts_with_the_pasted_garment(widget, sleeves):
    assert widget.pins == widget.rest and len(widget.pins) == 25
    assert widget.error == pytest.approx(show.sample_error(sleeves, IDENTITY), abs=0.05)
    assert widget.error == widget.rest_error > widget.best_error
    assert pixels(widget.picture).shape == (H, W, 3) and pixels(widget.garment).shape == (H, W, 3)


def test_moving_a_pin_moves_cloth_there_and_the_error_follows(widget):
    before, drawn = pixels(widget.picture), widget.drawn
    pins = [list(pin) for pin in widget.pins]
    pins[12] = [pins[12][0] + 0.3, pins[12][1]]
    widget.pins = pins
    change = np.abs(pixels(widget.picture) - before).sum(-1)
    x, y = ((np.array(widget.rest[12]) + 1) / 2 * (W - 1, H - 1)).round().astype(int)
    assert change[y - 8 : y + 8, x - 8 : x + 12].mean() > 3 * change[:6].mean()
    assert widget.error != widget.rest_error and widget.drawn == drawn + 1


def test_pins_in_place_reach_the_error_that_was_promised(widget):
    widget.pins = widget.places
    assert widget.error == pytest.approx(widget.best_error, abs=1e-4)


def test_truth_shows_the_true_picture_and_gives_the_pins_back(widget, sleeves):
    pins = [list(pin) for pin in widget.pins]
    pins[0] = [-0.5, -0.5]
    widget.pins = pins
    own, error = widget.picture, widget.error
    widget.truth = True
    shows = sleeves.warp_visible[0].numpy() > 0.5
    inner = shows & np.roll(shows, 1, 0) & np.roll(shows, -1, 0) & np.roll(shows, 1, 1) & np.roll(shows, -1, 1)
    true = ((sleeves.warped_garment + 1) * 127.5).permute(1, 2, 0).numpy()
    assert np.abs(pixels(widget.picture) - true)[inner].mean() < 8  # JPEG
    assert widget.error == error  # the reader's own
    widget.truth = False
    assert widget.picture == own and widget.pins == pins


def test_reset_puts_the_pins_back_to_rest(widget):
    pins = [list(pin) for pin in widget.pins]
    pins[7] = [0.0, 0.9]
    widget.pins = pins
    widget.reset()
    assert widget.pins == widget.rest and widget.error == widget.rest_error


@pytest.mark.parametrize("pins", [[], [[0.0, 0.0]] * 24, [[0.0, 0.0, 0.0]] * 25, [[float("nan"), 0.0]] * 25])
def test_pins_that_are_no_pins_are_refused_and_nothing_changes(widget, pins):
    picture = widget.picture
    with pytest.raises(traitlets.TraitError, match="25 finite pairs"):
        widget.pins = pins
    assert widget.pins == widget.rest and widget.picture == picture


def test_front_end_loads_nothing_from_elsewhere():
    script, style = (str(part) for part in (widgets.PinWidget._esm, widgets.PinWidget._css))
    for text in (script, style):
        assert len(text) > 500
        assert not re.search(r"\bimport\b\s*[\w{(\"']|@import|\bfetch\(|\burl\(", re.sub(r"//.*|/\*.*?\*/", "", text))
        assert re.findall(r"https?://[\w./]+", text) in ([], ["http://www.w3.org/2000/svg"])  # a name, not an address


def test_a_move_takes_less_than_a_tenth_of_a_second_at_256_x_192():
    widget = widgets.PinWidget(Wardrobe("test", 256, 192)[1])
    took = []
    for step in range(7):
        pins = [list(pin) for pin in widget.pins]
        pins[step] = [pins[step][0] + 0.05, pins[step][1]]
        begun = time.process_time()
        widget.pins = pins
        took.append(time.process_time() - begun)
    assert sorted(took)[1] < 0.1  # CPU time; the machine may be busy with something else in between
