"""A garment under the reader's hands: 25 pins that hold it on a body, and the spline that follows them (lesson 3).

Choices made here
- The widget is a thin shell: every move is `pinned_grid`, `pinned_picture` and an end-point error, which need no browser.
- A pin holds one point of the garment and is dragged on the body, as a hand would. It is a thin-plate spline through 25 pairs
  (place on the body, place in the garment) like the network's, but here the garment's side of a pair is fixed and the body's is
  free, so the linear system changes with every move and is solved anew: a 28 x 28 system, under a millisecond.
- Pins may meet. A trace of stiffness keeps the system solvable then; otherwise it moves nothing by a hundredth of a pixel.
- The browser gets a picture a move and sends the next move only when the last one has been drawn, so that it never lags behind.
- The JavaScript imports nothing. Pins can be moved with the arrow keys (with shift, further).
"""

import base64
import html
import io
from collections.abc import Callable, Mapping, Sequence
from math import isqrt
from pathlib import Path

import anywidget
import ipywidgets
import numpy as np
import torch
import traitlets
from matplotlib.figure import Figure
from PIL import Image, ImageDraw
from scipy.interpolate import RBFInterpolator

from ladi_mini.errors import InputError
from ladi_mini.pipeline import GARMENTS, TEXTS, TryOnPipeline, TryOnTrace
from ladi_mini.sample import TryOnSample
from ladi_mini.show.diffusion import step_figure
from ladi_mini.show.emasc import split_picture
from ladi_mini.show.full_size import PATHS, budget_figure
from ladi_mini.show.metrics import DAMAGES, damage_figure
from ladi_mini.show.panels import panel_figure
from ladi_mini.show.pictures import to_image
from ladi_mini.show.sheets import Panel
from ladi_mini.show.style import INK, ORANGE, rgb
from ladi_mini.show.warping import open_body, sample_error
from ladi_mini.show.whole_model import SCHEDULERS, Knobs, Moment, fitting_figure, mixed, moment_figure, try_on
from ladi_mini.warping import identity_grid, warp

STIFFNESS = 1e-6
SMOOTHING = 1.0  # of the spline from which the true places of the pins are sought
QUALITY = 92  # of the JPEG that goes to the browser

# ---------------------------------------------------------------- the spline behind the pins


def garment_lattice(garment_mask: torch.Tensor, side: int = 5) -> torch.Tensor:
    """(side², 2) points (x, y) in [-1, 1], row by row, that span the box around a garment (1, H, W)."""
    mask = garment_mask[0] > 0.5
    height, width = mask.shape
    rows, columns = mask.any(1).nonzero()[:, 0], mask.any(0).nonzero()[:, 0]
    y = torch.linspace(float(rows[0]), float(rows[-1]), side) / (height - 1) * 2 - 1
    x = torch.linspace(float(columns[0]), float(columns[-1]), side) / (width - 1) * 2 - 1
    return torch.cartesian_prod(y, x).flip(-1)


def pinned_spline(pins: torch.Tensor, lattice: torch.Tensor, points: torch.Tensor) -> torch.Tensor:
    """Where in the garment each of `points` (M, 2) on the body finds its colour, if the body's places `pins` (N, 2) find theirs
    at the garment's points `lattice` (N, 2): (M, 2), all (x, y) in [-1, 1], in the dtype of `points`."""
    centres, values = pins.double(), lattice.double()
    affine = torch.cat([centres.new_ones(len(centres), 1), centres], dim=1)
    kernel = _kernel(centres, centres) + STIFFNESS * torch.eye(len(centres), dtype=torch.float64)
    corner = -1e-9 * torch.eye(3, dtype=torch.float64)  # pins on one line leave the affine part open: as little as possible
    system = torch.cat([torch.cat([kernel, affine], 1), torch.cat([affine.mT, corner], 1)])
    weights = torch.linalg.solve(system, torch.cat([values, values.new_zeros(3, 2)])).to(points)
    query = torch.cat([_kernel(points, pins.to(points)), torch.ones_like(points[:, :1]), points], dim=1)
    return query @ weights


