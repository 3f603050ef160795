"""course.build and course.execute: one execution gives notebook, solutions and card, the same bytes again, or one sentence."""

import json

import nbformat
import pytest
import tiny_course

from ladi_mini.course.blank import student_notebook
from ladi_mini.course.build import build, tidy
from ladi_mini.course.lesson import LessonError
from ladi_mini.course.repository import Course, declared_files, outputs_sum, source_sum
from ladi_mini.course.rules import check


def files(course) -> dict:
    return {path: path.read_bytes() for path in sorted((course.root / "notebooks").rglob("*.ipynb"))}


def outputs(notebook) -> list:
    return [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]


def test_built_course_has_no_fault(built_once):
    assert check(built_once) == []


def test_notebook_has_the_outputs_of_the_blank_and_nothing_of_a_solution(built_once):
    lesson = built_once.find("1")
    notebook = nbformat.read(built_once.notebook(lesson), as_version=4)
    said = "".join(output.text for output in outputs(notebook) if output.output_type == "stream")
    assert said == "7\n○ tiny_add: not attempted yet.\n○ tiny_value: not attempted yet.\n"
    assert "0 of 2 right" in outputs(notebook)[-1].data["text/html"]
    text = built_once.notebook(lesson).read_text()
    assert "total" not in text and "SOLUTION" not in text and "Say that" not in text and "a comment" not in text


def test_last_state_of_a_picture_is_kept_with_its_alt_text_in_the_lighter_format(built_once):
    notebook = nbformat.read(built_once.notebook(built_once.find("1")), as_version=4)
    (picture,) = [output for output in outputs(notebook) if "image/png" in output.get("data", {})]
    assert picture.metadata["image/png"]["alt"] == picture.data["text/plain"] == "An orange field."
    assert len(picture.data["image/png"]) < 400


def test_texts_are_commonmark_with_references_at_the_end(built_once):
    notebook = nbformat.read(built_once.notebook(built_once.find("1")), as_version=4)
    texts = [cell.source for cell in notebook.cells if cell.cell_type == "markdown"]
    assert texts[0].startswith("# Lesson 1: Two numbers") and "Small et al. (2020)" in texts[0]
    assert "(Small et al., 2020)" in texts[1] and "[The end](#The-end)" in texts[1] and "A box with (1)" in texts[1]
    assert texts[-1].startswith("## References") and "*Small Things*. Journal, 2020." in texts[-1]


def test_front_matter_may_link_and_cite(course):
    course = tiny_course.edit(course, "prerequisites: []", "prerequisites: ['[this](01_tiny.md) of {cite:t}`tiny2020`']")
    lesson = course.find("1")
    assert "- [this](01_tiny.ipynb) of Small et al. (2020)" in student_notebook(course, lesson).cells[0].source
    course = tiny_course.edit(course, "{cite:t}`tiny2020`']", "{cite:t}`nobody`']")
    with pytest.raises(LessonError, match=r"'prerequisites' in the front matter: the paper 'nobody' is not in references\.bib"):
        student_notebook(course, course.find("1"))


def test_solutions_have_the_solution_and_no_outputs(built_once):
    notebook = nbformat.read(built_once.solutions(built_once.find("1")), as_version=4)
    assert any("total = a + b" in cell.source for cell in notebook.cells) and not any(outputs(notebook))
    assert any("(../../data/results/card.json)" in cell.source for cell in notebook.cells)


def test_card_has_what_each_cell_cost(built_once):
    card = json.loads(built_once.card(built_once.find("1")).read_text())
    assert len(card["cells"]) == 5 and 0 < card["cpu_seconds"] < 60 and 20 < card["peak_memory_mb"] < 4000
    assert 0.5 * card["cpu_seconds"] < card["seconds"] < 120  # two threads at most
    assert card["cpu_seconds"] == pytest.approx(sum(cell["cpu_seconds"] for cell in card["cells"]), abs=0.1)


def test_building_again_gives_the_same_bytes(built):
    before = files(built)
    build(built, built.find("1"))
    assert files(built) == before


