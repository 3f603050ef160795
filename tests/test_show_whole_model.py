"""The figures of lessons 0 and 6 say what is in the tensors; mixing, knobs, scrubber and fitting room do as they are told."""

import matplotlib
import pytest
import tiny
import torch
from drawn import assert_fits_and_speaks, assert_nothing_is_cut_or_hidden, every_text
from matplotlib.figure import Figure

from ladi_mini.errors import InputError
from ladi_mini.evaluation.predecessor import Rendering
from ladi_mini.show import whole_model as figures
from ladi_mini.show import widgets
from ladi_mini.wardrobe import Wardrobe

H, W = tiny.TINY.height, tiny.TINY.width


@pytest.fixture(scope="module")
def pipe():
    return tiny.tiny_pipeline()


@pytest.fixture(scope="module")
def rack():
    """Three tops and their people."""
    tops = Wardrobe("test", H, W, unpaired=True, category="upper_body")
    return [tops[i] for i in range(3)]


@pytest.fixture(scope="module")
def trace(pipe, rack):
    return pipe(rack[0], generator=torch.Generator().manual_seed(0), trace=True).trace


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def every_figure(pipe, rack, trace) -> dict[str, Figure]:
    """One of each kind."""
    batch, found = tiny.batch(), figures.moments(trace)
    picture = batch.target[0]
    out = Rendering(batch.target, batch.person, batch.inpaint_mask)
    named = {f"knob {i}": picture for i in range(8)}
    three = {f"person {i}": sample for i, sample in enumerate(rack, 1)}
    weights = {"image_encoder": 400_000, "inversion_adapter": 800_000, "text_encoder": 1_200_000, "warping": 2_400_000,
               "refinement": 600_000, "unet": 9_300_000, "emasc": 390_000, "vae": 3_400_000}  # fmt: skip
    values = {"predecessor": noise(9), "diffusion": noise(9, seed=1) + 1}
    return {
        "given": figures.fitting_figure(rack[0]),
        "fitting": figures.fitting_figure(rack[0], picture, "guidance 4", (picture, "as shipped")),
        "racks": figures.racks_figure(rack * 2),
        "matrix": figures.matrix_figure(three, {"garment 2": rack[1], "garment 3": rack[2]}, [[picture] * 3] * 2),
        "grid": figures.pictures_grid(named, "Eight pictures.", notes={"knob 3": "20 dB"}),
        "journey": figures.journey_figure(found),
        "moment": figures.moment_figure(found, 9, (rack[0].person, rack[0].garment)),
        "parts": figures.parts_figure(weights, "mini"),
        "groups": figures.groups_figure({"full": 4, "mini": 16}),
        "worth": figures.worth_figure({"no mask": noise(9) - 5, "no pose": noise(9, seed=1)}, "dB", {"no mask": "swapped in"}),
        "rendering": figures.rendering_figure(batch, batch.garment, out, batch.person, [0, 2]),
        "measures": figures.measures_figure({"the garment": values, "what is kept": values}, "PSNR (dB)"),
    }  # fmt: skip


@pytest.mark.slow
def test_every_figure_fits_a_notebook_speaks_and_leaves_no_trace(pipe, rack, trace):
    settings = dict(matplotlib.rcParams)
    for name, figure in every_figure(pipe, rack, trace).items():
        assert_fits_and_speaks(name, figure, (300, 900), (120, 1000), 60)
        assert_nothing_is_cut_or_hidden(name, figure, every_text(figure), room=2)
    assert dict(matplotlib.rcParams) == settings


# ---------------------------------------------------------------- any person, any garment


def test_mixed_takes_the_body_of_one_and_the_garment_of_the_other_and_claims_no_truth(rack):
    both = figures.mixed(rack[0], rack[1])
    assert all(getattr(both, name) is getattr(rack[0], name) for name in ("person", "inpaint_mask", "pose_map", "parse"))
    assert all(getattr(both, name) is getattr(rack[1], name) for name in ("garment", "garment_mask", "caption", "print_text"))
    assert both.target is both.warp_grid is both.warp_visible is both.warped_garment is None
    assert rack[0].target is not None and rack[0].name in both.name and rack[1].name in both.name


def test_a_garment_of_another_category_is_refused(rack):
    skirt = Wardrobe("test", H, W, category="lower_body")[0]
    with pytest.raises(InputError, match="choose a garment of the person's category"):
        figures.mixed(rack[0], skirt)


def test_every_knob_reaches_the_picture_and_the_pipeline_stays_as_it_was(pipe, rack):
    own, base = pipe.scheduler, figures.Knobs(steps=2)
    first = figures.try_on(pipe, rack[0], base)
    assert torch.equal(first, figures.try_on(pipe, rack[0], base)) and first.abs().max() <= 1
    turned = {
        "steps": 3, "guidance": 3.0, "seed": 1, "scheduler": "Euler", "text": "empty", "garment": "none", "pose": False,
        "emasc": False, "paste_back": True,
    }  # fmt: skip
    assert set(turned) == set(figures.Knobs.__dataclass_fields__)
    for name, value in turned.items():
        knobs = figures.Knobs(**{"steps": 2, name: value})
        assert not torch.equal(first, figures.try_on(pipe, rack[0], knobs)), name
    assert pipe.scheduler is own


