"""The figures of lessons 0 and 6: the whole model, its parts in a row, its input in groups, and any person in any garment.

Choices made here
- `mixed`, `try_on` and the figures are pure functions; the widgets that call them are in `widgets`.
- Lesson 0's view is a list of moments: every intermediate of one traced call with a name, a sentence, and the lesson that
  explains it. The strip shows all of them small, the view one of them large, under the same numbers.
- A measured value is a mark with its interval; the people behind it are dots.
- What a figure shows is also in words, numbers included, in `figure.alt`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import diffusers
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch, Rectangle
from PIL import Image

from ladi_mini.errors import InputError
from ladi_mini.evaluation.metrics import bootstrap
from ladi_mini.evaluation.predecessor import Rendering
from ladi_mini.pipeline import TryOnPipeline, TryOnTrace
from ladi_mini.presets import POSE_CHANNELS
from ladi_mini.sample import TryOnBatch, TryOnSample
from ladi_mini.show.panels import WIDTH, described, draw_panel, in_our_look, panel_rows
from ladi_mini.show.pictures import heat_image, latent_colours, latent_image, mask_image, mesh_on_body, pose_image, to_image
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
    PURPLE,
    SKY,
    VERMILLION,
    new_figure,
)

SCHEDULERS = {
    "DDIM": "DDIMScheduler",
    "DPM-Solver++": "DPMSolverMultistepScheduler",
    "UniPC": "UniPCMultistepScheduler",
    "Euler": "EulerDiscreteScheduler",
    "DDPM": "DDPMScheduler",
}
GROUPS = {"noisy latents": SKY, "mask": INK, "masked latents": BLUE, "pose map": GREEN, "garment's latents": VERMILLION}
LESSONS = {0: MIST, 1: "#cfe8f6", 2: "#f3dcea", 3: "#f7dcc9", 4: "#f8efc4", 5: "#cfece3"}  # pale enough for text on them

# ---------------------------------------------------------------- any person, any garment, every knob


def mixed(person: TryOnSample, garment: TryOnSample) -> TryOnSample:
    """The person of one sample in the garment of another; what would be the truth is not known, and None.

    Raises `InputError` where the garments are of different categories: the mask is made for one category.
    """
    if person.category != garment.category:
        raise InputError(
            f"{person.name} is masked for {_words(person.category)} and {garment.name} is {_words(garment.category)}; "
            "choose a garment of the person's category."
        )
    garments = {name: getattr(garment, name) for name in ("garment", "garment_mask", "caption", "print_text", "print_box")}
    unknown = dict.fromkeys(("warp_grid", "warp_visible", "warped_garment", "target"))
    return replace(person, name=f"{person.name} in {garment.name}", **garments, **unknown)


@dataclass(frozen=True)
class Knobs:
    """What one can set about a try-on; `scheduler` is a name in `SCHEDULERS`, `text` and `garment` are the pipeline's."""

    steps: int = 20
    guidance: float = 1.5
    seed: int = 0
    scheduler: str = "DDIM"
    text: str = "words"
    garment: str = "refined"
    pose: bool = True
    emasc: bool = True
    paste_back: bool = False

    def changes(self, other: "Knobs") -> str:
        """What is set here otherwise than in `other`, in words; "" if nothing is."""
        pairs = ((name, getattr(self, name)) for name in self.__dataclass_fields__ if getattr(self, name) != getattr(other, name))
        said = (f"{_words(name)} {'on' if value is True else 'off' if value is False else value}" for name, value in pairs)
        return ", ".join(said)


def try_on(pipe: TryOnPipeline, sample: TryOnSample, knobs: Knobs = Knobs()) -> torch.Tensor:
    """(3, H, W) in [-1, 1]: the sample's person in its garment; the pipeline keeps its own scheduler.

    Raises `InputError` for a scheduler that is not in `SCHEDULERS`.
    """
    if knobs.scheduler not in SCHEDULERS:
        raise InputError(f"scheduler is {knobs.scheduler!r}, expected one of {', '.join(SCHEDULERS)}; choose one of them.")
    own = pipe.scheduler
    pipe.scheduler = getattr(diffusers, SCHEDULERS[knobs.scheduler]).from_config(own.config)
    try:
        image = pipe(
            sample, knobs.steps, knobs.guidance, torch.Generator().manual_seed(knobs.seed), text=knobs.text,
            garment=knobs.garment, use_pose=knobs.pose, use_emasc=knobs.emasc, paste_back=knobs.paste_back, output_type="pt",
        ).images[0]  # fmt: skip
    finally:
        pipe.scheduler = own
    return image.cpu() * 2 - 1


