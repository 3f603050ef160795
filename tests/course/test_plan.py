"""course.plan: routes and timetables are counted from the lessons' minutes."""

import re
from pathlib import Path

import pytest

from ladi_mini.course.plan import SCHEDULE, fill, timetable
from ladi_mini.course.repository import Course
from ladi_mini.errors import InputError

ROOT = Path(__file__).parents[2]


def page(course: Course) -> Path:
    return course.folder / "instructor" / "schedule.md"


def test_a_route_sums_reading_and_exercises_and_names_what_is_not_written(course):
    text = fill("before\n\n<!-- route 01 05 -->\n\nafter", course, course.folder / "index.md")
    assert text.splitlines()[2:] == [
        "[Lesson 1: Two numbers](01_tiny.md) → Lesson 5 (not written yet)",
        "",
        "*1 h 05 min to read and run, 2 min for all exercises.*",
        "",
        "after",
    ]


@pytest.mark.parametrize(("asked", "minutes"), [("01", 5), ("01 +", 7), ("01 + 1", 6), ("01+90", 7)])
def test_a_timetable_counts_the_clock(course, asked, minutes):
    text = fill(f"<!-- schedule 09:58\nWelcome | 5\n{asked}\nBreak, with tea | 60\n-->", course, page(course))
    rows = [re.findall(r"[^|]+", line)[:3] for line in text.splitlines()[2:]]
    assert [row[0].strip() for row in rows] == ["09:58", "10:03", f"10:{3 + minutes:02}", f"11:{3 + minutes:02}"]
    assert "[Lesson 1: Two numbers](../01_tiny.md)" in rows[1][2] and ("of them for exercises" in rows[1][2]) == (minutes > 5)


def test_a_line_that_is_no_block_is_refused(course):
    with pytest.raises(InputError, match=r"schedule.md: the line 'Lunch' of a timetable is neither"):
        fill("<!-- schedule 09:00\nLunch\n-->", course, page(course))


def test_text_without_marks_stays_as_it_is(course):
    text = "a\n<!-- lessons -->\n<!-- routes -->\n"
    assert fill(text, course, page(course)) == text


def test_the_courses_timetables_fit_their_days():
    course, path = Course(ROOT), ROOT / "lessons" / "instructor" / "schedule.md"
    found = list(SCHEDULE.finditer(path.read_text(encoding="utf-8")))
    lengths = [sum(minutes for _, minutes, _ in timetable(course, each, path, lambda lesson: lesson.slug)) for each in found]
    half, day, *two = lengths
    assert 2.5 * 60 <= half <= 4.5 * 60 and 5 * 60 <= day <= 8.5 * 60
    assert len(two) == 2 and max(two) <= 8.5 * 60, "shorten the exercises or the breaks of a day in schedule.md"


def test_the_two_days_hold_every_lesson():
    index = (ROOT / "lessons" / "index.md").read_text(encoding="utf-8")
    routes = [re.findall(r"\d\d", each) for each in re.findall(r"<!-- route(.*?) -->", index)]
    assert len(routes) == 3 and routes[2] == [f"{number:02}" for number in range(9)]
    assert {lesson.number for lesson in Course(ROOT).lessons if lesson.number} <= set(routes[2])
    blocks = re.findall(r"^(\d\d)\b", (ROOT / "lessons" / "instructor" / "schedule.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert blocks[-9:] == routes[2] and blocks[:3] == routes[0] and blocks[3:8] == routes[1]


def test_a_slip_in_the_name_of_a_lesson_is_no_lesson_to_come(course):
    from ladi_mini.course.book import linker

    link = linker(course, course.folder, course.folder, course.folder)
    assert link("02_more.md") == "" and link("01_tiny.md") == "01_tiny.ipynb" and link("01_tinny.md") == "01_tinny.md"
