"""The figures of lesson 4 say what is in the tensors and traces, and the slider shows the step that it stands on."""

import matplotlib
import numpy as np
import pytest
import torch
from drawn import assert_fits_and_speaks, assert_nothing_is_cut
from matplotlib.figure import Figure

from ladi_mini import show
from ladi_mini.diffusion import alphas_cumprod
from ladi_mini.pipeline import TryOnTrace
from ladi_mini.presets import NANO
from ladi_mini.show import diffusion as figures
from ladi_mini.show.widgets import TrajectoryWidget

ABAR = alphas_cumprod(NANO)
H, W = 64, 48
TIMES = [801, 601, 401, 201, 1]


def picture(seed: int, *shape: int) -> torch.Tensor:
    return torch.rand(shape or (3, H, W), generator=torch.Generator().manual_seed(seed)) * 2 - 1


@pytest.fixture(scope="module")
def trace() -> TryOnTrace:
    """Two people, five steps; the estimates come nearer to the last one step by step."""
    last, first = picture(1, 2, 3, H, W), picture(2, 2, 3, H, W)
    given = dict.fromkeys(("person", "agnostic"), last) | {
        "inpaint_mask": torch.ones(2, 1, H, W),
        "pose_map": torch.zeros(2, 18, H, W),
    }
    return TryOnTrace(
        garment=last, category=["dresses"] * 2, timesteps=TIMES, latents=[picture(3 + i, 2, 4, 16, 12) for i in range(5)],
        pred_original_images=[torch.lerp(first, last, i / 4) for i in range(5)], **given,
    )  # fmt: skip


def every_figure(trace) -> dict[str, Figure]:
    """One of each kind."""
    three, times = picture(4, 3, 3, H, W), list(range(0, 1000, 100))
    region = torch.zeros(1, H, W)
    region[:, 10:20, 12:24] = 1
    curves = {name: [0.1 * (i + 1) for i in range(10)] for name in "abcd"}
    charts = [show.Chart("one", times, curves, "t", log=True), show.Chart("two", [5, 10], {"a": [1, 2]}, "steps", logx=True)]
    log = [{"step": i, "loss": 1 / (1 + i)} for i in range(40)]
    measured = [{"step": i, "by_time": {10: 1.0 / (i + 1), 900: 0.5 / (i + 1)}} for i in (0, 20, 40)]
    groups = {"noisy codes": picture(5, 4, 16, 12), "mask": torch.ones(1, 16, 12), "pose map": picture(6, 18, 16, 12).abs()}
    density = np.abs(np.random.default_rng(0).normal(size=(1000, 50)))
    return {
        "pictures": show.pictures_figure({"a": three, "b": three}, "Two columns.", {"b": ["1 dB"] * 3}, ["x", "y", "z"], width=5),
        "codes": show.codes_figure(
            {"original": three[0], "f = 8": three[1]}, {"face": region}, {"f = 8": "192 become 4"}, "Codes."
        ),
        "chart": show.chart_figure(charts, "Some curves of no meaning, side by side, for a test."),
        "forward": show.forward_figure([picture(i, 4, 16, 12) for i in range(3)], list(three), [-1, 100, 999], ABAR),
        "hidden fall": show.hidden_fall_figure(log, 0.01, {100: 0.2, 900: 0.02}, {100: 0.1, 900: 0.004}),
        "walk": show.walk_figure(
            density, -3, 3, {"DDPM": ([999, 500, 0], picture(7, 3, 4)), "DDIM": ([999, 0], picture(8, 2, 4))}
        ),
        "channels": show.channels_figure(groups),
        "training": show.denoiser_training_figure(log + measured, [(0, three[0]), (40, three[1])], three[2], ABAR),
        "step": show.step_figure(trace, 2, ABAR, 1),
        "trajectory": show.trajectory_figure(trace, 1),
    }


def test_every_figure_fits_a_notebook_speaks_and_leaves_no_trace(trace):
    settings, before = dict(matplotlib.rcParams), trace.latents[0].clone()
    for name, figure in every_figure(trace).items():
        assert_fits_and_speaks(name, figure, (400, 900), (150, 1100), 30)
        assert_nothing_is_cut(name, figure, _texts(figure), room=2)
    assert dict(matplotlib.rcParams) == settings
    assert torch.equal(before, trace.latents[0])


def _texts(figure: Figure) -> list[matplotlib.text.Text]:
    axes = figure.findobj(matplotlib.axes.Axes)
    children = [t for axis in axes for t in (axis.xaxis.label, axis.yaxis.label, *axis.get_children())]
    return [t for t in children if isinstance(t, matplotlib.text.Text) and t.get_text().strip()]