def fitting_figure(
    sample: TryOnSample, picture: torch.Tensor | None = None, note: str = "", before: tuple[torch.Tensor, str] | None = None
) -> Figure:
    """Person and garment, what the model may see, the picture made of them, and the one before it (with what was set for it)."""
    panels = [
        Panel(to_image(sample.person), "person"),
        Panel(to_image(sample.garment), "garment"),
        Panel(pose_image(sample.pose_map, over=sample.agnostic), "the model sees"),
    ]
    if before is not None:
        panels.append(Panel(to_image(before[0]), "before", before[1]))
    if picture is not None:
        panels.append(Panel(to_image(picture), "tried on", note))
    told = f" Before it with {before[1]}." if before is not None and before[1] else ""
    made = f" The picture made of them{f' with {note}' if note else ''}." if picture is not None else ""
    return panel_rows(
        [panels],
        f"A person, {sample.caption or 'a garment'}, and the masked person with the pose.{made}{told}",
        (),
        _wide(len(panels)),
    )


def _wide(count: int) -> float:
    """Inches for so many pictures in a row: never larger than a fifth of the page each."""
    return min(WIDTH, WIDTH * count / 5)


def racks_figure(people: Sequence[TryOnSample]) -> Figure:
    """People with their numbers, and below them the garments with theirs: what one can choose from."""
    persons = [Panel(to_image(sample.person), f"person {i}") for i, sample in enumerate(people, 1)]
    garments = [Panel(to_image(sample.garment), f"garment {i}") for i, sample in enumerate(people, 1)]
    told = "; ".join(f"{i}, {sample.caption}" for i, sample in enumerate(people, 1))
    return panel_rows([persons, garments], f"{len(people)} numbered people, and below them the garments: {told}.")


def matrix_figure(
    people: Mapping[str, TryOnSample], garments: Mapping[str, TryOnSample], pictures: Sequence[Sequence[torch.Tensor]]
) -> Figure:
    """A row a garment, a column a person, both by name: `pictures[g][p]` (3, H, W) is person p in garment g."""
    above = [Panel(to_image(person.person), name) for name, person in people.items()]
    rows = [[Panel(Image.new("RGB", above[0].picture.size, PAPER), ""), *above]]
    for (name, garment), row in zip(garments.items(), pictures, strict=True):
        rows.append([Panel(to_image(garment.garment), name), *[Panel(to_image(each), "") for each in row]])
    told = "; ".join(f"{name}, {garment.caption}" for name, garment in garments.items())
    figure = panel_rows(
        rows,
        f"A table of try-ons: above {', '.join(people)}, at the left the garments ({told}), in each cell one in the other.",
        width=0.62 * WIDTH,
    )
    _hide_frames(figure.axes[:1])
    return figure


def _hide_frames(axes: Sequence[Axes]):
    for axis in axes:
        for spine in axis.spines.values():
            spine.set_visible(False)


def pictures_grid(
    pictures: Mapping[str, torch.Tensor], what: str, columns: int = 6, notes: Mapping[str, str] | None = None
) -> Figure:
    """Named pictures (3, H, W) row after row, each with its name above and a grey word below."""
    notes = notes or {}
    panels = [Panel(to_image(picture), name, notes.get(name, "")) for name, picture in pictures.items()]
    rows = [panels[start : start + columns] for start in range(0, len(panels), columns)]
    blank = Image.new("RGB", panels[0].picture.size, PAPER)
    rows[-1] += [Panel(blank, "")] * (min(columns, len(panels)) - len(rows[-1]))
    told = ", ".join(f"{name} ({notes[name]})" if name in notes else name for name in pictures)
    figure = panel_rows(rows, f"{what} In reading order: {told}.")
    _hide_frames(figure.axes[len(panels) :])
    return figure


# ---------------------------------------------------------------- the moments of one try-on


@dataclass(frozen=True)
class Moment:
    """One intermediate: its picture, its name, a sentence about it, and the number of the lesson that explains it."""

    picture: Image.Image
    title: str
    text: str
    lesson: int


