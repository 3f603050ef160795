"""Notebooks as a student runs them: in JupyterLab, "Run All Cells", then a hand on every control of every view.

Choices made here
- The three notebooks that compute least are run, each with another kind of view; LADI_ALL_NOTEBOOKS=1 runs all nine, which takes
  about twenty minutes. `test_pins.py` drags the pins of lesson 3 itself.
- A notebook is a copy without outputs, so that whatever is seen has been made here.
- What ran is asked of JupyterLab's model of the notebook; views are looked at where they stand on the screen.
- A screenshot of each view is left in pytest's temporary folder, for people to look at.
"""

import os
import re
import time
from pathlib import Path

import nbformat
import pytest

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(2100)]

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
SECONDS = 1800  # that a notebook may take; the slowest computes for about two minutes on two slow cores
CHEAPEST = ("00_fitting_room", "07_evaluation", "08_full_size")

# What a hand does in each view, in order: (control, what is done with it). Every one of them must change the picture.
SLIDER, LIST, TEXT, BUTTON = ".noUi-handle", "select", "input[type=text]", "button"
VIEWS = {
    "00_fitting_room": [[(SLIDER, "ArrowRight")]],
    "01_clip": [[(SLIDER, "ArrowRight")], [(TEXT, "a red skirt")]],
    "02_inversion": [[(SLIDER, "ArrowLeft")], [(SLIDER, "ArrowRight")]],
    "03_warping": [[(".body circle", "Shift+ArrowRight"), (".truth-button", "click")]],
    "04_diffusion": [[(SLIDER, "ArrowRight"), (LIST, "choose")]],
    "05_emasc": [[(SLIDER, "ArrowRight"), (LIST, "choose")]],
    "06_pipeline": [[(LIST, "choose"), (BUTTON, "click")]],
    "07_evaluation": [[(SLIDER, "ArrowRight"), (LIST, "choose")]],
    "08_full_size": [[(SLIDER, "ArrowRight"), (LIST, "choose")]],
}
SLUGS = [path.stem for path in sorted(NOTEBOOKS.glob("*.ipynb"))]

READY = "window.jupyterapp?.shell.currentWidget?.sessionContext?.session?.kernel?.status === 'idle'"
STATE = """() => {
  const panel = jupyterapp.shell.currentWidget;
  const cells = Array.from(panel.content.model.cells).filter(cell => cell.type === 'code' && cell.sharedModel.source.trim());
  const outputs = cells.flatMap(cell => cell.outputs.toJSON());
  return {
    idle: panel.sessionContext.session.kernel.status === 'idle',
    counts: cells.map(cell => cell.executionCount),
    errors: outputs.filter(each => each.output_type === 'error').map(each => `${each.ename}: ${each.evalue}`),
  };
}"""
MARK = """async () => {  // brings each view to the screen once, as JupyterLab draws only what is near it, and gives it a number
  const notebook = jupyterapp.shell.currentWidget.content, kind = 'application/vnd.jupyter.widget-view+json';
  let found = 0;
  for (const cell of notebook.widgets) {
    if (cell.model.type !== 'code' || !cell.model.outputs.toJSON().some(each => each.data && kind in each.data)) continue;
    await notebook.scrollToCell(cell);
    cell.node.dataset.view = found++;
  }
  return found;
}"""
LOOK = """async view => {  // of each picture: its size on the screen, where it ends, the spread of its greens, its pixels
  const looks = [];
  for (const image of view.querySelectorAll('.jp-OutputArea-output img')) {
    if (!await image.decode().then(() => true, () => false)) return null;  // its source changed meanwhile
    const canvas = document.createElement('canvas'), {width, height, right} = image.getBoundingClientRect();
    [canvas.width, canvas.height] = [image.naturalWidth, image.naturalHeight];
    const context = canvas.getContext('2d');
    context.drawImage(image, 0, 0);
    const pixels = context.getImageData(0, 0, canvas.width, canvas.height).data;
    let sum = 0, squares = 0;
    for (let i = 1; i < pixels.length; i += 4) { sum += pixels[i]; squares += pixels[i] * pixels[i]; }
    const mean = sum / pixels.length * 4, spread = Math.sqrt(squares / pixels.length * 4 - mean * mean);
    looks.push({width, height, beyond: right - view.getBoundingClientRect().right, spread, picture: canvas.toDataURL()});
    if (!image.isConnected) return null;  // redrawn meanwhile
  }
  return looks.length ? looks : null;
}"""


def test_every_notebook_has_a_line_in_the_table_of_views():
    assert sorted(VIEWS) == SLUGS


@pytest.mark.parametrize("slug", SLUGS if os.environ.get("LADI_ALL_NOTEBOOKS") else CHEAPEST)
def test_notebook_runs_and_its_views_follow_the_hand(slug, lab, window, tmp_path):
    notebook = nbformat.read(NOTEBOOKS / f"{slug}.ipynb", as_version=4)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    window.goto(lab.write(slug, notebook))
    window.wait_for_function(READY)
    window.get_by_role("menuitem", name="Run", exact=True).click()
    window.get_by_role("menuitem", name="Run All Cells", exact=True).click()
    counts = ran(window)
    assert counts == list(range(1, len(counts) + 1))  # each cell once, in order

    assert window.evaluate(MARK) == len(VIEWS[slug])
    for number, moves in enumerate(VIEWS[slug]):
        view = window.locator(f"[data-view='{number}']")
        view.scroll_into_view_if_needed()
        before = looked_at(view)
        view.screenshot(path=tmp_path / f"{slug}_{number}.png")
        for step, (control, action) in enumerate(moves):
            move(view.locator(control).first, action)
            before = changed(view, before, f"{action} on {control}")
            view.screenshot(path=tmp_path / f"{slug}_{number}_{step}_moved.png")
    assert window.elsewhere == []
    assert [said for said in window.failures if re.search("widget|model class|Uncaught|TypeError", said)] == []


def ran(window) -> list[int]:
    """Waits until the kernel has gone through all cells; returns their execution counts, fails with what a cell raised."""
    until = time.monotonic() + SECONDS
    while time.monotonic() < until:
        state = window.evaluate(STATE)
        assert state["errors"] == []
        if state["idle"] and all(state["counts"]):
            return state["counts"]
        time.sleep(1)
    pytest.fail(f"not through after {SECONDS} s: {state['counts'].count(None)} cells are left")


def looked_at(view) -> list[str]:
    """The pictures in a view as data URLs, when they are all there; none is blank, and none is wider than the notebook."""
    until = time.monotonic() + 60
    while (looks := view.evaluate(LOOK)) is None:
        assert time.monotonic() < until, "no picture is drawn"
        time.sleep(0.2)
    for look in looks:
        assert min(look["width"], look["height"]) > 50 and look["spread"] > 5 and look["beyond"] < 1
    return [look["picture"] for look in looks]


def move(control, action: str):
    if action == "click":
        control.click()
    elif action == "choose":
        control.select_option(index=control.evaluate("list => (list.selectedIndex + 1) % list.options.length"))
    elif control.evaluate("element => element.tagName") == "INPUT":
        control.fill(action)
        control.press("Enter")
    else:
        control.focus()
        control.press(action)


def changed(view, before: list[str], what: str) -> list[str]:
    """Waits until a view shows other pictures than before; returns them."""
    until = time.monotonic() + 120  # a try-on of twenty steps on a busy machine
    while time.monotonic() < until:
        if (after := looked_at(view)) != before:
            return after
        time.sleep(0.2)
    pytest.fail(f"{what}: the picture stayed as it was")
