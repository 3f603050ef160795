"""evaluation/features: distances of sets equal scipy and plain sums; weights that are missing or wrong are never replaced."""

import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm
from tiny import batch, tiny_pipeline
from torchmetrics.functional.image import learned_perceptual_image_patch_similarity
from torchmetrics.image.fid import FrechetInceptionDistance

from ladi_mini.clip import clip_pixels
from ladi_mini.evaluation import features as f
from ladi_mini.sample import InputError
from ladi_mini.sums import sha256


def clouds(seed=0, n=60, width=5, shift=0.5):
    generator = torch.Generator().manual_seed(seed)
    real = torch.randn(n, width, generator=generator, dtype=torch.float64)
    fake = 1.3 * torch.randn(n, width, generator=generator, dtype=torch.float64) + shift
    return fake, real


def test_frechet_distance_equals_scipys_matrix_root():
    fake, real = clouds()
    ca, cb = np.cov(fake.numpy(), rowvar=False), np.cov(real.numpy(), rowvar=False)
    expected = ((fake.mean(0) - real.mean(0)) ** 2).sum().item() + np.trace(ca + cb - 2 * sqrtm(ca @ cb).real)
    assert f.frechet(fake, real) == pytest.approx(expected, rel=1e-6)
    assert f._frechet(fake, real).item() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(("n", "width"), [(60, 5), (20, 48)])  # more people than features, and fewer
def test_frechet_distance_is_never_a_little_below_zero(n, width):
    _, real = clouds(n=n, width=width)
    for fake in (real, real.flip(0)):
        for scale in (1, 30):
            distance = f.frechet(scale * fake, scale * real)
            assert 0 <= distance < 1e-3 and not str(distance).startswith("-")


def test_a_frechet_distance_that_is_truly_below_zero_is_not_hidden(monkeypatch):
    fake, real = clouds()
    monkeypatch.setattr(FrechetInceptionDistance, "compute", lambda self: torch.tensor(-0.01))
    assert f.frechet(fake, real) == pytest.approx(-0.01)


def k(x, y):
    """KID's kernel, number by number."""
    return (sum(a * b for a, b in zip(x.tolist(), y.tolist(), strict=True)) / len(x) + 1) ** 3


def test_kernel_distances_equal_plain_double_sums():
    fake, real = clouds(n=12)
    n = len(real)
    within = sum(k(a[i], a[j]) for a in (real, fake) for i in range(n) for j in range(n) if i != j) / (n * (n - 1))
    expected = within - 2 * sum(k(x, y) for x in real for y in fake) / n**2
    assert f.kernel(fake, real) == pytest.approx(expected, rel=1e-6)
    expected = within - 2 * sum(k(real[i], fake[j]) for i in range(n) for j in range(n) if i != j) / (n * (n - 1))
    assert f.paired_kernel(fake, real).item() == pytest.approx(expected, rel=1e-9)


def test_a_set_is_no_distance_from_itself():
    _, real = clouds()
    assert f.set_distances("clip", real, real)["clip_kd_x1000"]["mean"] == 0
    assert f.kernel(real, real) < -0.01  # what a card would have said


def test_kernel_distance_of_the_same_people_is_that_of_strangers():
    generator = torch.Generator().manual_seed(0)

    def drawn(*shape):
        return torch.randn(*shape, 6, generator=generator, dtype=torch.float64)

    def damaged(people):
        return people + 0.4 + 0.05 * torch.randn(people.shape, generator=generator, dtype=torch.float64)

    people, others = drawn(1000, 30), drawn(1000, 30)  # so many draws, because KID of so few strangers scatters widely
    truth = 1000 * torch.stack([kid(*pair) for pair in zip(damaged(others), people, strict=True)])
    found = 1000 * torch.stack([f.paired_kernel(*pair) for pair in zip(damaged(people), people, strict=True)])
    error = (truth.var() / 1000 + found.var() / 1000).sqrt()
    assert (found.mean() - truth.mean()).abs() < 3 * error < 0.2 * truth.mean()
    assert found.std() < truth.std() / 2  # what the two rows of a person have in common cancels

    people = drawn(200)
    card = f.set_distances("clip", damaged(people), people)["clip_kd_x1000"]
    assert card["low"] < truth.mean() < card["high"]
    assert 1000 * kid(damaged(people), people) < card["low"]  # with the pairs of a person with themselves


def kid(x, y):
    """KID's sums over all pairs of two sets."""
    xx, yy, xy = ((a @ b.mT / a.shape[1] + 1) ** 3 for a, b in ((x, x), (y, y), (x, y)))
    return sum((t.sum() - t.trace()) / (len(t) * (len(t) - 1)) for t in (xx, yy)) - 2 * xy.mean()


def test_distances_grow_with_the_shift_and_nearly_vanish_for_one_cloud():
    near, middle, far = (f.set_distances("clip", *clouds(shift=shift, n=200)) for shift in (0.0, 0.5, 1.5))
    for metric in ("clip_fd", "clip_kd_x1000"):
        assert near[metric]["mean"] < middle[metric]["mean"] < far[metric]["mean"]
        assert far[metric]["low"] > near[metric]["high"]
    _, real = clouds(n=200)
    assert f.set_distances("clip", real, real)["clip_fd"]["mean"] == pytest.approx(0, abs=1e-6)