def moments(trace: TryOnTrace, index: int = 0) -> list[Moment]:
    """Every intermediate of a traced try-on in the order in which it is made, from what is given to the picture."""
    total = len(trace.timesteps)
    colours = latent_colours(trace.latents[-1][index])
    height = to_image(trace.garment[index]).height
    some = sorted({0, round(0.25 * (total - 1)), round(0.6 * (total - 1))})
    mesh = mesh_on_body(trace.warp_grid[index], trace.warped_garment[index])
    found = [
        Moment(to_image(trace.garment[index]), "garment", "Lying flat, as a shop photographs it.", 0),
        Moment(to_image(trace.agnostic[index]), "agnostic", "All that the model may see of the person.", 0),
        Moment(mask_image(trace.inpaint_mask[index]), "mask", "Orange is repainted, grey is kept.", 0),
        Moment(pose_image(trace.pose_map[index]), "pose map", "A soft dot for each of 18 joints.", 0),
        Moment(mesh, "warp", "The garment's own lattice on the body.", 3),
        Moment(to_image(trace.warped_garment[index]), "warped", "The garment, bent by 25 control points.", 3),
        Moment(to_image(trace.refined_garment[index]), "refined", "A small network has mended it: shade and edges.", 3),
        Moment(_attended(trace, index), "words", "Where the denoiser looks when it reads the garment's pseudo-words.", 2),
    ]  # fmt: skip
    for step in some:
        picture = latent_image(trace.latents[step][index], colours, shown=height)
        text = f"Latents after step {step + 1} of {total}, in false colour: still {'nearly ' if step == 0 else 'partly '}noise."
        found.append(Moment(picture, f"step {step + 1}", text, 4))
        text = f"The picture that the model expects at step {step + 1} of {total}."
        found.append(Moment(to_image(trace.pred_original_images[step][index]), f"guess {step + 1}", text, 4))
    found += [
        Moment(
            to_image(trace.image_without_emasc[index]), "decoded", "The last latents as pixels, and nothing led past them.", 4
        ),
        Moment(to_image(trace.image[index]), "result", "The same latents, with what the encoder saw led past them.", 5),
    ]
    if trace.target is not None:
        found.append(Moment(to_image(trace.target[index]), "truth", "What only drawn data knows.", 0))
    return found


def _attended(trace: TryOnTrace, index: int) -> Image.Image:
    share = trace.attention[index].sum(0)
    return heat_image(share, 0.0, float(share.max()), over=trace.agnostic[index])


def journey_figure(found: Sequence[Moment], columns: int = 6) -> Figure:
    """All moments small, numbered, each with the lesson that explains it."""
    panels = [Panel(m.picture, f"{n} {m.title}", f"lesson {m.lesson}" if m.lesson else "") for n, m in enumerate(found, 1)]
    rows = [panels[start : start + columns] for start in range(0, len(panels), columns)]
    rows[-1] += [Panel(Image.new("RGB", panels[0].picture.size, PAPER), "")] * (columns - len(rows[-1]))
    told = "; ".join(f"{n}, {m.title}: {m.text}" for n, m in enumerate(found, 1))
    figure = panel_rows(rows, f"Every intermediate of one try-on, numbered. {told}")
    _hide_frames(figure.axes[len(panels) :])
    return figure


@in_our_look
def moment_figure(found: Sequence[Moment], number: int, given: tuple[torch.Tensor, torch.Tensor]) -> Figure:
    """Moment `number` (from 1) large, between what is `given` (person, garment) and the last picture that the model made.

    Raises `IndexError` for a number that there is not.
    """
    if not 1 <= number <= len(found):
        raise IndexError(f"moment {number} of {len(found)}")
    here = found[number - 1]
    result = next((m for m in found if m.title == "result"), found[-1])
    figure = Figure(figsize=(WIDTH, 3.9), layout="constrained", facecolor=PAPER)
    left, middle, right = figure.subplots(1, 3, width_ratios=(1, 2, 1), squeeze=False)[0]
    draw_panel(left, Panel(_stacked([to_image(x) for x in given]), "given"))
    where = f"lesson {here.lesson}" if here.lesson else "data"
    draw_panel(middle, Panel(here.picture, f"{number} {here.title}", here.text))
    draw_panel(right, Panel(result.picture, "result"))
    middle.text(1, 1.015, where, transform=middle.transAxes, ha="right", va="bottom", color=MUTED)
    _progress(right, number, len(found))
    return described(
        figure,
        f"Moment {number} of {len(found)}, {here.title} ({where}): {here.text} Beside it person and garment, and the result.",
    )


def _progress(axis: Axes, number: int, total: int):
    """A row of dots under a picture, the one of this moment filled."""
    for n in range(total):
        place = (n + 0.5) / total
        axis.plot([place], [-0.14], "o", transform=axis.transAxes, clip_on=False, markersize=5 if n + 1 == number else 3,
                  color=VERMILLION if n + 1 == number else HAIRLINE)  # fmt: skip


