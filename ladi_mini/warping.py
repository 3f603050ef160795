"""Warping: where in the garment picture does each pixel of the worn garment come from?

Lesson 3. LaDI-VTON's warping module (section 3), which is geometric matching (Rocco et al., 2017, sections 3 and 4) with a
thin-plate spline (Bookstein, 1989), the second-order constraint on its control points that try-on took up (Yang et al., 2020)
and a UNet that refines the warped picture.

Choices made here
- A warp is a grid (H, W, 2): for each pixel of the output the (x, y) in the garment, in [-1, 1] from the centre of the first
  pixel to the centre of the last (`align_corners=True`). It may point outside: there the picture's border continues.
- The spline is written as identity + influence x (control points - regular grid). Splines reproduce affine maps, so this is
  the same spline, and at the start it is the identity to the last bit.
- The 28 x 28 system of 5 x 5 control points is solved once in float64, for the size at which the grid is needed; points and
  grids stay float32 under autocast, because a half-precision grid is wrong by pixels.
- A control point is the regular one plus a bounded offset, zero before training. It may leave the frame: trousers that fill
  their picture but a fifth of the person's need points almost three half pictures from rest for their affine part alone.
- Every sample of a batch has its own six constraint terms, so that their mean does not depend on the order of the batch.
- The refinement adds a residual to the warped garment, zero before training.
- `convention="released"` is what the authors' weights were trained for: control points are a tanh (inside the frame), the grid
  is made at the network's own size and then resized like a picture, is sampled with `align_corners=False` (so their identity is
  off by up to half a pixel), two of the constraint terms see the first sample alone, and the refinement predicts the picture
  itself. Parameter names and shapes are those of their files in both conventions.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from math import isqrt

import torch
import torch.nn.functional as F
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from diffusers.utils import BaseOutput
from torch import nn

from ladi_mini.presets import POSE_CHANNELS, Preset

# where torch 2.9 and later keep the precision of float32 products; once these are used, torch refuses its one older switch
NEW_SWITCHES = tuple(s for s in (torch.backends.cuda.matmul, torch.backends.mkldnn.matmul) if hasattr(s, "fp32_precision"))
_SWITCHING = threading.RLock()
EXTENT = 0.9  # the regular control points span [-0.9, 0.9] in x and y
STIFFNESS = 1e-5  # of a fit whose points stay within a few frames
CONSTRAINT_TERMS = ("rx", "ry", "cx", "cy", "rg", "cg")  # rows and columns: spacing in x, spacing in y, collinearity

# ---------------------------------------------------------------- thin-plate spline


def regular_points(points: int, extent: float = EXTENT) -> torch.Tensor:
    """(points², 2) control points (x, y) at rest, row by row from the top left, in [-extent, extent]."""
    axis = torch.linspace(-extent, extent, points, dtype=torch.float64, device="cpu")
    return torch.cartesian_prod(axis, axis).flip(-1)  # cartesian_prod turns its last axis fastest: (y, x)


def identity_grid(height: int, width: int) -> torch.Tensor:
    """(height, width, 2) each pixel's own place (x, y), float64."""
    y, x = (torch.linspace(-1, 1, size, dtype=torch.float64, device="cpu") for size in (height, width))
    return torch.stack(torch.meshgrid(x, y, indexing="xy"), dim=-1)


