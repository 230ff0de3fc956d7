"""How many processes are worth starting."""

import os


def processors() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0))
