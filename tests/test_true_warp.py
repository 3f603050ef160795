"""The true warp is true: features found in the flat and in the worn picture, apart from each other, lie where the grid says.

Nothing here draws, and nothing but a sample's own fields is read. A feature is found twice by its pixels alone (corners of
checks and of printed letters by their gradients, hem and cuff ends as the point where two fitted edges meet), then the grid
is asked where the flat one should be on the person. A detector errs where features are smaller than its window or a sliver of
something else lies between cloth and background, so it takes only features that it finds twice alike; what it takes must agree.
Such a sliver (trousers beside the hem of a top) is told by its colour; one whose colour lies between both is not, and costs up
to a pixel: therefore a few ends may lie beyond the tolerance.
"""

from collections.abc import Iterator
from typing import NamedTuple

import cv2
import numpy as np
import pytest

from ladi_mini.sample import TryOnSample
from ladi_mini.wardrobe import sample

TOLERANCE = 0.5  # pixels
SEED = 11
CRITERIA = (cv2.TERM_CRITERIA_COUNT + cv2.TERM_CRITERIA_EPS, 60, 0.002)
LABELS = {"upper_body": (5,), "lower_body": (9, 12), "dresses": (6,)}


class Pictures(NamedTuple):
    """What the checks read of a sample, as arrays: pictures in [0, 1], masks, the grid in pixels (x, y) of the flat picture."""

    flat: np.ndarray
    worn: np.ndarray
    garment: np.ndarray
    visible: np.ndarray
    grid: np.ndarray


def pictures(it: TryOnSample) -> Pictures:
    flat, worn = (np.ascontiguousarray((field.permute(1, 2, 0).numpy() + 1) / 2) for field in (it.garment, it.target))
    grid = (it.warp_grid.numpy() + 1) / 2 * (it.width - 1, it.height - 1)
    return Pictures(flat, worn, it.garment_mask[0].numpy() > 0, it.warp_visible[0].numpy() > 0, grid)


def grown(mask: np.ndarray, radius: int) -> np.ndarray:
    """`mask` with `radius` more pixels on every side; fewer if it is negative."""
    change = cv2.dilate if radius > 0 else cv2.erode
    return change(mask.astype(np.uint8), np.ones((2 * abs(radius) + 1,) * 2, np.uint8)) > 0


