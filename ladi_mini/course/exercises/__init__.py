"""The checkers of the exercises: one file a lesson, with the name of the lesson without its number."""