def _kernel(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """`warping.radial_basis` with a gradient also where two points meet: there r² log r has one, 0, but 0 x infinity is NaN."""
    squared = (a[:, None, 0] - b[:, 0]).square() + (a[:, None, 1] - b[:, 1]).square()
    squared = squared.clamp(min=1e-12)
    return 0.5 * squared * squared.log()


def pinned_grid(pins: torch.Tensor, lattice: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """(height, width, 2) float32: `pinned_spline` at every pixel of the body."""
    pixels = identity_grid(height, width).float()
    return pinned_spline(pins, lattice, pixels.flatten(0, 1)).view_as(pixels)


def true_pins(sample: TryOnSample, lattice: torch.Tensor, pixels: int = 400, steps: int = 150) -> torch.Tensor:
    """(N, 2): where on the body pins that hold the garment's points `lattice` (N, 2) come nearest to the true warp.

    A start and `steps` of descent, on about `pixels` of the visible pixels. The start is a stiff spline that reads the true warp
    from garment to body; it also tells where points lie that are hidden or off the garment, and a weak pull keeps them there.
    Raises `InputError` if the sample does not know its warp.
    """
    if sample.warp_grid is None or sample.warp_visible is None:
        raise InputError(f"{sample.name} does not know its true warp; take a sample of the wardrobe.")
    shows = sample.warp_visible[0] > 0.5
    every = max(1, int(shows.sum()) // pixels)
    found, body = sample.warp_grid[shows][::every].double(), identity_grid(sample.height, sample.width)[shows][::every]
    inverse = RBFInterpolator(found, body, kernel="thin_plate_spline", smoothing=SMOOTHING)
    start = torch.from_numpy(inverse(lattice.double())).clamp(-1, 1)
    pins = start.clone().requires_grad_()
    optimiser = torch.optim.Adam([pins], lr=0.01)
    for _ in range(steps):
        apart = (pinned_spline(pins, lattice, body) - found).norm(dim=-1).mean()
        loss = apart + 0.05 * (pins - start).square().sum(-1).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return pins.detach().float().clamp(-1, 1)


def pinned_picture(sample: TryOnSample, grid: torch.Tensor, lattice: torch.Tensor) -> Image.Image:
    """The garment on its body by a warp (H, W, 2), with the lines through its points `lattice` (N, 2) drawn on the cloth."""
    cloth = warp(sample.garment[None], grid[None])[0]
    shape = warp(sample.garment_mask[None], grid[None], padding_mode="zeros")[0]
    ink = torch.from_numpy(rgb(INK)).float()[:, None, None] * 2 - 1
    cloth = torch.lerp(cloth, ink.expand_as(cloth), 0.4 * lattice_lines(grid, lattice))
    return to_image(torch.lerp(open_body(sample), cloth, shape), None)


def lattice_lines(grid: torch.Tensor, lattice: torch.Tensor) -> torch.Tensor:
    """(H, W) in [0, 1]: where a warp (H, W, 2) shows a row or a column of the garment's points, about a pixel wide."""
    level = (grid - lattice[0]) / (lattice[-1] - lattice[0]) * (isqrt(len(lattice)) - 1)  # whole on a line
    slope = torch.hypot(*torch.gradient(level, dim=(0, 1))).clamp(min=1e-6)
    return (1.1 - (level - level.round()).abs() / slope).clamp(0, 1).amax(-1)


# ---------------------------------------------------------------- the same as a still picture


def pins_figure(sample: TryOnSample) -> Figure:
    """The widget as a sheet: pins at rest, the top row in place, all in place, and the truth."""
    lattice = garment_lattice(sample.garment_mask)
    there, side = true_pins(sample, lattice), isqrt(len(lattice))
    top = torch.arange(len(lattice)) < side
    stages = {
        "at rest": lattice,
        "top row in place": torch.where(top[:, None], there, lattice),
        f"all {len(lattice)} in place": there,
    }
    panels = [Panel(_with_dots(to_image(sample.garment), lattice), "the garment", f"{len(lattice)} pins hold it")]
    told = []
    for name, pins in stages.items():
        grid = pinned_grid(pins, lattice, sample.height, sample.width)
        picture = _enlarged(pinned_picture(sample, grid, lattice), panels[0].picture.size)
        error = sample_error(sample, grid)
        panels.append(Panel(_with_dots(picture, pins), name, f"{error:.1f} px off"))
        told.append(f"{name}: {error:.1f} px off")
    panels.append(Panel(to_image(_truth(sample)), "the truth"))
    return panel_figure(
        [panels],
        f"A garment with {len(lattice)} pins in rows, and a body with the garment on it, the pins as orange dots and the lines "
        f"between them bent by the spline: {'; '.join(told)}. Last the garment as it is truly worn.",
    )


def _truth(sample: TryOnSample) -> torch.Tensor:
    return torch.where(sample.warp_visible.bool(), sample.warped_garment, open_body(sample))


def _enlarged(picture: Image.Image, size: tuple[int, int]) -> Image.Image:
    return picture if picture.size == size else picture.resize(size, Image.Resampling.NEAREST)


def _with_dots(picture: Image.Image, points: torch.Tensor, radius: float = 4.0) -> Image.Image:
    """The picture with an orange dot at each point (N, 2) in [-1, 1]."""
    picture, size = picture.copy(), torch.tensor(picture.size)
    draw = ImageDraw.Draw(picture)
    for x, y in ((points + 1) / 2 * (size - 1)).tolist():
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), ORANGE, INK)
    return picture


# ---------------------------------------------------------------- the widget


class PinWidget(anywidget.AnyWidget):
    """A garment on a body, held by pins that can be dragged; the error against the true warp follows.

    sample: one that knows its warp, at the size at which it is drawn. Traits: `pins` (list of (x, y) in [-1, 1]), `truth` (show
    the true picture, with the pins where they belong; the reader's own come back after it), `error` in pixels of the picture.
    Raises `InputError` for a sample without a true warp; a wrong `pins` raises `traitlets.TraitError`.
    """

    _esm = Path(__file__).parent / "static" / "pins.js"
    _css = Path(__file__).parent / "static" / "pins.css"
    pins = traitlets.List(help="where on the body each pin is, (x, y) in [-1, 1]").tag(sync=True)
    truth = traitlets.Bool(False, help="show the true warp").tag(sync=True)
    rest = traitlets.List(read_only=True).tag(sync=True)
    places = traitlets.List(read_only=True, help="where the pins belong").tag(sync=True)
    garment = traitlets.Bytes(read_only=True).tag(sync=True)
    picture = traitlets.Bytes(read_only=True).tag(sync=True)
    error = traitlets.Float(read_only=True).tag(sync=True)
    rest_error = traitlets.Float(read_only=True).tag(sync=True)
    best_error = traitlets.Float(read_only=True).tag(sync=True)
    drawn = traitlets.Int(0, read_only=True, help="pictures so far").tag(sync=True)
    size = traitlets.List(read_only=True, help="width, height of the picture in pixels").tag(sync=True)

    def __init__(self, sample: TryOnSample):
        lattice = garment_lattice(sample.garment_mask)
        there = true_pins(sample, lattice)
        super().__init__()
        self._sample, self._lattice = sample, lattice
        for name, value in {
            "rest": lattice.tolist(),
            "places": there.tolist(),
            "garment": _jpeg(to_image(sample.garment, None)),
            "rest_error": sample_error(sample, self.grid(lattice)),
            "best_error": sample_error(sample, self.grid(there)),
            "size": [sample.width, sample.height],
        }.items():
            self.set_trait(name, value)
        self.observe(self._draw, ["pins", "truth"])
        self.reset()

    def reset(self):
        """Pins at rest: the garment pasted as it lies."""
        self.pins = self.rest

    def grid(self, pins: torch.Tensor | None = None) -> torch.Tensor:
        """(H, W, 2) the warp that these pins (N, 2) give, by default the reader's."""
        pins = torch.tensor(self.pins) if pins is None else pins
        return pinned_grid(pins, self._lattice, self._sample.height, self._sample.width)

    @traitlets.validate("pins")
    def _check_pins(self, proposal):
        pins = np.array(proposal["value"], dtype=object)
        if pins.shape != (len(self._lattice), 2) or not np.isfinite(pins.astype(float)).all():
            raise traitlets.TraitError(f"pins must be {len(self._lattice)} finite pairs (x, y), got shape {pins.shape}")
        return np.clip(pins.astype(float), -1.2, 1.2).tolist()

    def _draw(self, _=None):
        grid = self.grid()
        shown = to_image(_truth(self._sample), None) if self.truth else pinned_picture(self._sample, grid, self._lattice)
        with self.hold_sync():  # picture, error and count in one message
            self.set_trait("picture", _jpeg(shown))
            self.set_trait("error", sample_error(self._sample, grid))
            self.set_trait("drawn", self.drawn + 1)


def _jpeg(picture: Image.Image) -> bytes:
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=QUALITY, subsampling=0)  # halved colours would smear letters
    return file.getvalue()


