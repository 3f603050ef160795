"""The figures of lesson 3: why a garment must bend, what a spline does, how a picture is sampled, what the network learns.

Choices made here
- Every figure is a pure function of tensors: nothing is trained, drawn at random or shown here.
- A figure is `WIDTH` inches, 820 pixels in a notebook, so that its text is read at the size of the text around it.
- What a figure shows is also in words, numbers included, in `figure.alt`.
- A hole that the model must fill is drawn as light grey with the pose in it, so that a garment laid over it stays in view.
- Distances are pixels of the garment's picture, on one scale within a figure.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import matplotlib
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from ladi_mini.sample import TryOnBatch, TryOnSample
from ladi_mini.show.panels import WIDTH, crop, described, draw_panel, in_our_look, panel_figure, square_around
from ladi_mini.show.pictures import heat_image, mesh_on_garment, pose_image, to_image
from ladi_mini.show.sheets import Panel
from ladi_mini.show.style import (
    BLUE,
    GREEN,
    HAIRLINE,
    INK,
    MIST,
    MUTED,
    ORANGE,
    PAPER,
    SEQUENTIAL,
    VERMILLION,
    new_figure,
    rgb,
)
from ladi_mini.warping import CONSTRAINT_TERMS, end_point_error, identity_grid, second_order_constraint, warp

# ---------------------------------------------------------------- what the figures are made of


def open_body(sample: TryOnSample) -> torch.Tensor:
    """(3, H, W) in [-1, 1]: what the model sees of the person, the hole in light grey."""
    mist = torch.from_numpy(rgb(MIST)).float()[:, None, None] * 2 - 1
    return torch.where(sample.inpaint_mask.bool(), mist, sample.person)


def posed_picture(sample: TryOnSample) -> Image.Image:
    """`open_body` with the pose drawn into it, at the size at which pictures are shown."""
    body = open_body(sample)
    return Image.blend(to_image(body), pose_image(sample.pose_map, over=body), 0.6)


def wear(body: torch.Tensor, garment: torch.Tensor, garment_mask: torch.Tensor, grid: torch.Tensor) -> torch.Tensor:
    """(3, H, W): the garment laid over `body` by a warp, cut out along its own outline.

    body, garment (3, H, W) in [-1, 1]; garment_mask (1, H, W); grid (H, W, 2).
    """
    grid = grid.to(garment)[None]
    cloth, shape = warp(garment[None], grid)[0], warp(garment_mask[None], grid, padding_mode="zeros")[0]
    return torch.lerp(body, cloth, shape)


def affine_map(true_grid: torch.Tensor, visible: torch.Tensor) -> torch.Tensor:
    """(B, 3, 2): the rows that take (1, x, y) to the affine map (shift, scale, turn, shear) nearest to each warp (B, H, W, 2)
    where visible (B, 1, H, W) is 1."""
    places = identity_grid(*true_grid.shape[1:3]).float()
    places = torch.cat([torch.ones_like(places[..., :1]), places], dim=-1)
    shows = visible[:, 0] > 0.5
    pairs = zip(true_grid.float(), shows, strict=True)
    return torch.stack([torch.linalg.lstsq(places[show], grid[show]).solution for grid, show in pairs])


def affine_grid(true_grid: torch.Tensor, visible: torch.Tensor) -> torch.Tensor:
    """`affine_map` at every pixel: (B, H, W, 2)."""
    rows = affine_map(true_grid, visible)[:, None]
    return rows[:, :, :1] + identity_grid(*true_grid.shape[1:3]).float() @ rows[:, :, 1:]


def shrinkage(true_grid: torch.Tensor, visible: torch.Tensor) -> torch.Tensor:
    """(B,) how many pixels of the garment's picture lie, along a side, on one pixel of the body: 2 = worn at half its size."""
    return affine_map(true_grid, visible)[:, 1:].det().abs().sqrt()


def sample_error(sample: TryOnSample, grid: torch.Tensor) -> float:
    """End-point error of a warp (H, W, 2) in pixels against the sample's true one."""
    truth = sample.warp_grid[None], sample.warp_visible[None]
    return float(end_point_error(grid[None].to(truth[0]), *truth, sample.height, sample.width))


# ---------------------------------------------------------------- 1. why a flat garment does not fit


