"""Arguments that several commands have, and the kinds of their values."""

import argparse
from pathlib import Path

from skdiff.base.errors import CannotRun
from skdiff.cases.fields import LOOKUPS
from skdiff.kernel.options import BuildOptions
from skdiff.oracles.oracle_words import is_oracle, kernel_beside
from skdiff.variants import config

DEFAULT_KERNEL = "6.12"


def path(text: str) -> Path:
    """A path; the empty text, as an unset variable of a shell leaves it, is none."""
    if not text:
        raise argparse.ArgumentTypeError("an empty name")
    return Path(text)


def number(text: str) -> int:
    """A whole number from 0 up, also in hex or octal as C writes them."""
    try:
        value = int(text, 0)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number") from error
    if value < 0:
        raise argparse.ArgumentTypeError(f"{text} is negative")
    return value


def seed(text: str) -> int:
    """A seed: a whole number of 64 bits."""
    value = number(text)
    if value >= 1 << 64:
        raise argparse.ArgumentTypeError(f"{text}: a seed has 64 bits, {(1 << 64) - 1} at most")
    return value


def count(text: str) -> int:
    """A whole number from 1 up."""
    value = number(text)
    if not value:
        raise argparse.ArgumentTypeError("one at least")
    return value


def seconds(text: str) -> float:
    """A length of time in seconds."""
    try:
        value = float(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no number") from error
    if not 0 <= value < 10**8:
        raise argparse.ArgumentTypeError(f"{text} is no number of seconds")
    return value


def minutes(text: str) -> float:
    """A length of time in minutes, 1 at least."""
    value = seconds(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"a night of {text} minutes is none: 1 at least")
    return value


def add_kernel(parser: argparse.ArgumentParser, told: str = "") -> None:
    """--kernel, one. Where the default is not always the same it is `told`, and `kernel_of` knows it."""
    parser.add_argument(
        "--kernel",
        default="" if told else DEFAULT_KERNEL,
        metavar="K",
        help="a version (6.12, 6.1.192, ...), which is fetched once; mainline, as it is now; or the path of a source"
        f" tree (default: {told or DEFAULT_KERNEL})",
    )


def add_oracle(parser: argparse.ArgumentParser) -> None:
    """--oracle: one more than the kernel's text and the model."""
    parser.add_argument(
        "--oracle",
        type=oracle,
        metavar="O",
        help="one more oracle, asked with real sockets: host, the running kernel, in network namespaces of its own"
        " (all of it needs root, or CAP_SYS_ADMIN, CAP_NET_ADMIN, CAP_NET_RAW and CAP_BPF; an ordinary user asks, in a"
        " user namespace, what needs no BPF); vm:7.3, Debian's image of that version, booted under QEMU; vm:PATH, a"
        " bzImage of yours",
    )


def oracle(text: str) -> str:
    """An oracle that is a kernel which runs."""
    if not is_oracle(text):
        raise argparse.ArgumentTypeError(f"{text!r} is none: host, or vm: and a version or the path of a bzImage")
    return text


def kernel_of(arguments: argparse.Namespace) -> str:
    """The kernel of --kernel, or the default one: that of the oracle, if there is one. Raises CannotRun."""
    if arguments.kernel:
        return str(arguments.kernel)
    return kernel_beside(arguments.oracle) if arguments.oracle else DEFAULT_KERNEL


def add_epoch(parser: argparse.ArgumentParser) -> None:
    """--epoch: rules by hand."""
    parser.add_argument(
        "--epoch",
        metavar="E",
        help="the rules that the model follows: those of a version (6.9), single ones by name (no-NAME: off), see"
        " `skdiff rules`, or those of the text alone (text); several in one word (default: those of the kernel's"
        " version and those that its text has besides; environment: EPOCH)",
    )


def add_stubs(parser: argparse.ArgumentParser) -> None:
    """--stub."""
    parser.add_argument(
        "--stub",
        action="append",
        default=[],
        metavar="FILE",
        help="a C file with your own stubs of what userspace does not have, as in csrc/stubs; may be repeated"
        " (environment: SKDIFF_STUBS, files separated by colons)",
    )


def add_config(parser: argparse.ArgumentParser) -> None:
    """--config and --stub: how the kernel's text is built."""
    parser.add_argument(
        "--config",
        metavar="C",
        help="the kernel's configuration: NAME=y or NAME=n, several in one word, of"
        f" {', '.join(name.upper() for name in config.NAMES)}; or minimal, which is everything off; or the path"
        " of a .config file (environment: CONFIG)",
    )
    add_stubs(parser)


def add_build(parser: argparse.ArgumentParser, told: str = "") -> None:
    """What a command takes that builds one kernel and runs the model of its rules beside it."""
    add_kernel(parser, told)
    add_epoch(parser)
    add_config(parser)


def add_json(parser: argparse.ArgumentParser) -> None:
    """--json."""
    parser.add_argument("--json", type=path, metavar="FILE", help="write a summary for programs to FILE")


def add_budget(parser: argparse.ArgumentParser, usual: int) -> None:
    """When a run stops (after `usual` seconds if nothing is said), its seed, and where its findings go."""
    parser.add_argument(
        "--seconds",
        type=seconds,
        metavar="N",
        help=f"stop after N seconds; 0: only --cases or Ctrl-C stops it (default: {usual}, or 0 with --cases)",
    )
    parser.add_argument(
        "--cases", type=number, default=0, metavar="N", help="stop after N cases; 0: no limit (default: %(default)s)"
    )
    parser.add_argument("--seed", type=seed, metavar="N", help="the same seed repeats a run (default: a new one)")
    parser.add_argument(
        "--findings",
        type=path,
        default=Path("findings"),
        metavar="DIR",
        help="write the cases that differ to DIR (default: %(default)s)",
    )


def add_first(parser: argparse.ArgumentParser) -> None:
    """--first."""
    parser.add_argument("--first", action="store_true", help="stop at the first difference")


def add_lookup(parser: argparse.ArgumentParser) -> None:
    """--lookup."""
    parser.add_argument(
        "--lookup",
        metavar="L",
        help=f"draw cases of these lookups only: {', '.join(LOOKUPS.values())}, apart by commas (default: all that the"
        " kernel has in this configuration)",
    )


def lookups_of(arguments: argparse.Namespace) -> tuple[str, ...]:
    """The lookups of --lookup, () for all. Raises CannotRun for a name that is none."""
    if arguments.lookup is None:
        return ()
    wanted = [word.strip() for word in arguments.lookup.split(",")]
    for word in wanted:
        if word not in LOOKUPS.values():
            raise CannotRun(f"--lookup {arguments.lookup!r}: no lookup {word!r}, only {', '.join(LOOKUPS.values())}")
    return tuple(name for name in LOOKUPS.values() if name in wanted)


def seconds_of(arguments: argparse.Namespace, usual: int) -> float:
    """How long a run takes, in seconds; 0 for no bound."""
    if arguments.seconds is None:
        return 0 if arguments.cases else usual
    return float(arguments.seconds)


def build_options(arguments: argparse.Namespace) -> BuildOptions:
    """What the options and the environment say of builds. Raises CannotRun for what cannot be read."""
    return BuildOptions.read(
        epoch=getattr(arguments, "epoch", None),
        config=getattr(arguments, "config", None),
        stubs=getattr(arguments, "stub", ()),
    )
