"""Where two Outcomes differ, and the signature of that difference."""

from collections.abc import Sequence
from dataclasses import dataclass

from skdiff.cases.outcome import COMPARED, ENDED_NAMES, RETURNED, Outcome


@dataclass(frozen=True)
class Mismatch:
    """Outcomes of one scenario that are not all the same: `names[i]` is the oracle that gave `outcomes[i]`; `cause` is
    what a referee says of it, if there is one, and `alike` that two kernels do the same, but not as their models. Of
    the oracles in `half_seen` the `fields` are all that is known; a kernel that died has `said` these lines.
    """

    names: tuple[str, ...]
    outcomes: tuple[Outcome, ...]
    fields: tuple[str, ...]
    cause: str = ""
    alike: bool = False
    half_seen: tuple[str, ...] = ()
    said: tuple[str, ...] = ()

    @property
    def telling(self) -> tuple[str, ...]:
        """The fields that differ; `fired` only if it alone does. A lookup that goes on elsewhere meets other events,
        which may have nothing to do with what is wrong: without them the mismatch is the same, and smaller.
        """
        return tuple(name for name in self.fields if name != "fired") or self.fields

    @property
    def signature(self) -> str:
        """One line that names the kind of mismatch: how the model found its socket, and the fields that tell.

        Stable over seeds and kernels; the same cause may have several, the same signature may have several causes.
        """
        ended = [ENDED_NAMES[o.ended] for o in self.outcomes if o.ended != RETURNED]
        via = next((o.via for o in self.outcomes if o.via), ("?",))
        parts = [*([self.cause] if self.cause else []), *(via), *(dict.fromkeys(ended) or self.telling)]
        return "-".join(parts).replace(" ", "_").replace(".", "_")

    @property
    def way(self) -> str:
        """The first thing that differs, in a word: how a side ended that did not return, or a field of an Outcome."""
        ended = sorted(ENDED_NAMES[o.ended] for o in self.outcomes if o.ended != RETURNED)
        return ended[0] if ended else self.telling[0]


def compare(names: Sequence[str], outcomes: Sequence[Outcome]) -> Mismatch | None:
    """None if all outcomes agree, field by field; any number of oracles."""
    first, *rest = [outcome[:COMPARED] for outcome in outcomes]
    if rest.count(first) == len(rest):
        return None
    fields = tuple(
        name for i, name in enumerate(Outcome._fields[:COMPARED]) if any(other[i] != first[i] for other in rest)
    )
    return Mismatch(tuple(names), tuple(outcomes), fields)