@in_our_look
def paste_figure(samples: Sequence[TryOnSample]) -> Figure:
    """A row a sample: garment and body, the garment pasted as it is, by the best affine map, and as it is truly worn."""
    rows, alts = [], []
    for number, sample in enumerate(samples):
        body, identity = open_body(sample), identity_grid(sample.height, sample.width).float()
        affine = affine_grid(sample.warp_grid[None], sample.warp_visible[None])[0]
        pasted, fitted = (to_image(wear(body, sample.garment, sample.garment_mask, grid), None) for grid in (identity, affine))
        worn = torch.where(sample.warp_visible.bool(), sample.warped_garment, body)
        errors = sample_error(sample, identity), sample_error(sample, affine)
        titles = ("garment", "body", "pasted", "best affine", "truly worn") if number == 0 else ("",) * 5
        pictures = to_image(sample.garment), posed_picture(sample), pasted, fitted, to_image(worn)
        notes = "", "", f"{errors[0]:.0f} px off", f"{errors[1]:.1f} px off", "0 px"
        rows.append([Panel(*parts) for parts in zip(pictures, titles, notes, strict=True)])
        alts.append(f"{_words(sample.category)}, pasted {errors[0]:.0f} px off, best affine map {errors[1]:.1f} px off")
    alt = (
        "A row a garment: lying flat, the body with a grey hole where it is to be painted, the flat garment pasted over the "
        f"body, the garment moved by the best affine map, and as it is truly worn. {'; '.join(alts)}."
    )
    return panel_figure(rows, alt, width=0.9 * WIDTH)


# ---------------------------------------------------------------- 2. the spline


@in_our_look
def kernel_figure() -> Figure:
    """U(r) = r² log r as a curve, as the shape that one weight gives a plate, and as a plate held at the corners of a square."""
    figure = Figure(figsize=(WIDTH, 2.9), layout="constrained", facecolor=PAPER)
    curve = figure.add_subplot(1, 3, 1)
    r = np.linspace(1e-6, 1.6, 400)
    lowest = np.exp(-0.5)
    curve.axhline(0, color=HAIRLINE, linewidth=1)
    curve.plot(r, r**2 * np.log(r), color=BLUE)
    curve.plot([lowest], [lowest**2 * np.log(lowest)], "o", color=VERMILLION, markersize=5)
    curve.annotate("$e^{-1/2}$", (lowest, -0.185), (lowest, -0.33), ha="center", color=VERMILLION)
    curve.plot([0, 1], [0, 0], "o", color=INK, markersize=4)
    curve.set(title="U(r) = r² log r", xlabel="r", ylim=(-0.42, 1.2), xticks=(0, 0.5, 1, 1.5), yticks=(0, 0.5, 1))
    x, y = np.meshgrid(np.linspace(-1.5, 1.5, 61), np.linspace(-1.5, 1.5, 61))
    one = _kernel(np.hypot(x, y))
    _plate(figure.add_subplot(1, 3, 2, projection="3d"), x, y, one, "one weight")
    corners = [(1, 1, 1), (1, -1, -1), (-1, -1, 1), (-1, 1, -1)]
    bent = sum(sign * _kernel(np.hypot(x - a, y - b)) for a, b, sign in corners)
    held = {(a, b): sum(s * _kernel(np.hypot(a - c, b - d)) for c, d, s in corners) for a, b, _ in corners}
    points = [(a, b, held[a, b]) for a, b, _ in corners]
    _plate(figure.add_subplot(1, 3, 3, projection="3d"), x, y, bent, "weights +1, -1, +1, -1", points)
    return described(
        figure,
        "Left: the curve r squared log r starts at 0, dips to its lowest value at r = 0.61, is 0 again at r = 1 and then rises. "
        "Middle: the same as a surface around one point, a shallow moat around a tip, rising outside. Right: four such surfaces "
        "with weights +1, -1, +1, -1 at the corners of a square add up to a saddle, a plate with two opposite corners "
        "pushed one way and two the other.",
    )


def _kernel(r: np.ndarray | float) -> np.ndarray:
    return np.where(np.asarray(r) > 0, np.square(r) * np.log(np.maximum(r, 1e-12)), 0.0)


def _plate(axis, x: np.ndarray, y: np.ndarray, z: np.ndarray, title: str, points: Sequence[tuple] = ()):
    axis.plot_surface(x, y, z, cmap=SEQUENTIAL, linewidth=0, rstride=2, cstride=2, alpha=0.95)
    for a, b, height in points:
        axis.plot([a, a], [b, b], [height, height], "o", color=VERMILLION, markersize=5, zorder=10)
    axis.set_title(title, loc="left", pad=0)
    axis.set(xticks=(-1, 0, 1), yticks=(-1, 0, 1), zticks=())
    axis.tick_params(pad=-3)
    axis.grid(False)
    axis.set_box_aspect((1, 1, 0.6), zoom=1.15)
    axis.view_init(elev=32, azim=-58)
    for side in (axis.xaxis, axis.yaxis, axis.zaxis):
        side.set_pane_color((1, 1, 1, 0))


