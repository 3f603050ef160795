"""Every exercise of the course: the solution is right, the blank is "not attempted yet", each wrong answer gets its message."""

import runpy
from pathlib import Path

import pytest
from solving import answer

from ladi_mini.course.answers import BLANK, RIGHT, WRONG, Check
from ladi_mini.course.repository import Course

ROOT = Path(__file__).parents[2]
LESSONS = {lesson.topic: lesson for lesson in Course(ROOT).lessons if lesson.exercises}
EXERCISES = [(topic, name) for topic, lesson in LESSONS.items() for name in lesson.exercises]
FILES = {path.stem: runpy.run_path(str(path))["WRONG"] for path in (Path(__file__).parent / "wrong_answers").glob("*.py")}
MISTAKES = [
    pytest.param(name, given, message, id=f"{name}: {what}")
    for answers in FILES.values()
    for name, mistakes in answers.items()
    for what, given, message in mistakes
]

every_exercise = pytest.mark.parametrize(("topic", "name"), EXERCISES, ids=[name for _, name in EXERCISES])


@every_exercise
def test_solution_is_right(topic, name):
    result = Check().result(name, answer(LESSONS[topic], name))
    assert result.state == RIGHT, str(result)


@every_exercise
def test_blank_is_not_attempted_yet(topic, name):
    assert Check().result(name, answer(LESSONS[topic], name, solved=False)).state == BLANK


@pytest.mark.parametrize(("name", "given", "message"), MISTAKES)
def test_wrong_answer_gets_the_message_written_for_it(name, given, message):
    result = Check().result(name, given)
    assert result.state == WRONG and message in result.message, str(result)


@every_exercise
def test_exercise_has_three_wrong_answers_with_messages_of_their_own(topic, name):
    mistakes = FILES.get(topic, {}).get(name, [])
    assert len(mistakes) >= 3
    assert len({what for what, _, _ in mistakes}) == len(mistakes) and all(len(message) > 5 for _, _, message in mistakes)


def test_wrong_answers_are_for_exercises_that_exist():
    assert {name for answers in FILES.values() for name in answers} == {name for _, name in EXERCISES}
