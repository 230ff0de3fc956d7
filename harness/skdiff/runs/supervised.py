"""What runs share: their workers under a supervisor, with progress on a console, and what is checked before."""

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

from rich.console import Console

from skdiff.base import signals
from skdiff.base.errors import CannotRun
from skdiff.campaign.messages import Total
from skdiff.campaign.progress import RunView
from skdiff.campaign.supervisor import supervise
from skdiff.campaign.worker import Job
from skdiff.cases.fields import LOOKUPS
from skdiff.oracles import compiled_model

Say = Callable[[str], None]


@contextlib.contextmanager
def supervised(job: Job, closure: str, errors: Console, say: Say, jobs: int = 1) -> Iterator[tuple[RunView, Total]]:
    """A job from its start to its end: how it was shown, and its counters. A signal that asks the program to end ends
    the job, but not what is made of it in the `with` block.
    """
    compiled_model.prepare(say, job.seconds, job.cases)
    with ExitStack() as interrupts:
        with RunView(errors, job.seconds, job.cases) as view:
            total = supervise(job, closure, view.report, jobs)
            interrupts.enter_context(signals.interrupts_noted())
        yield view, total


def check_writable(folder: Path) -> None:
    """Raises CannotRun if findings could not be written there, before there are any."""
    place = folder.absolute()
    while not place.exists():
        place = place.parent
    if not place.is_dir() or not os.access(place, os.W_OK | os.X_OK):
        raise CannotRun(f"{folder}: findings cannot be written there, choose another --findings")


def only(lookups: Sequence[str]) -> list[str]:
    """The lookups of a run in words, none where it has all that there are."""
    return [] if set(lookups) == set(LOOKUPS.values()) else [f"lookups {', '.join(lookups)}"]


def random_seed() -> int:
    """A new seed of 32 bits."""
    return int.from_bytes(os.urandom(4), "little")
