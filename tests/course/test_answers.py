"""course.answers: one sentence a check, shape before value before property, and a table of what is done."""

import numpy as np
import pytest
import torch

from ladi_mini.course import answers
from ladi_mini.course.answers import (
    BLANK,
    RIGHT,
    STUB,
    WRONG,
    Check,
    Wrong,
    expect,
    expect_close,
    expect_shape,
    rule_out,
)
from ladi_mini.errors import InputError

CHECKERS = """
from ladi_mini.course.answers import exercise, expect, expect_close, expect_shape
import torch


@exercise("double", "Doubling <a number>")
def double(answer):
    x = torch.tensor([1.0, 2.0])
    got = expect_shape(answer(x), (2,), "The result", "How many numbers went in?")
    expect_close(got, 2 * x, "The result")
    expect(bool((answer(-x) == -got).all()), "Doubling is not odd.")


@exercise("faulty", "A checker with a fault")
def faulty(answer):
    answer(1)
    raise KeyError("mine")
"""


@pytest.fixture()
def check(tmp_path, monkeypatch):
    folder = tmp_path / "ladi_mini" / "course" / "exercises"
    folder.mkdir(parents=True)
    (folder / "numbers.py").write_text(CHECKERS)
    monkeypatch.setenv("LADI_MINI_COURSE", str(tmp_path))
    return Check()


def stub(x):
    raise NotImplementedError(STUB)


def torch_lacks(x):
    raise NotImplementedError("'frobnicate' not implemented for 'Long'")


def divides(x):
    return x[0].item() / 0


@pytest.mark.parametrize(
    ("answer", "state", "said"),
    [
        (lambda x: 2 * x, RIGHT, "✓ double: right."),
        (stub, BLANK, "○ double: not attempted yet."),
        (None, BLANK, "○ double: not attempted yet."),
        (..., BLANK, "○ double: not attempted yet."),
        (lambda x: x.sum(), WRONG, "✗ double: The result has shape (), expected (2,). Hint: How many numbers went in?"),
        (lambda x: [2, 4], WRONG, "✗ double: The result is of type list, expected a tensor of shape (2,)."),
        (lambda x: x**2 + 1, WRONG, "✗ double: The result is off by up to 1 at 1."),
        (lambda x: 2 * x.abs(), WRONG, "✗ double: Doubling is not odd."),
        (torch_lacks, WRONG, "✗ double: your code raised NotImplementedError: 'frobnicate'"),
        (divides, WRONG, "✗ double: your code raised ZeroDivisionError: "),
        (lambda x, y: x, WRONG, "✗ double: your code raised TypeError: "),
        (3, WRONG, "✗ double: your code raised TypeError: 'int' object is not callable."),
    ],
)
def test_check_says_in_one_line_what_is_the_matter(check, capsys, answer, state, said):
    check("double", answer)
    out = capsys.readouterr().out
    assert out.startswith(said) and out.count("\n") == 1
    assert check.result("double", answer).state == state


def test_error_of_a_checker_is_not_blamed_on_the_answer(check):
    with pytest.raises(KeyError, match="mine"):
        check.result("faulty", lambda x: x)


def test_unknown_exercise_is_refused_with_the_nearest_name(check):
    with pytest.raises(InputError, match="no exercise 'doubel'; did you mean 'double'"):
        check("doubel", None)


def test_name_in_two_lessons_is_refused(check):
    folder = answers.exercises_folder()
    (folder / "other.py").write_text(CHECKERS)
    with pytest.raises(InputError, match=r"'double' is also in numbers\.py"):
        check("double", None)


def test_progress_is_a_table_of_the_lesson_in_text_and_html(check):
    assert "No exercise" in repr(check.progress())
    check.start("04_numbers")
    assert "0 of 2 right" in repr(check.progress())
    check.result("double", lambda x: 2 * x)
    text, page = repr(check.progress()), check.progress()._repr_html_()
    assert text.splitlines()[0].startswith("✓ Doubling <a number>") and "1 of 2 right" in text
    assert "Doubling &lt;a number&gt;" in page and "not attempted yet" in page and "1 of 2 right" in page
    check.result("double", lambda x: x)
    assert "0 of 2 right" in repr(check.progress())
    check.start("04_numbers")
    assert "✗" not in repr(check.progress())


def test_shape_comes_before_value_and_numbers_become_tensors():
    assert float(expect_shape(2.5, (), "x")) == 2.5
    assert expect_shape(np.zeros((2, 3)), (2, 3), "x").shape == (2, 3)
    for value, message in [
        (np.zeros((3, 2)), "x has shape (3, 2), expected (2, 3)."),
        (torch.full((2, 3), torch.nan), "x is not a number (nan) at (0, 0)."),
        (True, "x is of type bool"),
    ]:
        with pytest.raises(Wrong) as caught:
            expect_shape(value, (2, 3), "x")
        assert caught.value.message.startswith(message)


def test_value_is_told_by_its_largest_difference_and_place():
    expected = torch.zeros(2, 3)
    expect_close(expected + 1e-6, expected, "x")
    wrong = expected.clone()
    wrong[0, 1], wrong[1, 2] = 0.1, -0.25
    with pytest.raises(Wrong) as caught:
        expect_close(wrong, expected, "x", "h")
    assert (caught.value.message, caught.value.hint) == ("x is off by up to 0.25 at (1, 2).", "h")
    with pytest.raises(Wrong):
        expect_close(torch.tensor([float("inf")]), torch.zeros(1), "x")


def test_typical_mistake_is_named_only_if_it_was_made():
    mistake = torch.tensor([1.0, 2.0])
    rule_out(mistake + 1, mistake, "the mistake")
    rule_out(torch.zeros(3), mistake, "the mistake")
    with pytest.raises(Wrong, match="the mistake"):
        rule_out(mistake + 1e-7, mistake, "the mistake")
    with pytest.raises(Wrong, match="not so"):
        expect(False, "not so")