def inside(mask: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Whether `mask` is set at `points` (N, 2); outside the picture it is not."""
    x, y = np.rint(points).astype(int).T
    within = (x >= 0) & (y >= 0) & (x < mask.shape[1]) & (y < mask.shape[0])
    return within & mask[np.where(within, y, 0), np.where(within, x, 0)]


def locate(p: Pictures, point: np.ndarray, reach: float) -> tuple[np.ndarray, np.ndarray] | None:
    """Where on the person the grid puts `point` of the flat picture, and the warp's Jacobian there.

    An affine map fitted to the visible pixels around the nearest one and solved; None if that is more than `reach` pixels
    from it, or if the map is not smooth there (a fold of the cloth over itself, two parts side by side).
    """
    distance = np.where(p.visible, ((p.grid - point) ** 2).sum(-1), np.inf)
    y, x = np.unravel_index(distance.argmin(), distance.shape)
    rows, columns = np.nonzero(p.visible[max(y - 3, 0) : y + 4, max(x - 3, 0) : x + 4])
    rows, columns = rows + max(y - 3, 0), columns + max(x - 3, 0)
    near = ((p.grid[rows, columns] - p.grid[y, x]) ** 2).sum(1) < 100
    rows, columns = rows[near], columns[near]
    if len(rows) < 8:
        return None
    terms = np.stack((np.ones(len(rows)), columns - x, rows - y), 1)
    found = np.linalg.lstsq(terms, p.grid[rows, columns], rcond=None)[0]
    if np.abs(terms @ found - p.grid[rows, columns]).max() > 1 or abs(np.linalg.det(found[1:])) < 0.05:
        return None
    inverse = np.linalg.inv(found[1:].T)
    step = inverse @ (point - found[0])
    return (np.array((x, y)) + step, inverse) if np.abs(step).max() <= reach else None


# Corners of checks and of letters


def corners(picture: np.ndarray, where: np.ndarray, quality: float) -> tuple[np.ndarray, np.ndarray]:
    """Corners of `picture` (H, W): those found alike in a small and in a larger window, and all candidates."""
    found = cv2.goodFeaturesToTrack(picture, 1000, quality, 2, mask=255 * where.astype(np.uint8), blockSize=3)
    if found is None:
        return np.zeros((0, 2)), np.zeros((0, 2))
    small, large = (cv2.cornerSubPix(picture, found.copy(), (w, w), (-1, -1), CRITERIA)[:, 0] for w in (2, 3))
    found = found[:, 0]
    alike = (np.abs(small - large).max(1) < 0.25) & (np.abs(small - found).max(1) < 1.5)
    settled = (small != found).any(1) & (large != found).any(1)  # OpenCV leaves a corner that it cannot refine where it was
    places = []
    for corner in small[alike & settled]:
        if all(np.hypot(*(corner - other)) > 0.8 for other in places):
            places.append(corner)
    return np.array(places).reshape(-1, 2), small


def alone(point: np.ndarray, others: np.ndarray, room: float) -> bool:
    """Whether no other corner is so near that both share a window."""
    distance = np.hypot(*(others - point).T)
    return not ((distance > 0.8) & (distance < room)).any()


def corner_errors(it: TryOnSample, shift: tuple[float, float] = (0, 0)) -> Iterator[float]:
    """Pixels between the corners found in the worn picture and where the grid, moved by `shift`, puts the flat ones."""
    p = pictures(it)
    where = grown(p.garment, -3)
    if it.print_text:
        x0, y0, x1, y1 = it.print_box.round().int().tolist()
        where[: y0 - 1], where[y1 + 2 :], where[:, : x0 - 1], where[:, x1 + 2 :] = False, False, False, False
    colours = p.flat[p.garment] - p.flat[p.garment].mean(0)
    contrast = np.linalg.svd(colours.T @ colours)[0][:, 0]  # the axis along which the garment's colours differ most
    shown = grown(p.visible, -3)
    flat, flat_all = corners(p.flat @ contrast, where, 0.1)
    worn, worn_all = corners(p.worn @ contrast, shown, 0.03)
    for corner in flat:
        located = locate(p, corner, 1)
        if located is None or not alone(corner, flat_all, 7) or not len(worn):
            continue
        place = located[0] + shift
        distance = np.hypot(*(worn - place).T)
        again = worn[distance.argmin()]
        if inside(shown, place[None])[0] and distance.min() < 2.5 and alone(again, worn_all, 5):  # else it was not found again
            yield distance.min()


# Ends of hems and cuffs

STEP = 0.25
ACROSS = np.arange(-3, 3 + STEP / 2, STEP)  # of an edge, from the cloth outwards
ALONG = np.arange(2, 7.5, 0.5)  # of an edge, from the end that is looked for


def edge(picture: np.ndarray, start: np.ndarray, along: np.ndarray, outwards: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """The line (point, direction) of a straight edge that leaves about `start`; None unless it is a clean step of colour."""
    offset = np.zeros(len(ALONG))
    for _ in range(3):  # each time around the line that was found before
        middle = start + ALONG[:, None] * along + offset[:, None] * outwards
        points = (middle[:, None] + ACROSS[:, None] * outwards).astype(np.float32)
        profile = cv2.remap(picture, points[..., 0], points[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        cloth = profile[:, (ACROSS >= -2) & (ACROSS <= -1.25)].mean(1)
        change = profile[:, (ACROSS >= 1.25) & (ACROSS <= 2)].mean(1) - cloth
        power = (change**2).sum(1).clip(1e-6)
        if np.median(power) < 0.08**2:
            return None
        share = ((profile - cloth[:, None]) * change[:, None]).sum(-1) / power[:, None]  # 0 on the cloth, 1 beyond it
        rises = (share[:, :-1] < 0.5) & (share[:, 1:] >= 0.5)
        half = ACROSS[:-1] + STEP * (0.5 - share[:, :-1]) / np.where(rises, np.diff(share, axis=1), 1)
        half = np.where(rises, half, 9.0)
        place = half[np.arange(len(half)), np.abs(half).argmin(1)]
        away = ACROSS - place[:, None]
        other = np.abs(profile - cloth[:, None] - share.clip(0, 1)[..., None] * change[:, None]).max(-1) / np.sqrt(power)[:, None]
        clean = (
            (np.abs(place) < 2)
            & (np.where(np.abs(away) < 2, other, 0).max(1) < 0.15)  # no third colour, not even as a sliver within a pixel
            & (np.where((away > 1) & (away < 2.5), share, 1).min(1) > 0.8)
            & (np.where((away < -1) & (away > -2.5), share, 0).max(1) < 0.2)
        )
        if clean.mean() < 0.7:
            return None
        line = np.polyfit(ALONG[clean], (offset + place)[clean], 1)
        rest = (offset + place)[clean] - np.polyval(line, ALONG[clean])
        offset = np.polyval(line, ALONG)
    if np.sqrt((rest**2).mean()) > 0.15:
        return None
    return start + ALONG[0] * along + offset[0] * outwards, along + line[0] * outwards


def upright(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The unit vector at right angles to `a`, on the side of `b`."""
    rest = b - (b @ a) * a
    return rest / np.hypot(*rest)


def end(picture: np.ndarray, start: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray | None:
    """Where the two edges that leave about `start` in directions `a` and `b` meet; None if either is not clean."""
    first, second = edge(picture, start, a, -upright(a, b)), edge(picture, start, b, -upright(b, a))
    if first is None or second is None:
        return None
    return first[0] + first[1] * np.linalg.solve(np.stack((first[1], -second[1]), 1), second[0] - first[0])[0]


def outline_ends(garment: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Corners of the outline between two long sides: about where, and the directions of both sides."""
    for contour in cv2.findContours(garment.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)[0]:
        points = cv2.approxPolyDP(contour, 0.006 * len(garment), True)[:, 0].astype(float)
        back, ahead = np.roll(points, 1, 0) - points, np.roll(points, -1, 0) - points
        for point, a, b in zip(points, back, ahead, strict=True):
            lengths = np.hypot(*a), np.hypot(*b)
            if min(lengths) > len(garment) / 24 and abs(a @ b) < 0.75 * lengths[0] * lengths[1]:
                yield point, a / lengths[0], b / lengths[1]


def end_errors(it: TryOnSample, shift: tuple[float, float] = (0, 0)) -> Iterator[float]:
    """Pixels between the ends of hems and cuffs in the worn picture and where the grid, moved by `shift`, puts the flat ones."""
    p = pictures(it)
    for about, a, b in outline_ends(p.garment):
        flat = end(p.flat, about, a, b)
        located = None if flat is None else locate(p, flat, 2.2)
        if located is None:
            continue
        place, inverse = located[0] + shift, located[1]
        a, b = (inverse @ side / np.hypot(*(inverse @ side)) for side in (a, b))
        far = ALONG[::2, None]
        cloth = np.concatenate([located[0] + far * u + 2 * upright(u, v) for u, v in ((a, b), (b, a))])
        beyond = np.concatenate([located[0] + far * u - 2.5 * upright(u, v) for u, v in ((a, b), (b, a))])
        if inside(p.visible, cloth).all() and not inside(p.visible, beyond).any():  # else something lies over the end
            worn = end(p.worn, place, a, b)
            if worn is not None:
                yield float(np.hypot(*(worn - place)))


# Visibility


def unexplained(p: Pictures, visible: np.ndarray) -> int:
    """How many pixels well inside `visible` lie on a strong edge of the worn picture where the flat garment has none.

    Cloth that is worn smaller than it lies has steeper edges, by the factor that the grid says.
    """

    def steepness(picture):
        return np.hypot(*(cv2.Sobel(picture, cv2.CV_32F, dx, dy, scale=0.125) for dx, dy in ((1, 0), (0, 1)))).max(-1)

    expected = cv2.dilate(steepness(p.flat), np.ones((7, 7), np.uint8))
    grid = p.grid.astype(np.float32)
    expected = cv2.remap(expected, grid[..., 0], grid[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    down, across = np.gradient(p.grid, axis=(0, 1))
    smaller = np.maximum(np.hypot(*np.moveaxis(down, -1, 0)), np.hypot(*np.moveaxis(across, -1, 0))).clip(1, 4)
    return int((grown(visible, -1) & (steepness(p.worn) > 0.06 + smaller * expected)).sum())


# The tests

SHIFTS = ((1.0, 0.0), (0.0, 1.0))


@pytest.fixture(scope="module")
def samples() -> list[TryOnSample]:
    return [sample(SEED, index, 256, 192) for index in range(90)]


def assert_agree(right: list[float], least: int, share: float):
    """At least `least` features; half of them far below the tolerance, `share` of them within it and none beyond twice that."""
    assert len(right) >= least
    assert np.median(right) < 0.25
    assert np.mean(np.array(right) <= TOLERANCE) >= share
    assert max(right) < 2 * TOLERANCE


def assert_disagree(wrong: list[float], least: int):
    """The same features with a grid that is one pixel off: found again, and nearly none within the tolerance."""
    assert len(wrong) >= least / 2
    assert np.mean(np.array(wrong) <= TOLERANCE) < 0.1


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "least", "share"), [("checks", 80, 0.99), ("print", 20, 0.95)])
def test_corners_of_checks_and_letters_lie_where_the_grid_says(samples, kind, least, share):
    chosen = [it for it in samples if (it.print_text if kind == "print" else "checks" in it.caption)]
    assert_agree([error for it in chosen for error in corner_errors(it)], least, share)
    for shift in SHIFTS:
        assert_disagree([error for it in chosen for error in corner_errors(it, shift)], least)


@pytest.mark.slow
def test_ends_of_hems_and_cuffs_lie_where_the_grid_says():
    large = [sample(SEED, index, 512, 384) for index in range(45)]  # at 256 x 192 a hem end is smaller than an edge is long
    found = {category: [e for it in large if it.category == category for e in end_errors(it)] for category in LABELS}
    assert all(len(errors) >= 8 for errors in found.values())
    assert_agree([error for errors in found.values() for error in errors], 50, 0.97)
    for shift in SHIFTS:
        assert_disagree([error for it in large for error in end_errors(it, shift)], 50)


@pytest.mark.slow
def test_what_is_called_visible_shows_the_garment_and_nearly_all_that_shows_it_is_called_visible(samples):
    def covered(it: TryOnSample, visible: np.ndarray) -> float:
        """Share of the garment's label, without its rim, that is called visible."""
        labelled = grown(np.isin(it.parse.numpy(), LABELS[it.category]), -2)
        return float((labelled & visible).sum() / labelled.sum())

    views = [(it, pictures(it)) for it in samples]
    total = sum(int(p.visible.sum()) for _, p in views)
    assert sum(unexplained(p, p.visible) for _, p in views) < 1e-4 * total
    assert sum(unexplained(p, grown(p.visible, 1)) for _, p in views) > 1e-3 * total  # one pixel too generous is seen
    assert min(covered(it, p.visible) for it, p in views) > 0.93
    assert np.median([covered(it, grown(p.visible, -2)) for it, p in views]) < 0.93  # two pixels too strict are seen
