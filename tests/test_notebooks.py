"""notebooks: each is what its lesson says, the blank has no answer, and the lesson runs from top to bottom with its solutions."""

import time
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from ladi_mini.course.repository import Course
from ladi_mini.course.rules import check

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
SOLUTIONS = {path.stem: path for path in (ROOT / "notebooks" / "solutions").glob("*.ipynb")}


def printed(notebook) -> str:
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    return "".join(output.get("text", "") for output in outputs if output.output_type == "stream")


def test_there_is_a_notebook_to_start_with():
    assert "00_fitting_room" in [path.stem for path in NOTEBOOKS]


def test_course_has_no_fault_and_says_so_within_seconds():
    begun = time.process_time()
    assert [str(fault) for fault in check(Course(ROOT))] == []
    assert time.process_time() - begun < 20


@pytest.mark.slow
@pytest.mark.parametrize("slug", [path.stem for path in NOTEBOOKS])
def test_lesson_runs_from_top_to_bottom_with_its_solutions(slug):
    # the blank was executed when it was built, and its sum says whether it has changed since
    notebook = nbformat.read(SOLUTIONS.get(slug, ROOT / "notebooks" / f"{slug}.ipynb"), as_version=4)
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(ROOT / "notebooks")}}).execute()
    said = printed(notebook)
    assert "✗" not in said and "○" not in said and ("✓" in said) == (slug in SOLUTIONS)


def test_blank_notebooks_hold_no_answer():
    for path in NOTEBOOKS:
        said = printed(nbformat.read(path, as_version=4))
        assert "✓" not in said and "✗" not in said and ("○" in said) == (path.stem in SOLUTIONS)
