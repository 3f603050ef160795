"""Notebooks for Google Colab: copies whose first cell gets the course and the packages that Colab lacks.

Choices made here
- The notebooks of this repository stay without that cell: on one's own machine it would only be in the way.
- The cell may be run twice, in any state: each of its steps looks first whether it is done. A clone that broke off starts anew.
- Packages that Colab has stay as they are, torch above all: the lower bounds of `pyproject.toml` decide, not `requirements.lock`.
- The repository's address is `Repository` under `[project.urls]` in `pyproject.toml`, or is given.
"""

import tomllib
from pathlib import Path

import nbformat
from nbformat.v4 import new_code_cell

from ladi_mini.course.blank import write_notebook
from ladi_mini.course.repository import OWN, Course
from ladi_mini.errors import InputError

CELL = Path(__file__).parent / "template" / "colab_cell.py"
PLACEHOLDER = "https://github.com/OWNER/REPOSITORY"


def cell(address: str) -> str:
    """The first cell, for a repository at `address`."""
    return CELL.read_text(encoding="utf-8").replace(PLACEHOLDER, address).strip()


def address(course: Course, given: str | None = None) -> str:
    """The address that is given, or that of `pyproject.toml`; `InputError` without one."""
    project = course.root / "pyproject.toml"
    urls = tomllib.loads(project.read_text(encoding="utf-8"))["project"].get("urls", {}) if project.is_file() else {}
    found = given or urls.get("Repository")
    if not found:
        fix = "give --repository https://..., or write it as Repository under [project.urls]"
        raise InputError(f"pyproject.toml names no address that Colab could clone from; {fix}.")
    if not found.startswith("https://") or '"' in found or "\\" in found:
        raise InputError(f"the repository's address is {found!r}, expected one that begins with https://; give that.")
    return found


def write(course: Course, repository: str | None = None, out: Path | None = None) -> list[Path]:
    """Writes a copy of every notebook with that cell into the folder `out` (`build/colab`); returns the files."""
    source = cell(address(course, repository))
    folder, written = Path(out) if out else course.root / "build" / "colab", []
    for lesson in course.lessons:
        if not course.notebook(lesson).is_file():
            continue
        notebook = nbformat.read(course.notebook(lesson), as_version=4)
        notebook.cells.insert(0, new_code_cell(source, id="colab"))
        notebook.metadata[OWN] = {"lesson": lesson.slug}
        write_notebook(folder / f"{lesson.slug}.ipynb", notebook)
        written.append(folder / f"{lesson.slug}.ipynb")
    return written