# ---------------------------------------------------------------- a walk from noise to a picture (lesson 4)


class TrajectoryWidget(ipywidgets.VBox):
    """A slider through the steps of a traced call, and a choice where there are several; below it `show.step_figure`.

    walks: traces by name; abar (T,): the schedule; index: the sample that is shown. `walk` and `step` are the widgets that hold
    the choice, `picture` shows it. A step is drawn when it is first asked for.
    """

    def __init__(self, walks: Mapping[str, TryOnTrace], abar: torch.Tensor, index: int = 0):
        self._walks, self._abar, self._index, self._drawn = dict(walks), abar, index, {}
        self.walk = ipywidgets.Dropdown(options=list(walks), description="walk")
        self.step = ipywidgets.IntSlider(min=1, max=1, description="step", continuous_update=True)
        self.play = ipywidgets.Play(min=1, max=1, interval=400, show_repeat=False)
        ipywidgets.jslink((self.play, "value"), (self.step, "value"))
        self.picture = ipywidgets.HTML()
        self.walk.observe(self._choose, "value")
        self.step.observe(self._show, "value")
        super().__init__([ipywidgets.HBox([self.walk, self.play, self.step]), self.picture])
        self._choose()

    def _choose(self, _=None):
        """Another walk: as far on its way as the last one was."""
        share, total = self.step.value / self.step.max, len(self._walks[self.walk.value].timesteps)
        self.play.max = self.step.max = total
        self.step.value = min(total, max(1, round(share * total))) if self._drawn else 1
        self._show()

    def _show(self, _=None):
        key = self.walk.value, self.step.value
        if key not in self._drawn:
            figure = step_figure(self._walks[key[0]], key[1] - 1, self._abar, self._index)
            file = io.BytesIO()
            figure.savefig(file, format="png", dpi=figure.dpi)
            content = base64.b64encode(file.getvalue()).decode("ascii")
            self._drawn[key] = f'<img src="data:image/png;base64,{content}" alt="{html.escape(figure.alt)}">'
        self.picture.value = self._drawn[key]


