"""Is the print still the print? Unwarping what is printed on a worn garment by the true warp (lesson 7).

Choices made here
- The true warp says for each pixel of the person its place in the flat garment. Around a print the other direction is needed; a
  cubic of the place in the print, fitted by least squares to the visible pixels there, gives it to a small part of a pixel. It is
  a few sums a person, for a whole batch at once, on any device.
- A print is cut into glyph cells of one size, upright as on the flat garment. Cells do not overlap: a cell is one advance wide.
- A print counts if nearly all of it is visible: what an arm hides cannot be read.
- The glyph's height is measured on the person, in pixels: it says how hard the reading is.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F

from ladi_mini.sample import TryOnBatch
from ladi_mini.wardrobe.captions import PRINTABLE
from ladi_mini.wardrobe.letters import ADVANCE, PEN, extent

ROWS, COLUMNS = 40, 28  # of a cell, which is 8 glyph units high and one advance wide; a glyph is 6 high
CELL_TOP, CELL_HEIGHT = -1.0, 8.0
GLYPH = slice(5, 35), slice(4, 24)  # rows and columns of a cell that the glyph itself fills
VISIBLE = 0.95  # share of a print's glyphs that must be seen
REACH = 0.25  # of the box beyond it where pixels help the fit


@dataclass
class Prints:
    """The readable prints of a batch, cell by cell.

    rows: the people (K,) that they are on, as rows of the batch; texts: K strings; heights (K,): of a glyph, pixels of the
    person; owner (G,): which of the K a cell belongs to; labels (G,): its glyph as a place in `PRINTABLE`; grid (G, ROWS,
    COLUMNS, 2): where on the person the cell's pixels lie, in [-1, 1].
    """

    rows: torch.Tensor
    texts: list[str]
    heights: torch.Tensor
    owner: torch.Tensor
    labels: torch.Tensor
    grid: torch.Tensor

    def __len__(self) -> int:
        return len(self.texts)

    def to(self, device: torch.device | str) -> "Prints":
        """The same prints with every tensor on `device`."""
        return Prints(**{k: v.to(device) if isinstance(v, torch.Tensor) else v for k, v in vars(self).items()})


def find_prints(batch: TryOnBatch) -> Prints | None:
    """The prints of a batch that can be read, None where there are none or the truth is not known."""
    if batch.warp_grid is None or batch.print_text is None or batch.print_box is None:
        return None
    rows = torch.tensor([i for i, text in enumerate(batch.print_text) if text], device=batch.warp_grid.device)
    if not len(rows):
        return None
    texts = [text for text in batch.print_text if text]
    return locate(batch.warp_grid[rows], batch.warp_visible[rows], batch.print_box[rows], texts, rows)


def locate(
    warp_grid: torch.Tensor, visible: torch.Tensor, box: torch.Tensor, texts: list[str], rows: torch.Tensor
) -> Prints | None:
    """`find_prints` from the parts: warp_grid (K, H, W, 2), visible (K, 1, H, W), box (K, 4) pixels of the garment's picture."""
    height, width = warp_grid.shape[1:3]
    back, enough = _way_back(warp_grid, visible, box)
    x0, _, x1, _ = box.double().unbind(1)
    extents = torch.tensor([extent(text) for text in texts], dtype=torch.float64, device=box.device)
    unit = (x1 - x0) / (extents + 2 * PEN)  # pixels of the garment's picture a glyph unit
    cell_y = CELL_TOP + (torch.arange(ROWS, device=box.device).double() + 0.5) * CELL_HEIGHT / ROWS
    cell_x = (torch.arange(COLUMNS, device=box.device).double() + 0.5) * ADVANCE / COLUMNS - (ADVANCE - 4) / 2
    kept, grids, owner, labels, heights = [], [], [], [], []
    for k, text in enumerate(texts):
        starts = ADVANCE * torch.arange(len(text), device=box.device).double()
        u = (starts[:, None] + cell_x + PEN) * unit[k] / (x1[k] - x0[k])  # (glyphs, COLUMNS), 0 to 1 across the box
        v = (cell_y + PEN) / (6 + 2 * PEN)
        points = torch.stack(torch.broadcast_tensors(u[:, None, :], v[None, :, None]), -1)  # (glyphs, ROWS, COLUMNS, 2)
        grid = (_cubic(points.flatten(0, 2)) @ back[k]).view_as(points).float()
        glyphs = F.grid_sample(visible[k : k + 1].expand(len(text), -1, -1, -1), grid[:, GLYPH[0], GLYPH[1]], align_corners=True)
        if not enough[k] or glyphs.mean() < VISIBLE:
            continue
        ends = _cubic(points.new_tensor([[0.5, PEN / (6 + 2 * PEN)], [0.5, (6 + PEN) / (6 + 2 * PEN)]])) @ back[k]
        tall = (ends[1] - ends[0]) * points.new_tensor([(width - 1) / 2, (height - 1) / 2])
        heights.append(tall.norm())
        owner += [len(kept)] * len(text)
        labels += [PRINTABLE.index(glyph) for glyph in text]
        grids.append(grid)
        kept.append(k)
    if not kept:
        return None
    device = box.device
    return Prints(
        rows=rows[torch.tensor(kept, device=rows.device)],
        texts=[texts[k] for k in kept],
        heights=torch.stack(heights).float(),
        owner=torch.tensor(owner, device=device),
        labels=torch.tensor(labels, device=device),
        grid=torch.cat(grids),
    )


