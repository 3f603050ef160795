"""course.lesson: a source is read with its lines, its blank keeps nothing of a solution, and a fault names cell and line."""

import pytest
import tiny_course

from ladi_mini.course.lesson import Lesson, LessonError
from ladi_mini.errors import InputError


def refused(course) -> LessonError:
    with pytest.raises(LessonError) as caught:
        Lesson(course.folder / "01_tiny.md")
    return caught.value


def test_cells_know_the_lines_on_which_their_text_begins(course):
    lesson = course.find("1")
    lines = (course.folder / "01_tiny.md").read_text().splitlines()
    assert len(lesson.cells) == 7
    for cell in lesson.cells:
        text = cell.source.splitlines()
        assert lines[cell.line - 1 : cell.line - 1 + len(text)] == text


def test_blank_has_a_stub_for_each_solution_and_nothing_of_it(course):
    function, value = (cell for cell in course.find("1").blank if cell.exercise)
    assert function.source.splitlines()[-1] == '    raise NotImplementedError("your code here")'
    assert '"""a + b."""' in function.source and "total" not in function.source and "SOLUTION" not in function.source
    assert value.source.splitlines()[0] == "answer = None  # your code here" and "3" not in value.source


@pytest.mark.parametrize(("name", "slug"), [("1", "01_tiny"), ("01", "01_tiny"), ("tiny", "01_tiny"), ("01_tiny.md", "01_tiny")])
def test_lesson_is_found_by_number_name_and_file(course, name, slug):
    assert course.find(name).slug == slug


def test_unknown_lesson_is_refused_with_the_known_ones(course):
    with pytest.raises(InputError, match=r"no lesson '9'.*01_tiny"):
        course.find("9")


@pytest.mark.parametrize(
    ("old", "new", "fault", "place"),
    [
        ("title: Two numbers\n", "", "no 'title'", "title"),
        ("teaching_minutes: 5", "teaching_minutes: five", "'teaching_minutes' in the front matter is 'five'", None),
        ("objectives: [add two numbers]", "objectives: []", "'objectives' in the front matter is empty", None),
        ("prerequisites: []", "prerequisits: []", "has 'prerequisits'", None),
        ("exercise_minutes: 2", "exercise_minutes: 0", "there are exercises", None),
        ("exercise_minutes: 2", "exercise_minutes: -2", "negative", None),
        ("reads: [data", "reads: [[data", "a block of YAML cannot be read", None),
        ("    ### END SOLUTION\n", "", "never ended", "### BEGIN SOLUTION"),
        ("    ### BEGIN SOLUTION\n", "", "without its partner", "### END SOLUTION"),
        (":exercise: tiny_add\n", "", "no name of an exercise", "def add"),
        (":exercise: tiny_add\n", ":exercize: tiny_add\n", "'exercize' is not known", "def add"),
        (":exercise: tiny_value\n", ":exercise: tiny_add\n", "here twice", None),
        ('check("tiny_add", add)', "add", "never checked", "def add"),
        ("answer = 3", "print(3)", "sets no name", None),
        ("    total = a + b", "    total = = b", "this is no Python", "total = = b"),
    ],
)
def test_fault_in_a_source_names_lesson_cell_and_line(course, old, new, fault, place):
    tiny_course.edit(course, old, new)
    error = refused(course)
    assert fault in str(error) and "lessons/01_tiny.md" in str(error)
    if place and place != "title":
        at = tiny_course.line_of(course, place)
        assert error.cell is not None and f"line {at}:" in str(error)


def test_name_of_a_lesson_must_be_a_name_of_a_module(course):
    path = course.folder / "1-Tiny.md"
    path.write_text(tiny_course.LESSON)
    with pytest.raises(LessonError, match="NN_slug"):
        Lesson(path)
