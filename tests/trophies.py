"""`make trophies`: how long the engines take to find the bugs of the past that trophies.toml holds, over ten seeds.

Seconds and cases are counted inside the worker, from its first case. Exit codes: 0 the default engine found each bug
with every seed, 1 it did not, 2 could not run.
"""

import argparse
import statistics
import sys
import tempfile
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from skdiff.base.errors import CannotRun
from skdiff.engines import atheris_engine
from skdiff.kernel.manifest import Manifest
from skdiff.kernel.source import Tree, find
from tests.detection import one
from tests.patched import Patch, patched_tree

FOUND, MISSED, COULD_NOT_RUN = 0, 1, 2
KERNEL, SEEDS, SECONDS = "6.12", 10, 20
WIDTH = 120  # of what is no terminal
TROPHIES_TOML = Path(__file__).with_suffix(".toml")
NOT_LOOKED_UP = "not looked up"


@dataclass(frozen=True)
class Trophy:
    """A bug that Linux had until version `until`; trophies.toml says what each field means."""

    name: str
    until: str
    commit: str
    subject: str
    kind: str
    story: str
    patch: Patch
    variant: str = "plain"
    kernel: str = KERNEL
    lookups: tuple[str, ...] = ()


@dataclass(frozen=True)
class Hunt:
    """What one engine needed for one bug: (seconds, cases, found) of each seed."""

    trophy: Trophy
    engine: str
    runs: Sequence[tuple[float, int, bool]]

    @property
    def missed(self) -> int:
        return sum(not found for _, _, found in self.runs)

    def cells(self) -> tuple[str, ...]:
        """Found, median cases, median seconds, the slowest one's seconds."""
        seconds, cases, _ = zip(*self.runs, strict=True)
        found = len(self.runs) - self.missed
        medians = f"{statistics.median(cases):,.0f}", f"{statistics.median(seconds):.2f}"
        return f"{found}/{len(self.runs)}", *medians, f"{max(seconds):.2f}"


def trophies() -> list[Trophy]:
    entries = tomllib.loads(TROPHIES_TOML.read_text())["trophy"]
    return [
        Trophy(**{**entry, "patch": Patch(**entry["patch"]), "lookups": tuple(entry.get("lookups", ()))})
        for entry in entries
    ]


def chosen(names: Sequence[str]) -> list[Trophy]:
    """The trophies of these names, all for none. Raises CannotRun for a name that is not there."""
    known = {trophy.name: trophy for trophy in trophies()}
    for name in names:
        if name not in known:
            raise CannotRun(f"there is no trophy {name!r}: {', '.join(known)}")
    return [known[name] for name in names or known]


def put_back(trophy: Trophy, kernel: Tree, folder: Path) -> Tree:
    """A copy of the kernel's tree, in `folder`, with the bug."""
    return Tree(patched_tree(kernel.path, folder, trophy.patch), kernel.version, trophy.name)


def engines() -> list[str]:
    """The default engine first."""
    return ["atheris", "random"] if atheris_engine.available() else ["random"]


def hunts(
    wanted: Sequence[Trophy], seeds: int, seconds: float, kernels: Mapping[str, Tree], errors: Console
) -> Iterator[Hunt]:
    """Each trophy with each engine, two runs at a time. `kernels` has the tree of each trophy's kernel."""
    jobs = [(trophy, engine) for trophy in wanted for engine in engines()]
    with (
        tempfile.TemporaryDirectory() as folder,
        ThreadPoolExecutor(2) as pool,
        Progress(console=errors, transient=True, disable=not errors.is_terminal) as progress,
    ):
        trees = {trophy: put_back(trophy, kernels[trophy.kernel], Path(folder) / trophy.name) for trophy in wanted}
        task = progress.add_task("hunting", total=len(jobs))
        waiting = [
            [pool.submit(one, trees[trophy], engine, seed, seconds, trophy.variant) for seed in range(1, seeds + 1)]
            for trophy, engine in jobs
        ]
        try:
            for (trophy, engine), runs in zip(jobs, waiting, strict=True):
                yield Hunt(trophy, engine, [run.result() for run in runs])
                progress.advance(task)
        finally:  # after an error nobody waits for the rest
            pool.shutdown(cancel_futures=True)


def show(console: Console, results: Sequence[Hunt]) -> None:
    table = Table(title="bugs of the past", caption="cases and seconds: medians over the seeds")
    for name in ("trophy", "until", "kind", "commit", "engine"):
        table.add_column(name, overflow="fold")
    for name in ("found", "cases", "seconds", "slowest"):
        table.add_column(name, justify="right", no_wrap=True)
    for hunt in results:
        trophy = hunt.trophy
        commit = trophy.commit or NOT_LOOKED_UP
        style = "red" if hunt.missed else None
        table.add_row(trophy.name, trophy.until, trophy.kind, commit, hunt.engine, *hunt.cells(), style=style)
    console.print(table)


def markdown(results: Sequence[Hunt]) -> str:
    """The table of docs/proof.md: a bug's story, and what the default engine needed for it."""
    lines = [
        "| bug | until | commit | what was wrong | median cases, s | slowest s |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for hunt in results:
        if hunt.engine == engines()[0]:
            trophy, (_, cases, seconds, slowest) = hunt.trophy, hunt.cells()
            commit = f"`{trophy.commit}`" if trophy.commit else f"{NOT_LOOKED_UP}: *{trophy.subject}*"
            name = f"{trophy.name} ({trophy.kind})"
            lines.append(f"| {name} | {trophy.until} | {commit} | {trophy.story} | {cases}, {seconds} | {slowest} |")
    return "\n".join(lines) + "\n"


def parser() -> argparse.ArgumentParser:
    grammar = argparse.ArgumentParser(prog="trophies", description=__doc__)
    grammar.add_argument("names", nargs="*", metavar="NAME", help="trophies (default: all)")
    grammar.add_argument("--seeds", type=int, choices=range(1, 1001), default=SEEDS, metavar="N")
    grammar.add_argument("--seconds", type=float, default=SECONDS, metavar="N", help="for each seed")
    grammar.add_argument("--markdown", type=Path, metavar="FILE", help="write the table of docs/proof.md there")
    return grammar


def main(argv: Sequence[str] | None = None) -> int:
    arguments = parser().parse_args(argv)
    errors = Console(stderr=True, highlight=False)
    manifest = Manifest.load()
    try:
        if not arguments.seconds > 0:
            raise CannotRun(f"--seconds {arguments.seconds:g}: each seed needs some time")
        wanted = chosen(arguments.names)
        kernels = {
            kernel: find(kernel, manifest.files, optional=manifest.optional)
            for kernel in dict.fromkeys(trophy.kernel for trophy in wanted)
        }
        results = list(hunts(wanted, arguments.seeds, arguments.seconds, kernels, errors))
        show(Console(width=None if sys.stdout.isatty() else WIDTH), results)
        if arguments.markdown is not None:
            arguments.markdown.write_text(markdown(results))
    except (CannotRun, OSError) as error:
        errors.print(f"trophies: {error}", markup=False, soft_wrap=True)
        return COULD_NOT_RUN
    except KeyboardInterrupt:
        errors.print("trophies: stopped")
        return COULD_NOT_RUN
    missed = [hunt.trophy.name for hunt in results if hunt.missed and hunt.engine == engines()[0]]
    if missed:
        errors.print(f"not found with every seed in {arguments.seconds:g} s: {', '.join(missed)}", soft_wrap=True)
    return MISSED if missed else FOUND


if __name__ == "__main__":
    sys.exit(main())
