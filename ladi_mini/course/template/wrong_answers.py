"""Wrong answers to the exercises of lesson SLUG, each with (part of) the message that it must get."""

WRONG = {
    "TOPIC_mean": [
        ("the mean of everything", lambda x: x.mean(), "has shape ()"),
        ("the mean of the columns", lambda x: x.mean(0), "has shape (3,)"),
        ("the sum", lambda x: x.sum(1), "You have the sums"),
        ("the largest of the row", lambda x: x.amax(1), "is off by up to"),
    ],
    "TOPIC_count": [
        ("all elements", 6, "all elements"),
        ("the rows", 2, "the number of rows"),
        ("a number with a point", 3.0, "of type float"),
    ],
}