def _stacked(pictures: Sequence[Image.Image], gap: int = 12) -> Image.Image:
    width, height = pictures[0].width, sum(p.height for p in pictures) + gap * (len(pictures) - 1)
    sheet, y = Image.new("RGB", (width, height), PAPER), 0
    for picture in pictures:
        sheet.paste(picture, (0, y))
        y += picture.height + gap
    return sheet


# ---------------------------------------------------------------- the parts


PARTS = (  # name, second line, lesson, component whose weights are counted, centre (x, y), width
    ("garment", "lying flat", 0, "", (0.65, 3.55), 1.1),
    ("person", "kept secret", 0, "", (0.65, 0.95), 1.1),
    ("image tower", "", 1, "image_encoder", (2.1, 4.75), 1.25),
    ("adapter", "16 pseudo-words", 2, "inversion_adapter", (3.7, 4.75), 1.45),
    ("text tower", "", 1, "text_encoder", (5.3, 4.75), 1.25),
    ("warping", "25 points", 3, "warping", (2.1, 3.55), 1.25),
    ("refinement", "", 3, "refinement", (3.7, 3.55), 1.45),
    ("encoder", "", 4, "", (5.3, 3.0), 1.25),
    ("agnostic", "mask, pose map", 0, "", (2.1, 0.95), 1.25),
    ("denoiser", "in a loop", 4, "unet", (6.95, 3.55), 1.25),
    ("skips", "EMASC", 5, "emasc", (6.95, 1.55), 1.25),
    ("decoder", "with encoder", 4, "vae", (8.55, 3.0), 1.25),
    ("picture", "", 0, "", (8.55, 0.95), 1.1),
)
ARROWS = (  # from, to
    ("garment", "image tower"), ("image tower", "adapter"), ("adapter", "text tower"), ("text tower", "denoiser"),
    ("garment", "warping"), ("warping", "refinement"), ("refinement", "encoder"), ("encoder", "denoiser"),
    ("person", "agnostic"), ("agnostic", "warping"), ("agnostic", "encoder"), ("agnostic", "denoiser"),
    ("encoder", "skips"), ("skips", "decoder"), ("denoiser", "decoder"), ("decoder", "picture"),
)  # fmt: skip


@in_our_look
def parts_figure(parameters: Mapping[str, int], name: str) -> Figure:
    """The parts in the order of data flow, coloured by the lesson that explains them, with their number of weights.

    parameters: weights by component of the pipeline; `name`: of the preset.
    """
    figure = Figure(figsize=(WIDTH, 4.3), layout="constrained", facecolor=PAPER)
    axis = figure.subplots()
    axis.set(xlim=(0, 9.3), ylim=(0.12, 5.4))
    axis.axis("off")
    boxes = {}
    for label, second, _, component, centre, width in PARTS:
        boxes[label] = *centre, width, 0.46 + 0.26 * (bool(second) + (component in parameters))
    for start, end in ARROWS:
        _arrow(axis, boxes[start], boxes[end])
    told = []
    for label, second, lesson, component, (x, y), width in PARTS:
        count = f"{parameters[component] / 1e6:.2g} M" if component in parameters else ""
        lines = [line for line in (second, count) if line]
        height = boxes[label][3]
        box = FancyBboxPatch((x - width / 2, y - height / 2), width, height, boxstyle="round,pad=0.02,rounding_size=0.08",
                             facecolor=LESSONS[lesson], edgecolor=MUTED, linewidth=0.8, zorder=2)  # fmt: skip
        axis.add_patch(box)
        axis.text(x, y + 0.13 * len(lines), label, ha="center", va="center", fontweight="bold", zorder=3)
        for n, line in enumerate(lines):
            axis.text(
                x, y + 0.13 * len(lines) - 0.27 * (n + 1), line, ha="center", va="center", color=MUTED, fontsize=8.5, zorder=3
            )
        told.append(f"{label}{f' ({chr(44).join(lines)})' if lines else ''}")
    axis.text(6.95, 4.22, "starts from noise", ha="center", color=MUTED, fontsize=8.5, zorder=3)
    for n, lesson in enumerate(sorted(LESSONS)):
        axis.add_patch(Rectangle((0.1 + 1.25 * n, 0.2), 0.2, 0.2, facecolor=LESSONS[lesson], edgecolor=MUTED, linewidth=0.8))
        axis.text(0.38 + 1.25 * n, 0.3, f"lesson {lesson}" if lesson else "data", va="center", color=MUTED)
    return described(
        figure,
        f"The parts of {name} and what flows between them: {'; '.join(told)}. The garment goes two ways: through image tower, "
        "adapter and text tower it becomes words, through warping and refinement a picture on the body. The encoder turns that "
        "and the agnostic person into latents; the denoiser starts from noise and reads all of it; the decoder makes the "
        "picture, with skips from the encoder.",
    )


