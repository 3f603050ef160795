"""Distances between sets of pictures: FID and KID where Inception is given, the same mathematics on CLIP where it is not.

Heusel et al., 2017 (FID); Binkowski et al., 2018 (KID); Zhang et al., 2018 (LPIPS). All three look through a network that was
trained on photographs, whose weights are not ours to ship.

Choices made here
- Weights are the user's to bring, as files with the names in `WEIGHTS`, in one folder. Nothing is fetched, and a file whose
  sha256 does not begin as its name says is refused before it is read. What is missing is skipped and said so in the card.
- The shipped CLIP's image embedding serves everywhere, and its distances are called `clip_fd` and `clip_kd`, never FID or KID: it
  has seen drawn garments only, and its numbers compare with nothing but each other.
- FID, and KID of sets that are strangers to each other, come from torchmetrics. KID subsets hold min(1000, n) pictures.
- Results and true pictures show the same people, and a person is much more like themselves than like others: among KID's pairs
  across the sets these pull the distance far below zero. A card's kernel distance leaves them out (Gretton et al., 2012,
  equation 4), takes all people at once, and is given times 1000, by name.
- FID is biased by n, and repeated people bias both, so no bootstrap: the interval is the point +- 1.96 deviations of random
  halves of the people (the delete-half jackknife, Shao and Wu 1989, in which the factor between halves and whole is 1).
"""

import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import nn
from torchmetrics.image.fid import FrechetInceptionDistance
from torchmetrics.image.kid import KernelInceptionDistance
from torchmetrics.image.lpip import LearnedPerceptualImagePatchSimilarity

from ladi_mini.clip import clip_pixels
from ladi_mini.pipeline import TryOnPipeline
from ladi_mini.sample import InputError
from ladi_mini.sums import sha256
from ladi_mini.training.stage import to_bytes

WEIGHTS = {
    "inception": "weights-inception-2015-12-05-6726825d.pth",
    "alex": "alexnet-owt-7be5be79.pth",
    "vgg": "vgg16-397923af.pth",
}
HALVES = 100
ROUNDING = 1e-6  # of the covariances' traces: what the roots of eigenvalues that should be 0 add up to
Features = Callable[[torch.Tensor], torch.Tensor]  # (B, 3, H, W) in [-1, 1] -> (B, D)
Distance = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]  # two of those -> (B,)


def clip_features(pipe: TryOnPipeline) -> Features:
    """The image embeddings (B, D) of the pipeline's own CLIP, not scaled to length 1."""

    @torch.no_grad()
    def features(image: torch.Tensor) -> torch.Tensor:
        pixels = clip_pixels(image.float(), pipe.image_encoder.config.image_size)
        return pipe.image_encoder(pixels.to(pipe.image_encoder.dtype)).image_embeds.float()

    return features


def open_features(folder: Path | None, device: torch.device) -> tuple[dict[str, Features], dict[str, Distance], dict[str, str]]:
    """What the weights in `folder` allow: set features by name, pairwise distances by name, and for the rest why it is skipped.

    Names are "inception"; "lpips_alex", "lpips_vgg". Raises `InputError` for a folder that is not there, or a file that is not
    what its name says.
    """
    if folder is not None and not Path(folder).is_dir():
        raise InputError(f"--features is {folder}, which is no folder; name the folder of {', '.join(WEIGHTS.values())}.")
    sets, pairs, skipped = {}, {}, {}
    for name, file in WEIGHTS.items():
        path = None if folder is None else Path(folder) / file
        metrics = ("fid", "kid_x1000") if name == "inception" else (f"lpips_{name}",)
        if path is None or not path.is_file():
            reason = "no folder of weights was given" if path is None else f"{file} is not in the folder given"
            skipped |= dict.fromkeys(metrics, f"skipped: {reason}")
            continue
        _check(path)
        if name == "inception":
            sets["inception"] = _inception(path, device)
        else:
            pairs[f"lpips_{name}"] = _lpips(path, name, device)
    return sets, pairs, skipped


def _check(path: Path) -> None:
    """Refuses a file whose sha256 does not begin with the eight digits at the end of its name."""
    expected, found = path.stem.rsplit("-", 1)[1], sha256(path)
    if not found.startswith(expected):
        raise InputError(f"{path} has sha256 {found[:8]}..., expected {expected}... as its name says; get the file again.")


def _inception(path: Path, device: torch.device) -> Features:
    network = FrechetInceptionDistance(feature=2048, feature_extractor_weights_path=str(path)).inception.to(device)

    @torch.no_grad()
    def features(image: torch.Tensor) -> torch.Tensor:
        return network(to_bytes(image.float()))

    return features