def test_pictures_of_one_shape_are_drawn_in_one_size():
    figure = show.pictures_figure({"a": picture(1, 4, 3, H, W), "b": picture(2, 4, 3, H, W)}, "Two columns.", {"b": ["1 dB"] * 4})
    figure.canvas.draw()
    sizes = [axis.get_window_extent().size for axis in figure.axes]
    assert np.ptp(sizes, axis=0).max() < 2


def test_a_column_with_fewer_pictures_ends_early_and_leaves_the_others_their_size():
    figure = show.pictures_figure({"a": picture(1, 3, 3, H, W), "b": picture(2, 1, 3, H, W)}, "A long column and a short one.")
    figure.canvas.draw()
    drawn = [axis.get_window_extent().size for axis in figure.axes if axis.images]
    assert len(drawn) == 4 and np.ptp(drawn, axis=0).max() < 2


def test_forward_figure_says_how_much_signal_is_left():
    noisy, decoded = [picture(i, 4, 16, 12) for i in range(2)], [picture(3), picture(4)]
    assert f"t = 500: {float(ABAR[500]) ** 0.5:.2f}" in show.forward_figure(noisy, decoded, [-1, 500], ABAR).alt


def test_chart_says_where_each_curve_starts_and_ends():
    chart = show.Chart("loss", [1, 2, 3], {"base": [0.5, 9.0, 0.25]}, "t")
    alt = show.chart_figure([chart], "A curve.").alt
    assert alt == "A curve. loss, from t 1 to 3: base 0.5 to 0.25."


def test_hidden_fall_gives_the_factor_of_every_timestep():
    figure = show.hidden_fall_figure(
        [{"step": i, "loss": 0.1} for i in range(8)], 0.02, {100: 0.3, 900: 0.02}, {100: 0.2, 900: 0.005}
    )
    written = [text.get_text() for text in figure.axes[1].texts]
    assert written == ["t = 100: ÷ 1.5", "t = 900: ÷ 4.0"]
    assert "0.100 in the first quarter and 0.100 in the last" in figure.alt


def test_channels_are_counted_and_a_signed_group_has_its_own_colours():
    figure = show.channels_figure({"codes": torch.full((6, 4, 3), -3.0), "mask": torch.ones(1, 4, 3)})
    assert "codes, 4 of 6" in figure.alt and "mask, 1 of 1" in figure.alt
    shown = [axis.images[0].get_array()[0, 0].tolist() for axis in figure.axes if axis.images]
    assert shown[0] == shown[3] != shown[4]


@pytest.mark.parametrize("step", [0, 3])
def test_step_figure_tells_the_step_its_noise_and_what_is_left_to_change(trace, step):
    alt = show.step_figure(trace, step, ABAR, 1).alt
    apart = (trace.pred_original_images[step][1] - trace.pred_original_images[-1][1]).abs().mean() / 2
    assert f"Step {step + 1} of 5, at t = {TIMES[step]}" in alt and f"{float(ABAR[TIMES[step]]) ** 0.5:.2f}" in alt
    assert f"on average {float(apart):.3f} of white" in alt


@pytest.mark.parametrize("step", [-1, 5])
def test_a_step_that_the_trace_does_not_have_is_refused(trace, step):
    with pytest.raises(IndexError, match="of 5"):
        show.step_figure(trace, step, ABAR)


def test_trajectory_begins_with_the_first_step_and_ends_with_no_change_left(trace):
    alt = show.trajectory_figure(trace, columns=3).alt
    assert "3 moments of a walk of 5 steps" in alt and "step 1 0." in alt and "step 5 0.000" in alt


# ---------------------------------------------------------------- the slider, without a browser


@pytest.fixture
def widget(trace):
    short = TryOnTrace(
        **(
            vars(trace)
            | {"timesteps": TIMES[-2:], "latents": trace.latents[-2:], "pred_original_images": trace.pred_original_images[-2:]}
        )
    )
    return TrajectoryWidget({"DDIM": trace, "short": short}, ABAR)


def test_widget_starts_at_the_first_step_of_the_first_walk(widget):
    assert (widget.walk.value, widget.step.value, widget.step.max) == ("DDIM", 1, 5)
    assert "Step 1 of 5" in widget.picture.value and "data:image/png;base64," in widget.picture.value


def test_slider_shows_its_step_and_draws_it_once(widget, monkeypatch):
    widget.step.value = 4
    assert "Step 4 of 5" in widget.picture.value
    drawn = widget.picture.value
    widget.step.value = 1
    monkeypatch.setattr(figures, "step_figure", None)
    monkeypatch.setattr("ladi_mini.show.widgets.step_figure", None)
    widget.step.value = 4
    assert widget.picture.value == drawn


def test_another_walk_is_shown_as_far_on_its_way(widget):
    widget.step.value = 5
    widget.walk.value = "short"
    assert widget.step.max == widget.play.max == 2
    assert "Step 2 of 2" in widget.picture.value
    widget.walk.value = "DDIM"
    assert "Step 5 of 5" in widget.picture.value