def test_error_in_a_cell_stops_the_build_and_names_its_line(built):
    course = tiny_course.edit(built, 'print(card["value"])', 'print(card["value"])\nprint(card["price"])')
    before = files(course)
    with pytest.raises(LessonError) as caught:
        build(course, course.find("1"))
    lines = (course.folder / "01_tiny.md").read_text().splitlines()
    assert caught.value.line == lines.index('print(card["price"])') + 1 and caught.value.cell == 2
    assert "lessons/01_tiny.md, cell 2" in str(caught.value) and "KeyError: 'price'" in str(caught.value)
    assert files(course) == before


def test_error_below_a_solution_names_the_line_of_the_source(course):
    course = tiny_course.edit(course, "answer = 3\n### END SOLUTION\n", "answer = 3\nother = 4\n### END SOLUTION\n{}[0]\n")
    with pytest.raises(LessonError, match="KeyError") as caught:
        build(course, course.find("1"))
    assert caught.value.line == tiny_course.line_of(course, "{}[0]")


def test_file_that_is_read_but_not_declared_stops_the_build(course):
    tiny_course.edit(course, "reads: [data/results/card.json]", "reads: []")
    with pytest.raises(LessonError, match=r"opens data/results/card\.json, which it does not declare"):
        build(Course(course.root), Course(course.root).find("1"))
    assert not (course.root / "notebooks" / "01_tiny.ipynb").exists()


def test_declared_file_that_does_not_exist_is_refused(course):
    course = tiny_course.edit(course, "reads: [data/results/card.json]", "reads: [data/results/cart.json]")
    with pytest.raises(LessonError, match=r"'reads' names data/results/cart\.json"):
        declared_files(course, course.find("1"))


@pytest.mark.parametrize(
    ("name", "fault"),
    [("../card.json", "expected files under data/"), ("data/../x.json", "expected files under data/"),
     ("data/results", r"no such file; write data/results/\*")],
)  # fmt: skip
def test_declared_name_outside_data_and_a_folder_are_refused(course, name, fault):
    course = tiny_course.edit(course, "reads: [data/results/card.json]", f"reads: [{name}]")
    with pytest.raises(LessonError, match=fault):
        declared_files(course, course.find("1"))


def test_declared_file_is_found_once_and_under_any_folder(tmp_path):
    course = tiny_course.make(tmp_path / "my[1]course")
    course = tiny_course.edit(course, "reads: [data/results/card.json]", 'reads: [data/results/card.json, "data/results/*.json"]')
    assert declared_files(course, course.find("1")) == [course.root / "data" / "results" / "card.json"]


def test_sum_follows_the_lesson_and_what_it_reads_and_nothing_else(course):
    def total():
        fresh = Course(course.root)
        return source_sum(fresh, fresh.find("1"))

    before = total()
    (course.root / "data" / "results" / "other.json").write_text("{}")
    assert total() == before
    tiny_course.edit(course, "Text in two cells.", "Text in two cells!")
    after = total()
    assert after != before
    (course.root / "data" / "results" / "card.json").write_text('{"value": 8}')
    assert total() not in (before, after)


def test_tidy_takes_out_widgets_and_joins_what_was_printed(course):
    notebook = student_notebook(course, course.find("1"))
    cell = next(cell for cell in notebook.cells if cell.cell_type == "code")
    stream = [nbformat.v4.new_output("stream", name="stdout", text=text) for text in "ab"]
    widget = nbformat.v4.new_output("display_data", {"application/vnd.jupyter.widget-view+json": {"model_id": "x"}})
    cell.outputs, cell.metadata["execution"] = [*stream, widget], {"iopub.status.busy": "now"}
    notebook.metadata["widgets"] = {}
    before = outputs_sum(notebook)
    tidy(notebook)
    assert [output.text for output in cell.outputs] == ["ab"] and "execution" not in cell.metadata
    assert "widgets" not in notebook.metadata and outputs_sum(notebook) != before
