"""cli_course: the commands do what they say; what cannot be done ends with one sentence and exit code 2."""

from functools import partial

import nbformat
import pytest
import tiny_course

from ladi_mini.course.blank import student_notebook


@pytest.fixture()
def run(run):
    """Calls `ladi-mini course` with arguments; gives (exit code, standard output, standard error)."""
    return partial(run, "course")


def test_build_writes_what_is_not_fresh_and_check_is_content(run, course):
    code, out, err = run("build", "--root", course.root)
    assert code == 0, err
    assert "01_tiny.ipynb (0.0" in out and "5/5" in err
    code, out, _ = run("check", "--root", course.root)
    assert code == 0 and "1 lessons are as they should be" in out
    code, out, _ = run("build", "--root", course.root)
    assert code == 0 and "Every notebook is fresh" in out


def test_check_lists_every_fault_and_ends_with_2(run, built):
    tiny_course.edit(built, "    return total", "    return total + totel")
    tiny_course.edit(built, "Text in two cells.", "# Text")
    code, _, err = run("check", "--root", built.root)
    assert code == 2 and err.count("Error: lessons/01_tiny.md, cell") == 2


def test_adopt_says_which_lines_changed_and_what_is_next(run, course):
    notebook = student_notebook(course, course.find("1"))
    for cell in notebook.cells:
        cell.source = cell.source.replace("Text in two cells.", "Other text.")
    path = course.notebook(course.find("1"))
    path.parent.mkdir()
    nbformat.write(notebook, path)
    line = tiny_course.line_of(course, "Text in two cells.")
    code, out, _ = run("adopt", path, "--root", course.root)
    assert code == 0 and f"lessons/01_tiny.md, line {line}: changed" in out and "course build 01" in out
    assert "Other text." in (course.folder / "01_tiny.md").read_text()
    assert "nothing to adopt" in run("adopt", path, "--root", course.root)[1]


def test_new_says_what_it_wrote(run, course):
    code, out, _ = run("new", "02_more", "--root", course.root)
    assert code == 0 and out.count("Written:") == 3 and (course.folder / "02_more.md").is_file()


def test_build_writes_the_readmes_table(run, course):
    readme = course.root / "README.md"
    readme.write_text("<!-- lessons -->\n<!-- end lessons -->\n")
    code, out, err = run("build", "--root", course.root)
    assert code == 0 and f"Written: the table of lessons in {readme}." in out, err
    assert "1. Two numbers" in readme.read_text() and run("check", "--root", course.root)[0] == 0


def test_slides_and_colab_say_what_they_wrote(run, built, tmp_path):
    code, out, _ = run("slides", "--root", built.root)
    assert code == 0 and "01_tiny.html (2." in out and (built.root / "build/slides/01_tiny.html").is_file()
    code, out, _ = run("slides", "1", "--out", tmp_path / "out", "--root", built.root)
    assert code == 0 and (tmp_path / "out" / "01_tiny.html").is_file()
    code, out, _ = run("colab", "--repository", "https://example.org/r", "--root", built.root)
    assert code == 0 and (built.root / "build/colab/01_tiny.ipynb").is_file() and out.count("Written:") == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["build", "9"], "there is no lesson '9'; the lessons are: 01_tiny."),
        (["new", "Two"], "'Two' is no name for a lesson"),
        (["new", "01_two"], "lesson 01 is lessons/01_tiny.md"),
        (["adopt", "nothing.ipynb"], "nothing.ipynb does not exist"),
        (["book"], "the lessons are not as they should be:"),
        (["slides"], "lessons/01_tiny.md: notebooks/01_tiny.ipynb is missing; run `ladi-mini course build 01`."),
        (["colab"], "pyproject.toml names no address that Colab could clone from;"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_sentence(run, course, arguments, said):
    code, out, err = run(*arguments, "--root", course.root)
    assert code == 2 and err.startswith(f"Error: {said}") and "Traceback" not in err and not out


def test_build_of_a_lesson_that_fails_names_its_line(run, course):
    tiny_course.edit(course, 'print(card["value"])', "print(1 / 0)")
    line = tiny_course.line_of(course, "print(1 / 0)")
    code, _, err = run("build", "1", "--root", course.root)
    assert code == 2 and f"Error: lessons/01_tiny.md, cell 2, line {line}: ZeroDivisionError: division by zero" in err
