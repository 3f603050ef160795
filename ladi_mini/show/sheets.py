"""Contact sheets: everything a try-on went through on one page, and a data set at a glance. Lessons 3, 6 and 7.

Choices made here
- A sheet is rows of panels; a panel is a picture, a bold title and a grey note that says what to see and in which range.
- The rows follow the model: what it is given, the warp, the denoising, the result.
- What is not known is not drawn: a trace without truth has no truth panel. A table of samples keeps an empty place instead.
- The alt text is made from the same rows as the picture, so the two cannot drift apart; it lies in `picture.info["alt"]`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from PIL import Image, ImageDraw

from ladi_mini.pipeline import TryOnTrace
from ladi_mini.sample import TryOnSample
from ladi_mini.show.pictures import (
    error_image,
    heat_image,
    latent_colours,
    latent_image,
    mask_image,
    mesh_on_body,
    mesh_on_garment,
    parse_image,
    parse_legend,
    pose_image,
    shown_size,
    to_image,
)
from ladi_mini.show.style import FONT_SIZE, HAIRLINE, INK, MIST, MUTED, PAPER, font

MARGIN, GAP, ROW_GAP = 56, 24, 36  # pixels; seven panels of a 3:4 picture make a sheet 1600 wide
LINE = round(FONT_SIZE * 1.35)
ERROR_HIGH = 0.5


@dataclass
class Panel:
    """A picture (None draws an empty place), what it is, and what to see in it."""

    picture: Image.Image | None
    title: str
    note: str = ""


@dataclass
class Row:
    """Panels side by side under a heading; a row without one continues the row above."""

    panels: list[Panel]
    title: str = ""
    note: str = ""
    legend: list[tuple[str, str]] = field(default_factory=list)  # (colour, what it stands for)


# ---------------------------------------------------------------- what is on a sheet


def try_on_sheet(trace: TryOnTrace, index: int = 0, steps: int = 7) -> Image.Image:
    """Sample `index` of a trace from what was given to the result, with `steps` of the denoising steps."""
    return contact_sheet(try_on_rows(trace, index, steps), f"One try-on, step by step ({_words(trace.category[index])})")


def sample_sheet(samples: Sequence[TryOnSample]) -> Image.Image:
    """A row a sample: the pair, what is derived from it, and the truth where it is known."""
    return contact_sheet(sample_rows(samples), f"{len(samples)} sample{'s' if len(samples) != 1 else ''}")


def try_on_rows(trace: TryOnTrace, index: int = 0, steps: int = 7) -> list[Row]:
    """The rows of `try_on_sheet`: given, warp, denoise (two rows), result. What the trace does not hold is left out."""
    return [
        row
        for row in (_given(trace, index), _warp(trace, index), *_denoise(trace, index, steps), _result(trace, index))
        if row.panels
    ]


def _given(trace: TryOnTrace, i: int) -> Row:
    panels = []
    if trace.person is not None:
        panels.append(Panel(to_image(trace.person[i]), "person", "hidden from the model"))
    panels += [
        Panel(to_image(trace.garment[i]), "garment", "flat, on white"),
        Panel(to_image(trace.agnostic[i]), "agnostic", "what the model sees of the person"),
        Panel(mask_image(trace.inpaint_mask[i]), "mask", "orange: repaint, grey: keep"),
        Panel(pose_image(trace.pose_map[i]), "pose map", "18 heat maps; red: right, blue: left"),
    ]
    return Row(panels, "given", "the pair, and what is derived from it")


def _warp(trace: TryOnTrace, i: int) -> Row:
    panels = []
    if trace.warp_grid is not None:
        points = None if trace.control_points is None else trace.control_points[i]
        over = trace.agnostic[i] if trace.warped_garment is None else trace.warped_garment[i]
        looks = mesh_on_garment(trace.warp_grid[i], trace.garment[i], points)
        panels.append(Panel(looks, "where it looks", "body lattice on the garment; dots: control points"))
        panels.append(Panel(mesh_on_body(trace.warp_grid[i], over), "warp grid", "garment lattice on the body"))
    if trace.warped_garment is not None:
        panels.append(Panel(to_image(trace.warped_garment[i]), "warped garment", "thin-plate spline alone"))
    if trace.refined_garment is not None:
        name = "worn garment" if trace.warped_garment is None else "refined garment"  # a given truth was not refined
        panels.append(Panel(to_image(trace.refined_garment[i]), name, "what the denoiser gets"))
    if trace.refined_garment is not None and trace.warped_garment is not None:
        change = error_image(trace.refined_garment[i], trace.warped_garment[i], ERROR_HIGH)
        panels.append(Panel(change, "refinement", f"what it changed: dark 0, bright {ERROR_HIGH:g} of white"))
    return Row(panels, "warp", "the garment brought onto the body")


def _denoise(trace: TryOnTrace, i: int, steps: int) -> list[Row]:
    total = len(trace.timesteps)
    chosen = torch.linspace(0, total - 1, min(steps, total)).round().int().tolist() if total else []
    noisy, estimates = [], []
    if trace.latents:
        colours, height = latent_colours(trace.latents[-1][i]), shown_size(*trace.garment.shape[-2:])[0]
        for k in chosen:
            picture = latent_image(trace.latents[k][i], colours, shown=height)
            noisy.append(Panel(picture, f"step {k + 1} of {total}", "latents, false colour"))
    if trace.pred_original_images:
        for k in chosen:
            picture = to_image(trace.pred_original_images[k][i])
            estimates.append(Panel(picture, f"estimate {k + 1}", f"at t = {trace.timesteps[k]}"))
    note = "from noise to latents, and the picture that each step expects"
    first = Row(noisy, "denoise", note)
    return [first, Row(estimates)] if noisy else [Row(estimates, "denoise", note)]


def _result(trace: TryOnTrace, i: int) -> Row:
    panels = []
    if trace.image is not None:
        panels.append(Panel(to_image(trace.image[i]), "result", "what the call returned"))
    if trace.target is not None:
        panels.append(Panel(to_image(trace.target[i]), "truth", "this person in this garment"))
        if trace.image is not None:
            error = error_image(trace.image[i], trace.target[i], ERROR_HIGH)
            panels.append(Panel(error, "error", f"result to truth: dark 0, bright {ERROR_HIGH:g} of white"))
    if trace.image_without_emasc is not None:
        panels.append(Panel(to_image(trace.image_without_emasc[i]), "without EMASC", "decoded from latents alone"))
    if trace.image_with_emasc is not None:
        panels.append(Panel(to_image(trace.image_with_emasc[i]), "with EMASC", "masked skips into the decoder"))
    if trace.image_pasted is not None:
        panels.append(Panel(to_image(trace.image_pasted[i]), "pasted", "known pixels put back"))
    if trace.attention is not None:
        share, size = trace.attention[i].sum(0), tuple(trace.garment.shape[-2:])
        high = float(share.max())
        note = f"attention share: dark 0, bright {high:.2g}"
        panels.append(Panel(heat_image(share, 0.0, high, size=size), "words look at", note))
    return Row(panels, "result", "latents decoded, without and with the skips past the latents")


def sample_rows(samples: Sequence[TryOnSample]) -> list[Row]:
    """The rows of `sample_sheet`; a truth that a sample does not know is an empty place."""
    rows = []
    for sample in samples:
        grid, visible, target = sample.warp_grid, sample.warp_visible, sample.target
        worn = sample.warped_garment if sample.warped_garment is not None else sample.agnostic
        mesh = None if grid is None else mesh_on_body(grid, worn, visible)
        panels = [
            Panel(to_image(sample.garment), "garment"),
            Panel(to_image(sample.person), "person"),
            Panel(parse_image(sample.parse), "parse map"),
            Panel(pose_image(sample.pose_map), "pose map"),
            Panel(mask_image(sample.inpaint_mask, over=sample.agnostic), "mask on agnostic"),
            Panel(mesh, "true warp", "" if mesh else "not known"),
            Panel(None if target is None else to_image(target), "truth", "not known" if target is None else ""),
        ]
        note = f"{_words(sample.category)}{': ' + sample.caption if sample.caption else ''}"
        rows.append(Row(panels, sample.name, note))
    if rows:
        rows[-1].legend = parse_legend(*(sample.parse for sample in samples))
    return rows


def _words(name: str) -> str:
    return name.replace("_", " ")


# ---------------------------------------------------------------- how a sheet is drawn


def contact_sheet(rows: Sequence[Row], title: str = "") -> Image.Image:
    """Rows of panels as one picture on paper, with its alt text in `info["alt"]`."""
    if not any(row.panels for row in rows):
        raise ValueError("a contact sheet needs at least one panel")
    cell = max(panel.picture.width for row in rows for panel in row.panels if panel.picture is not None)
    columns = max(len(row.panels) for row in rows)
    width = 2 * MARGIN + columns * cell + (columns - 1) * GAP
    drafts = [_draw_row(row, cell, width) for row in rows]
    heading = 2 * LINE if title else 0
    gaps = sum(ROW_GAP for row in rows[1:] if row.title) + sum(GAP for row in rows[1:] if not row.title)
    sheet = Image.new("RGB", (width, 2 * MARGIN + heading + sum(draft.height for draft in drafts) + gaps), PAPER)
    ImageDraw.Draw(sheet).text((MARGIN, MARGIN), title, INK, font(bold=True))
    y = MARGIN + heading
    for number, (row, draft) in enumerate(zip(rows, drafts, strict=True)):
        y += 0 if number == 0 else ROW_GAP if row.title else GAP
        sheet.paste(draft, (0, y))
        y += draft.height
    sheet.info["alt"] = alt_text(rows, title)
    return sheet


def alt_text(rows: Sequence[Row], title: str = "") -> str:
    """The sheet in words, for readers who do not see it."""
    parts = [f"{title}." if title else "Contact sheet."]
    for row in rows:
        panels = "; ".join(f"{panel.title} ({panel.note})" if panel.note else panel.title for panel in row.panels)
        heading = f"Row {row.title!r}{', ' + row.note if row.note else ''}" if row.title else "The row goes on"
        parts.append(f"{heading}: {panels}.")
    return " ".join(parts)


def _draw_row(row: Row, cell: int, width: int) -> Image.Image:
    pictures = max((panel.picture.height for panel in row.panels if panel.picture is not None), default=cell)
    notes = [_wrap(panel.note, cell) for panel in row.panels]
    text = LINE * (1 + max(map(len, notes)))
    top = round(2.2 * LINE) if row.title else 0
    legend = 2 * LINE if row.legend else 0
    draft = Image.new("RGB", (width, top + pictures + LINE // 3 + text + legend), PAPER)
    draw = ImageDraw.Draw(draft)
    if row.title:
        draw.line([(MARGIN, 0), (width - MARGIN, 0)], HAIRLINE, 1)
        draw.text((MARGIN, LINE // 2), row.title, INK, font(bold=True))
        after = MARGIN + font(bold=True).getlength(f"{row.title}  ")
        draw.text((after, LINE // 2), row.note, MUTED, font())
    for column, (panel, note) in enumerate(zip(row.panels, notes, strict=True)):
        x = MARGIN + column * (cell + GAP)
        if panel.picture is None:
            draw.rectangle([x, top, x + cell - 1, top + pictures - 1], MIST)
        else:
            draft.paste(panel.picture, (x, top))
            # a white picture on white paper needs an edge
            draw.rectangle([x - 1, top - 1, x + panel.picture.width, top + panel.picture.height], outline=HAIRLINE)
        y = top + pictures + LINE // 3
        draw.text((x, y), panel.title, INK, font(bold=True))
        for number, line in enumerate(note, start=1):
            draw.text((x, y + number * LINE), line, MUTED, font())
    _draw_legend(draw, row.legend, draft.height - LINE)
    return draft


def _draw_legend(draw: ImageDraw.ImageDraw, legend: list[tuple[str, str]], y: int):
    x = float(MARGIN)
    for colour, name in legend:
        draw.rectangle([x, y + 2, x + FONT_SIZE - 2, y + FONT_SIZE], colour, HAIRLINE)
        draw.text((x + FONT_SIZE + 6, y), name, MUTED, font())
        x += FONT_SIZE + 6 + font().getlength(name) + GAP


def _wrap(text: str, width: int) -> list[str]:
    """Lines that fit into `width` pixels, broken between words."""
    lines: list[str] = []
    for word in text.split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and font().getlength(longer) <= width:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines
