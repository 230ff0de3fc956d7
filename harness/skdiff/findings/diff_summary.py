"""What a run of `skdiff diff` has found: its summary for programs, and the same for people."""

from collections.abc import Sequence

import msgspec
from rich.console import Console

from skdiff.base.paths import command
from skdiff.base.summary import Summary
from skdiff.base.words import counted, up_to
from skdiff.campaign.messages import Finding
from skdiff.comparison.referee import SIDES, describe_origin
from skdiff.findings.listed import lines_of
from skdiff.kernel.summary import Kernel
from skdiff.kernel.text_changes import Change
from skdiff.kernel.unseen import SHOWN, Unseen
from skdiff.variants import version_rules

CAUSES = 5  # changed functions are named beside one that did not change, if there are no more
UNTOLD = "?"  # in the place of a side: the finding could not be traced


class Origin(msgspec.Struct, frozen=True):
    """A rule or an option as it is in B ("reselect", "no-IPV6"), and where it comes from."""

    rule: str
    origin: str


class Group(msgspec.Struct, kw_only=True):
    """Findings with one cause: the rules and options, or none for no known rule; `unlike` the sides that are not as
    their models, `function` where they part from them; `alike` if the kernels do the same.
    """

    rules: tuple[Origin, ...] = ()
    unlike: tuple[str, ...] = ()
    alike: bool = False
    function: str = ""
    findings: list[Finding]

    @property
    def words(self) -> tuple[str, ...]:
        """The rules and options, in a word each."""
        return tuple(rule.rule for rule in self.rules)

    @property
    def title(self) -> str:
        """The group in a line."""
        words = self.words
        if self.unlike == (UNTOLD,):
            return "not sorted by cause"
        if not self.unlike:
            return titles(words)[0] if len(words) == 1 else f"{' and '.join(words)} at once"
        if words:
            origin = self.rules[0].origin
            return f"as if {', '.join(words)} ({origin}) in {self.unlike[-1]}, not by its text"
        where = f"in {self.function}()" if self.function else "in no step that shows"
        if self.alike:
            return f"not a difference, but neither as a model says, {where}"
        return f"no known rule, {where}: {' and '.join(self.unlike)} unlike its model"


class Score(msgspec.Struct, frozen=True):
    """Of `mutants` that are not judged equivalent, the corpus tells `seen` apart; `survivors` are the others, a line
    for each.
    """

    seen: int = 0
    mutants: int = 0
    survivors: tuple[str, ...] = ()

    def __add__(self, other: "Score") -> "Score":
        survivors = (*self.survivors, *other.survivors)
        return Score(self.seen + other.seen, self.mutants + other.mutants, survivors)


class Worth(msgspec.Struct, frozen=True):
    """What "no difference" is worth: the score of the functions that changed, and of all."""

    changed: Score = Score()
    all: Score = Score()


class SmallTables(msgspec.Struct, frozen=True):
    """A sweep: every table of up to so many `sockets`, or those of a part ("part 3 of 16"), with so many lookups
    (`cases`), of which so many are `done`; what no table has, a line each; and the command that goes on with it,
    without its name.
    """

    sockets: int
    tables: int
    cases: int
    done: int
    left_out: tuple[str, ...]
    part: str = ""
    again: str = ""

    @property
    def words(self) -> str:
        """All of it in words."""
        of = f" of {self.part}" if self.part else ""
        sockets = up_to(self.sockets, "socket")
        return f"all {counted(self.tables, 'table')} of up to {sockets}{of}, {counted(self.cases, 'lookup')}"


class DiffSummary(Summary, kw_only=True):
    """A run on two kernels by their sides: what `text` differs, the groups of findings, one for each cause, and whether
    they `differ`; findings that no disk had room for; why it ended early ("" if it did not); the rules of A that B
    should have and has not; what was not looked at of B's new text, None if it has none; the rules and options in which
    they differ, each as B has it; what "no difference" is worth, None if nobody asked; and the small tables that were
    `swept`, None for a search.
    """

    kernels: dict[str, Kernel]
    text: list[Change]
    seed: int
    cases: int
    seconds: float
    groups: list[Group]
    differ: bool
    unwritten: Sequence[Finding] = ()
    gave_up: str = ""
    missing_rules: Sequence[str] = ()
    unseen: Unseen | None = None
    differing: tuple[str, ...] = ()
    mutants: Worth | None = None
    swept: SmallTables | None = None

    @property
    def differs(self) -> bool:
        """Whether the kernels differ, or B lacks a rule that it should have."""
        return bool(self.differ or self.unwritten or self.missing_rules)

    @property
    def complete(self) -> bool:
        """Whether the run came to its end, with cases, and looked at all of the new text."""
        if self.swept is not None and self.swept.done != self.swept.cases:
            return False
        return bool(self.cases or self.swept) and not self.gave_up and not (self.unseen and self.unseen.anything)


