"""The command line: `skdiff fuzz` and the rest. Exit codes: 0 agreed, 1 mismatch found, 2 could not run."""

import argparse
import os
import sys
import traceback
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from skdiff.base.errors import CannotRun
from skdiff.commands.cases import corpus, explain, keep, reduce, replay
from skdiff.commands.kernels import kernels
from skdiff.commands.proof import bench, coverage, doctor, extract, mutants
from skdiff.commands.rule_table import rules
from skdiff.commands.runs import diff, drift, fuzz, merge, nightly, report
from skdiff.commands.shared import COULD_NOT_RUN, can_be_written, chosen, errors, made, ours, side
from skdiff.engines import ENGINES
from skdiff.kernel import drift as drifting
from skdiff.kernel.build import VARIANTS
from skdiff.nightly import night as nights
from skdiff.proof.mutants import hunt as hunting
from skdiff.variants import config

__all__ = ["made", "main", "side"]
SECONDS = {"fuzz": 60, "diff": 20}  # of a run, if nothing else is said
EXIT_CODES = "exit codes: 0 the oracles agree, 1 they differ, 2 could not run"


def _number(text: str) -> int:
    try:
        value = int(text, 0)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number") from error
    if value < 0:
        raise argparse.ArgumentTypeError(f"{text} is negative")
    return value


def _seed(text: str) -> int:
    value = _number(text)
    if value >= 1 << 64:
        raise argparse.ArgumentTypeError(f"{text}: a seed has 64 bits, {(1 << 64) - 1} at most")
    return value


def _count(text: str) -> int:
    value = _number(text)
    if not value:
        raise argparse.ArgumentTypeError("one at least")
    return value


def _minutes(text: str) -> float:
    value = _seconds(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"a night of {text} minutes is none: 1 at least")
    return value


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no number") from error
    if not 0 <= value < 10**8:
        raise argparse.ArgumentTypeError(f"{text} is no number of seconds")
    return value


