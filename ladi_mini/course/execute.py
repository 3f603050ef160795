"""Running a lesson once: in a kernel of its own, with what each cell cost, and which files it opened.

Choices made here
- The kernel sees two threads, no network of the Hugging Face libraries, a fixed hash seed and none of the user's IPython profile,
  so that two runs on one machine give the same outputs.
- What is measured is the time that a lesson takes, CPU seconds of its kernel and its largest memory, read from outside; all go to
  a card. Where two threads work, CPU seconds are more than those on the clock.
- The kernel reports each file that Python opens. Weights count too, because their sha256 is read before they are.
"""

import os
import re
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import nbformat
import psutil
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

from ladi_mini.course.lesson import Cell, Lesson

THREADS = 2
CELL_SECONDS = 600

WATCH = """
def _watch(path, root):
    import os, sys
    file = os.open(path, os.O_WRONLY | os.O_APPEND)
    def hook(event, arguments):
        if event == "open" and isinstance(arguments[0], (str, os.PathLike)):
            opened = os.path.realpath(os.fspath(arguments[0]))
            if opened.startswith(root):
                os.write(file, (opened + "\\n").encode())
    sys.addaudithook(hook)
_watch({path!r}, {root!r})
del _watch
"""


@dataclass
class Run:
    """What an execution gave: the notebook with its outputs, seconds from first cell to last, CPU seconds by cell, largest
    memory in 10^6 bytes, files read."""

    notebook: nbformat.NotebookNode
    seconds: float
    cpu_seconds: list[float]
    peak_memory_mb: int
    opened: set[Path]


def execute(lesson: Lesson, notebook: nbformat.NotebookNode, root: Path, progress: Callable[[int, int], None]) -> Run:
    """Runs the code cells of `notebook`, one for each code cell of the lesson, in `root / "notebooks"`.

    progress(done, total) is called after each code cell. A cell that raises gives a `LessonError` with cell and line.
    """
    folder = root / "notebooks"
    folder.mkdir(parents=True, exist_ok=True)
    cells = [cell for cell in lesson.cells if cell.kind == "code"]
    with tempfile.TemporaryDirectory() as scratch, _environment(root, Path(scratch)):
        opened = Path(scratch) / "opened"
        opened.touch()
        client = NotebookClient(
            notebook,
            timeout=CELL_SECONDS,
            record_timing=False,
            store_widget_state=False,
            resources={"metadata": {"path": str(folder)}},
            extra_arguments=["--HistoryManager.enabled=False", "--log-level=ERROR"],
        )
        meter, started = _Meter(client), []

        def begin(**_):
            watched = os.path.join(os.path.realpath(root / "data"), "")
            client.kc.execute(WATCH.format(path=str(opened), root=watched), silent=True, store_history=False)

        def before(cell, **_):  # called for texts too
            if cell.cell_type == "code":
                started.append(cell)
                meter.start()

        def after(**_):
            meter.read()
            progress(len(meter.cpu_seconds), len(cells))

        client.on_notebook_start, client.on_cell_start, client.on_cell_executed = begin, before, after
        begun = time.perf_counter()
        try:
            client.execute()
        except (CellExecutionError, CellTimeoutError, DeadKernelError) as error:
            raise _located(lesson, cells[len(started) - 1], started[-1], error) from None
        seconds = time.perf_counter() - begun
        read = {Path(line) for line in opened.read_text(encoding="utf-8").splitlines()}
    return Run(notebook, seconds, meter.cpu_seconds, meter.peak_mb, read)


def _located(lesson: Lesson, cell: Cell, ran: nbformat.NotebookNode, error: Exception):
    """The error of a cell as one sentence with its line."""
    failures = [output for output in ran.get("outputs", []) if output.output_type == "error"]
    if isinstance(error, CellTimeoutError):
        return lesson.error(f"the cell ran longer than {CELL_SECONDS} s; make it shorter.", cell)
    if not failures:
        return lesson.error("the kernel died while this cell ran; look at the memory that it needs.", cell)
    trace = re.sub(r"\x1b\[[0-9;]*m", "", "\n".join(failures[0].traceback))
    lines = re.findall(rf"Cell In\[{ran.execution_count}\], line (\d+)", trace)
    said = " ".join(failures[0].evalue.split())
    line = lesson.source_line(cell, int(lines[0])) if lines else 1
    return lesson.error(f"{failures[0].ename}: {said}" if said else failures[0].ename, cell, line)


class _Meter:
    """CPU seconds by cell and the largest memory of a client's kernel."""

    def __init__(self, client: NotebookClient):
        self._client, self._before, self.cpu_seconds, self.peak_mb = client, None, [], 0

    def _now(self) -> float:
        process = psutil.Process(self._client.km.provisioner.pid)
        self.peak_mb = max(self.peak_mb, _peak_mb(process))
        times = process.cpu_times()
        return times.user + times.system + getattr(times, "children_user", 0) + getattr(times, "children_system", 0)

    def start(self):
        if self._before is None:
            self._before = self._now()

    def read(self):
        now = self._now()
        self.cpu_seconds.append(round(now - self._before, 2))
        self._before = now


def _peak_mb(process: psutil.Process) -> int:
    """The largest resident memory so far, 10^6 bytes; the present one where the system does not say."""
    try:
        status = Path(f"/proc/{process.pid}/status").read_text()
        return round(int(re.search(r"VmHWM:\s*(\d+) kB", status)[1]) * 1024 / 1e6)
    except (OSError, TypeError):
        memory = process.memory_info()
        return round(getattr(memory, "peak_wset", memory.rss) / 1e6)


@contextmanager
def _environment(root: Path, scratch: Path) -> Iterator[None]:
    """The environment variables of the kernel, set while it starts and runs."""
    values = {
        "LADI_MINI_COURSE": str(root.resolve()),
        "OMP_NUM_THREADS": str(THREADS),
        "OMP_WAIT_POLICY": "PASSIVE",  # threads that wait by spinning would be counted as work
        "GOMP_SPINCOUNT": "0",
        "PYTHONHASHSEED": "0",
        "HF_HUB_OFFLINE": "1",
        "IPYTHONDIR": str(scratch / "ipython"),
        "PYDEVD_DISABLE_FILE_VALIDATION": "1",
        "MPLBACKEND": "module://matplotlib_inline.backend_inline",
    }
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name)
            if value is not None:
                os.environ[name] = value