# ---------------------------------------------------------------- a control over a figure (lesson 1)


class Redrawn(ipywidgets.VBox):
    """A control, and under it the figure that `make` gives of its value, drawn anew whenever the value changes.

    make: a pure function from the control's value to a Figure with its words in `.alt`. An `InputError` that it raises is shown
    in the figure's place, and the next value is tried again.
    """

    def __init__(self, control: ipywidgets.ValueWidget, make: Callable[..., Figure]):
        self.control, self.make, self.view = control, make, ipywidgets.HTML()
        super().__init__([control, self.view])
        control.observe(self._draw, "value")
        self._draw()

    def _draw(self, _=None):
        try:
            figure = self.make(self.control.value)
        except InputError as error:
            self.view.value = f"<p>{html.escape(str(error))}</p>"
            return
        file = io.BytesIO()
        figure.savefig(file, format="png", dpi=figure.dpi)
        picture = base64.b64encode(file.getvalue()).decode()
        self.view.value = f'<img alt="{html.escape(figure.alt)}" src="data:image/png;base64,{picture}">'


# ---------------------------------------------------------------- before and after (lesson 5)


class SplitWidget(ipywidgets.VBox):
    """Two of several pictures of a person, one on each side of an upright line that a slider moves.

    pictures: (B, 3, H, W) in [-1, 1] by name, at least two names; notes: a word a person by name, shown beside the name. Every
    picture is `split_picture`; the sliders and lists are ipywidgets', so Tab and the arrow keys reach all of it.
    Raises `InputError` for fewer than two names.
    """

    def __init__(self, pictures: Mapping[str, torch.Tensor], notes: Mapping[str, list[str]] | None = None, shown: int = 512):
        names = list(pictures)
        if len(names) < 2:
            raise InputError(f"a before/after slider needs two pictures, got {len(names)}; give them by name.")
        self._pictures, self._notes, self._shown = pictures, notes or {}, shown
        people = len(pictures[names[0]])
        wide = ipywidgets.Layout(width="380px")
        self.person = ipywidgets.IntSlider(1, 1, people, description="person", layout=wide)
        self.left = ipywidgets.Dropdown(options=names, value=names[0], description="left")
        self.right = ipywidgets.Dropdown(options=names, value=names[1], description="right")
        self.split = ipywidgets.IntSlider(50, 0, 100, step=2, description="line (%)", layout=wide)
        self.picture = ipywidgets.HTML()
        for control in (self.person, self.left, self.right, self.split):
            control.observe(self._draw, "value")
        chosen = ipywidgets.HBox([self.left, self.right])
        super().__init__([self.person, chosen, self.split, self.picture])
        self._draw()

    def _draw(self, _=None):
        index, names = self.person.value - 1, (self.left.value, self.right.value)
        before, after = (to_image(self._pictures[name][index], self._shown) for name in names)
        file = io.BytesIO()
        split_picture(before, after, self.split.value / 100).save(file, "PNG")
        said = [f"{name} ({self._notes[name][index]})" if name in self._notes else name for name in names]
        alt = f"person {index + 1}, left of {self.split.value} % of the width {said[0]}, right of it {said[1]}"
        data = base64.b64encode(file.getvalue()).decode()
        self.picture.value = (
            f"<p><b>left:</b> {html.escape(said[0])} &nbsp; <b>right:</b> {html.escape(said[1])}</p>"
            f'<img alt="{html.escape(alt, quote=True)}" src="data:image/png;base64,{data}">'
        )