def _lpips(path: Path, name: str, device: torch.device) -> Distance:
    with _as_downloaded(path):
        network = LearnedPerceptualImagePatchSimilarity(net_type=name).net.to(device)

    @torch.no_grad()
    def distance(image: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        return network(image.float().clamp(-1, 1), target.float().clamp(-1, 1)).reshape(-1)

    return distance


@contextmanager
def _as_downloaded(path: Path) -> Iterator[None]:
    """Makes torch.hub find the file as if it had fetched it, so that torchvision does not."""
    before = torch.hub.get_dir()
    with tempfile.TemporaryDirectory() as hub:
        (Path(hub) / "checkpoints").mkdir()
        shutil.copy(path, Path(hub) / "checkpoints" / path.name)
        torch.hub.set_dir(hub)
        try:
            yield
        finally:
            torch.hub.set_dir(before)


# ---------------------------------------------------------------- distances of two sets of features


def set_distances(name: str, fake: torch.Tensor, real: torch.Tensor, seed: int = 0) -> dict[str, dict]:
    """Both distances between the features (n, D) of results and of real pictures, row by row the same people.

    `name` "inception" gives `fid` and `kid_x1000`, "clip" gives `clip_fd` and `clip_kd_x1000`, each with mean (the point), low,
    high and n, for a card. Empty for fewer than four people.
    """
    n = len(real)
    if n < 4:
        return {}
    fake, real = fake.double(), real.double()
    names = ("fid", "kid_x1000") if name == "inception" else (f"{name}_fd", f"{name}_kd_x1000")
    points = frechet(fake, real), 1000 * paired_kernel(fake, real).item()
    generator = torch.Generator().manual_seed(seed)
    halves = [torch.randperm(n, generator=generator)[: n // 2].to(real.device) for _ in range(HALVES)]
    spreads = (
        torch.stack([_frechet(fake[half], real[half]) for half in halves]).std().item(),
        1000 * torch.stack([paired_kernel(fake[half], real[half]) for half in halves]).std().item(),
    )
    return {
        metric: {"mean": _rounded(point), "low": _rounded(point - 1.96 * s), "high": _rounded(point + 1.96 * s), "n": n}
        for metric, point, s in zip(names, points, spreads, strict=True)
    }


def _rounded(value: float) -> float:
    return round(value, 4) + 0.0  # -0.0 + 0.0 is 0.0


class _Given(nn.Module):
    """Hands features that are made already through to a torchmetrics metric."""

    def __init__(self, width: int):
        super().__init__()
        self.num_features = width

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return features


def frechet(fake: torch.Tensor, real: torch.Tensor) -> float:
    """The Fréchet distance between Gaussians fitted to two sets of features (n, D), by torchmetrics.

    Where it is 0 but for rounding it is 0, never a little less; a number further below 0 would be a fault and is handed on.
    """
    device = "cpu" if real.shape[1] <= 512 else real.device  # a GPU is slow at small eigenvalue problems
    metric = FrechetInceptionDistance(feature=_Given(real.shape[1])).to(device)
    metric.update(real.to(device), real=True)
    metric.update(fake.to(device), real=False)
    distance = metric.compute().item()
    spread = sum((x.double() - x.double().mean(0)).square().sum().item() / (len(x) - 1) for x in (fake, real))
    return max(distance, 0.0) if distance > -ROUNDING * spread else distance


def kernel(fake: torch.Tensor, real: torch.Tensor, seed: int = 0) -> float:
    """KID of two sets of features (n, D) and (m, D) that are strangers to each other, by torchmetrics.

    That is the unbiased squared maximum mean discrepancy with a cubic kernel. It has a bias where rows are the same people: see
    `paired_kernel`.
    """
    size = min(1000, len(real), len(fake))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it keeps its features is known
        metric = KernelInceptionDistance(feature=_Given(real.shape[1]), subset_size=size).to(real.device)
    metric.update(real, real=True)
    metric.update(fake, real=False)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return metric.compute()[0].item()


def _frechet(fake: torch.Tensor, real: torch.Tensor) -> torch.Tensor:
    """`frechet` through the singular values of A B^T for centred features A and B; as large as the fewer of people, features."""
    (a, b), means = ((x - x.mean(0)) / (len(x) - 1) ** 0.5 for x in (fake, real)), fake.mean(0) - real.mean(0)
    if a.shape[1] < a.shape[0]:
        a, b = torch.linalg.qr(a, mode="r").R, torch.linalg.qr(b, mode="r").R  # same singular values
    return means.square().sum() + a.square().sum() + b.square().sum() - 2 * torch.linalg.svdvals(a @ b.mT).sum()


def paired_kernel(fake: torch.Tensor, real: torch.Tensor) -> torch.Tensor:
    """`kernel` of features (n, D) that are row by row the same people: without the pairs of a person with themselves.

    Its mean is KID's however alike the two rows of a person are; for equal sets it is 0. All rows are taken at once.
    """
    n, width = real.shape

    def strangers(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        table = (x @ y.mT / width + 1) ** 3
        return (table.sum() - table.trace()) / (n * (n - 1))

    return strangers(real, real) + strangers(fake, fake) - 2 * strangers(real, fake)
