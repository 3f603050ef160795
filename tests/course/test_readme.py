"""course.readme: the README's table of lessons is that of front matter, cards and notebooks."""

import re
from pathlib import Path

import pytest
from PIL import Image

from ladi_mini.course.readme import check, table, write
from ladi_mini.course.repository import Course
from ladi_mini.course.rules import check as check_all
from ladi_mini.errors import InputError

ROOT = Path(__file__).parents[2]
README = "# Title\n\n<!-- lessons -->\n<!-- end lessons -->\n\nMore.\n"


def with_readme(course: Course, text: str = README) -> Path:
    path = course.root / "README.md"
    path.write_text(text, encoding="utf-8")
    return path


def test_the_readmes_table_of_lessons_is_that_of_the_cards():
    assert "<!-- lessons" in (ROOT / "README.md").read_text(encoding="utf-8")
    assert [str(fault) for fault in check(Course(ROOT))] == []


def test_table_has_minutes_seconds_and_a_small_picture(built):
    path = with_readme(built)
    assert write(built) == path
    (row,) = [line for line in path.read_text().splitlines() if "01_tiny" in line]
    assert row.startswith("| [1. Two numbers](notebooks/01_tiny.ipynb) | 5 min | 2 min | ") and re.search(r"\| \d+ s \| ", row)
    assert row.endswith("![An orange field.](data/results/lessons/01.webp) |")
    with Image.open(built.root / "data/results/lessons/01.webp") as picture:
        assert picture.size == (40, 20)  # never enlarged
    assert path.read_text().startswith("# Title\n") and path.read_text().endswith("\n\nMore.\n")
    assert check(built) == [] and check_all(built) == []


def test_what_is_out_of_date_is_a_fault_that_says_what_to_do(built):
    with_readme(built)
    assert any("run `ladi-mini course build`" in str(fault) for fault in check_all(built))
    write(built)
    (built.root / "data/results/lessons/01.webp").unlink()
    assert len(check(built)) == 1


def test_a_lesson_without_notebook_has_no_row(course):
    with_readme(course)
    assert write(course) and "01_tiny" not in (course.root / "README.md").read_text()


def test_without_a_place_nothing_is_written(built):
    assert write(built) is None and check(built) == []
    path = with_readme(built, "# No table\n")
    assert write(built) is None and path.read_text() == "# No table\n"


def test_another_figure_can_be_chosen_and_must_be_there(built):
    assert "An orange field." in table(built, {"01": 1})
    with pytest.raises(InputError, match="figure 2 of lesson 01_tiny is asked for, but it has 1"):
        table(built, {"01": 2})