@pytest.mark.parametrize("name", figures.SCHEDULERS)
def test_every_scheduler_of_the_list_runs(pipe, rack, name):
    assert figures.try_on(pipe, rack[0], figures.Knobs(steps=2, scheduler=name)).isfinite().all()


def test_an_unknown_scheduler_is_refused_with_those_that_there_are(pipe, rack):
    with pytest.raises(InputError, match=r"'Heun', expected one of DDIM, DPM-Solver\+\+"):
        figures.try_on(pipe, rack[0], figures.Knobs(scheduler="Heun"))


def test_changes_say_what_was_turned():
    assert figures.Knobs().changes(figures.Knobs()) == ""
    assert (
        figures.Knobs(guidance=4.0, emasc=False, paste_back=True).changes(figures.Knobs())
        == "guidance 4.0, emasc off, paste back on"
    )


# ---------------------------------------------------------------- moments and channels


def test_moments_begin_with_the_garment_and_end_with_result_and_truth(trace, rack):
    found = figures.moments(trace)
    assert [m.title for m in found[:4]] == ["garment", "agnostic", "mask", "pose map"]
    assert [m.title for m in found[-3:]] == ["decoded", "result", "truth"]
    assert all(m.text and 0 <= m.lesson <= 5 for m in found)
    assert list(found[-1].picture.getdata()) == list(figures.to_image(rack[0].target).getdata())
    alt = figures.journey_figure(found).alt
    assert all(f"{n}, {m.title}: {m.text}" in alt for n, m in enumerate(found, 1))


def test_without_a_truth_there_is_no_moment_for_it(pipe, rack):
    unknown = pipe(figures.mixed(rack[0], rack[1]), generator=torch.Generator().manual_seed(0), trace=True).trace
    assert figures.moments(unknown)[-1].title == "result"


@pytest.mark.parametrize("number", [0, 99])
def test_a_moment_that_there_is_not_is_refused(trace, rack, number):
    with pytest.raises(IndexError, match=f"moment {number} of"):
        figures.moment_figure(figures.moments(trace), number, (rack[0].person, rack[0].garment))


@pytest.mark.parametrize("z", [4, 16])
def test_groups_are_the_channels_of_the_preset(z):
    sizes = figures.group_sizes(z)
    assert sum(sizes.values()) == tiny.TINY.with_(latent_channels=z).tryon_channels == 3 * z + 19
    assert f"in all {3 * z + 19}" in figures.groups_figure({"a model": z}).alt


def test_worth_says_mean_and_interval():
    alt = figures.worth_figure({"no mask": torch.full((5,), -2.0)}, "dB", {"no mask": "swapped in"}).alt
    assert "no mask (swapped in) -2.0, interval -2.0 to -2.0" in alt


def test_measures_leave_out_those_that_have_none():
    values = {"one": torch.tensor([1.0, torch.nan, 3.0]), "two": torch.tensor([2.0, 2.0, 2.0])}
    alt = figures.measures_figure({"place": values}, "dB").alt
    assert "one 2.0" in alt and "two 2.0, interval 2.0 to 2.0" in alt


# ---------------------------------------------------------------- widgets without a browser


def test_the_scrubber_shows_the_moment_of_its_slider(trace, rack):
    found = figures.moments(trace)
    scrub = widgets.scrubber(found, (rack[0].person, rack[0].garment))
    for number in (1, len(found)):
        scrub.control.value = number
        assert f"Moment {number} of {len(found)}, {found[number - 1].title}" in scrub.view.value


@pytest.fixture
def room(pipe, rack):
    skirts = Wardrobe("test", H, W, unpaired=True, category="lower_body")
    return widgets.FittingRoom(pipe, {"upper_body": rack, "lower_body": [skirts[0], skirts[1]]})


def test_the_room_shows_what_is_chosen_before_anything_is_painted(room, rack):
    room.garment.value = 2
    assert room.sample.garment is rack[2].garment and room.sample.person is rack[0].person
    assert rack[2].caption.replace('"', "&quot;") in room.picture.value and "tried on" not in room.picture.value
    room.category.value = "lower_body"
    assert len(room.person.options) == 2 and room.sample.category == "lower_body"


def test_the_button_paints_with_the_knobs_and_keeps_the_picture_before(room):
    room.knobs["steps"].value = 2
    room.go.click()
    assert "made of them with steps 2" in room.picture.value and "Before it" not in room.picture.value
    room.knobs["guidance"].value = 3.0
    room.go.click()
    assert "steps 2, guidance 3.0" in room.picture.value and "Before it with steps 2." in room.picture.value
    assert not room.go.disabled and set(room.knobs) == set(figures.Knobs.__dataclass_fields__)