# ---------------------------------------------------------------- the calculator of lesson 8


def full_size_calculator(card: dict):
    """Sliders over `full_size.budget_figure` for the card of a `ladi-mini bench full`: an ipywidgets box.

    Its children are the controls by the names of that function's arguments, and the picture.
    """
    look = {"style": {"description_width": "100px"}, "layout": ipywidgets.Layout(width="400px")}
    wide = look | {"continuous_update": False}
    controls = {
        "batch": ipywidgets.IntSlider(value=4, min=1, max=64, description="pictures", **wide),
        "path": ipywidgets.Dropdown(options=PATHS, value="compiled", description="path", **look),
        "bits": ipywidgets.Dropdown(options=(16, 32), description="bits", **look),
        "height": ipywidgets.SelectionSlider(options=(256, 384, 512, 768, 1024), value=512, description="height", **wide),
        "gib": ipywidgets.SelectionSlider(options=(4, 8, 12, 16, 24, 48, 80), value=24, description="your GPU, GiB", **wide),
    }
    picture = ipywidgets.HTML()

    def draw(_=None):
        figure, file = budget_figure(card, **{name: control.value for name, control in controls.items()}), io.BytesIO()
        figure.savefig(file, format="png", dpi=figure.dpi)
        content = base64.b64encode(file.getvalue()).decode("ascii")
        picture.value = f'<img src="data:image/png;base64,{content}" alt="{html.escape(figure.alt)}">'

    for control in controls.values():
        control.observe(draw, "value")
    draw()
    return ipywidgets.VBox([*controls.values(), picture])


# ---------------------------------------------------------------- a try-on scrubbed through (lesson 0), a fitting room (lesson 6)


def _shown(figure: Figure) -> str:
    """A figure as HTML, with its words."""
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=figure.dpi)
    content = base64.b64encode(file.getvalue()).decode("ascii")
    return f'<img src="data:image/png;base64,{content}" alt="{html.escape(figure.alt)}">'


def scrubber(found: Sequence[Moment], given: tuple[torch.Tensor, torch.Tensor]) -> Redrawn:
    """A slider through the moments of one try-on over `whole_model.moment_figure`; `given`: person and garment (3, H, W)."""
    slider = ipywidgets.IntSlider(1, 1, len(found), description="moment", layout=ipywidgets.Layout(width="420px"))
    return Redrawn(slider, lambda number: moment_figure(found, number, given))