def _arrow(axis: Axes, start: tuple[float, float, float, float], end: tuple[float, float, float, float]):
    """From the edge of one box (x, y, width, height) to the edge of the next: side to side, or up and down where one is above the
    other; an arrow across the figure ends at a lower edge."""
    (x0, y0, width0, height0), (x1, y1, width1, height1) = start, end
    if x1 - x0 > 4:
        a, b = (x0 + width0 / 2 + 0.04, y0), (x1 - 0.2, y1 - height1 / 2 - 0.06)
    elif abs(x1 - x0) > (width0 + width1) / 2:
        side = 1 if x1 > x0 else -1
        a, b = (x0 + side * (width0 / 2 + 0.04), y0), (x1 - side * (width1 / 2 + 0.06), y1)
    else:
        side = 1 if y1 > y0 else -1
        a, b = (x0, y0 + side * (height0 / 2 + 0.04)), (x1, y1 - side * (height1 / 2 + 0.06))
    axis.add_patch(
        FancyArrowPatch(a, b, arrowstyle="-|>", mutation_scale=9, color=MUTED, linewidth=1, zorder=1, shrinkA=0, shrinkB=0)
    )


# ---------------------------------------------------------------- the channels and what they are worth


def group_sizes(latent_channels: int) -> dict[str, int]:
    """Channels a group of the denoiser's input, in their order: 3z + 19 in all."""
    return dict(zip(GROUPS, (latent_channels, 1, latent_channels, POSE_CHANNELS, latent_channels), strict=True))


@in_our_look
def groups_figure(latents: Mapping[str, int]) -> Figure:
    """The denoiser's input channels as bars, a bar a model: `latents` holds the channels z of its latents by name."""
    figure, axes = new_figure(WIDTH, 0.75 + 0.5 * len(latents), 1, 1)
    axis, told = axes[0, 0], []
    most = max(3 * z + 19 for z in latents.values())
    for row, (name, z) in enumerate(latents.items()):
        start, said = 0, []
        for group, count in group_sizes(z).items():
            axis.barh(row, count - 0.12, left=start + 0.06, height=0.62, color=GROUPS[group], label=group if row == 0 else None)
            if count / most > 0.04:
                axis.text(
                    start + count / 2,
                    row,
                    count,
                    ha="center",
                    va="center",
                    color=INK if group == "noisy latents" else PAPER,
                    fontweight="bold",
                )
            start, said = start + count, [*said, f"{group} {count}"]
        axis.text(start + 0.6, row, f"= {start}", va="center", fontweight="bold")
        told.append(f"{name}: {', '.join(said)}, in all {start}")
    axis.set(yticks=range(len(latents)), yticklabels=latents, ylim=(len(latents) - 0.5, -0.5), xlim=(0, most * 1.08), xticks=())
    axis.tick_params(axis="y", length=0, labelcolor=INK)
    for spine in axis.spines.values():
        spine.set_visible(False)
    figure.legend(
        *axis.get_legend_handles_labels(), loc="outside upper left", ncols=5, handlelength=1, columnspacing=1.2, fontsize="small"
    )
    return described(figure, f"The channels of the denoiser's input in their order, a bar a model. {'; '.join(told)}.")


