"""skdiff nightly."""

import argparse
import os
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from skdiff.base.errors import CannotRun
from skdiff.base.signals import interrupts_noted
from skdiff.commands import NAMES
from skdiff.commands import arguments as common
from skdiff.commands.output import AGREED, say, show, write_json, write_summary
from skdiff.commands.report import write_page
from skdiff.nightly import night
from skdiff.variants import config

NAME = "nightly"
HELP = "run everything for some hours, and make a page of it"
DESCRIPTION = (
    "Fuzz every kernel and configuration, run the corpus, mutants, coverage, drift and the tests that use Hypothesis,"
    " and make a page, and a text for an issue for each new difference. A step that fails does not stop the others."
)
EXIT_CODES = "0 agreed; 1 something differs; 2 a step could not run, or nothing was compared"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """See commands/interface.py."""
    parser.add_argument(
        "--kernel",
        action="append",
        metavar="K",
        help=f"a version or the path of a tree, once for each kernel (default: {', '.join(night.KERNELS)})",
    )
    common.add_epoch(parser)
    common.add_config(parser)
    common.add_json(parser)
    parser.add_argument(
        "--minutes", type=common.minutes, default=240.0, metavar="N", help="how long (default: %(default)g)"
    )
    parser.add_argument(
        "--folder",
        type=common.path,
        default=Path("nights"),
        metavar="DIR",
        help="folder of all nights (default: %(default)s)",
    )
    parser.add_argument("--name", metavar="NIGHT", help="the name of its folder there (default: the time)")
    parser.add_argument(
        "--inputs",
        type=common.path,
        default=Path("inputs"),
        metavar="DIR",
        help="inputs of the guided runs, kept from night to night (default: %(default)s)",
    )
    parser.add_argument(
        "--jobs",
        type=common.number,
        default=0,
        metavar="N",
        help="worker processes (default: one for each CPU)",
    )
    parser.add_argument("--list", action="store_true", help="list the steps with their seconds, and run none")
    parser.add_argument(
        "steps", nargs="*", metavar="STEP", help="only these, with * and ? as in a shell (default: all)"
    )


def run(arguments: argparse.Namespace) -> int:
    """See commands/interface.py."""
    name = arguments.name or f"{datetime.now(UTC):%Y-%m-%dT%H%M%S}"
    if not re.fullmatch(r"[\w+-][\w.+-]*", name):
        raise CannotRun(
            f"--name {name!r}: the name of a folder below {arguments.folder}, of letters, digits and . _ + -"
        )
    out, jobs = arguments.folder / name, arguments.jobs or os.cpu_count() or 1
    options = common.build_options(arguments)
    config.parse(options.config, lambda name: True)  # what cannot be read is said now, not by each step
    kernels: Sequence[str] = arguments.kernel or ()
    planned = night.plan(arguments.minutes, out, arguments.inputs, jobs, kernels, options.config, options.epoch)
    steps = night.choose_steps(planned, arguments.steps)
    if arguments.list:
        for step in steps:
            show(f"{step.name:40} {step.seconds:6.0f} s")
        return AGREED
    try:
        out.mkdir(parents=True, exist_ok=bool(arguments.name))
    except OSError as error:
        raise CannotRun(f"cannot write {out}: {error.strerror}") from error
    with interrupts_noted():  # what is done has its page, whoever ends the night
        done = night.run(steps, out, NAMES, say, arguments.minutes, options.environment())
        summary = night.NightSummary(minutes=arguments.minutes, steps=done)
        write_summary(out / f"night-{steps[0].name}.json", arguments, summary)
        write_json(arguments, summary)
        write_page(arguments.folder, arguments.folder / "report.html", out / "issues")
    return summary.verdict
