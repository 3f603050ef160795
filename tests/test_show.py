"""Figures say what is in the tensors: sizes, colours, lines where the grid puts them, and nothing that is not known."""

from dataclasses import fields, replace

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from PIL import Image

from ladi_mini import show
from ladi_mini.pipeline import TryOnTrace
from ladi_mini.sample import KEYPOINTS, PARSE_LABELS, TryOnSample
from ladi_mini.show import pictures, sheets, style
from ladi_mini.warping import identity_grid

H, W, B, STEPS = 64, 48, 2, 9
WHITE = torch.ones(3, H, W)


def gaussians(points: torch.Tensor, visible: torch.Tensor, sigma: float = 2.0) -> torch.Tensor:
    """(18, H, W) heat maps around points (18, 2) in pixels."""
    y, x = torch.meshgrid(torch.arange(H), torch.arange(W), indexing="ij")
    squared = (x - points[:, 0, None, None]) ** 2 + (y - points[:, 1, None, None]) ** 2
    return torch.exp(-squared / sigma**2) * visible[:, None, None]


def random_image(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(*shape, 3, H, W, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def make_sample(**changes) -> TryOnSample:
    points = torch.stack([torch.linspace(5, 40, 18), torch.linspace(4, 60, 18)], 1)
    mask = torch.zeros(1, H, W)
    mask[:, 20:40, 10:38] = 1
    parse = torch.zeros(H, W, dtype=torch.int64)
    parse[20:40, 10:38] = PARSE_LABELS.index("upper")
    values = {
        "person": random_image(seed=1), "garment": random_image(seed=2), "garment_mask": mask, "inpaint_mask": mask,
        "pose_map": gaussians(points, torch.ones(18)), "parse": parse, "keypoints": points,
        "keypoint_visible": torch.ones(18, dtype=torch.bool), "category": "upper_body", "caption": "a red shirt",
        "warp_grid": identity_grid(H, W).float(), "warp_visible": mask, "warped_garment": random_image(seed=3),
        "target": random_image(seed=4),
    }  # fmt: skip
    return TryOnSample(**values | changes)


@pytest.fixture
def trace() -> TryOnTrace:
    generator = torch.Generator().manual_seed(5)
    sample = make_sample()
    stack = lambda x: torch.stack([x] * B)  # noqa: E731
    return TryOnTrace(
        person=stack(sample.person), garment=stack(sample.garment), agnostic=stack(sample.agnostic), category=["upper_body"] * B,
        inpaint_mask=stack(sample.inpaint_mask), pose_map=stack(sample.pose_map), target=random_image(B, seed=6),
        control_points=torch.rand(B, 25, 2, generator=generator) * 2 - 1, warp_grid=stack(sample.warp_grid),
        warped_garment=random_image(B, seed=7), refined_garment=random_image(B, seed=8),
        timesteps=list(range(100 * STEPS, 0, -100)),
        latents=[torch.randn(B, 4, 16, 12, generator=generator) for _ in range(STEPS)],
        pred_original_images=[random_image(B, seed=10 + k) for k in range(STEPS)],
        attention=torch.rand(B, 16, 16, 12, generator=generator), image_without_emasc=random_image(B, seed=30),
        image_with_emasc=random_image(B, seed=31), image_pasted=random_image(B, seed=32), image=random_image(B, seed=33),
    )  # fmt: skip


def array(picture: Image.Image) -> np.ndarray:
    return np.asarray(picture).astype(int)


def near(pixels: np.ndarray, colour: str, tolerance: int = 60) -> np.ndarray:
    """(h, w) bool: where the pixels have about that colour."""
    return (np.abs(pixels - style.rgb(colour) * 255) <= tolerance).all(-1)


# ---------------------------------------------------------------- single pictures


def test_image_keeps_every_pixel_when_it_grows():
    image = random_image()
    shown = array(show.to_image(image))
    expected = ((image + 1) * 127.5).round().permute(1, 2, 0).numpy()
    assert shown.shape == (256, 192, 3)
    for dy, dx in ((0, 0), (3, 3), (1, 2)):
        assert np.array_equal(shown[dy::4, dx::4], expected)


@pytest.mark.parametrize(
    ("size", "shown"), [((64, 48), (256, 192)), ((256, 192), (256, 192)), ((512, 384), (256, 192)), ((16, 12), (256, 192))]
)
def test_every_preset_is_shown_at_one_size(size, shown):
    assert pictures.shown_size(*size) == shown


def test_image_out_of_range_is_clipped_not_wrapped():
    image = torch.full((3, H, W), 1.3)
    image[:, : H // 2] = -1.7
    shown = array(show.to_image(image, shown=None))
    assert (shown[: H // 2] == 0).all() and (shown[H // 2 :] == 255).all()


def test_mask_colours_exactly_the_pixels_to_repaint():
    mask = make_sample().inpaint_mask
    shown = array(show.mask_image(mask, shown=H))
    assert np.array_equal(near(shown, style.ORANGE, 1), mask[0].bool().numpy())


def test_mask_over_an_image_leaves_the_rest_of_it_alone():
    sample = make_sample()
    shown, below = array(show.mask_image(sample.inpaint_mask, sample.person, H)), array(show.to_image(sample.person, H))
    keep = ~sample.inpaint_mask[0].bool().numpy()
    assert np.abs(shown - below)[keep].max() <= 1
    assert np.abs(shown - below)[~keep].mean() > 20


def test_pose_is_drawn_where_the_joints_are_in_the_colours_of_their_sides():
    points = torch.full((18, 2), -100.0)
    visible = torch.zeros(18)
    right, left = KEYPOINTS.index("right_wrist"), KEYPOINTS.index("left_wrist")
    points[right], points[left] = torch.tensor([10.0, 20.0]), torch.tensor([36.0, 50.0])
    visible[[right, left]] = 1
    shown = array(show.pose_image(gaussians(points, visible)))
    assert near(shown, style.VERMILLION)[82, 42] and near(shown, style.BLUE)[202, 146]  # 4 (p + 1/2), 4 x nano
    assert not near(shown, style.VERMILLION)[150:].any() and not near(shown, style.BLUE)[:150].any()


def test_pose_draws_a_limb_only_between_visible_joints():
    shoulder, elbow = KEYPOINTS.index("right_shoulder"), KEYPOINTS.index("right_elbow")
    points = torch.full((18, 2), 5.0)
    points[shoulder], points[elbow] = torch.tensor([10.0, 10.0]), torch.tensor([10.0, 50.0])
    visible = torch.zeros(18)
    visible[[shoulder, elbow]] = 1
    middle = np.s_[100:140, 38:46]
    assert near(array(show.pose_image(gaussians(points, visible))), style.VERMILLION)[middle].any()
    visible[elbow] = 0
    assert not near(array(show.pose_image(gaussians(points, visible))), style.VERMILLION)[middle].any()


def test_empty_pose_map_is_an_empty_picture():
    assert (array(show.pose_image(torch.zeros(18, H, W))) == 255).all()


def test_parse_colours_tell_the_labels_apart():
    assert set(pictures.PARSE_COLOURS) == set(PARSE_LABELS)
    colours = np.array([style.rgb(colour) for colour in pictures.PARSE_COLOURS.values()])
    distance = np.abs(colours[:, None] - colours[None]).sum(-1)[~np.eye(len(colours), dtype=bool)]
    assert distance.min() > 0.05


def test_parse_legend_names_what_is_there_in_the_colour_it_has():
    parse = make_sample().parse
    parse[50:60, 12:20] = PARSE_LABELS.index("left_leg")
    assert [name for _, name in show.parse_legend(parse)] == ["upper", "left leg"]
    (upper, _), _ = show.parse_legend(parse)
    assert near(array(show.parse_image(parse)), upper, 1)[4 * 30, 4 * 20]


# ---------------------------------------------------------------- warps


def drawn(picture: Image.Image) -> np.ndarray:
    """(h, w) bool: where a mesh over a white picture left a mark; the faint rim of a smoothed line does not count."""
    return (array(picture) < 200).any(-1)


@pytest.mark.parametrize("draw", [show.mesh_on_garment, show.mesh_on_body])
def test_identity_grid_draws_straight_lines(draw):
    marks = drawn(draw(identity_grid(H, W), WHITE))
    rows, columns = marks.mean(1) > 0.95, marks.mean(0) > 0.95
    assert 0 < rows.mean() < 0.5 and 0 < columns.mean() < 0.5
    straight = rows[:, None] | columns[None]
    assert np.array_equal(marks[8:-8, 8:-8], straight[8:-8, 8:-8])


@pytest.mark.parametrize("draw", [show.mesh_on_garment, show.mesh_on_body])
def test_mesh_has_square_cells_with_level_lines_red_and_upright_lines_blue(draw):
    pixels = array(draw(identity_grid(H, W), WHITE, lines=6))
    red, blue = pixels[..., 0] - pixels[..., 2] > 40, pixels[..., 2] - pixels[..., 0] > 40
    for ink, axis, count in ((red, 1, 8), (blue, 0, 6)):  # 64 x 48 pixels: 8 level lines for 6 upright ones
        lines = np.concatenate(([False], ink.mean(axis) > 0.5, [False]))
        assert (lines[1:] & ~lines[:-1]).sum() == count


@pytest.mark.parametrize("draw", [show.mesh_on_garment, show.mesh_on_body])
def test_bent_grid_bends_the_lines(draw):
    grid = identity_grid(H, W)
    grid[..., 0] += 0.15 * torch.sin(3 * grid[..., 1])
    marks = drawn(draw(grid, WHITE))
    assert not (marks.mean(0) > 0.95).any() and (marks.mean(1) > 0.9).any()


def test_mesh_on_garment_moves_with_the_places_it_looks_at():
    right_half = identity_grid(H, W)
    right_half[..., 0] = right_half[..., 0] / 2 + 0.5
    marks = drawn(show.mesh_on_garment(right_half, WHITE))
    assert not marks[:, :90].any() and marks[:, 100:].any()


def test_mesh_on_body_shrinks_where_the_garment_is_worn_small():
    """A grid that spans twice the garment shows all of it in the middle of the body."""
    marks = drawn(show.mesh_on_body(2 * identity_grid(H, W), WHITE))
    rows, columns = np.flatnonzero(marks.any(1)), np.flatnonzero(marks.any(0))
    assert abs(rows[0] - 64) <= 6 and abs(rows[-1] - 191) <= 6
    assert abs(columns[0] - 48) <= 6 and abs(columns[-1] - 143) <= 6


@pytest.mark.parametrize("draw", [show.mesh_on_garment, show.mesh_on_body])
def test_mesh_is_not_drawn_where_the_grid_does_not_count(draw):
    visible = torch.zeros(1, H, W)
    visible[:, : H // 2] = 1
    marks = drawn(draw(identity_grid(H, W), WHITE, visible=visible))
    assert marks[:120].any() and not marks[134:].any()


def test_control_points_are_dots_at_their_places():
    points = torch.tensor([[-0.5, 0.5], [3.0, 3.0]])  # the second lies outside
    without, shown = (array(show.mesh_on_garment(identity_grid(H, W), WHITE, p)) for p in (None, points))
    ys, xs = np.nonzero(np.abs(without - shown).sum(-1))
    x, y = 4 * (0.25 * (W - 1) + 0.5), 4 * (0.75 * (H - 1) + 0.5)
    assert abs(xs.mean() - x) < 1.5 and abs(ys.mean() - y) < 1.5
    assert near(shown, style.INK)[round(y), round(x)]


# ---------------------------------------------------------------- latents and amounts


def test_latent_code_is_shared_by_a_row_and_does_not_depend_on_the_sign_of_a_direction():
    latents = torch.randn(4, 16, 12, generator=torch.Generator().manual_seed(1))
    code = show.latent_colours(latents)
    assert np.array_equal(array(show.latent_image(latents)), array(show.latent_image(latents, code)))
    dimmer = array(
        show.latent_image(latents.mean((1, 2), keepdim=True) + 0.5 * (latents - latents.mean((1, 2), keepdim=True)), code)
    )
    bright = array(show.latent_image(latents, code))
    assert dimmer.std() == pytest.approx(bright.std() / 2, rel=0.05)
    weights = code.directions
    assert (weights.gather(1, weights.abs().argmax(1, keepdim=True)) > 0).all()


@pytest.mark.parametrize("channels", [1, 2, 4, 16])
def test_latents_of_any_depth_have_a_picture(channels):
    assert show.latent_image(torch.randn(channels, 16, 12)).size == (192, 256)


def test_constant_latents_are_grey_not_an_error():
    shown = array(show.latent_image(torch.full((4, 16, 12), 3.0)))
    assert np.ptp(shown) <= 1 and abs(shown.mean() - 128) <= 1


def test_heat_gets_brighter_with_the_amount_and_saturates():
    ramp = torch.linspace(-1, 2, W).expand(H, W)
    light = array(show.heat_image(ramp, 0.0, 1.0, shown=H)) @ np.array([0.2126, 0.7152, 0.0722])
    assert (np.diff(light[0]) >= -0.5).all() and light[0, -1] > light[0, 0] + 100
    assert np.ptp(light[0, : W // 3]) == 0 and np.ptp(light[0, -W // 3 :]) == 0


def test_error_is_dark_exactly_where_images_agree():
    truth = random_image(seed=1) * 0.5
    image = truth.clone()
    image[:, 10:15, 5:15] += 0.5
    image[:, 15:20, 5:15] -= 0.5
    shown = array(show.error_image(image, truth, shown=H))
    different = (shown != shown[0, 0]).any(-1)
    expected = np.zeros((H, W), bool)
    expected[10:20, 5:15] = True
    assert np.array_equal(different, expected)


# ---------------------------------------------------------------- sheets


def titles(rows: list[show.Row]) -> list[str]:
    return [panel.title for row in rows for panel in row.panels]


def test_try_on_sheet_has_every_stage_in_the_models_order(trace):
    rows = show.try_on_rows(trace)
    assert [row.title for row in rows] == ["given", "warp", "denoise", "", "result"]
    assert {"person", "garment", "agnostic", "mask", "pose map", "warp grid", "warped garment", "refined garment"} <= set(
        titles(rows)
    )
    assert {"result", "truth", "without EMASC", "with EMASC", "pasted"} <= set(titles(rows))
    sheet = show.try_on_sheet(trace)
    assert sheet.width == 1600 and sheet.mode == "RGB"


def test_every_panel_lies_unchanged_on_the_sheet(trace):
    rows = show.try_on_rows(trace, index=1)
    sheet = np.asarray(show.try_on_sheet(trace, index=1))
    y = 0
    for row in rows:
        first = np.asarray(row.panels[0].picture)
        y += next(k for k in range(len(sheet)) if np.array_equal(sheet[y + k, sheets.MARGIN : sheets.MARGIN + 192], first[0]))
        for column, panel in enumerate(row.panels):
            x = sheets.MARGIN + column * (192 + sheets.GAP)
            assert np.array_equal(sheet[y : y + 256, x : x + 192], np.asarray(panel.picture)), panel.title


def test_steps_shown_run_from_the_first_to_the_last_with_their_own_pictures(trace):
    (latents, estimates) = show.try_on_rows(trace, index=1, steps=3)[2:4]
    assert [panel.title for panel in latents.panels] == ["step 1 of 9", "step 5 of 9", "step 9 of 9"]
    for k, panel in zip((0, 4, 8), estimates.panels, strict=True):
        assert panel.note == f"at t = {trace.timesteps[k]}"
        assert np.array_equal(array(panel.picture), array(show.to_image(trace.pred_original_images[k][1])))


def test_more_steps_than_there_are_shows_each_once(trace):
    assert len(show.try_on_rows(trace, steps=50)[2].panels) == STEPS


OPTIONAL = (
    "person", "target", "warp_grid", "control_points", "warped_garment", "refined_garment", "attention", "image_without_emasc",
    "image_with_emasc", "image_pasted", "image",
)  # fmt: skip


@pytest.mark.parametrize("missing", OPTIONAL)
def test_what_is_not_known_is_left_out(trace, missing):
    less = replace(trace, **{missing: None})
    show.contact_sheet(show.try_on_rows(less, steps=2))
    if missing != "control_points":  # dots, not a panel
        assert len(titles(show.try_on_rows(less))) < len(titles(show.try_on_rows(trace)))


def test_no_truth_means_no_truth_and_no_error_panel(trace):
    names = titles(show.try_on_rows(replace(trace, target=None)))
    assert "truth" not in names and "error" not in names


def test_trace_of_a_pipeline_without_denoising_still_has_a_sheet(trace):
    less = replace(trace, timesteps=[], latents=[], pred_original_images=[])
    assert [row.title for row in show.try_on_rows(less)] == ["given", "warp", "result"]
    show.try_on_sheet(less)


def test_sheet_draws_the_sample_that_was_asked_for(trace):
    assert not np.array_equal(array(show.try_on_sheet(trace, 0)), array(show.try_on_sheet(trace, 1)))


def test_alt_text_tells_every_panel_of_the_sheet(trace):
    alt = show.try_on_sheet(trace).info["alt"]
    assert all(title in alt for title in titles(show.try_on_rows(trace)))
    assert "\n" not in alt


def test_sample_sheet_has_a_row_a_sample_and_keeps_the_place_of_what_is_not_known():
    known, unknown = make_sample(), make_sample(warp_grid=None, warp_visible=None, warped_garment=None, target=None)
    rows = show.sample_rows([known, unknown])
    assert [len(row.panels) for row in rows] == [7, 7]
    assert [panel.title for panel in rows[1].panels if panel.picture is None] == ["true warp", "truth"]
    assert all(panel.picture is not None for panel in rows[0].panels)
    sheet = show.sample_sheet([known, unknown])
    assert sheet.width == 1600 and "a red shirt" in sheet.info["alt"] and "not known" in sheet.info["alt"]


def test_notes_are_wrapped_between_words_into_the_width():
    text = "body lattice on the garment; dots: control points"
    lines = sheets._wrap(text, 192)
    assert " ".join(lines) == text and len(lines) > 1
    assert all(style.font().getlength(line) <= 192 for line in lines)


def test_every_title_fits_over_its_panel(trace):
    rows = show.try_on_rows(trace) + show.sample_rows([make_sample()])
    assert all(style.font(bold=True).getlength(title) <= 192 + sheets.GAP // 2 for title in titles(rows))


def test_sheet_without_panels_is_refused():
    with pytest.raises(ValueError, match="at least one panel"):
        show.contact_sheet([show.Row([])])


def test_figures_change_nothing_that_they_are_given(trace):
    sample = make_sample()
    before = [(owner, f.name, _copy(getattr(owner, f.name))) for owner in (trace, sample) for f in fields(owner)]
    show.try_on_sheet(trace)
    show.sample_sheet([sample])
    for owner, name, value in before:
        assert _same(getattr(owner, name), value), name


def test_new_figure_leaves_no_global_state():
    import matplotlib
    from matplotlib import pyplot

    before = dict(matplotlib.rcParams)
    figure, axes = show.new_figure(rows=2, columns=3)
    assert isinstance(figure, Figure) and axes.shape == (2, 3)
    assert dict(matplotlib.rcParams) == before and pyplot.get_fignums() == []


def test_palette_stays_apart_for_common_colour_blindness():
    """Viénot, Brettel and Mollon (1999): how a dichromat sees a colour, in linear RGB."""
    seen_by = {
        "protan": np.array([[0.11238, 0.88762, 0.0], [0.11238, 0.88762, 0.0], [0.00401, -0.00401, 1.0]]),
        "deutan": np.array([[0.29275, 0.70725, 0.0], [0.29275, 0.70725, 0.0], [-0.02234, 0.02234, 1.0]]),
    }
    linear = np.array([style.rgb(colour) for colour in style.PALETTE]) ** 2.2
    for name, matrix in seen_by.items():
        seen = np.clip(linear @ matrix.T, 0, 1) ** (1 / 2.2)
        distance = np.abs(seen[:, None] - seen[None]).max(-1)[~np.eye(len(seen), dtype=bool)]
        assert distance.min() > 0.1, name


def _copy(value):
    return [_copy(v) for v in value] if isinstance(value, list) else value.clone() if isinstance(value, torch.Tensor) else value


def _same(a, b) -> bool:
    if isinstance(a, list):
        return all(_same(x, y) for x, y in zip(a, b, strict=True))
    return torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b