def test_the_interval_is_as_wide_as_fresh_people_would_spread():
    generator = np.random.default_rng(0)
    points, widths = [], []
    for seed in generator.integers(1 << 30, size=24).tolist():
        found = f.set_distances("clip", *clouds(seed, n=80, shift=1.0))
        points.append([found[m]["mean"] for m in found])
        widths.append([(found[m]["high"] - found[m]["low"]) / (2 * 1.96) for m in found])
    ratio = np.mean(widths, axis=0) / np.std(points, axis=0)
    assert (ratio > 0.6).all() and (ratio < 1.6).all()


def test_only_inception_may_be_called_fid():
    assert set(f.set_distances("inception", *clouds())) == {"fid", "kid_x1000"}
    assert set(f.set_distances("clip", *clouds())) == {"clip_fd", "clip_kd_x1000"}
    assert f.set_distances("clip", *(x[:3] for x in clouds())) == {}


def test_kernel_distance_does_not_touch_the_callers_random_numbers():
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    f.kernel(*clouds())
    assert torch.equal(torch.rand(1), expected)


def test_clip_features_are_the_pipelines_image_embeddings():
    pipe, given = tiny_pipeline(), batch(2)
    pixels = clip_pixels(given.person, pipe.image_encoder.config.image_size)
    assert torch.equal(f.clip_features(pipe)(given.person), pipe.image_encoder(pixels).image_embeds)


# ---------------------------------------------------------------- weights that the user brings


def test_without_weights_everything_is_skipped_aloud(tmp_path):
    for folder, why in ((None, "no folder"), (tmp_path, "is not in the folder")):
        sets, pairs, skipped = f.open_features(folder, torch.device("cpu"))
        assert sets == {} and pairs == {} and set(skipped) == {"fid", "kid_x1000", "lpips_alex", "lpips_vgg"}
        assert all(reason.startswith("skipped") and why in reason for reason in skipped.values())


def test_a_file_that_is_not_what_its_name_says_is_refused(tmp_path):
    (tmp_path / f.WEIGHTS["alex"]).write_bytes(b"not these")
    with pytest.raises(InputError, match=r"alexnet-owt-7be5be79\.pth has sha256 .*expected 7be5be79"):
        f.open_features(tmp_path, torch.device("cpu"))
    with pytest.raises(InputError, match="is no folder"):
        f.open_features(tmp_path / "elsewhere", torch.device("cpu"))


def named_by_its_sum(path, stem):
    """Gives a file the name that its content asks for."""
    named = path.with_name(f"{stem}-{sha256(path)[:8]}.pth")
    path.rename(named)
    return named.name


@pytest.mark.slow
def test_lpips_is_torchmetrics_on_the_given_file_and_grows_with_the_error(tmp_path, monkeypatch):
    from torchvision.models import AlexNet_Weights, alexnet

    torch.manual_seed(0)
    torch.save(alexnet(weights=None).state_dict(), tmp_path / "random.pth")
    name = named_by_its_sum(tmp_path / "random.pth", "alexnet-owt")
    monkeypatch.setitem(f.WEIGHTS, "alex", name)
    weights = AlexNet_Weights.IMAGENET1K_V1.value
    address = weights.url.rsplit("/", 1)[0] + "/" + name
    monkeypatch.setattr(AlexNet_Weights.IMAGENET1K_V1, "_value_", type(weights)(address, weights.transforms, weights.meta))
    before = torch.hub.get_dir()
    _, pairs, skipped = f.open_features(tmp_path, torch.device("cpu"))
    assert torch.hub.get_dir() == before and "lpips_alex" not in skipped
    image = batch(2).person
    noise = torch.randn(image.shape, generator=torch.Generator().manual_seed(0))
    values = [pairs["lpips_alex"](image, (image + a * noise).clamp(-1, 1)) for a in (0.0, 0.1, 0.4)]
    assert (
        torch.allclose(values[0], torch.zeros(2), atol=1e-6) and (values[0] < values[1]).all() and (values[1] < values[2]).all()
    )
    with f._as_downloaded(tmp_path / name):
        expected = learned_perceptual_image_patch_similarity(image, (image + 0.4 * noise).clamp(-1, 1), "alex")
    assert values[2].mean().item() == pytest.approx(expected.item(), rel=1e-5)


@pytest.mark.slow
def test_fid_on_the_given_file_is_torchmetrics_on_the_pictures(tmp_path, monkeypatch):
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3 as Inception

    torch.manual_seed(0)
    with monkeypatch.context() as m:  # fresh weights: the class knows no other way than a file
        m.setattr(Inception, "load_state_dict", lambda self, state: None)
        m.setattr(torch, "load", lambda *_, **__: {})
        fresh = Inception("inception-v3-compat", ["2048"], feature_extractor_weights_path="none")
    torch.save(fresh.state_dict(), tmp_path / "random.pth")
    monkeypatch.setitem(f.WEIGHTS, "inception", named_by_its_sum(tmp_path / "random.pth", "weights-inception-2015-12-05"))
    sets, _, skipped = f.open_features(tmp_path, torch.device("cpu"))
    assert "fid" not in skipped
    given = batch(2)
    metric = FrechetInceptionDistance(feature=2048, feature_extractor_weights_path=str(tmp_path / f.WEIGHTS["inception"]))
    for image, real in ((given.person, False), (given.target, True)):
        metric.update(((image + 1) * 127.5).round().byte(), real=real)
    look = sets["inception"]
    expected = f.frechet(look(given.person).double(), look(given.target).double())
    assert metric.compute().item() == pytest.approx(expected, rel=1e-3, abs=1e-6) and expected > 0