@in_our_look
def worth_figure(losses: Mapping[str, torch.Tensor], label: str, notes: Mapping[str, str] | None = None) -> Figure:
    """What each change costs, person by person: a dot a person, a mark for the mean and its 95 % interval; 0 is no change.

    losses: values (B,) by the name of the change. `notes`: a grey word beside a name.
    """
    notes = notes or {}
    figure, axes = new_figure(WIDTH, 0.8 + 0.42 * len(losses), 1, 1)
    axis, told = axes[0, 0], []
    axis.axvline(0, color=MUTED, linewidth=1)
    for row, (name, values) in enumerate(losses.items()):
        mean, low, high = (round(value, 1) + 0.0 for value in bootstrap(values.double().numpy()))  # + 0.0: no "-0.0"
        axis.plot(values, row + _apart(len(values), 0.4), "o", color=SKY, markersize=3.5, alpha=0.8, zorder=1)
        axis.plot([low, high], [row, row], color=BLUE, linewidth=2.4, solid_capstyle="butt", zorder=2)
        axis.plot([mean], [row], "D", color=BLUE, markersize=6, markeredgecolor=PAPER, zorder=3)
        axis.annotate(f"{mean:+.1f} [{low:+.1f}, {high:+.1f}]", (1.0, row), xycoords=("axes fraction", "data"), xytext=(6, 0),
                      textcoords="offset points", va="center", color=INK, annotation_clip=False)  # fmt: skip
        told.append(f"{name}{f' ({notes[name]})' if name in notes else ''} {mean:+.1f}, interval {low:+.1f} to {high:+.1f}")
    names = [f"{name}\n{notes[name]}" if name in notes else name for name in losses]
    axis.set(yticks=range(len(losses)), yticklabels=names, ylim=(len(losses) - 0.5, -0.5), xlabel=label)
    axis.tick_params(axis="y", length=0, labelcolor=INK)
    return described(figure, f"{label}, a dot a person, a diamond the mean with its 95 percent interval: {'; '.join(told)}.")


# ---------------------------------------------------------------- the predecessor


def rendering_figure(
    batch: TryOnBatch, warped: torch.Tensor, out: Rendering, diffusion: torch.Tensor, indices: Sequence[int]
) -> Figure:
    """A row a person: warped garment, composition mask, rendered person, the predecessor's picture, diffusion's, the truth."""
    rows = []
    for row, i in enumerate(indices):
        pictures = {
            "garment": to_image(batch.garment[i]),
            "agnostic": to_image(batch.agnostic[i]),
            "warped": to_image(warped[i]),
            "mask m": heat_image(out.mask[i, 0], 0, 1),
            "rendered R": to_image(out.rendered[i]),
            "composed": to_image(out.image[i]),
            "diffusion": to_image(diffusion[i]),
            "truth": to_image(batch.target[i]),
        }
        rows.append([Panel(picture, title if row == 0 else "") for title, picture in pictures.items()])
    return panel_rows(
        rows,
        f"{len(indices)} people, a row each: the garment, the person without the part to be painted, the warped garment, where "
        "it is laid over (bright) or not (dark), the rendered person, the two composed, what the diffusion model paints, and "
        "the truth.",
    )


@in_our_look
def measures_figure(measures: Mapping[str, Mapping[str, torch.Tensor]], label: str) -> Figure:
    """Methods under several measures, a panel a measure: a dot a person, a diamond the mean with its 95 % interval.

    measures: by measure, then by method, values (B,), NaN left out; `label`: what is measured, for the axes.
    """
    methods = list(next(iter(measures.values())))
    figure, axes = new_figure(WIDTH, 1.0 + 0.42 * len(methods), 1, len(measures))
    told, colours = [], (ORANGE, BLUE, GREEN, PURPLE, VERMILLION)
    for axis, (measure, found) in zip(axes[0], measures.items(), strict=True):
        said = []
        for row, (method, colour) in enumerate(zip(methods, colours, strict=False)):
            values = found[method].double()
            values = values[values.isfinite()]
            mean, low, high = bootstrap(values.numpy())
            axis.plot(values, row + _apart(len(values), 0.5), ".", color=colour, alpha=0.35, markersize=4, zorder=1)
            axis.plot([low, high], [row, row], color=INK, linewidth=2.2, zorder=2)
            axis.plot([mean], [row], "D", color=colour, markersize=7, markeredgecolor=INK, markeredgewidth=0.8, zorder=3)
            said.append(f"{method} {mean:.1f}, interval {low:.1f} to {high:.1f}")
        names = methods if axis is axes[0, 0] else []
        axis.set(title=measure, xlabel=label, yticks=range(len(methods)), yticklabels=names or [""] * len(methods))
        axis.set_ylim(len(methods) - 0.5, -0.5)
        axis.tick_params(axis="y", length=0, labelcolor=INK)
        told.append(f"{measure}: {'; '.join(said)}")
    return described(figure, f"{label} of methods, by region, a dot a person, a diamond the mean. {'. '.join(told)}.")


def _apart(count: int, height: float) -> torch.Tensor:
    """(count,) where dots lie across their row, so that they cover each other less."""
    return (torch.arange(count) * 0.618 % 1 - 0.5) * height


def _words(name: str) -> str:
    return name.replace("_", " ")
