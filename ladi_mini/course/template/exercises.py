"""The exercises of lesson SLUG: shape first, then typical mistakes and the value, then properties."""

import torch

from ladi_mini.course.answers import exercise, expect, expect_close, expect_shape, rule_out


@exercise("TOPIC_mean", "The mean of each row")
def mean(answer):
    """`answer` is a function from (n, m) to (n,)."""
    x = torch.tensor([[1.0, 2.0, 6.0], [0.0, -4.0, 1.0]])
    got = expect_shape(answer(x.clone()), (2,), "The mean of a tensor (2, 3)", "One number for each row.")
    rule_out(got, x.sum(1), "You have the sums of the rows.", "How many numbers were added?")
    expect_close(got, torch.tensor([3.0, -1.0]), "The mean", "Add the numbers of a row by hand.")
    again = answer(x.clone() + 10)
    expect(torch.allclose(again, got + 10), "Adding 10 to every number does not add 10 to the mean.", "What is constant here?")


@exercise("TOPIC_count", "How many numbers")
def count(answer):
    """`answer` is a whole number."""
    expect(isinstance(answer, int), f"The answer is of type {type(answer).__name__}, expected a whole number.")
    expect(answer != 6, "That is the number of all elements.", "The formula is used for one row at a time.")
    expect(answer != 2, "That is the number of rows.", "What does the sum run over?")
    expect(answer == 3, "That is not how many numbers are added.", "Write the sum out for one row.")