def radial_basis(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """U(r) = r² log r between every point of `a` (M, 2) and of `b` (N, 2): (M, N). Bookstein's kernel, up to a factor."""
    squared = (a[:, None] - b[None]).square().sum(-1)
    return 0.5 * torch.special.xlogy(squared, squared)  # xlogy(0, 0) = 0, the kernel's limit


def spline_system(points: int, extent: float = EXTENT) -> torch.Tensor:
    """Bookstein's linear system of points² + 3 unknowns, inverted, float64: places of the control points to spline weights.

    The unknowns are the kernel weights and an affine part (1, x, y), such that the spline passes through every control point
    and the kernel weights bend nothing affine. The inverse's first points² rows and columns are the bending energy.
    """
    centres = regular_points(points, extent)
    affine = torch.cat([centres.new_ones(len(centres), 1), centres], dim=1)
    passes_through = torch.cat([radial_basis(centres, centres), affine], dim=1)
    bends_nothing_affine = torch.cat([affine.mT, affine.new_zeros(3, 3)], dim=1)
    return torch.linalg.inv(torch.cat([passes_through, bends_nothing_affine]))


def spline_influence(height: int, width: int, points: int, extent: float = EXTENT) -> torch.Tensor:
    """(height * width, points²): what a unit move of one control point moves at each pixel, float64."""
    centres, pixels = regular_points(points, extent), identity_grid(height, width).flatten(0, 1)
    query = torch.cat([radial_basis(pixels, centres), pixels.new_ones(len(pixels), 1), pixels], dim=1)
    return query @ spline_system(points, extent)[:, : len(centres)]  # the other three columns meet zeros


@lru_cache(maxsize=16)
def _spline(height: int, width: int, points: int, extent: float, dtype: torch.dtype, device: torch.device):
    """(identity grid, regular points, influence) ready for use, kept because solving costs far more than applying."""
    with torch.inference_mode(False):  # what is kept must also serve a training step
        spline = identity_grid(height, width), regular_points(points, extent), spline_influence(height, width, points, extent)
        return tuple(part.to(dtype).to(device) for part in spline)


def _products() -> tuple[str, ...]:
    """In which precision float32 products are taken, by switch."""
    return tuple(s.fp32_precision for s in NEW_SWITCHES) if NEW_SWITCHES else (torch.get_float32_matmul_precision(),)


def _take_products(precisions: tuple[str, ...]) -> None:
    if not NEW_SWITCHES:
        torch.set_float32_matmul_precision(*precisions)
    for switch, precision in zip(NEW_SWITCHES, precisions, strict=False):
        switch.fp32_precision = precision


@contextmanager
def full_precision(device: torch.device) -> Iterator[None]:
    """Products in the precision of their inputs: TF32 would move a pixel of a far-stretched spline by a fifth of a pixel.

    The process's switches are as they were afterwards, whichever way they were set; threads wait for one another.
    """
    with _SWITCHING, torch.autocast(device.type, enabled=False):
        before = _products()
        try:
            _take_products(("ieee",) * len(NEW_SWITCHES) or ("highest",))
            yield
        finally:
            _take_products(before)


def tps_grid(control_points: torch.Tensor, height: int, width: int, extent: float = EXTENT) -> torch.Tensor:
    """The thin-plate spline that takes the regular points to `control_points`, at every pixel of a height x width picture.

    control_points: (B, N, 2) in (x, y), N a square number, in the order of `regular_points`. Returns (B, height, width, 2) in
    float32 (float64 for float64), also under autocast. Raises `ValueError` if N is not the square of 2 or more.
    """
    side = isqrt(control_points.shape[1])
    if side**2 != control_points.shape[1] or side < 2:
        raise ValueError(f"control_points has {control_points.shape[1]} points, expected a square number such as 25 (5 x 5)")
    dtype = torch.promote_types(control_points.dtype, torch.float32)
    identity, regular, influence = _spline(height, width, side, extent, dtype, control_points.device)
    with full_precision(control_points.device):
        moves = (control_points.to(dtype) - regular).mT  # (B, 2, N)
        displacement = moves.flatten(0, 1) @ influence.mT  # (B*2, H*W): one product, not a thin one for every sample
    return identity + displacement.unflatten(0, (-1, 2)).mT.unflatten(1, (height, width))


def warp(garment: torch.Tensor, grid: torch.Tensor, padding_mode: str = "border", align_corners: bool = True) -> torch.Tensor:
    """Samples `garment` (B, C, h, w) bilinearly at `grid` (B, H, W, 2): (B, C, H, W) in the garment's dtype and range."""
    sampled = F.grid_sample(garment.to(grid.dtype), grid, padding_mode=padding_mode, align_corners=align_corners)
    return sampled.to(garment.dtype)


def fit_spline(
    true_grid: torch.Tensor, visible: torch.Tensor, points: int = 5, extent: float = EXTENT, stiffness: float = 0.0
) -> torch.Tensor:
    """The control points whose spline comes nearest to a known warp: the limit of what the network can reach.

    true_grid (B, H, W, 2); visible (B, 1, H, W), 1 = counts. Returns (B, points², 2): least mean squares over the visible
    pixels, plus `stiffness` times the spline's bending energy. Without any it is nearest, but points that hardly any visible
    pixel feels may lie hundreds of frames away; with `STIFFNESS` they continue the others.
    """
    identity, regular, influence = _spline(*true_grid.shape[1:3], points, extent, torch.float64, torch.device("cpu"))
    weight = visible.flatten(1).to(influence)[..., None]  # (B, H*W, 1)
    weight = weight / weight.sum(1, keepdim=True).clamp(min=1)
    moves = (true_grid.to(influence) - identity).flatten(1, 2)
    moves = torch.where(weight > 0, moves, 0)  # a grid may hold anything where it is not valid
    bending = spline_system(points, extent)[: points**2, : points**2]
    ridge = 1e-12 * torch.eye(points**2, dtype=torch.float64)  # nothing visible: stay at rest
    normal = influence.mT @ (weight * influence) + stiffness * bending + ridge  # (B, N, N)
    return (regular + torch.linalg.solve(normal, influence.mT @ (weight * moves))).to(true_grid)


def end_point_error(grid: torch.Tensor, true_grid: torch.Tensor, visible: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """(B,) mean distance between two warps (B, H, W, 2) over the visible pixels, NaN where a sample has none.

    In pixels of a garment picture of height x width; visible is (B, 1, H, W), 1 = counts.
    """
    pixels = torch.tensor([(width - 1) / 2, (height - 1) / 2]).to(grid)
    visible = visible[:, 0] > 0
    distance = torch.where(visible, ((grid - true_grid) * pixels).norm(dim=-1), 0)
    return distance.sum((1, 2)) / visible.sum((1, 2))


def second_order_constraint(control_points: torch.Tensor, convention: str = "ours") -> torch.Tensor:
    """(B, 6) terms `CONSTRAINT_TERMS` that keep neighbouring control points (B, N, 2) in a row; 0.36 in all where they are.

    For three neighbours of a row (r) or a column (c): how much the squared step changes, in x and in y, and twice the area of
    their triangle. Affine maps cost nothing beyond the floor: a change below 0.08 and a sum of areas below 0.02 are not
    punished. The loss is the mean over the batch; "released" gives every sample the areas of the first one.
    Raises `ValueError` if N is not the square of 3 or more: fewer have no three in a row.
    """
    side = isqrt(control_points.shape[1])
    if side**2 != control_points.shape[1] or side < 3:
        raise ValueError(f"control_points has {control_points.shape[1]} points, expected the square of 3 or more, such as 25")
    points = control_points.float().unflatten(1, (side, side))  # (B, row, column, 2)
    spacing, areas = [], []
    for lines in (points, points.transpose(1, 2)):  # along rows, along columns
        step = lines.diff(dim=2)
        change = step.square().diff(dim=2).abs().clamp(min=0.08)  # (B, side, side - 2, 2)
        spacing += change.mean((1, 2)).unbind(-1)
        before, after = step[:, :, :-1], step[:, :, 1:]
        area = (before[..., 0] * after[..., 1] - before[..., 1] * after[..., 0]).abs().sum((1, 2)).clamp(min=0.02)
        areas.append(area[:1].expand_as(area) if convention == "released" else area)
    return torch.stack([*spacing, *areas], dim=1)


# ---------------------------------------------------------------- matching network


@dataclass
class WarpOutput(BaseOutput):
    """grid (B, H, W, 2) and control_points (B, N, 2), both (x, y) and about [-1, 1]; see `tps_grid`."""

    grid: torch.Tensor
    control_points: torch.Tensor


class FeatureExtraction(nn.Module):
    """A picture (B, C, H, W) to features (B, channels[-1], H / 2^n, W / 2^n) with n = len(channels) halvings."""

    def __init__(self, in_channels: int, channels: tuple[int, ...]):
        super().__init__()
        layers = []
        for out_channels in channels:
            layers += [nn.Conv2d(in_channels, out_channels, 4, stride=2, padding=1), nn.ReLU(), nn.BatchNorm2d(out_channels)]
            in_channels = out_channels
        layers += [nn.Conv2d(in_channels, in_channels, 3, padding=1), nn.ReLU(), nn.BatchNorm2d(in_channels)]
        layers += [nn.Conv2d(in_channels, in_channels, 3, padding=1), nn.ReLU()]
        self.model = nn.Sequential(*layers)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.model(x)


def normalise(features: torch.Tensor) -> torch.Tensor:
    """Each pixel's feature vector (B, C, H, W) at length 1, so that their products are cosines."""
    return features / (features.square().sum(1, keepdim=True) + 1e-6).sqrt()


def correlation(garment: torch.Tensor, person: torch.Tensor) -> torch.Tensor:
    """How well each place of the person matches each place of the garment: (B, C, H, W) twice to (B, H * W, H, W).

    Rocco et al., section 3.2. A pixel is a place (y, x) of the person, channel x * H + y a place of the garment.
    """
    height, width = person.shape[2:]
    products = garment.mT.flatten(2).mT @ person.flatten(2)  # garment column by column: (B, W*H, C) @ (B, C, H*W)
    return products.unflatten(2, (height, width))


class Regression(nn.Module):
    """Correlation (B, h * w, h, w) to `outputs` numbers: four convolutions, the first two halving, and a linear layer."""

    def __init__(self, height: int, width: int, channels: tuple[int, int, int, int], outputs: int):
        super().__init__()
        layers, in_channels = [], height * width
        for i, out_channels in enumerate(channels):
            kernel, stride = (4, 2) if i < 2 else (3, 1)
            layers += [nn.Conv2d(in_channels, out_channels, kernel, stride, 1), nn.BatchNorm2d(out_channels), nn.ReLU()]
            in_channels = out_channels
        self.conv = nn.Sequential(*layers)
        self.linear = nn.Linear(in_channels * (height // 4) * (width // 4), outputs)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.conv(x).flatten(1).float()
        with torch.autocast(x.device.type, enabled=False):  # half precision would move control points by a tenth of a pixel
            return F.linear(x, self.linear.weight.float(), self.linear.bias.float())


class WarpingNetwork(ModelMixin, ConfigMixin):
    """Garment and person to the control points of a thin-plate spline.

    height, width: the size at which features are matched; inputs of any size are resized to it. channels: one halving each;
    regression_channels: four; points: control points a side; reach: the largest offset of a control point from rest, in half
    pictures ("ours" only). Raises `ValueError` for sizes that the halvings do not divide.

    `load_state_dict` takes the `tps` part of a released file as it is: the three `gridGen` tensors in it are the spline's
    constants, which are computed here instead.
    """

    @register_to_config
    def __init__(
        self,
        height: int = 256,
        width: int = 192,
        channels: tuple[int, ...] = (64, 128, 256, 512),
        regression_channels: tuple[int, ...] = (512, 256, 128, 64),
        points: int = 5,
        extent: float = EXTENT,
        reach: float = 5.0,
        convention: str = "ours",
    ):
        super().__init__()
        _check_convention(convention)
        factor = 2 ** len(channels)
        if height % (4 * factor) or width % (4 * factor):
            raise ValueError(f"size {height} x {width} must be divisible by {4 * factor} for {len(channels)} halvings; change it")
        if len(regression_channels) != 4:
            raise ValueError(f"regression_channels has {len(regression_channels)} entries, expected 4")
        self.extractionA = FeatureExtraction(3, channels)  # the garment; names are those of the released files
        self.extractionB = FeatureExtraction(3 + POSE_CHANNELS, channels)  # the person
        regression = Regression(height // factor, width // factor, regression_channels, 2 * points**2)
        self.loc_net = nn.ModuleDict({"regression": regression})
        rest = regular_points(points, extent).float().flatten()
        with torch.no_grad():  # the first prediction is the regular grid
            regression.linear.weight.zero_()
            regression.linear.bias.copy_(rest.atanh() if convention == "released" else torch.zeros_like(rest))
        self.register_load_state_dict_pre_hook(_drop_spline_constants)

    @property
    def align_corners(self) -> bool:
        """What `warp` must be told to sample this network's grids as it was trained."""
        return self.config.convention == "ours"

    def forward(
        self, garment: torch.Tensor, agnostic: torch.Tensor, pose_map: torch.Tensor, size: tuple[int, int] | None = None
    ) -> WarpOutput:
        """The warp of `garment` onto the person.

        garment, agnostic: (B, 3, H, W) in [-1, 1]; pose_map (B, 18, H, W) in [0, 1]; size: (height, width) of the grid,
        the garment's if None. Control points and grid are float32.
        """
        size = tuple(garment.shape[2:] if size is None else size)
        frame = self.config.height, self.config.width
        garment = normalise(self.extractionA(_resize(garment, frame)))
        person = normalise(self.extractionB(_resize(torch.cat([agnostic, pose_map], dim=1), frame)))
        prediction = self.loc_net["regression"](correlation(garment, person)).unflatten(1, (-1, 2))  # (B, N, 2)
        if self.config.convention == "released":
            control_points = prediction.tanh()
            grid = tps_grid(control_points, *frame, self.config.extent)
            if size != frame:
                grid = F.interpolate(grid.permute(0, 3, 1, 2), size, mode="bilinear").permute(0, 2, 3, 1)
        else:
            rest = regular_points(self.config.points, self.config.extent).to(prediction.dtype).to(prediction.device)
            control_points = rest + self.config.reach * (prediction / self.config.reach).tanh()
            grid = tps_grid(control_points, *size, self.config.extent)
        return WarpOutput(grid=grid, control_points=control_points)


def _resize(x: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    return x if tuple(x.shape[2:]) == size else F.interpolate(x, size, mode="bilinear", antialias=True)


def _check_convention(convention: str):
    if convention not in ("ours", "released"):
        raise ValueError(f'convention is {convention!r}, expected "ours" or "released"')


def _drop_spline_constants(module, state_dict, *_):
    for name in [name for name in state_dict if name.startswith("gridGen.")]:
        del state_dict[name]  # of the copy that load_state_dict works on


def build_warping(preset: Preset, convention: str = "ours") -> WarpingNetwork:
    """The matching network of a size, fresh: its first warp is the identity."""
    return WarpingNetwork(
        height=preset.warp_height,
        width=preset.warp_width,
        channels=preset.warp_channels,
        regression_channels=preset.warp_regression,
        points=preset.warp_points,
        convention=convention,
    )


# ---------------------------------------------------------------- refinement


class DoubleConv(nn.Module):
    """Twice convolution, batch norm, ReLU."""

    def __init__(self, in_channels: int, hidden: int, out_channels: int):
        super().__init__()
        self.double_conv = nn.Sequential(
            nn.Conv2d(in_channels, hidden, 3, padding=1, bias=False), nn.BatchNorm2d(hidden), nn.ReLU(),
            nn.Conv2d(hidden, out_channels, 3, padding=1, bias=False), nn.BatchNorm2d(out_channels), nn.ReLU(),
        )  # fmt: skip

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.double_conv(x)


class Down(nn.Module):
    """Halves the picture by its maxima, then convolves."""

    def __init__(self, in_channels: int, out_channels: int):
        super().__init__()
        self.maxpool_conv = nn.Sequential(nn.MaxPool2d(2), DoubleConv(in_channels, out_channels, out_channels))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.maxpool_conv(x)


class Up(nn.Module):
    """Doubles the picture, joins what the way down kept, then convolves."""

    def __init__(self, in_channels: int, out_channels: int):
        super().__init__()
        self.conv = DoubleConv(in_channels, in_channels // 2, out_channels)

    def forward(self, x: torch.Tensor, skip: torch.Tensor) -> torch.Tensor:
        x = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=True)
        return self.conv(torch.cat([skip, x], dim=1))


class OutConv(nn.Module):
    """One linear map a pixel."""

    def __init__(self, in_channels: int, out_channels: int):
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.conv(x)


class RefinementNetwork(ModelMixin, ConfigMixin):
    """A UNet (Ronneberger et al., 2015) that repaints the warped garment with folds, shade and what the spline could not bend.

    base_channels: at full size; they double with each of `depth` halvings, the last excepted. residual: the output is the
    warped garment plus the network's, which starts at zero; else the network's alone, as in the released weights.
    """

    @register_to_config
    def __init__(self, base_channels: int = 64, depth: int = 4, residual: bool = True):
        super().__init__()
        channels = [base_channels * 2 ** min(level, depth - 1) for level in range(depth + 1)]  # 64, 128, 256, 512, 512
        self.inc = DoubleConv(3 + POSE_CHANNELS + 3, channels[0], channels[0])
        for level in range(depth):  # down1 ... up1 ...: the names of the released files
            self.add_module(f"down{level + 1}", Down(channels[level], channels[level + 1]))
        for level in reversed(range(depth)):
            self.add_module(f"up{depth - level}", Up(2 * channels[level], channels[max(level - 1, 0)]))
        self.outc = OutConv(channels[0], 3)
        if residual:
            nn.init.zeros_(self.outc.conv.weight)
            nn.init.zeros_(self.outc.conv.bias)

    def forward(self, agnostic: torch.Tensor, pose_map: torch.Tensor, warped: torch.Tensor) -> torch.Tensor:
        """The refined garment (B, 3, H, W), about [-1, 1]: clamp it before use, not in a loss, where that stops gradients.

        agnostic, warped: (B, 3, H, W) in [-1, 1]; pose_map (B, 18, H, W) in [0, 1]. Raises `ValueError` if H or W is not
        divisible by 2^depth.
        """
        depth = self.config.depth
        if warped.shape[2] % 2**depth or warped.shape[3] % 2**depth:
            raise ValueError(f"size {warped.shape[2]} x {warped.shape[3]} must be divisible by {2**depth}; resize the pictures")
        x = self.inc(torch.cat([agnostic, pose_map, warped], dim=1))
        skips = []
        for level in range(1, depth + 1):
            skips.append(x)
            x = self.get_submodule(f"down{level}")(x)
        for level in range(1, depth + 1):
            x = self.get_submodule(f"up{level}")(x, skips.pop())
        x = self.outc(x)
        return warped + x if self.config.residual else x


def build_refinement(preset: Preset, convention: str = "ours") -> RefinementNetwork:
    """The refinement of a size, fresh: "ours" leaves the warped garment as it is."""
    _check_convention(convention)
    return RefinementNetwork(
        base_channels=preset.refinement_channels, depth=preset.refinement_depth, residual=convention == "ours"
    )