@dataclass(frozen=True)
class Bend:
    """A spline to draw: where its centres are (N, 2), where it takes them (N, 2), its lattice (H, W, 2), and a few words."""

    centres: torch.Tensor
    places: torch.Tensor
    grid: torch.Tensor
    title: str
    note: str = ""


@in_our_look
def spline_figure(bends: Sequence[Bend], difference: torch.Tensor | None = None) -> Figure:
    """Splines as bent lattices with arrows from rest; `difference` (H, W) is drawn last, as an amount on a log scale."""
    count = len(bends) + (difference is not None)
    figure, axes = new_figure(WIDTH, WIDTH / count + 0.5, 1, count)
    for axis, bend in zip(axes[0], bends, strict=False):
        draw_bend(axis, bend)
    parts = [f"{bend.title}: {_one_line(bend.note)}" for bend in bends]
    if difference is not None:
        shade = (difference.detach().double().clamp(min=1e-17).log10() + 17) / 5
        picture = Image.fromarray(matplotlib.colormaps[SEQUENTIAL](shade.numpy(), bytes=True)[..., :3])
        draw_panel(axes[0, -1], Panel(picture, "ours minus scipy's", "dark $10^{-17}$, bright $10^{-12}$"))
        parts.append(f"difference to scipy's spline: at most {float(difference.abs().max()):.0e}")
    return described(figure, f"Lattices bent by splines, with an arrow for each point that was moved. {'; '.join(parts)}.")


def draw_bend(axis: Axes, bend: Bend, lines: int = 13):
    """One bent lattice; y points down, as in a picture."""
    axis.set_anchor("N")
    grid = bend.grid.detach().double().cpu().numpy()
    rows, columns = (np.linspace(0, size - 1, lines).round().astype(int) for size in grid.shape[:2])
    for row in rows:
        axis.plot(*grid[row].T, color=VERMILLION, linewidth=0.8, alpha=0.75)
    for column in columns:
        axis.plot(*grid[:, column].T, color=BLUE, linewidth=0.8, alpha=0.75)
    start, end = bend.centres.detach().double().cpu().numpy(), bend.places.detach().double().cpu().numpy()
    for a, b in zip(start, end, strict=True):
        if np.hypot(*(b - a)) > 1e-3:
            axis.annotate("", b, a, arrowprops={"arrowstyle": "->", "color": INK, "linewidth": 1.2})
    axis.plot(*end.T, "o", color=INK, markersize=4)
    axis.set(xlim=(-1.4, 1.4), ylim=(1.4, -1.4), aspect="equal", xticks=(), yticks=(), title=bend.title)
    axis.set_xlabel(bend.note, color=MUTED, loc="left")
    for spine in axis.spines.values():
        spine.set_visible(False)


# ---------------------------------------------------------------- 3. sampling


@in_our_look
def direction_figure(source: torch.Tensor, forward: torch.Tensor, backward: torch.Tensor, holes: torch.Tensor) -> Figure:
    """A picture, thrown forward with `holes` (H, W) bool marked, and fetched backward; pictures (3, H, W) in [-1, 1]."""
    thrown = torch.where(holes, torch.from_numpy(rgb(VERMILLION)).float()[:, None, None] * 2 - 1, forward)
    share, shown = float(holes.float().mean()), 288
    row = [
        Panel(to_image(source, shown), "source", f"{source.shape[1]} x {source.shape[2]} pixels"),
        Panel(to_image(thrown, shown), "forward: throw", f"orange: hit by nothing, {share:.0%}"),
        Panel(to_image(backward, shown), "backward: fetch", "every pixel asked, no holes"),
    ]
    return panel_figure(
        [row],
        "A piece of cloth of few pixels three times: as it is; turned and enlarged by throwing each pixel to its new place, "
        f"which leaves orange holes on {share:.0%} of the picture; and by fetching a colour for each new pixel, with none left.",
    )


