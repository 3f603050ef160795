"""course.rules: every fault that a lesson or a notebook can have is found and told by lesson and cell."""

import base64
import io
import os
import re

import nbformat
import numpy as np
import pytest
import tiny_course
from nbformat.v4 import new_output
from PIL import Image

from ladi_mini.course.repository import Course
from ladi_mini.course.rules import LARGEST, check, check_outputs


def faults(course) -> str:
    return "\n".join(map(str, check(Course(course.root))))


def placed(course, fault: str) -> str:
    """`fault` with the line on which a text stands for each {text} after the word line."""
    return re.sub(r"line \{(.*?)\}", lambda found: f"line {tiny_course.line_of(course, found[1])}", fault)


def png(picture: Image.Image) -> str:
    file = io.BytesIO()
    picture.save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("Text in two cells.", "# Text", "cell 6, line {# Text}: a heading of the first level"),
        ("[a file](../data/results/card.json)", "[a file](../data/results/cart.json)", "leads nowhere"),
        ("[The end](#the-end)", "[The end](#the-ende)", "the label 'the-ende' is not known"),
        ("A box with {eq}`sum`.", "A box with {eq}`some`.", "cell 1, line {`some`}: the equation 'some'"),
        ("{cite:p}`tiny2020`", "{cite:p}`tiny2021`", "the paper 'tiny2021' is not in references.bib"),
        ("```{note}", "```{notes}", "the directive {notes} is not known"),
        ("    total = a + b\n", "    import os\n    total = a + b\n", "ruff F401"),
        ("    return total", "    return totel", "ruff F821: Undefined name `totel`"),
        ("answer = 3", "\n".join(f"answer = {n}" for n in range(25)), "has 27 lines"),
        (":exercise: tiny_add\n", ":exercise: tiny_sum\n", "never checked"),
    ],
)
def test_fault_of_a_source_is_found(built, old, new, fault):
    course = tiny_course.edit(built, old, new)
    assert placed(course, fault) in faults(course)


def test_ruffs_line_is_the_lessons_line(built):
    course = tiny_course.edit(built, "    return total", "    return totel")
    at = (course.folder / "01_tiny.md").read_text().splitlines().index("    return totel") + 1
    assert f"cell 4, line {at}: ruff F821" in faults(course)


def test_exercise_without_checker_and_checker_without_exercise_are_found(built):
    tiny_course.edit(built, '@exercise("tiny_value"', '@exercise("tiny_valeu"', "ladi_mini/course/exercises/tiny.py")
    assert "'tiny_value' has no checker" in faults(built) and "checks 'tiny_valeu', but no cell asks" in faults(built)


@pytest.mark.parametrize("file", ["lessons/01_tiny.md", "data/results/card.json"])
def test_notebook_is_stale_when_its_lesson_or_a_file_that_it_reads_changed(built, file):
    path = built.root / file
    path.write_text(path.read_text().replace("Text in two cells.", "Text in two cells!").replace("7", "7 "))
    assert "changed since the notebook was made" in faults(built) and "ladi-mini course build 01" in faults(built)


@pytest.mark.parametrize("file", ["notebooks/01_tiny.ipynb", "notebooks/solutions/01_tiny.ipynb", "data/results/lessons/01.json"])
def test_missing_product_is_found(built, file):
    (built.root / file).unlink()
    assert f"{file} is missing" in faults(built)


def test_notebook_without_a_lesson_is_found(built):
    (built.root / "notebooks" / "02_gone.ipynb").write_text((built.root / "notebooks" / "01_tiny.ipynb").read_text())
    assert "notebooks/02_gone.ipynb: there is no lesson" in faults(built)


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ('"Text in two cells."', '"Text in two cells!"', "is not what the lesson says; `ladi-mini course adopt"),
        ('"7\\n"', '"8\\n"', "are not those of its build"),
        ('"execution_count": 2', '"execution_count": 3', "cell 3, line {for colour}: the cell ran as number 3, expected 2"),
    ],
)
def test_notebook_that_was_edited_by_hand_is_found(built, old, new, fault):
    assert placed(built, fault) in faults(tiny_course.edit(built, old, new, "notebooks/01_tiny.ipynb"))


