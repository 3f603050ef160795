"""course.adopt: an edit in a notebook comes back into the lesson's own words, or is refused and nothing changes."""

import nbformat
import pytest
import tiny_course

from ladi_mini.course.adopt import adopt
from ladi_mini.course.blank import student_notebook
from ladi_mini.course.lesson import LessonError
from ladi_mini.course.repository import Course
from ladi_mini.errors import InputError


@pytest.fixture()
def notebook(course):
    """The path of the notebook without outputs, and a function that replaces text in it."""
    lesson = course.find("1")
    path = course.notebook(lesson)
    path.parent.mkdir()
    nbformat.write(student_notebook(course, lesson), path)

    def edit(old: str, new: str):
        held = nbformat.read(path, as_version=4)
        (cell,) = [cell for cell in held.cells if old in cell.source]
        cell.source = cell.source.replace(old, new)
        nbformat.write(held, path)

    return path, edit


def source(course) -> str:
    return (course.folder / "01_tiny.md").read_text()


@pytest.mark.parametrize(
    ("old", "new", "before", "after"),
    [
        ("Text in two cells.", "One line.\nAnd another.", "Text in two cells.", "One line.\nAnd another."),
        ("## The start", "## The beginning", "## The start", "## The beginning"),
        ("a + b = c", "a + b = d", "a + b = c", "a + b = d"),
        ("> Watch *out*.", "> Watch **out**.", "Watch *out*.", "Watch **out**."),
        ('print(card["value"])', 'print(card["value"], 1)', 'print(card["value"])', 'print(card["value"], 1)'),
        ('    """a + b."""', '    """The sum."""', '    """a + b."""', '    """The sum."""'),
        ("## The end\n\nText in two cells.", "## The end", "## The end\n\nText in two cells.", "## The end"),
        ("Text in two cells.", "Text in two cells.\n\nMore.", "Text in two cells.", "Text in two cells.\n\nMore."),
    ],
)
def test_edit_comes_back_and_the_rest_stays(course, notebook, old, new, before, after):
    path, edit = notebook
    expected = source(course).replace(before, after)
    edit(old, new)
    assert adopt(course, path)
    assert source(course) == expected
    again = Course(course.root)
    held = nbformat.read(path, as_version=4)
    assert [cell.source for cell in student_notebook(again, again.find("1")).cells] == [cell.source for cell in held.cells]


@pytest.mark.parametrize(
    ("old", "new", "place"),
    [
        ("(Small et al., 2020)", "(Small, 2020)", "cell 1, line 12"),
        ("A box with (1).", "A box with (2).", "cell 1"),
        ("<b>A question</b>", "<b>Another</b>", "cell 1"),
        ('raise NotImplementedError("your code here")', "return a + b", "cell 4"),
        ("# Lesson 1: Two numbers", "# Three numbers", "line 1"),
        ("*Small Things*", "*Large Things*", "line 1"),
    ],
)
def test_what_the_machine_wrote_is_refused_and_nothing_changes(course, notebook, old, new, place):
    path, edit = notebook
    before = source(course)
    edit(old, new)
    edit("Text in two cells.", "Text.")
    with pytest.raises(LessonError, match=place):
        adopt(course, path)
    assert source(course) == before


def test_solution_that_was_mended_in_its_notebook_comes_back(course):
    lesson = course.find("1")
    held = student_notebook(course, lesson, solved=True)
    (cell,) = [cell for cell in held.cells if "total = a + b" in cell.source]
    cell.source = cell.source.replace("total = a + b", "total = b + a")
    path = course.solutions(lesson)
    path.parent.mkdir(parents=True)
    nbformat.write(held, path)
    expected, line = source(course).replace("total = a + b", "total = b + a"), tiny_course.line_of(course, "total = a + b")
    assert adopt(course, path) == [line]
    assert source(course) == expected


def test_nothing_edited_is_nothing_adopted(course, notebook):
    before = source(course)
    assert adopt(course, notebook[0]) == [] and source(course) == before


def test_added_cell_is_refused(course, notebook):
    held = nbformat.read(notebook[0], as_version=4)
    held.cells.insert(2, nbformat.v4.new_markdown_cell("More."))
    nbformat.write(held, notebook[0])
    with pytest.raises(LessonError, match="added, removed or moved"):
        adopt(course, notebook[0])


def test_what_is_no_notebook_of_the_course_is_refused(course, tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        adopt(course, tmp_path / "none.ipynb")
    (tmp_path / "01_tiny.ipynb").write_text("no json")
    with pytest.raises(InputError, match="is no notebook"):
        adopt(course, tmp_path / "01_tiny.ipynb")
    nbformat.write(student_notebook(course, course.find("1")), tmp_path / "other.ipynb")
    with pytest.raises(InputError, match="no lesson"):
        adopt(course, tmp_path / "other.ipynb")
    assert source(course) == tiny_course.LESSON
