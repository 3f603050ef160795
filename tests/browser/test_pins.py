"""The widget of lesson 3 in a real JupyterLab: a pin is dragged, and the garment moves."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import nbformat
import pytest

playwright = pytest.importorskip("playwright.sync_api")
pytestmark = [pytest.mark.browser, pytest.mark.timeout(400)]

ROOT = Path(__file__).parents[2]
CELL = """\
import sys
sys.path.insert(0, {root!r})
from ladi_mini.show.widgets import PinWidget
from ladi_mini.wardrobe import Wardrobe
widget = PinWidget(Wardrobe("test", 256, 192)[1])
widget"""
SECONDS = 150_000  # that Playwright waits for the kernel; a busy machine is slow


@pytest.fixture
def lab(tmp_path: Path):
    """The address of a JupyterLab with one small notebook; everything that it writes lies in a temporary folder."""
    if shutil.which("jupyter-lab") is None and not (Path(sys.executable).parent / "jupyter-lab").exists():
        pytest.skip("JupyterLab is not installed")
    folder = tmp_path / "notebooks"
    folder.mkdir()
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(CELL.format(root=str(ROOT)))])
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(notebook, folder / "pins.ipynb")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    own = {f"JUPYTER_{name}_DIR": str(tmp_path / name.lower()) for name in ("CONFIG", "DATA", "RUNTIME")}
    settings = tmp_path / "settings" / "@jupyterlab" / "apputils-extension"
    settings.mkdir(parents=True)
    (settings / "notification.jupyterlab-settings").write_text(json.dumps({"fetchNews": "false", "checkForUpdates": False}))
    own |= {"JUPYTERLAB_SETTINGS_DIR": str(tmp_path / "settings"), "JUPYTERLAB_WORKSPACES_DIR": str(tmp_path / "workspaces")}
    own |= {"IPYTHONDIR": str(tmp_path / "ipython"), "HOME": str(tmp_path), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", f"--port={port}", "--ServerApp.port_retries=0"]
    command += ["--ServerApp.ip=127.0.0.1", "--IdentityProvider.token=", "--ServerApp.password=", "--allow-root"]
    command += [f"--ServerApp.root_dir={folder}", "--LabApp.extension_manager=readonly"]
    with open(tmp_path / "lab.log", "wb") as log:
        server = subprocess.Popen(command, env={**os.environ, **own}, stdout=log, stderr=log, start_new_session=True)
        try:
            _wait_for(f"http://127.0.0.1:{port}/api", server, tmp_path / "lab.log")
            yield f"http://127.0.0.1:{port}"
        finally:
            _end(server)


def _wait_for(address: str, server: subprocess.Popen, log: Path):
    until = time.monotonic() + 60
    while time.monotonic() < until:
        try:
            urllib.request.urlopen(address, timeout=2).close()
            return
        except (urllib.error.URLError, OSError):
            assert server.poll() is None, log.read_text()[-2000:]
            time.sleep(0.2)
    pytest.fail(f"JupyterLab did not start: {log.read_text()[-2000:]}")


def _end(server: subprocess.Popen):
    """The server and its kernels, which are one process group."""
    if os.name == "nt":
        server.terminate()
    else:
        os.killpg(server.pid, signal.SIGTERM)
    try:
        server.wait(10)
    except subprocess.TimeoutExpired:
        server.kill()


@pytest.fixture
def page(lab: str, chromium_path: str, tmp_path: Path):
    """The notebook in a browser that reaches nothing but this machine, its cell run; `page.elsewhere` lists what it tried."""
    options = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-dev-shm-usage"]
    with playwright.sync_playwright() as engine:
        browser = engine.chromium.launch(executable_path=chromium_path, args=options)
        opened = browser.new_page(viewport={"width": 1400, "height": 1000})
        opened.elsewhere, opened.failures = [], []
        opened.route(
            re.compile(r"^https?://(?!127\.0\.0\.1)"), lambda route: (opened.elsewhere.append(route.request.url), route.abort())
        )
        opened.on("pageerror", lambda error: opened.failures.append(str(error)))
        opened.goto(f"{lab}/lab/tree/pins.ipynb")
        opened.locator(".jp-Notebook .jp-CodeCell .cm-content").first.click(timeout=SECONDS)
        opened.locator(".jp-NotebookPanel-toolbar .jp-Toolbar-kernelStatus, .jp-Notebook-ExecutionIndicator").first.wait_for(
            state="attached", timeout=SECONDS
        )
        opened.keyboard.press("Shift+Enter")
        opened.locator(".ladi-pins .body circle").first.wait_for(timeout=SECONDS)
        opened.wait_for_function("document.querySelector('.ladi-pins .body img').naturalWidth > 0", timeout=SECONDS)
        yield opened
        browser.close()


PICTURE = """() => {
  const image = document.querySelector('.ladi-pins .body img');
  const canvas = document.createElement('canvas');
  [canvas.width, canvas.height] = [image.naturalWidth, image.naturalHeight];
  const context = canvas.getContext('2d');
  context.drawImage(image, 0, 0);
  return Array.from(context.getImageData(0, 0, canvas.width, canvas.height).data);
}"""


def picture(page) -> list[int]:
    """The pixels of the body's picture, RGBA."""
    page.wait_for_function("document.querySelector('.ladi-pins .body img').complete", timeout=SECONDS)
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
    page.wait_for_function(f"parseFloat(document.querySelector('.ladi-pins .error').innerText) !== {pasted}", timeout=SECONDS)
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
    page.wait_for_function(f"parseFloat(document.querySelector('.ladi-pins .error').innerText) === {pasted}", timeout=SECONDS)
    assert changed(start, picture(page)) < 0.002

    page.locator(".ladi-pins .reset-button").click()  # at rest already: the widget must not wait for a picture
    corner = place(pins.nth(0))
    pins.nth(0).focus()
    page.keyboard.press("Shift+ArrowRight")
    wait_for_change(page, start, 0.001)
    assert place(pins.nth(0))[0] > corner[0] + 5 and abs(place(pins.nth(0))[1] - corner[1]) < 1
    assert page.elsewhere == [] and page.failures == []