@in_our_look
def corners_figure(count: int = 4) -> Figure:
    """Where -1 and 1 lie on a row of `count` pixels under both meanings of `align_corners`."""
    figure, axes = new_figure(WIDTH, 2.1, 1, 2)
    for axis, align in zip(axes[0], (True, False), strict=True):
        centres = np.linspace(-1, 1, count) if align else (2 * np.arange(count) + 1) / count - 1
        half = (centres[1] - centres[0]) / 2
        for i, centre in enumerate(centres):
            box = matplotlib.patches.Rectangle((centre - half, 0), 2 * half, 0.5, facecolor=MIST, edgecolor=MUTED)
            axis.add_patch(box)
            axis.plot([centre], [0.25], "o", color=BLUE, markersize=5)
            axis.text(centre, 0.58, f"pixel {i}", ha="center", color=MUTED)
            axis.text(centre, -0.2, f"{centre:+.2f}".rstrip("0").rstrip("."), ha="center", color=BLUE)
        for edge in (-1, 1):
            axis.plot([edge, edge], [-0.05, 0.55], color=VERMILLION)
        axis.set(xlim=(-1.45, 1.45), ylim=(-0.35, 0.8), xticks=(), yticks=(), title=f"align_corners={align}")
        for spine in axis.spines.values():
            spine.set_visible(False)
    return described(
        figure,
        f"A row of {count} pixels twice. With align_corners=True, -1 and 1, drawn as orange lines, go through the centres of the "
        "first and the last pixel; with False they are the outer edges of these pixels, so every centre has another number.",
    )


