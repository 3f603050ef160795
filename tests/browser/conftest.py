"""A JupyterLab of its own and a Chromium that opens it; everything that either of them writes lies in a temporary folder."""

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
from dataclasses import dataclass
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).parents[2]
OPTIONS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-dev-shm-usage"]
MILLISECONDS = 150_000  # that Playwright waits for a kernel; a busy machine is slow


@dataclass
class Lab:
    """A JupyterLab that runs: its address, and the folder that it shows."""

    address: str
    folder: Path

    def write(self, name: str, notebook: nbformat.NotebookNode) -> str:
        """Puts a notebook into the folder; returns the address at which JupyterLab opens it."""
        notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
        nbformat.write(notebook, self.folder / f"{name}.ipynb")
        return f"{self.address}/lab/workspaces/{name}/tree/{name}.ipynb"  # a workspace opens what was open in it before


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """A `Lab`, as it is after an installation: no settings but the one that keeps it from asking for news."""
    if shutil.which("jupyter-lab") is None and not (Path(sys.executable).parent / "jupyter-lab").exists():
        pytest.skip("JupyterLab is not installed")
    home = tmp_path_factory.mktemp("lab")
    folder = home / "notebooks"
    folder.mkdir()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    own = {f"JUPYTER_{name}_DIR": str(home / name.lower()) for name in ("CONFIG", "DATA", "RUNTIME")}
    settings = home / "settings" / "@jupyterlab" / "apputils-extension"
    settings.mkdir(parents=True)
    (settings / "notification.jupyterlab-settings").write_text(json.dumps({"fetchNews": "false", "checkForUpdates": False}))
    own |= {"JUPYTERLAB_SETTINGS_DIR": str(home / "settings"), "JUPYTERLAB_WORKSPACES_DIR": str(home / "workspaces")}
    own |= {"IPYTHONDIR": str(home / "ipython"), "HOME": str(home), "PYTHONPATH": str(ROOT)}
    own["OMP_NUM_THREADS"] = os.environ.get("OMP_NUM_THREADS", "2")  # as a lesson is built
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", f"--port={port}", "--ServerApp.port_retries=0"]
    command += ["--ServerApp.ip=127.0.0.1", "--IdentityProvider.token=", "--ServerApp.password=", "--allow-root"]
    command += [f"--ServerApp.root_dir={folder}", "--LabApp.extension_manager=readonly", "--LabApp.expose_app_in_browser=True"]
    environment = {name: value for name, value in os.environ.items() if name != "MPLBACKEND"} | own
    with open(home / "lab.log", "wb") as log:
        server = subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)
        try:
            _wait_for(f"http://127.0.0.1:{port}/api", server, home / "lab.log")
            yield Lab(f"http://127.0.0.1:{port}", folder)
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
def window(chromium_path: str):
    """An empty page 1280 px wide that reaches nothing but this machine.

    `window.elsewhere` lists what it tried, `window.failures` the errors of its JavaScript and what its console says of them.
    """
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as engine:
        browser = engine.chromium.launch(executable_path=chromium_path, args=OPTIONS)
        page = browser.new_page(viewport={"width": 1280, "height": 1000})
        page.set_default_timeout(MILLISECONDS)
        page.elsewhere, page.failures = [], []
        page.route(
            re.compile(r"^https?://(?!127\.0\.0\.1)"), lambda route: (page.elsewhere.append(route.request.url), route.abort())
        )
        page.on("pageerror", lambda error: page.failures.append(str(error)))
        page.on("console", lambda said: page.failures.append(said.text) if said.type == "error" else None)
        yield page
        page.evaluate("window.jupyterapp?.serviceManager.sessions.shutdownAll()")  # a kernel outlives its page
        browser.close()
