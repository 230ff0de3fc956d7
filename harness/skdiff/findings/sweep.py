"""A case with one field of its packet, or its CPU, at each value of a range: who gets the packet, and how often."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from skdiff.base.errors import CannotRun
from skdiff.base.words import counted, share
from skdiff.cases import addresses
from skdiff.cases.outcome import RETURNED
from skdiff.cases.scenario import NONE, Scenario
from skdiff.comparison.compare import Mismatch, compare
from skdiff.findings.chance import is_by_hash, winner_name
from skdiff.findings.values import KEYS, WithValue
from skdiff.oracles.interface import Oracle
from skdiff.oracles.model import Model

MOST = 1 << 16  # values
COLUMNS = 64  # of the plot
NO_ANSWER = -2  # as a winner: the lookup crashed, or does not end
_DENSITY = " .:-=+*#%@"  # of one column of the plot: nothing, up to all


@dataclass(frozen=True)
class Range:
    """The values `first` to `last` of a key of KEYS; addresses are ints of 128 bits, ports in host byte order."""

    key: str
    first: int
    last: int

    def __len__(self) -> int:
        return self.last - self.first + 1

    def text(self, value: int) -> str:
        """A value as a case has it."""
        return addresses.text(value) if self.key == "saddr" else str(value)


def read_range(words: str) -> Range:
    """The range that words like "sport=1024..65535" stand for. Raises CannotRun."""
    match = re.fullmatch(r"\s*(\w+)\s*=\s*(\S+?)\s*\.\.\s*(\S+)\s*", words)
    if match is None:
        raise CannotRun(f"--sweep {words!r}: KEY=FIRST..LAST is needed, as in sport=1024..65535")
    key = match[1]
    if key not in KEYS:
        raise CannotRun(f"--sweep {words!r}: {key} cannot be swept, only {', '.join(KEYS)}")
    try:
        read = addresses.from_text if key == "saddr" else int
        first, last = read(match[2]), read(match[3])
    except ValueError:
        what = "addresses of IPv4 or IPv6 are" if key == "saddr" else "numbers are"
        raise CannotRun(f"--sweep {words!r}: {what} needed on both sides of ..") from None
    most = {"sport": 65535, "cpu": 8191}.get(key, addresses.MOST)
    if not 0 <= first <= last <= most:
        raise CannotRun(f"--sweep {words!r}: the first value is not behind the last one, and that is at most {most}")
    if last - first >= MOST:
        raise CannotRun(f"--sweep {words!r}: {last - first + 1:,} values, {MOST:,} is the most")
    return Range(key, first, last)


@dataclass(frozen=True)
class Sweep:
    """What became of a range: the kernel's winner for each value that a packet can have (a socket's index, NONE or
    NO_ANSWER), how many values it cannot have, whether a hash chose for any, and the first value for which kernel and
    model differ with their mismatch.
    """

    range: Range
    winners: dict[int, int]
    left_out: int
    by_hash: bool
    parted: tuple[int, Mismatch] | None

    @property
    def counts(self) -> list[tuple[int, int]]:
        """(winner, how many values), the greatest first."""
        return Counter(self.winners.values()).most_common()


def sweep(made: WithValue, values: Range, kernel: Oracle, model: Model) -> Sweep:
    """Ask both oracles for the scenario of each value; those of which there is none are left out, and counted. Raises
    CannotRun if there is none at all.
    """
    winners: dict[int, int] = {}
    left_out, by_hash = 0, False
    parted: tuple[int, Mismatch] | None = None
    for value in range(values.first, values.last + 1):
        asked = made(values.key, value)
        if asked is None:
            left_out += 1
            continue
        outcomes = [kernel.run(asked), model.run(asked)]
        if parted is None and (mismatch := compare([kernel.name, model.name], outcomes)) is not None:
            parted = value, mismatch
        winners[value] = max(outcomes[0].sk, NONE) if outcomes[0].ended == RETURNED else NO_ANSWER
        by_hash = by_hash or "group by hash" in outcomes[1].via
    if not winners:
        span = f"{values.text(values.first)} to {values.text(values.last)}"
        raise CannotRun(f"--sweep: the packet of this case can have no {values.key} from {span}")
    return Sweep(values, winners, left_out, by_hash, parted)


def sweep_text(found: Sweep, scenario: Scenario, names: Sequence[str], model: Model) -> Iterator[str]:
    """The table and the plot, a line each; `names` are those of the sockets."""
    values = found.range
    span = f"{values.key} {values.text(values.first)} to {values.text(values.last)}"
    secret = ""
    if found.by_hash or is_by_hash(model.trace(scenario)):
        secret = (
            f", with the hash's secret of this case ({scenario.hash_secret:#x}; on a host it is random at each boot)"
        )
    yield f"{span}{secret}:"
    who = {sk: "no answer" if sk == NO_ANSWER else winner_name(sk, names) for sk, _ in found.counts}
    width = max(3, *map(len, who.values()))
    total = len(found.winners)
    yield ""
    yield f"  {'who':<{width}}  {'values':>7}  {'share':>7}"
    for sk, count in found.counts:
        bar = "#" * round(40 * count / total)
        yield f"  {who[sk]:<{width}}  {count:>7,}  {share(count, total):>7}  {bar}".rstrip()
    yield ""
    for sk, _ in found.counts:
        yield f"  {who[sk]:<{width}} |{_row(found, sk)}|"
    columns = _columns(values)
    ends = f"{values.text(values.first)} to {values.text(values.last)}"
    each = (
        f"{counted(-(-len(values) // columns), 'value')} or less a column" if columns < len(values) else "a value each"
    )
    yield f"  {'':<{width}}  {ends}, {each}; from {_DENSITY[1]} for few to {_DENSITY[-1]} for all"
    if found.left_out:
        yield f"{counted(found.left_out, 'value')} left out: the packet of this case cannot have them."


def _columns(values: Range) -> int:
    return min(COLUMNS, len(values))


def _row(found: Sweep, sk: int) -> str:
    """A winner's share of each column of the plot."""
    columns, size = _columns(found.range), len(found.range)
    whole, own = [0] * columns, [0] * columns
    for value, winner in found.winners.items():
        column = (value - found.range.first) * columns // size
        whole[column] += 1
        own[column] += winner == sk
    return "".join(_density(part, all_) for part, all_ in zip(own, whole, strict=True))


def _density(part: int, whole: int) -> str:
    """The character for a part of a column: the first only for nothing, the last only for all."""
    if not part:
        return _DENSITY[0]
    inner = len(_DENSITY) - 2
    return _DENSITY[-1] if part == whole else _DENSITY[1 + min(inner - 1, part * inner // whole)]