def parser() -> argparse.ArgumentParser:
    """The command line's grammar."""
    top = argparse.ArgumentParser(
        prog="skdiff",
        description="Differential fuzzing of the Linux kernel's IPv4 socket lookup: the kernel's own C, taken out of a"
        " source tree, against a Python model of its rules.",
        epilog=EXIT_CODES,
    )
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(
        function: Any, text: str, one_kernel: bool = True, built: bool = True, several: bool = False
    ) -> argparse.ArgumentParser:
        sub = commands.add_parser(function.__name__, help=text, description=function.__doc__, epilog=EXIT_CODES)
        sub.set_defaults(function=function, json=None, epoch=None, config=None)
        if one_kernel:
            sub.add_argument(
                "--kernel",
                default="6.12",
                metavar="K",
                help="a version (6.12, 6.1, ...), fetched once, mainline as it is now, or the path of a source tree"
                " (default: %(default)s)",
            )
        if several:
            sub.add_argument(
                "--kernel",
                action="append",
                metavar="K",
                help=f"a version or the path of a tree, once for each kernel (default: {', '.join(nights.KERNELS)})",
            )
        if (one_kernel or several) and built:
            sub.add_argument(
                "--epoch",
                metavar="E",
                help="the model's rules by hand: a version, or rules' names, no- before those that are off (default:"
                " those of the kernel's version and those that its text has besides; environment: EPOCH)",
            )
        if built:
            sub.add_argument(
                "--config",
                metavar="C",
                help="the kernel's configuration: NAME=y or NAME=n, several in one word, of"
                f" {', '.join(name.upper() for name in config.NAMES)}; or a .config file (environment: CONFIG)",
            )
            sub.add_argument(
                "--stub",
                action="append",
                metavar="FILE",
                help="C of your own in the place of what userspace has not, as in csrc/stand_ins; may be repeated"
                " (environment: SKDIFF_STUBS, files apart by colons)",
            )
        if function is not report:
            sub.add_argument("--json", type=Path, metavar="FILE", help="write a machine-readable summary there")
        return sub

    def budget(sub: argparse.ArgumentParser) -> None:
        usual = SECONDS[sub.get_default("function").__name__]
        sub.add_argument("--seconds", type=_seconds, metavar="N", help=f"stop after N seconds (default: {usual})")
        sub.add_argument("--cases", type=_number, default=0, metavar="N", help="stop after N cases")
        sub.add_argument("--seed", type=_seed, metavar="N", help="repeat a run (default: a new one each time)")
        sub.add_argument(
            "--findings",
            type=Path,
            default=Path("findings"),
            metavar="DIR",
            help="where to keep them (default: %(default)s)",
        )

    sub = command(fuzz, "compare kernel and model on random scenarios")
    sub.add_argument("--engine", choices=ENGINES, help="default: atheris where it is installed, else random")
    sub.epilog = f"{EXIT_CODES}, or not all of the new text ran"
    budget(sub)
    sub.add_argument(
        "--jobs",
        type=_count,
        default=1,
        metavar="N",
        help="workers, each a process with a seed of its own; guided ones share what they learn (default: %(default)s)",
    )
    sub.add_argument(
        "--inputs", type=Path, metavar="DIR", help="keep a guided run's inputs there, and start from those that are"
    )
    sub.add_argument(
        "flags", nargs="*", metavar="-- FLAG", help="flags of libFuzzer and folders of inputs, behind a --"
    )
    sub = command(diff, "compare two kernels, or two configurations, with each other", one_kernel=False)
    sub.epilog = "exit codes: 0 no difference, 1 they differ, 2 could not run, or not all of the new text ran"
    a_kernel = 'a version or the path of a tree, and options behind it if they are its own: "6.12 IPV6=n"'
    sub.add_argument("a", metavar="A", help=a_kernel)
    sub.add_argument("b", metavar="B", nargs="?", help="the same for the other side; not with --patch")
    sub.add_argument(
        "--patch",
        action="append",
        default=[],
        metavar="P",
        help="compare A with A and this patch: a diff, a mail, a mailbox (as b4 am writes it), a folder of patches, or"
        " - for standard input; may be said again",
    )
    sub.add_argument("paths", nargs="*", type=Path, metavar="FILE", help="cases to tell about instead of a search")
    budget(sub)
    sub = command(drift, "tell how a kernel's text differs from the one recorded here", built=False)
    sub.epilog = "exit codes: 0 the same, 1 drifted, 2 could not run"
    sub.add_argument("--record", action="store_true", help="write the record of this kernel instead")
    sub.add_argument(
        "--against",
        type=Path,
        metavar="FILE",
        help=f"the record (default: that of the nearest version in corpus/{drifting.RECORDS.name}/)",
    )
    sub = command(replay, "run kept cases again")
    sub.add_argument("paths", nargs="*", type=Path, metavar="PATH", help="files or folders (default: the corpus)")
    sub = command(reduce, "make a case as small as it gets")
    sub.epilog = "exit codes: 0 wrote a reduced case, 2 the oracles agree about it, or could not run"
    sub.add_argument("path", type=Path, metavar="FILE", help="a case that shows a difference")
    sub.add_argument("-o", "--output", type=Path, metavar="OUT", help="where to write (default: FILE-reduced.toml)")
    sub = command(explain, "tell which socket gets a case's packet, and why")
    sub.add_argument("path", type=Path, metavar="FILE", help="a case")
    sub.add_argument("--dot", type=Path, metavar="FILE", help="draw the tables and the walked path for Graphviz")
    sub.add_argument("--svg", type=Path, metavar="FILE", help="the same as a picture (needs Graphviz's dot)")
    sub = command(keep, "move a finding into the regressions")
    sub.add_argument("path", type=Path, metavar="FINDING", help="its case.toml")
    sub.add_argument("--name", required=True, help="the name of its file there")
    sub.add_argument("--why", default="", help="the story in a sentence or two")
    sub = command(corpus, "work on the corpus: distill makes corpus/seeds a small covering set")
    sub.add_argument("action", choices=["distill"])
    sub.add_argument(
        "--cases", type=_number, default=30000, metavar="N", help="random candidates (default: %(default)s)"
    )
    sub.add_argument("--seed", type=_seed, metavar="N", help="of the random candidates (default: 0)")
    command(extract, "show what was taken out of a kernel tree")
    command(doctor, "say what is here, what is missing, and whether guidance works")
    sub = command(coverage, "show what of the kernel's text the corpus reaches")
    sub.epilog = "exit codes: 0 all that can be reached is, 1 something is missing, 2 could not run"
    sub.add_argument(
        "--cases",
        type=_number,
        default=100_000,
        metavar="N",
        help="random cases; 0: the corpus alone (default: 100000)",
    )
    sub = command(mutants, "prove that changes of kernel, model and harness are seen")
    sub.epilog = "exit codes: 0 the bars are met, 1 they are missed, 2 could not run"
    sub.add_argument("of", nargs="*", metavar="c|model|harness", help="whose mutants (default: c and model)")
    sub.add_argument(
        "--seeds", type=_number, default=hunting.SEEDS, metavar="N", help="of fuzzing; 0: the corpus alone (default: 5)"
    )
    sub.add_argument(
        "--cases", type=_number, default=hunting.CASES, metavar="N", help="of each seed (default: %(default)s)"
    )
    sub.add_argument(
        "--keep", type=Path, metavar="DIR", help="write small cases there that kill what the corpus left alive"
    )
    sub = command(merge, "merge guided runs' inputs, and keep the few that reach as much")
    sub.epilog = "exit codes: 0 merged, 2 could not: then nothing is gone"
    sub.add_argument("into", type=Path, metavar="DIR", help="an --inputs folder of fuzz; it is changed")
    sub.add_argument("sources", nargs="*", type=Path, metavar="FROM", help="more of them; they are only read")
    sub = command(report, "make one page of runs' summaries", one_kernel=False, built=False)
    sub.epilog = "exit codes: 0 wrote the page, 2 could not"
    sub.add_argument("folder", type=Path, metavar="DIR", help="where the --json files and the findings are")
    sub.add_argument("-o", "--output", type=Path, metavar="PAGE", help="the page (default: DIR/report.html)")
    sub.add_argument(
        "--issues", type=Path, metavar="DIR", help="write an issue text there for each signature that is new this night"
    )
    sub = command(nightly, "run all of it, with a page at the end", one_kernel=False, several=True)
    sub.epilog = "exit codes: 0 agreed, 1 something differs, 2 a step could not run, or nothing was compared"
    sub.add_argument("--minutes", type=_minutes, default=240.0, metavar="N", help="how long (default: %(default)g)")
    sub.add_argument(
        "--folder", type=Path, default=Path("nights"), metavar="DIR", help="all nights (default: %(default)s)"
    )
    sub.add_argument("--name", metavar="NIGHT", help="its folder there (default: the time)")
    sub.add_argument(
        "--inputs",
        type=Path,
        default=Path("inputs"),
        metavar="DIR",
        help="inputs of the guided runs, kept from night to night and merged at its end (default: %(default)s)",
    )
    sub.add_argument("--jobs", type=_number, default=0, metavar="N", help="workers (default: one for each core)")
    sub.add_argument("--list", action="store_true", help="show the steps, and run none")
    sub.add_argument("steps", nargs="*", metavar="STEP", help="only these, with * and ? (default: all)")
    sub = command(kernels, "list the kernels that are cached, and those that can be had", one_kernel=False, built=False)
    sub.epilog = "exit codes: 0 listed, 2 nothing can be listed"
    sub = command(rules, "list the rules in which kernel versions differ", one_kernel=False, built=False)
    sub.epilog = "exit codes: 0 listed, 1 the kernel lacks a rule that its version should have, 2 could not run"
    sub.add_argument("--kernel", metavar="K", help="hold this version, or source tree, against them")
    command(bench, "measure where the time of a case goes")
    top.set_defaults(commands=commands.choices)
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit code."""
    arguments = parser().parse_args(argv)
    if arguments.command == "mutants":
        arguments.of = arguments.of or ["c", "model"]
    if arguments.command in SECONDS and arguments.seconds is None:
        arguments.seconds = 0 if arguments.cases else SECONDS[arguments.command]
    ours.update(command=arguments.command, started=datetime.now(UTC).isoformat(timespec="seconds"))
    variant = os.environ.get("SAN")
    try:
        if variant and variant not in VARIANTS:
            raise CannotRun(f"SAN={variant}: one of {', '.join(VARIANTS)}")
        if arguments.json is not None:
            can_be_written(arguments.json)
        with chosen(arguments):
            return int(arguments.function(arguments))
    except CannotRun as error:
        errors.print(f"skdiff: {error}", markup=False, soft_wrap=True)
        return COULD_NOT_RUN
    except KeyboardInterrupt:
        errors.print("skdiff: interrupted", markup=False)
        return COULD_NOT_RUN
    except OSError as error:  # most often a full disk
        errors.print(f"skdiff: {error}", markup=False, soft_wrap=True)
        return COULD_NOT_RUN
    except Exception as error:  # noqa: BLE001  # Python itself would end with 1, which says that the oracles differ
        errors.print("".join(traceback.format_exception(error)), markup=False, soft_wrap=True, end="")
        errors.print(f"skdiff: a fault of skdiff itself: {error!r}; please report it", markup=False, soft_wrap=True)
        return COULD_NOT_RUN


if __name__ == "__main__":
    sys.exit(main())
