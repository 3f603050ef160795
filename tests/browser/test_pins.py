"""The widget of lesson 3 in a real JupyterLab: a pin is dragged, and the garment moves."""

import time

import nbformat
import pytest

pytestmark = [pytest.mark.browser, pytest.mark.timeout(400)]

CELL = """\
from ladi_mini.show.widgets import PinWidget
from ladi_mini.wardrobe import Wardrobe
widget = PinWidget(Wardrobe("test", 256, 192)[1])
widget"""


@pytest.fixture
def page(lab, window):
    """A notebook of one cell in a browser, and the cell run."""
    window.goto(lab.write("pins", nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(CELL)])))
    window.locator(".jp-Notebook .jp-CodeCell .cm-content").first.click()
    window.locator(".jp-NotebookPanel-toolbar .jp-Toolbar-kernelStatus, .jp-Notebook-ExecutionIndicator").first.wait_for(
        state="attached"
    )
    window.keyboard.press("Shift+Enter")
    window.locator(".ladi-pins .body circle").first.wait_for()
    window.wait_for_function("document.querySelector('.ladi-pins .body img').naturalWidth > 0")
    return window


PICTURE = """async () => {  // the source is exchanged at every answer of the kernel: only what is decoded can be read
  const image = document.querySelector('.ladi-pins .body img');
  while (!await image.decode().then(() => image.naturalWidth > 0, () => false)) await new Promise(go => setTimeout(go, 20));
  const canvas = document.createElement('canvas');
  [canvas.width, canvas.height] = [image.naturalWidth, image.naturalHeight];
  const context = canvas.getContext('2d');
  context.drawImage(image, 0, 0);
  return Array.from(context.getImageData(0, 0, canvas.width, canvas.height).data);
}"""


def picture(page) -> list[int]:
    """The pixels of the body's picture, RGBA."""
    return page.evaluate(PICTURE)


def error(page) -> float:
    """The number beside the picture."""
    return float(page.locator(".ladi-pins .error").inner_text().split()[0])


def place(pin) -> tuple[float, float]:
    """The middle of a pin on the screen."""
    box = pin.bounding_box()
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def changed(before: list[int], after: list[int]) -> float:
    """The share of pixels that are clearly another colour."""
    pixels = range(0, len(before), 4)
    return sum(abs(before[i] - after[i]) + abs(before[i + 1] - after[i + 1]) > 30 for i in pixels) / len(pixels)


def wait_for_change(page, before: list[int], at_least: float) -> list[int]:
    until = time.monotonic() + 30
    while time.monotonic() < until:
        after = picture(page)
        if len(after) == len(before) and changed(before, after) >= at_least:
            return after
        time.sleep(0.1)
    pytest.fail(f"the picture did not change: {changed(before, picture(page)):.3f} of it, expected {at_least}")


def test_dragging_a_pin_moves_the_garment_in_jupyterlab(page):
    pins = page.locator(".ladi-pins .body circle")
    assert pins.count() == 25
    start, pasted = picture(page), error(page)

    x, y = place(pins.nth(12))
    page.mouse.move(x, y)
    page.mouse.down()
    for step in range(1, 11):
        page.mouse.move(x + 6 * step, y + 2 * step)
    page.mouse.up()
    dragged = wait_for_change(page, start, 0.02)
    page.wait_for_function(f"parseFloat(document.querySelector('.ladi-pins .error').innerText) !== {pasted}")
    now_x, now_y = place(pins.nth(12))
    assert abs(now_x - x - 60) < 3 and abs(now_y - y - 20) < 3  # the pin is where it was let go

    page.locator(".ladi-pins .truth-button").click()
    truth = wait_for_change(page, dragged, 0.02)
    assert error(page) < pasted
    page.locator(".ladi-pins .truth-button").click()
    wait_for_change(page, truth, 0.02)
    again_x, again_y = place(pins.nth(12))
    assert abs(again_x - now_x) < 1 and abs(again_y - now_y) < 1  # the reader's own pins come back

    page.locator(".ladi-pins .reset-button").click()
    page.wait_for_function(f"parseFloat(document.querySelector('.ladi-pins .error').innerText) === {pasted}")
    assert changed(start, picture(page)) < 0.002

    page.locator(".ladi-pins .reset-button").click()  # at rest already: the widget must not wait for a picture
    corner = place(pins.nth(0))
    pins.nth(0).focus()
    page.keyboard.press("Shift+ArrowRight")
    wait_for_change(page, start, 0.001)
    assert place(pins.nth(0))[0] > corner[0] + 5 and abs(place(pins.nth(0))[1] - corner[1]) < 1
    assert page.elsewhere == [] and page.failures == []
