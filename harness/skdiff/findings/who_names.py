"""What sockets of a host are called: by their processes."""

import re
from collections import Counter
from collections.abc import Sequence

from skdiff.cases.case import TAKEN, role
from skdiff.cases.scenario import Sock
from skdiff.oracles.running.read_host import Situation
from skdiff.oracles.running.socket_dump import Seen

_MOST_NAME = 40  # of a process


def names_of_sockets(situation: Situation, seen: Sequence[Seen], socks: Sequence[Sock]) -> list[str]:
    """A name for each socket: its process and its pid; where a process has several, the file descriptor too."""
    plain = [_name(situation, one, sock, i) for i, (one, sock) in enumerate(zip(seen, socks, strict=True))]
    count = Counter(plain)
    names: list[str] = []
    for name, one in zip(plain, seen, strict=True):
        has = situation.owners.get(one.inode)
        full = f"{name} fd {has[0].fd}" if count[name] > 1 and has else name
        names.append(full if full not in names and full not in TAKEN else f"{full} {len(names)}")
    return names


def _name(situation: Situation, one: Seen, sock: Sock, number: int) -> str:
    has = situation.owners.get(one.inode)
    if not has:
        return f"{role(sock).replace('_', ' ')} {number}"
    comm = re.sub(r"[^A-Za-z0-9_-]", "_", has[0].name)[:_MOST_NAME].lstrip("-") or "process"
    others = len({owner.pid for owner in has}) - 1
    return f"{comm} {has[0].pid}" + (f" and {others} more" if others else "")
