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
        ("title: Two numbers", "title: 5", "a block of YAML cannot be read", None),
        ("title: Two numbers", "title: 2020-13-45", "a block of YAML cannot be read", None),
        (":exercise: tiny_add\n", ":exercise: [tiny_add]\n", "the option 'exercise' is ['tiny_add'], expected", "def add"),
        (":exercise: tiny_add\n", ":exercise tiny_add\n", "a block of YAML cannot be read", None),
        ("answer = 3", "grid.x = 3", "sets no name", None),
        ("### BEGIN SOLUTION\nanswer = 3\n", "answer = (\n### BEGIN SOLUTION\n    3)\n", "no Python of its own", None),
        ("### BEGIN SOLUTION\nanswer = 3\n", "answer = (\n    ### BEGIN SOLUTION\n    3)\n", "without its solution", None),
    ],
)
def test_fault_in_a_source_names_lesson_cell_and_line(course, old, new, fault, place):
    tiny_course.edit(course, old, new)
    error = refused(course)
    assert fault in str(error) and "lessons/01_tiny.md" in str(error)
    if place and place != "title":
        at = tiny_course.line_of(course, place)
        assert error.cell is not None and f"line {at}:" in str(error)


@pytest.mark.parametrize(
    ("solution", "names"),
    [
        ("def answer():\n    return (inner := 3)", ["answer"]),
        ("import math as m\nanswer, (b, *c) = m.pi, (1, 2)", ["m", "answer", "b", "c"]),
        ("for i in range(3):\n    answer = [j for j in range(i)]", ["answer"]),
        ("row = 1\ngrid[row] = answer = 3", ["row", "answer"]),
    ],
)
def test_blank_at_the_margin_sets_what_the_solution_defines_and_nothing_else(course, solution, names):
    tiny_course.edit(course, "answer = 3", solution)
    blank = next(cell for cell in course.find("1").blank if cell.exercise == "tiny_value")
    unset = [line.split(" = ")[0] for line in blank.source.splitlines() if "your code here" in line]
    assert unset == names


def test_text_that_ends_in_spaces_has_its_own_line(course):
    tiny_course.edit(course, "(the-end)=\n", "Ends in spaces.  \n\n+++\n\n(the-end)=\n")
    cell = next(cell for cell in course.find("1").cells if cell.source.startswith("Ends in"))
    assert cell.line == tiny_course.line_of(course, "Ends in spaces.")


def test_lesson_with_a_byte_order_mark_is_one_and_another_encoding_is_refused(course):
    path = course.folder / "01_tiny.md"
    path.write_text(tiny_course.LESSON, encoding="utf-8-sig")
    assert type(course)(course.root).find("1").slug == "01_tiny"
    path.write_text(tiny_course.LESSON + "ü", encoding="utf-16")
    with pytest.raises(LessonError, match=r"lessons/01_tiny\.md: this is no UTF-8"):
        type(course)(course.root).find("1")


@pytest.mark.parametrize("name", ["01_other", "02_tiny"])
def test_two_lessons_of_one_number_or_topic_are_refused(course, name):
    (course.folder / f"{name}.md").write_text(tiny_course.LESSON.replace("(the-", "(other-"))
    with pytest.raises(LessonError, match="number or topic is also that of"):
        course.find("1")


def test_name_of_a_lesson_must_be_a_name_of_a_module(course):
    path = course.folder / "1-Tiny.md"
    path.write_text(tiny_course.LESSON)
    with pytest.raises(LessonError, match="NN_slug"):
        Lesson(path)