def cells(images: torch.Tensor, prints: Prints) -> torch.Tensor:
    """(G, 3, ROWS, COLUMNS): the glyph cells of pictures (B, 3, H, W) of the batch in which the prints were found."""
    return F.grid_sample(images[prints.rows[prints.owner]].float(), prints.grid, padding_mode="border", align_corners=True)


def similarity(images: torch.Tensor, targets: torch.Tensor, prints: Prints) -> torch.Tensor:
    """(K,) normalised correlation of the unwarped prints of two batches of pictures, mean over a print's cells; 1 = the same.

    Each channel of a cell is taken about its mean, so a right print in a slightly other shade still counts, a lost one does not.
    """
    first, second = ((x - x.mean((2, 3), keepdim=True)).flatten(1) for x in (cells(images, prints), cells(targets, prints)))
    agreement = F.cosine_similarity(first, second)
    return over_print(agreement, prints)


def over_print(values: torch.Tensor, prints: Prints) -> torch.Tensor:
    """(K,) means over the cells of each print of `values` (G,)."""
    total = torch.zeros(len(prints), dtype=values.dtype, device=values.device).index_add_(0, prints.owner, values)
    return total / torch.bincount(prints.owner, minlength=len(prints))


def _cubic(points: torch.Tensor) -> torch.Tensor:
    """(..., 10): the terms of a cubic in (u, v), both about the middle of the print."""
    u, v = (points - 0.5).unbind(-1)
    return torch.stack([torch.ones_like(u), u, v, u * u, u * v, v * v, u**3, u * u * v, u * v * v, v**3], -1)


def _way_back(warp_grid: torch.Tensor, visible: torch.Tensor, box: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """(K, 10, 2) cubics from the place in a print's box (0 to 1) to the person (-1 to 1), and whether enough pixels told."""
    height, width = warp_grid.shape[1:3]
    corners = box.double()[:, None, None]  # edges of pixels; a pixel's centre is half a pixel further
    scale = warp_grid.new_tensor([(width - 1) / 2, (height - 1) / 2]).double()
    pixels = (warp_grid.double() + 1) * scale + 0.5
    place = (pixels - corners[..., :2]) / (corners[..., 2:] - corners[..., :2])  # (K, H, W, 2)
    counts = ((place > -REACH) & (place < 1 + REACH)).all(-1) & (visible[:, 0] > 0)
    terms = _cubic(torch.where(counts[..., None], place, 0.5)).flatten(1, 2) * counts.flatten(1)[..., None]  # (K, H*W, 10)
    y, x = torch.meshgrid(
        torch.linspace(-1, 1, height, dtype=torch.float64, device=box.device),
        torch.linspace(-1, 1, width, dtype=torch.float64, device=box.device),
        indexing="ij",
    )
    here = torch.stack([x, y], -1).flatten(0, 1)
    number = counts.flatten(1).sum(1)
    normal = terms.mT @ terms / number.clamp(min=1)[:, None, None]
    ridge = 1e-9 * torch.eye(10, dtype=torch.float64, device=box.device)
    right = terms.mT @ here / number.clamp(min=1)[:, None, None]
    return torch.linalg.solve(normal + ridge, right), number >= 30
