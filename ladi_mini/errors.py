"""What is said about an input that cannot be used, or probably is not what its owner meant.

Apart from everything else, so that the command line can name them without loading torch.
"""


class InputError(ValueError):
    """A file or field that cannot be used; its text is one sentence with the fault, the expectation and the fix."""


class InputWarning(UserWarning):
    """A file or field that can be used, but probably is not what its owner meant."""
