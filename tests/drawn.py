"""What every figure of a lesson is held to: it fits a notebook, it speaks, and no words of it are cut off or hidden."""

import io

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image


def assert_fits_and_speaks(name: str, figure: Figure, width: tuple[int, int], height: tuple[int, int], words: int):
    """Saved, it is more than the first and at most the second number of pixels wide and high; its alt text is longer than `words`
    characters, on one line, and holds no number that is none."""
    file = io.BytesIO()
    figure.savefig(file, dpi=figure.dpi)
    wide, high = Image.open(file).size
    assert width[0] < wide <= width[1] and height[0] < high <= height[1], (name, wide, high)
    assert len(figure.alt) > words and "nan" not in figure.alt.replace("nano", "") and "\n" not in figure.alt, name


def assert_nothing_is_cut(name: str, figure: Figure, texts: list[Text], room: int = 1):
    """Every one of `texts` lies on the page, or at most `room` pixels beyond its edge."""
    page = figure.bbox.padded(room)
    for text in texts:
        box = text.get_window_extent()
        inside = page.x0 <= box.x0 and box.x1 <= page.x1 and page.y0 <= box.y0 and box.y1 <= page.y1
        assert inside, f"{name}: {text.get_text()!r} runs off the page"


def assert_nothing_is_cut_or_hidden(name: str, figure: Figure, texts: list[Text], room: int = 1):
    """Besides, no two of them lie on each other."""
    assert_nothing_is_cut(name, figure, texts, room)
    boxes = [(text.get_text(), text.get_window_extent()) for text in texts]
    for number, (text, box) in enumerate(boxes):
        for other, second in boxes[:number]:
            assert not box.overlaps(second), f"{name}: {text!r} and {other!r} lie on each other"


def every_text(figure: Figure) -> list[Text]:
    """All that is written in a figure but the numbers along its axes."""
    axes = figure.findobj(Axes)
    ticks = {label for axis in axes for label in (*axis.get_xticklabels(), *axis.get_yticklabels())}
    return [t for t in figure.findobj(Text) if t.get_text().strip() and t.get_visible() and t not in ticks]


def labels_and_titles(figure: Figure) -> list[Text]:
    """The labels of the axes and the titles at their left, but of flat axes only."""
    flat = [axis for axis in figure.findobj(Axes) if axis.name != "3d"]
    texts = [text for axis in flat for text in (axis.xaxis.label, axis.yaxis.label, *_titles(axis))]
    return [text for text in texts if text.get_text().strip()]


def _titles(axis: Axes) -> list[Text]:
    title = axis.get_title(loc="left")
    return [text for text in axis.get_children() if isinstance(text, matplotlib.text.Text) and title and text.get_text() == title]
