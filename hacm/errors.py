"""The one exception that is meant for people: a sentence, no traceback."""


class HacmError(ValueError):
    """Bad input: says which file, sequence, joint or key, what was expected and what to do.

    The command line prints the sentence and exits with code 2, notebooks show it alone; everything
    else is a bug and keeps its traceback.
    """

    def _render_traceback_(self) -> list[str]:
        """What IPython shows instead of a traceback."""
        return [f"HacmError: {self}"]
