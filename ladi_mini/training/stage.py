"""What a stage of training is: frozen work done once, random numbers drawn, a loss.

Choices made here
- `table` runs everything frozen over the whole data set once and keeps plain tensors; a step only indexes them. At these sizes
  a frozen encoder inside the loop would cost more than the network being trained. Columns that several stages need, latents
  above all, are kept on the `shelf` that the stages of one training share.
- `draw` makes a step's random numbers, `forward` uses them: with its noise and timesteps given, a loss is a function of the
  batch as a set, which a test holds.
- A stage is a module whose `forward` is the loss, so that every parallel wrapper of Accelerate works on it; frozen networks
  are kept out of its parameters.
"""

from collections.abc import Callable, Iterable
from itertools import islice

import torch
from torch import nn
from tqdm import tqdm

from ladi_mini.presets import Preset, StageConfig

Tensors = dict[str, torch.Tensor]


class Stage(nn.Module):
    """Base of the stages. Subclasses set `name`, register what they train as submodules named like the components, and
    implement `table`, `forward` and where needed `draw`, `validate` and `finish`."""

    name = ""
    graphs = True  # on a GPU a step of a compiled network is one recorded graph, which the next call of the network overwrites

    def __init__(self, preset: Preset, models):
        super().__init__()
        self.preset = preset
        self.__dict__["models"] = models  # not a submodule: frozen
        self.shelf: dict[tuple[str, int], tuple[object, Tensors]] = {}

    @property
    def config(self) -> StageConfig:
        return self.preset.stages[self.name]

    def table(self, data) -> Tensors:
        """All that the stage needs of `data`, a tensor a name, first dimension one row a sample."""
        raise NotImplementedError

    def draw(self, batch: Tensors, generator: torch.Generator) -> Tensors:
        """The batch with this step's random numbers added; by default nothing is random."""
        return batch

    def forward(self, batch: Tensors) -> Tensors:
        """The loss under "loss", and its terms by name, all scalars."""
        raise NotImplementedError

    def validate(self, table: Tensors) -> dict[str, float]:
        """Measures on held-out rows, for the card; called with the averaged weights in place and in eval mode."""
        return {}

    def finish(self, table: Tensors) -> None:
        """What is left to do when the averaged weights are in place, before they are saved."""

    def heavy(self) -> list[nn.Module]:
        """The networks worth compiling on a GPU: by default all that the stage trains."""
        return list(self.children())

    def components(self) -> dict[str, nn.Module]:
        """What the stage trains, by component name."""
        return dict(self.named_children())


def repainted(batch) -> torch.Tensor:
    """(B, 3, H, W) what a try-on is to give: the target where the model repaints, the person around it.

    Of pairs that is the person. Where people wear another garment, which only drawn data allows with the truth known, the mask
    is cut along that other garment and no longer betrays the outline of the one to be painted.
    """
    return batch.person if batch.target is None else torch.where(batch.inpaint_mask.bool(), batch.target, batch.person)


@torch.no_grad()
def settle_statistics(stage: Stage, table: Tensors, batches: int = 64) -> None:
    """Measures the running statistics of batch norm anew, for the averaged weights: those that were kept are of the last steps'.

    The plain mean over `batches` batches of the stage's size, in the order of the table.
    """
    norms = [module for module in stage.modules() if isinstance(module, nn.BatchNorm2d)]
    before = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # a cumulative mean
        norm.train()
    for part in islice(in_parts(table, stage.config.batch_size), batches):
        stage(part)
    for norm, momentum in zip(norms, before, strict=True):
        norm.momentum = momentum
        norm.eval()


@torch.no_grad()
def collect(stage: Stage, data, columns: Callable, chunk: int = 64) -> Tensors:
    """Runs `columns(batch) -> Tensors` over `data` in chunks on the stage's device and joins the rows; shows a progress bar."""
    parts: list[Tensors] = []
    for start in tqdm(range(0, len(data), chunk), desc=f"{stage.name:>12}", leave=False):
        parts.append(columns(data.batch(range(start, min(start + chunk, len(data))), stage.models.device)))
    return {name: torch.cat([part.pop(name) for part in parts]) for name in list(parts[0])}  # popped: never twice in memory


def shelved(stage: Stage, data, name: str, columns: Callable) -> Tensors:
    """`collect`, done once for all stages of a training: what is on the stage's shelf under `name` for these data is taken."""
    key = name, id(data)
    if key not in stage.shelf:
        stage.shelf[key] = data, collect(stage, data, columns)  # with the data, so that no others come to have their id
    return stage.shelf[key][1]


def chance(share: float, count: int, generator: torch.Generator) -> torch.Tensor:
    """(count,) bool, each true with probability `share`."""
    return torch.rand(count, generator=generator, device=generator.device) < share


def to_bytes(image: torch.Tensor) -> torch.Tensor:
    """[-1, 1] to uint8, a quarter of the memory."""
    return ((image + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)


def from_bytes(image: torch.Tensor) -> torch.Tensor:
    """uint8 to float32 in [-1, 1]."""
    return image.float() / 127.5 - 1


def in_parts(table: Tensors, size: int = 64) -> Iterable[Tensors]:
    """The table in parts of `size` rows, so that a measurement takes no more memory than training."""
    count = len(next(iter(table.values())))
    return (rows(table, range(start, min(start + size, count))) for start in range(0, count, size))


def rows(table: Tensors, index: Iterable[int] | torch.Tensor) -> Tensors:
    """The rows at `index` of every column."""
    index = torch.as_tensor(index)
    return {name: column[index.to(column.device)] for name, column in table.items()}


def decibels(mean_squared_error: float) -> float:
    """PSNR of pictures in [-1, 1], whose range is 2."""
    return 10 * torch.log10(torch.tensor(4.0 / max(mean_squared_error, 1e-12))).item()


def gradient_l1(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Mean absolute difference of the horizontal and vertical differences of two pictures: edges, not levels."""
    dx = (a.diff(dim=-1) - b.diff(dim=-1)).abs().mean()
    return dx + (a.diff(dim=-2) - b.diff(dim=-2)).abs().mean()