@in_our_look
def half_pixel_figure(shift: torch.Tensor, before: torch.Tensor, after: torch.Tensor, decibels: float, times: int = 1) -> Figure:
    """What reading a grid with the wrong corners does: `shift` (H, W, 2) in pixels, and a picture before and after.

    The pictures are (3, H, W) in [-1, 1]; `decibels` is the PSNR between them, `times` how often the identity was applied.
    """
    length = shift.norm(dim=-1)
    high = float(length.max())
    image = matplotlib.colormaps[SEQUENTIAL]((length / max(high, 1e-12)).numpy(), bytes=True)[..., :3]
    step = max(1, shift.shape[1] // 8)
    figure, axes = new_figure(WIDTH, 3.25, 1, 4)
    draw_panel(axes[0, 0], Panel(Image.fromarray(image), "how far, and where to", f"dark 0, bright {high:.2f} px"))
    y, x = np.mgrid[step // 2 : shift.shape[0] : step, step // 2 : shift.shape[1] : step]
    arrows = shift[y, x].numpy()
    axes[0, 0].quiver(x, y, arrows[..., 0], arrows[..., 1], color=PAPER, angles="xy", scale_units="xy", scale=high / step)
    apart = (after - before).abs().mean(0) / 2
    way = "away from" if float((shift * identity_grid(*shift.shape[:2])).sum()) > 0 else "towards"
    often = "once" if times == 1 else f"{times} times"
    draw_panel(axes[0, 1], Panel(to_image(before), "garment"))
    draw_panel(axes[0, 2], Panel(to_image(after), f"identity, {often}", f"{decibels:.1f} dB"))
    draw_panel(axes[0, 3], Panel(heat_image(apart, 0, 0.5), "difference", "dark 0, bright half of white"))
    return described(
        figure,
        f"Left: the shift of every pixel as colour and arrows, at most {high:.2f} px, on the whole {way} the middle. Then a "
        f"garment, the garment after the identity warp applied {often} with the wrong corners, and their difference, which lies "
        f"at the edges: {decibels:.1f} dB.",
    )


@in_our_look
def padding_figure(garment: torch.Tensor, grid: torch.Tensor) -> Figure:
    """The three ways to go on beyond a picture's edge: garment (3, H, W), grid (H, W, 2) that looks beyond it."""
    notes = {"zeros": "mid grey: 0 in [-1, 1]", "border": "the edge goes on", "reflection": "a mirror at the edge"}
    row = [Panel(mesh_on_garment(grid, garment), "where it looks", "partly outside")]
    for mode, note in notes.items():
        row.append(Panel(to_image(warp(garment[None], grid.to(garment)[None], padding_mode=mode)[0]), mode, note))
    return panel_figure(
        [row],
        "A garment with the lattice of a warp that looks beyond its picture, and the warped garment under three rules for the "
        "outside: zeros gives a mid grey frame, border continues the edge's colour, reflection mirrors the garment.",
    )


# ---------------------------------------------------------------- 5. the matching network


@in_our_look
def correlation_figure(sample: TryOnSample, volume: torch.Tensor, places: Sequence[tuple[int, int]]) -> Figure:
    """Slices of the correlation volume (h * w, h, w): for each place (y, x) of the person, how well the garment's places fit.

    A cross is the best match, a circle the true partner where it is known. One colour scale for all slices.
    """
    h, w = volume.shape[1:]
    maps = [volume[:, y, x].reshape(w, h).mT for y, x in places]  # a channel is a place of the garment, column by column
    low, high = min(float(m.min()) for m in maps), max(float(m.max()) for m in maps)
    factor = sample.height / h
    person = Panel(posed_picture(sample), "the person", f"{len(places)} places asked for")
    slices = [Panel(heat_image(m, low, high, over=sample.garment), f"slice {number}", " ") for number, m in enumerate(maps, 1)]
    figure = panel_figure([[person, *slices]], "")
    axes, shown, told = figure.axes, person.picture.height / sample.height, []
    for number, ((y, x), slice_map) in enumerate(zip(places, maps, strict=True), 1):
        row, column = min(int((y + 0.5) * factor), sample.height - 1), min(int((x + 0.5) * factor), sample.width - 1)
        axes[0].plot(column * shown, row * shown, "o", color=PAPER, markeredgecolor=INK, markersize=14)
        axes[0].text(column * shown, row * shown, str(number), ha="center", va="center", fontweight="bold")
        best_y, best_x = ((p + 0.5) * factor for p in divmod(int(slice_map.argmax()), w))
        axes[number].plot(best_x * shown, best_y * shown, "x", color=INK, markersize=9)
        if sample.warp_visible[0, row, column] < 0.5:
            axes[number].set_xlabel("no garment here", color=MUTED, loc="left")
            continue
        true_x, true_y = (sample.warp_grid[row, column] + 1) / 2 * torch.tensor([sample.width - 1, sample.height - 1])
        for colour, thick in ((PAPER, 3.0), (INK, 1.2)):
            style = {"fillstyle": "none", "color": colour, "markeredgewidth": thick, "markersize": 14}
            axes[number].plot(true_x * shown, true_y * shown, "o", **style)
        off = float(torch.hypot(best_x - true_x, best_y - true_y))
        axes[number].set_xlabel(f"{off:.0f} px from the truth", color=MUTED, loc="left")
        told.append(f"slice {number}: best match {off:.0f} px from the true partner")
    return described(
        figure,
        f"A person with {len(places)} numbered places, and for each place the garment with a heat map of how well it matches, "
        f"from {low:.2f} dark to {high:.2f} bright; a cross at the best match and a circle at the true partner. "
        f"{'; '.join(told)}.",
    )


@in_our_look
def constraint_figure(sample: TryOnSample, runs: dict[str, torch.Tensor], grids: dict[str, torch.Tensor]) -> Figure:
    """Control points (N, 2) of several runs on one sample by name, with their grids (H, W, 2): lattice, garment, terms."""
    columns = 1 + 2 * len(runs)
    figure, axes = new_figure(WIDTH, WIDTH / columns * 4 / 3 + 0.45, 1, columns)
    draw_panel(axes[0, 0], Panel(to_image(sample.warped_garment), "truth"))
    told = []
    for number, (name, points) in enumerate(runs.items()):
        lattice, picture = axes[0, 1 + 2 * number], axes[0, 2 + 2 * number]
        draw_lattice(lattice, points)
        lattice.set_title(name)
        terms = second_order_constraint(points[None].float())[0]
        error = sample_error(sample, grids[name])
        lattice.set_xlabel(f"constraint {float(terms.sum()):.2f}", color=MUTED, loc="left")
        worn = warp(sample.garment[None], grids[name].to(sample.garment)[None])[0]
        draw_panel(picture, Panel(to_image(worn), "", f"{error:.1f} px off"))
        worst = CONSTRAINT_TERMS[int(terms.argmax())]
        told.append(f"{name}: constraint {float(terms.sum()):.2f}, largest term {worst}, {error:.1f} px from the true warp")
    return described(
        figure,
        "The true worn garment, then for each run its 25 control points joined to a lattice and the garment that they give. "
        f"{'; '.join(told)}.",
    )


def draw_lattice(axis: Axes, points: torch.Tensor):
    """Control points (side², 2) joined along rows (orange) and columns (blue); the dashed frame is the garment's picture."""
    axis.set_anchor("N")
    side = round(len(points) ** 0.5)
    lattice = points.detach().double().cpu().numpy().reshape(side, side, 2)
    reach = max(1.15, float(np.abs(lattice).max()) * 1.08)
    frame = matplotlib.patches.Rectangle((-1, -1), 2, 2, fill=False, linestyle=(0, (4, 3)), edgecolor=MUTED)
    axis.add_patch(frame)
    for i in range(side):
        axis.plot(*lattice[i].T, color=VERMILLION, linewidth=1.2)
        axis.plot(*lattice[:, i].T, color=BLUE, linewidth=1.2)
    axis.plot(*lattice.reshape(-1, 2).T, "o", color=INK, markersize=3)
    axis.set(xlim=(-reach, reach), ylim=(reach * 4 / 3, -reach * 4 / 3), aspect="equal", xticks=(), yticks=())
    for spine in axis.spines.values():
        spine.set(visible=True, color=HAIRLINE)


@in_our_look
def training_figure(
    log: Sequence[dict], frames: Sequence[tuple[int, torch.Tensor]], truth: torch.Tensor, identity_px: float
) -> Figure:
    """The live figure: loss and end-point error over the steps, and one held-out warp as it improves.

    log: dicts with "step" and "loss", some also with "error" (px); frames: (step, picture (3, H, W)) of one sample; truth: the
    same sample as worn; identity_px: the error of leaving the garment as it is.
    """
    shown = [frames[i] for i in sorted({round(i) for i in np.linspace(0, len(frames) - 1, min(5, len(frames)))})]
    figure = Figure(figsize=(WIDTH, 4.3), layout="constrained", facecolor=PAPER)
    upper, lower = figure.subfigures(2, 1, height_ratios=(1, 1.05))
    loss, error = upper.subplots(1, 2)
    _curve(loss, log, "loss", "training loss", BLUE)
    _curve(error, log, "error", "end-point error, held out (px)", GREEN)
    error.axhline(identity_px, color=MUTED, linestyle=(0, (4, 3)), linewidth=1.2)
    error.text(0.99, identity_px, "identity", color=MUTED, ha="right", va="bottom", transform=error.get_yaxis_transform())
    error.set_ylim(0, identity_px * 1.2)
    axes = lower.subplots(1, 6)
    panels = [Panel(to_image(picture), f"step {step}") for step, picture in shown]
    for axis, panel in zip(axes, [*panels, *[Panel(None, "")] * (5 - len(panels)), Panel(to_image(truth), "truth")], strict=True):
        draw_panel(axis, panel)
    last = next((entry for entry in reversed(log) if "error" in entry), None)
    told = f"after {last['step']} steps it is {last['error']:.2f} px" if last else "it is not measured yet"
    return described(
        figure,
        f"Above, the training loss and the end-point error on held-out people against the step; a dashed line marks the "
        f"identity's error, {identity_px:.2f} px; {told}. Below, one held-out garment warped at "
        f"steps {', '.join(str(step) for step, _ in shown)}, and the truth.",
    )


def _curve(axis: Axes, log: Sequence[dict], name: str, title: str, colour: str):
    steps, values = zip(*[(entry["step"], entry[name]) for entry in log if name in entry] or [(0, np.nan)], strict=True)
    if name == "loss" and len(values) > 20:
        axis.plot(steps, values, color=colour, alpha=0.25, linewidth=0.8)
        kernel = np.hanning(min(41, len(values) // 4 * 2 + 1) + 2)[1:-1]
        weight = np.convolve(np.ones(len(values)), kernel, "same")
        values = np.convolve(values, kernel, "same") / weight
    axis.plot(steps, values, color=colour, marker="o" if name != "loss" else None, markersize=4)
    axis.set(title=title, xlabel="step")
    axis.set_ylim(bottom=0)


# ---------------------------------------------------------------- 6. the shipped network


def error_map(sample: TryOnSample, grid: torch.Tensor) -> torch.Tensor:
    """(H, W) distance in pixels between a warp (H, W, 2) and the true one, NaN where the garment is not seen."""
    pixels = torch.tensor([(sample.width - 1) / 2, (sample.height - 1) / 2])
    distance = ((grid.float() - sample.warp_grid) * pixels).norm(dim=-1)
    return torch.where(sample.warp_visible[0] > 0.5, distance, torch.nan)


@in_our_look
def error_figure(samples: Sequence[TryOnSample], grids: Sequence[torch.Tensor], high: float) -> Figure:
    """A row a sample: the garment, laid on the body by a warp, truly worn, and the error of every pixel up to `high` px."""
    rows, told = [], []
    for number, (sample, grid) in enumerate(zip(samples, grids, strict=True)):
        body = open_body(sample)
        error = sample_error(sample, grid)
        titles = ("garment", "predicted", "truly worn", "error") if number == 0 else ("",) * 4
        notes = (_words(sample.category), f"{error:.1f} px off", "", f"dark 0, bright {high:.0f} px")
        pictures = (
            to_image(sample.garment),
            to_image(wear(body, sample.garment, sample.garment_mask, grid)),
            to_image(torch.where(sample.warp_visible.bool(), sample.warped_garment, body)),
            _error_picture(error_map(sample, grid), high),
        )
        rows.append([Panel(*parts) for parts in zip(pictures, titles, notes, strict=True)])
        told.append(f"{_words(sample.category)} {error:.1f} px")
    return panel_figure(
        rows,
        "A row a garment: flat, laid on the body by the predicted warp, truly worn, and the error of every pixel from dark, 0, "
        f"to bright, {high:.0f} px. Mean errors: {'; '.join(told)}.",
        width=0.75 * WIDTH,
    )


def _error_picture(distance: torch.Tensor, high: float) -> Image.Image:
    """Amounts up to `high`; light grey where they are not known."""
    picture = np.asarray(heat_image(distance.nan_to_num(0), 0, high)).copy()
    factor = picture.shape[0] // distance.shape[0]
    unknown = np.kron(distance.isnan().numpy(), np.ones((factor, factor), bool))
    picture[unknown] = np.round(rgb(MIST) * 255)
    return Image.fromarray(picture)


def ranking(errors: torch.Tensor, categories: Sequence[str]) -> dict[str, tuple[int, int, int]]:
    """The best, the median and the worst sample of every category by its error (B,), NaN left out."""
    picked = {}
    for category in dict.fromkeys(categories):
        own = [i for i, name in enumerate(categories) if name == category and not torch.isnan(errors[i])]
        own.sort(key=lambda i: float(errors[i]))
        if own:
            picked[category] = own[0], own[(len(own) - 1) // 2], own[-1]
    return picked


@in_our_look
def ranking_figure(
    picked: dict[str, tuple[int, int, int]], batch: TryOnBatch, grids: torch.Tensor, errors: torch.Tensor
) -> Figure:
    """A row a category: its best, median and worst warp beside what is truly worn, close up.

    picked: by category, as `ranking` gives it; batch and grids (B, H, W, 2) hold these samples in that order; errors: of all.
    """
    rows, told, place = [], [], 0
    for category, chosen in picked.items():
        row = []
        for name, number in zip(("best", "median", "worst"), chosen, strict=True):
            blank = torch.ones_like(batch.garment[place])
            predicted = wear(blank, batch.garment[place], batch.garment_mask[place], grids[place])
            worn = torch.where(batch.warp_visible[place].bool(), batch.warped_garment[place], blank)
            box, error = square_around(batch.warp_visible[place, 0], 0.2), float(errors[number])
            row.append(Panel(crop(predicted, box), "" if rows else name, f"{error:.1f} px"))
            row.append(Panel(crop(worn, box), "" if rows else "truth", f"no. {number}"))
            told.append(f"{_words(category)}, {name}: {error:.1f} px")
            place += 1
        rows.append(row)
    return panel_figure(
        rows,
        f"A row a category with the best, the median and the worst of {len(errors)} warped garments, each beside the garment "
        f"as it is truly worn. {'; '.join(told)}.",
        [_words(category) for category in picked],
    )


@in_our_look
def error_by_figure(values: dict[str, torch.Tensor], errors: torch.Tensor, categories: Sequence[str]) -> Figure:
    """The error of every sample (B,) against what may explain it: a panel a name of `values`, a colour and a mark a category."""
    figure, axes = new_figure(WIDTH, 2.9, 1, len(values))
    looks = dict(zip(dict.fromkeys(categories), ((BLUE, "o"), (ORANGE, "s"), (GREEN, "^")), strict=False))
    told = []
    for number, (axis, (name, value)) in enumerate(zip(axes[0], values.items(), strict=True)):
        for category, (colour, mark) in looks.items():
            own = torch.tensor([c == category for c in categories])
            axis.plot(value[own], errors[own], mark, color=colour, markersize=4, alpha=0.75, linestyle="", label=_words(category))
        known = ~(value.isnan() | errors.isnan())
        both = torch.stack([value[known].double().argsort().argsort(), errors[known].double().argsort().argsort()]).double()
        rank = float(torch.corrcoef(both)[0, 1])
        axis.set(title=f"rank correlation {rank:+.2f}", xlabel=name, ylabel="end-point error (px)" if number == 0 else "")
        axis.set_ylim(0, 1.3 * float(errors.nan_to_num().max()))  # room for the legend
        told.append(f"with {name}: {rank:+.2f}")
    axes[0, -1].legend(loc="upper left", ncols=3, handletextpad=0.2, columnspacing=0.8, fontsize="small")
    return described(
        figure,
        f"The error of each of {len(errors)} samples against {len(values)} possible reasons, one mark a sample, one colour and "
        f"shape a category. Rank correlations {'; '.join(told)}.",
    )


# ---------------------------------------------------------------- 7. refinement


def print_region(batch: TryOnBatch, grow: float = 0.0) -> torch.Tensor:
    """(B, 1, H, W) in {0, 1}: the visible pixels of the worn garment that show what is printed on it.

    `grow` widens the printed box by that share of its sides. Samples without letters have none.
    """
    height, width = batch.garment.shape[2:]
    pixels = (batch.warp_grid + 1) / 2 * torch.tensor([width - 1, height - 1])
    x0, y0, x1, y1 = (edge[:, None, None] for edge in batch.print_box.unbind(-1))
    wide, tall = grow * (x1 - x0), grow * (y1 - y0)
    x, y = pixels.unbind(-1)
    inside = (x >= x0 - wide) & (x <= x1 + wide) & (y >= y0 - tall) & (y <= y1 + tall)
    written = torch.tensor([bool(text) for text in batch.print_text])[:, None, None]
    return (inside & written)[:, None].float() * batch.warp_visible


@in_our_look
def refinement_figure(batch: TryOnBatch, warped: torch.Tensor, refined: torch.Tensor, indices: Sequence[int]) -> Figure:
    """A row a sample: warped, refined, truly worn, and the printed letters of the three close up.

    warped, refined: (B, 3, H, W) in [-1, 1].
    """
    rows, regions = [], print_region(batch, grow=0.25)
    for number, i in enumerate(indices):
        pictures = warped[i], refined[i].clamp(-1, 1), batch.warped_garment[i]
        titles = ("warped", "refined", "truly worn", "letters: warped", "refined", "truly worn") if number == 0 else ("",) * 6
        boxes = square_around(batch.warp_visible[i, 0], 0.06), square_around(regions[i, 0])
        whole, crops = ([crop(picture, box) for picture in pictures] for box in boxes)
        notes = (f"“{batch.print_text[i]}”", "", "", "", "", "")
        rows.append([Panel(*parts) for parts in zip([*whole, *crops], titles, notes, strict=True)])
    texts = ", ".join(f"“{batch.print_text[i]}”" for i in indices)
    return panel_figure(
        rows,
        f"Garments with printed letters ({texts}): warped, refined and truly worn, first whole, then the letters close up.",
    )


@in_our_look
def change_figure(gains: dict[str, torch.Tensor], before: torch.Tensor, after: torch.Tensor) -> Figure:
    """What refinement changes: decibels gained in each of several regions, and the contrast of the letters, sample by sample.

    gains: by region, one number a sample, > 0 where refinement helps, NaN left out; before, after (B,): the letters' contrast as
    a share of the true one, of the warped garment and of the refined one.
    """
    figure, axes = new_figure(WIDTH, 0.6 * len(gains) + 1.7, 1, 2)
    (axis, pairs), told = axes[0], []
    axis.axvline(0, color=MUTED, linewidth=1)
    for row, (name, values) in enumerate(gains.items()):
        values = values[~values.isnan()].double()
        apart = (torch.arange(len(values)) * 0.618 % 1 - 0.5) * 0.4  # neighbours by number lie far apart
        axis.plot(values, row + apart, "o", color=BLUE, alpha=0.4, markersize=4)
        axis.plot([values.mean()], [row], "D", color=VERMILLION, markersize=7)
        told.append(f"{name} {float(values.mean()):+.1f} dB")
    axis.set(yticks=range(len(gains)), yticklabels=list(gains), ylim=(len(gains) - 0.5, -0.5))
    axis.set(title="nearer to the truth", xlabel="PSNR gained (dB)")
    axis.tick_params(axis="y", labelcolor=INK)
    pairs.axhline(1, color=MUTED, linestyle=(0, (4, 3)), linewidth=1.2)
    for old, new in zip(before.tolist(), after.tolist(), strict=True):
        pairs.plot([0, 1], [old, new], "o-", color=BLUE, alpha=0.4, markersize=4, linewidth=1)
    means = float(before.mean()), float(after.mean())
    pairs.plot([0, 1], means, "D-", color=VERMILLION, markersize=7)
    pairs.set(title="contrast of the letters (1: as worn)", xticks=(0, 1), xticklabels=("warped", "refined"), xlim=(-0.3, 1.3))
    fainter = float((after < before).double().mean())
    return described(
        figure,
        f"Left, decibels that refinement gains, a dot a sample, orange the mean: {'; '.join(told)}. Right, the contrast of "
        f"the printed letters as a share of the true one, a line a sample: on average {means[0]:.2f} in the warped garment and "
        f"{means[1]:.2f} in the refined one; {fainter:.0%} of them become fainter.",
    )


def _words(name: str) -> str:
    return name.replace("_", " ")


def _one_line(text: str) -> str:
    return text.replace("\n", ", ")
