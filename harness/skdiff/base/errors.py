"""The one exception that the command line turns into a clear line and exit code 2."""


class CannotRun(Exception):
    """skdiff cannot do what was asked: str() is one line that says what is wrong and what to do."""
