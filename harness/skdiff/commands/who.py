"""skdiff who."""

import argparse
import os
import shlex
from pathlib import Path

from skdiff.base.errors import CannotRun
from skdiff.base.paths import command, shell_path
from skdiff.cases.addresses import is_mapped, with_port
from skdiff.cases.addresses import text as as_text
from skdiff.cases.case_values import BadError
from skdiff.cases.derived import WILDCARDS
from skdiff.cases.scenario import TCP4, TCP6, UDP4, UDP6
from skdiff.cases.words_values import End, read_end
from skdiff.commands import arguments as common
from skdiff.commands.output import AGREED, DIFFERENCE, check_writable, say, say_all, show, show_all, write, write_json
from skdiff.findings.who import DIFFERS, Who, case_text, rules_of, who
from skdiff.findings.who_text import lines, summary
from skdiff.oracles.running.host_net import path_of
from skdiff.oracles.running.read_host import Question, read
from skdiff.variants.config import Config

NAME = "who"
HELP = "say which process of this host gets a packet, and why"
DESCRIPTION = (
    "Say which socket of this host gets a packet, and why: read the host's sockets, and ask the model of the running"
    " kernel's rules and the running kernel itself. Nothing is changed. Without rights it does what it can, and says"
    " what it could not see."
)
EXIT_CODES = "0 answered, and the running kernel agrees, or could not be asked; 1 it gives another answer; 2 no answer"

_LOOKUPS = {("tcp", False): TCP4, ("tcp", True): TCP6, ("udp", False): UDP4, ("udp", True): UDP6}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """See commands/interface.py."""
    common.add_json(parser)
    parser.add_argument("--to", required=True, metavar="ADDR:PORT", help="where the packet goes; IPv6 as [ADDR]:PORT")
    parser.add_argument(
        "--from", dest="client", metavar="ADDR:PORT", help="where it comes from (default: any client, in shares)"
    )
    parser.add_argument("--proto", choices=["tcp", "udp"], default="tcp", help="its protocol (default: %(default)s)")
    parser.add_argument(
        "--dev",
        metavar="NAME",
        help="the device that it comes in by (default: that of the way back to --from, or that which has the address)",
    )
    parser.add_argument(
        "--netns",
        metavar="NAME|PID|PATH",
        help="in that network namespace: a name of `ip netns`, a process's number, or its file",
    )
    parser.add_argument(
        "--cpu", type=common.number, metavar="N", help="the CPU that it is looked up on (default: the first one)"
    )
    parser.add_argument(
        "--case",
        type=common.path,
        metavar="OUT",
        help="write what was read as a case file; with - to standard output, and the answer to standard error",
    )


def run(arguments: argparse.Namespace) -> int:
    """See commands/interface.py."""
    to_stdout = arguments.case == Path("-")
    if arguments.case is not None and not to_stdout:
        check_writable(arguments.case)
    question = _question(arguments)
    uname = os.uname()
    rules, guess = rules_of(uname.release, uname.version)
    if guess:
        say(guess)
    situation = read(question)
    config = Config(ipv6=Path("/proc/sys/net/ipv6").exists(), l3mdev="tcp_l3mdev_accept" in situation.net.sysctls)
    found = who(situation, rules, config)
    if found.verdict == DIFFERS and situation.moved:
        raise CannotRun(
            "sockets came and went while they were read, and the answers are of different moments: ask again"
        )
    write_json(arguments, summary(found))
    (say_all if to_stdout else show_all)(lines(found))
    if arguments.case is not None:
        _write_case(arguments.case, found, uname)
    return DIFFERENCE if found.verdict == DIFFERS else AGREED


def _write_case(path: Path, found: Who, uname: os.uname_result) -> None:
    """Raises CannotRun."""
    packet, any_client = found.situation.packet, found.situation.question.client is None
    why = f"Read from {uname.nodename}, {uname.sysname} {uname.release}, by skdiff who."
    if any_client:
        why += f" No client was named: {with_port(packet.saddr, packet.sport)} is made up, and stands for any."
    whole = case_text(found, why)
    if path == Path("-"):
        show(whole.rstrip("\n"))
        return
    write(path, whole)
    version = ".".join(uname.release.split("-")[0].split(".")[:2])
    again = f"{command()} explain --kernel {shlex.quote(version)} {shell_path(path)}"
    which = "The same for one client, which is made up," if any_client else "The same"
    show(f"\n{which} by the kernel's text: {again}")


def _question(arguments: argparse.Namespace) -> Question:
    to = _end(arguments.to, "--to")
    client = None if arguments.client is None else _end(arguments.client, "--from")
    if client is not None and client.ipv6 != to.ipv6:
        raise CannotRun("--to and --from: both are of IPv4, or both of IPv6 (in brackets)")
    return Question(
        lookup=_LOOKUPS[arguments.proto, to.ipv6],
        daddr=to.address,
        dport=to.port,
        client=None if client is None else (client.address, client.port),
        device=arguments.dev,
        cpu=arguments.cpu,
        netns=path_of(arguments.netns),
    )


def _end(text: str, option: str) -> End:
    if "%" in text:
        raise CannotRun(f"{option}: {text!r}: no device here: it is --dev {text.split('%')[1].split(']')[0]}")
    try:
        end = read_end(text, option)
    except BadError as error:
        raise CannotRun(str(error)) from None
    if end.star:
        raise CannotRun(f"{option}: {text!r}: a packet has an address, a wildcard is none")
    if end.address in WILDCARDS:
        raise CannotRun(f"{option}: {text!r}: a packet has an address; connect() to a wildcard goes to this host's own")
    if end.ipv6 and is_mapped(end.address):
        raise CannotRun(f"{option}: {text!r}: such packets are of IPv4: write {as_text(end.address)}:{end.port}")
    if not end.port:
        raise CannotRun(f"{option}: {text!r}: a packet has a port, from 1 on")
    return end