class UnchangedSummary(Summary, kw_only=True):
    """A patch that leaves the text of the lookup as it is: nothing was run."""

    patch: str
    text: Sequence[Change] = ()
    differ: bool = False


class ComparedCase(msgspec.Struct):
    """What two kernels do about a case of a file: the name of the difference ("" for none), and whether they do the
    same though not what their models do. `not_asked` says why a running kernel could not be asked, "" if it was.
    """

    file: str
    difference: str = ""
    alike: bool = False
    not_asked: str = ""


class CasesSummary(Summary, kw_only=True):
    """Two kernels on cases from files; `not_run` are those behind a difference at which they were to stop."""

    cases: list[ComparedCase]
    not_run: Sequence[str] = ()

    @property
    def differs(self) -> bool:
        """Whether the kernels differ about one of them."""
        return any(case.difference and not case.alike for case in self.cases)


def titles(found: Sequence[str]) -> list[str]:
    """Rules and options as they are in B, for people: "reselect in B only (Linux 6.6, 9c02bec95954)"."""
    return [
        f"{w.removeprefix('no-')} in {'A' if w.startswith('no-') else 'B'} only ({describe_origin(w)})" for w in found
    ]


def show(console: Console, result: DiffSummary) -> None:
    """Print the end of a run: each group with its findings, what no outcome tells of, what was left unseen, and what
    that is worth.
    """

    def line(text: str) -> None:
        console.print(text, markup=False, soft_wrap=True)

    if result.swept is None:
        line(f"A and B: {counted(result.cases, 'case')} in {result.seconds:.1f} s, seed {result.seed}")
    else:
        line(f"A and B: {counted(result.cases, 'lookup')} in {result.seconds:.1f} s")
        line("left out, of the values that cases are drawn from:")
        for text in result.swept.left_out:
            line(f"  {text}")
    for lost in result.unwritten:
        line(f"{lost.count:,} x {lost.signature}: not written ({lost.why}); this is its case:\n{lost.case}")
    if result.gave_up:
        line(f"ended early: {result.gave_up}")
    texts = [change.name for change in result.text if change.kind in ("function", "macro") and change.after]
    for group in result.groups:
        below = group.unlike and not group.rules and not group.alike and group.function not in texts
        line(group.title + (f" (what changed: {', '.join(texts)})" if below and 0 < len(texts) <= CAUSES else ""))
        for finding in group.findings:
            for text in lines_of(finding):
                line(text)
    shown = {word for group in result.groups for word in group.words}
    for word in result.differing:
        if word not in shown:
            silent = word.removeprefix("no-") in version_rules.SILENT
            why = "no outcome can show it" if silent else "no case showed it"
            line(f"{titles([word])[0]}: {why}")
    for side, kernel in result.kernels.items():
        for note in kernel.notes:
            line(f"note on {side}: {note}")
    for rule in result.missing_rules:  # some are never seen by an outcome
        line(f"B lacks the rule {rule} of A ({version_rules.origin(rule)}), which a kernel of its version should have")
    if result.swept is not None and result.swept.done != result.swept.cases:
        line(f"go on: {command()} {result.swept.again}")
    left = result.unseen or Unseen()
    for text in left.lines_for_people():
        line(text)
    if result.differ or result.missing_rules:
        return
    worth = result.mutants or Worth()
    alive = [text for text in worth.changed.survivors if text.startswith(SIDES[1])]
    for text in alive[:SHOWN]:
        line(f"a mutant that the corpus does not tell apart, in {text}")
    if len(alive) > SHOWN:
        line(f"and {len(alive) - SHOWN} more")
    both = (
        f"{worth.changed.seen:,} of {worth.changed.mutants:,} mutants of the changed functions of both sides are told"
        " apart"
    )
    among = counted(result.cases, "case") if result.swept is None else result.swept.words
    if result.swept is not None and not result.complete:
        line(f"no difference in {result.swept.done:,} lookups of {among}: no verdict")
        return
    line(left.verdict(f"no difference in {among}", *((both,) if worth.changed.mutants else ())))
    if worth.all.mutants:
        line(f"{worth.all.seen:,} of {worth.all.mutants:,} mutants of all functions are told apart by the corpus")