def test_solutions_with_outputs_are_found(built):
    path = built.root / "notebooks" / "solutions" / "01_tiny.ipynb"
    notebook = nbformat.read(path, as_version=4)
    next(cell for cell in notebook.cells if cell.cell_type == "code").outputs = [new_output("stream", text="x")]
    nbformat.write(notebook, path)
    assert "the notebook with the solutions has outputs" in faults(built)


def test_notebook_that_is_too_large_is_found(built):
    path = built.root / "notebooks" / "01_tiny.ipynb"
    path.write_text(path.read_text() + " " * LARGEST)
    assert "expected 1 MB at most" in faults(built)


NOISE = np.random.default_rng(0).normal(128, 10, (60, 60, 3)).cumsum(0).clip(0, 255).astype(np.uint8)
GRADIENT = Image.fromarray(NOISE).resize((240, 240), Image.Resampling.BICUBIC)


@pytest.mark.parametrize(
    ("output", "fault"),
    [
        (new_output("error", ename="ValueError", evalue="", traceback=[]), "shows an error (ValueError)"),
        (new_output("stream", name="stderr", text="Warning: x"), "wrote to the standard error"),
        (new_output("stream", text="in /home/me/ladi_mini"), "a path of a machine ('/home/')"),
        (new_output("stream", text=r"C:\Users\me"), "a path of a machine"),
        (new_output("stream", text="<Unet object at 0x7f3a2b1c>"), "an address in memory"),
        (new_output("stream", text="trained in 12.5 s"), "a time ('12.5 s')"),
        (new_output("execute_result", {"text/plain": "30 seconds"}), "a time"),
        (new_output("display_data", {"application/vnd.jupyter.widget-view+json": {}}), "a widget"),
        (new_output("display_data", {"image/png": png(Image.new("L", (4, 4)))}), "no alt text"),
        (
            new_output("display_data", {"image/png": png(GRADIENT)}, metadata={"image/png": {"alt": "Noise."}}),
            "JPEG is much lighter",
        ),
        (new_output("display_data", {"text/html": '<script src="https://cdn.x/y.js"></script>'}), "<script>"),
        (new_output("display_data", {"text/html": '<img src="https://x/y.png" alt="z">'}), "from outside"),
        (new_output("display_data", {"text/html": '<img src="data:image/png;base64,AA">'}), "<img> has no alt text"),
        (new_output("display_data", {"text/html": '<link rel="stylesheet" href="//x/y.css">'}), "from outside"),
    ],
)
def test_fault_of_an_output_is_found_and_told_by_its_cell(built_once, output, fault):
    lesson = built_once.find("1")
    notebook = nbformat.read(built_once.notebook(lesson), as_version=4)
    next(cell for cell in notebook.cells if cell.cell_type == "code").outputs.append(output)
    found = [str(each) for each in check_outputs(built_once, lesson, notebook)]
    place = placed(built_once, "lessons/01_tiny.md, cell 2, line {import json}")
    assert any(fault in each and place in each for each in found), found


@pytest.mark.parametrize("text", ["60 steps of 3 samples", "0x1f and 12 px", "loss 0.3s1", "a /data/x path", "5 minerals"])
def test_harmless_output_is_no_fault(built_once, text):
    lesson = built_once.find("1")
    notebook = nbformat.read(built_once.notebook(lesson), as_version=4)
    next(cell for cell in notebook.cells if cell.cell_type == "code").outputs.append(new_output("stream", text=text))
    assert check_outputs(built_once, lesson, notebook) == []


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("```{note}\nx\n```", "a directive of MyST"),
        ("![x](https://a.b/c.png)", "outside the repository"),
        ('<img src="a.png">', "no alt text"),
    ],
)
def test_fault_of_a_text_is_found(built_once, text, fault):
    lesson = built_once.find("1")
    notebook = nbformat.read(built_once.notebook(lesson), as_version=4)
    notebook.cells[1].source += f"\n\n{text}"
    assert any(fault in str(each) for each in check_outputs(built_once, lesson, notebook))


def test_state_of_widgets_and_a_path_of_this_machine_are_found(built_once):
    lesson = built_once.find("1")
    notebook = nbformat.read(built_once.notebook(lesson), as_version=4)
    notebook.metadata["widgets"] = {}
    notebook.metadata["note"] = os.fspath(built_once.root / "lessons")
    found = "\n".join(map(str, check_outputs(built_once, lesson, notebook)))
    assert "the state of widgets" in found and "a path of the machine that built it" in found