class FittingRoom(ipywidgets.VBox):
    """Any of some people in any of their garments, with every knob; the picture before stays beside the new one.

    pipe: the model; people: by category, samples of one size. `knobs` are the controls by the names of `whole_model.Knobs`;
    `category`, `person` and `garment` choose, `go` is the button, `picture` shows `whole_model.fitting_figure`.
    """

    def __init__(self, pipe: TryOnPipeline, people: Mapping[str, Sequence[TryOnSample]]):
        self._pipe, self._people, self._last = pipe, people, None
        self.category = ipywidgets.Dropdown(options=list(people), description="category")
        self.person, self.garment = (ipywidgets.Dropdown(description=name) for name in ("person", "garment"))
        wide = {"continuous_update": False}
        self.knobs = {
            "steps": ipywidgets.IntSlider(20, 1, 50, description="steps", **wide),
            "guidance": ipywidgets.FloatSlider(value=1.5, min=0, max=6, step=0.25, description="guidance", **wide),
            "seed": ipywidgets.IntSlider(0, 0, 99, description="seed", **wide),
            "scheduler": ipywidgets.Dropdown(options=list(SCHEDULERS), description="scheduler"),
            "text": ipywidgets.Dropdown(options=TEXTS, description="text"),
            "garment": ipywidgets.Dropdown(options=[name for name in GARMENTS if name != "true"], description="picture"),
            "pose": ipywidgets.Checkbox(True, description="pose"),
            "emasc": ipywidgets.Checkbox(True, description="EMASC"),
            "paste_back": ipywidgets.Checkbox(False, description="paste back"),
        }
        self.go = ipywidgets.Button(description="try on", button_style="primary")
        self.picture = ipywidgets.HTML()
        self.category.observe(self._choose, "value")
        for control in (self.person, self.garment):
            control.observe(self._draw, "value")
        self.go.on_click(self._try_on)
        rows = [list(self.knobs.values())[i : i + 3] for i in range(0, len(self.knobs), 3)]
        chosen = ipywidgets.HBox([self.category, self.person, self.garment])
        super().__init__([chosen, *map(ipywidgets.HBox, rows), self.go, self.picture])
        self._choose()

    @property
    def sample(self) -> TryOnSample:
        """The chosen person in the chosen garment."""
        here = self._people[self.category.value]
        return mixed(here[self.person.value], here[self.garment.value])

    def _choose(self, _=None):
        here = self._people[self.category.value]
        self._last = None
        for control, name in ((self.person, "person"), (self.garment, "garment")):
            control.unobserve(self._draw, "value")
            control.options = [(f"{name} {i}", i - 1) for i in range(1, len(here) + 1)]
            control.index = 0
            control.observe(self._draw, "value")
        self._draw()

    def _draw(self, _=None):
        self.picture.value = _shown(fitting_figure(self.sample))

    def _try_on(self, _=None):
        knobs, sample = Knobs(**{name: control.value for name, control in self.knobs.items()}), self.sample
        self.go.disabled, self.go.description = True, "painting"
        try:
            picture, note = try_on(self._pipe, sample, knobs), knobs.changes(Knobs()) or "as shipped"
        finally:
            self.go.disabled, self.go.description = False, "try on"
        self.picture.value = _shown(fitting_figure(sample, picture, note, self._last))
        self._last = picture, note


# ---------------------------------------------------------------- the laboratory of lesson 7


class MetricLab(ipywidgets.VBox):
    """A list of damages and a slider over `metrics.damage_figure`: what does each measure see?

    target, other: (1, 3, H, W) in [-1, 1], a true picture and somebody else's; measures by name, 0 for the true picture. The
    slider goes through the amounts of `metrics.DAMAGES` in a hundred steps; the figure is drawn when it rests.
    """

    def __init__(self, target: torch.Tensor, other: torch.Tensor, measures: Mapping[str, Callable]):
        self._given = target, other, measures
        self.damage = ipywidgets.Dropdown(options=list(DAMAGES), description="damage")
        self.strength = ipywidgets.IntSlider(25, 0, 100, description="strength", continuous_update=False)
        self.picture = ipywidgets.HTML()
        for control in (self.damage, self.strength):
            control.observe(self._draw, "value")
        super().__init__([ipywidgets.HBox([self.damage, self.strength]), self.picture])
        self._draw()

    @property
    def amount(self) -> float:
        """What the slider means for the chosen damage, in its unit."""
        amounts = DAMAGES[self.damage.value][2]
        return amounts[0] + (amounts[-1] - amounts[0]) * self.strength.value / 100

    def _draw(self, _=None):
        target, other, measures = self._given
        figure, file = damage_figure(target, other, self.damage.value, round(self.amount, 3), measures), io.BytesIO()
        figure.savefig(file, format="png", dpi=figure.dpi)
        content = base64.b64encode(file.getvalue()).decode("ascii")
        self.picture.value = f'<img src="data:image/png;base64,{content}" alt="{html.escape(figure.alt, quote=True)}">'
