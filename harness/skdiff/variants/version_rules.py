"""Epochs: the rules of the lookup that differ between kernel versions, as data that the model reads.

A rule is on or off in a kernel's text, whatever its version says (see `kernel/detect.py`): stable kernels and
distributions take patches back. An epoch is the set of rules of the mainline version that it is named after.
"""

from collections.abc import Mapping, Sequence
from dataclasses import Field, dataclass, field, fields, replace
from itertools import takewhile
from typing import Any

from skdiff.base.errors import CannotRun


def _rule(
    default: bool,
    since: str,
    commit: str,
    title: str,
    cve: str = "",
    levels: Mapping[str, int] | None = None,
    silent: bool = False,
) -> Any:
    """A rule: whether Linux 6.12.117 has it, the first mainline version that does ("" where nobody looked), the commit
    that brought it and its title ("" likewise), and its CVE. One that came to old versions as a fix has `levels` (the
    first point release of each series that has it), and belongs to no epoch. No outcome tells of a `silent` one.
    """
    metadata = {"since": since, "commit": commit, "title": title, "cve": cve, "levels": levels, "silent": silent}
    return field(default=default, metadata=metadata)


@dataclass(frozen=True)
class Rules:
    """What one kernel does; the defaults are those of Linux 6.12.117, the kernel that is fuzzed by default.

    - `reselect`: a listener that BPF assigned stands for its SO_REUSEPORT group, which chooses anew, and an error of
      the group ends the lookup (inet_steal_sock()). Off: what was assigned gets the packet. 8897562f67b3 mended the
      first form, which asked mini sockets too, before any release.
    - `shared_sk_lookup`: the listeners' search asks sk_lookup programs by inet_lookup_run_sk_lookup(), which UDP uses
      too. Off: by inet_lookup_run_bpf(). Only the steps tell.
    - `syncookie`: of a request whose SYN cookie BPF has validated the listener is taken (skb_steal_sock()). Off: it is
      taken itself, like any request.
    - `lport_added`: inet_ehashfn() hashes without the local port and adds it to the hash. Off: it hashes it.
    - `whole_hash6`: inet6_ehashfn() hashes all words of both addresses with one secret, and adds the local port. Off:
      the last word of the local address, and a hash of the peer's with a secret of its own.
    - `own_tables`: __inet_lookup_skb() has no hashinfo argument, the namespace's own tables are searched. Off: the
      caller passes them, so they may be foreign.
    - `sk_lookup_always`: sk_lookup programs are asked whatever tables are searched. Off: for the namespace's own only.
    - `unhashed_check`: a match in ehash that is no longer hashed when its reference is taken sends the walk back to its
      start (__inet_lookup_established()). Off: it is returned. It came with stable kernels of 2026.
    - `ehash_replace`: a socket takes the place of its request in ehash in one step (inet_ehash_insert()). Off: there is
      a moment with neither, which a lookup with events can meet.
    - `twsk_replace`: a timewait socket takes the place of its connection in one step, with its references
      (inet_twsk_hashdance_schedule()). Off: it comes before its connection goes, and has no reference until then, which
      ends the search of a lookup that meets it.
    - `udp_pernet`: a namespace may have tables of UDP of its own. Off: there is one set of tables for all.
    - `demux_pfree`: what UDP's early demux found comes without a reference and counts as assigned (sock_pfree), so that
      its group chooses anew. Off: with a reference, and as found (sock_efree).
    - `hash4`: connected sockets of UDP are searched first, by both ends (udp4_lib_lookup4()). Off: the score decides.
    - `lookup1`: who is bound to the packet's address is found by the port alone if nothing else found somebody
      (udp4_lib_lookup1()): while connect() has set an address and not yet rehashed.
    - `udp_own_tables`: UDP's lookups have no udptable argument. Off: the caller passes tables, so they may be foreign.
    - `hash4_again`: a connected socket of UDP that connects once more is moved in hash4 (udp_lib_hash4()). Off: it
      stays where its first peer had it, and the score finds it for the other one.
    - `unhash4_first`: a disconnect() takes a socket of UDP out of hash4, before all else (udp_disconnect()). Off: it
      stays there if bind() has given it its address.
    - `wildcard_unhash4`: a socket of UDP that a disconnect() leaves without an address leaves hash4 (udp_lib_rehash()).
      Off: it is moved there, to where a connection without addresses is.
    - `udp_sk_lookup_always`: sk_lookup programs are asked whatever tables of UDP are searched.
    """

    reselect: bool = _rule(True, "6.6", "9c02bec95954", "bpf, net: Support SO_REUSEPORT sockets with bpf_sk_assign")
    shared_sk_lookup: bool = _rule(True, "6.6", "6c886db2e78c", "net: remove duplicate sk_lookup helpers", silent=True)
    syncookie: bool = _rule(True, "6.9", "8b5ac68fb5ee", "tcp: bpf: Handle BPF SYN Cookie in skb_steal_sock().")
    lport_added: bool = _rule(
        False, "6.15", "9544d60a2605", "inet: change lport contribution to inet_ehashfn() and inet6_ehashfn()"
    )
    whole_hash6: bool = _rule(False, "7.1", "854587e69ef3", "tcp: improve inet6_ehashfn() entropy")
    own_tables: bool = _rule(False, "6.18", "cb16f4b6c73d", "tcp: Don't pass hashinfo to socket lookup helpers.")
    sk_lookup_always: bool = _rule(
        False, "6.18", "8150f3a44b17", "tcp: Remove hashinfo test for inet6?_lookup_run_sk_lookup()."
    )
    unhashed_check: bool = _rule(
        True,
        # Not in 7.3.0. That 7.3.4 has it as a fix means that mainline had it before 7.4, in a release candidate that is
        # not known here, nor is its commit. 7.2.13, 7.1.13 and 6.18.15 are without it; Debian's 6.1.192 has it as a
        # patch of its own.
        "7.4",
        "",
        "inet: reject unhashed sockets during established lookups",
        cve="CVE-2026-99288",
        levels={"6.12": 117, "7.3": 4},
    )
    ehash_replace: bool = _rule(
        True,
        "6.19",
        "1532ed0d0753",
        "inet: Avoid ehash lookup race in inet_ehash_insert()",
        levels={"6.1": 160, "6.12": 63},  # 6.17.8 and 6.18.15 are without it
    )
    twsk_replace: bool = _rule(
        True,
        "6.19",
        "b8ec80b13021",
        "inet: Avoid ehash lookup race in inet_twsk_hashdance_schedule()",
        levels={"6.12": 63},  # 6.1.192, 6.17.8 and 6.18.15 are without it
    )
    udp_pernet: bool = _rule(True, "6.2", "9804985bf27f", "udp: Introduce optional per-netns hash table.")
    demux_pfree: bool = _rule(True, "6.9", "08842c43d016", "udp: no longer touch sk->sk_refcnt in early demux")
    hash4: bool = _rule(False, "6.13", "78c91ae2c6de", "ipv4/udp: Add 4-tuple hash for connected socket")
    # That 7.2.13 and 7.3.4 have these two and 7.1.13 has not tells neither their versions nor their commits.
    hash4_again: bool = _rule(False, "7.4", "", "udp_rehash4() in udp_lib_hash4()", levels={"7.2": 13, "7.3": 4})
    unhash4_first: bool = _rule(False, "7.4", "", "udp_unhash4_on_disconnect()", levels={"7.2": 13, "7.3": 4})
    wildcard_unhash4: bool = _rule(
        False,
        "7.0",
        "6996a2d2d0a6",
        "udp: Unhash auto-bound connected sk from 4-tuple hash table when disconnected.",
        levels={"6.18": 17, "6.19": 7},
    )
    lookup1: bool = _rule(
        True,
        "6.14",
        "a502ea6fa94b",
        "udp: Deal with race between UDP socket address change and rehash",
        cve="CVE-2024-57974",
        levels={"6.1": 192, "6.12": 117},  # 6.12.8 is without it
    )
    udp_own_tables: bool = _rule(
        False, "7.1", "68aeb21ef0e1", "udp: Don't pass udptable to IPv4 socket lookup functions."
    )
    udp_sk_lookup_always: bool = _rule(
        False, "7.1", "5a88b2810f26", "udp: Remove dead check in __udp[46]_lib_lookup() for BPF."
    )

    def word(self, name: str) -> str:
        """A rule as it stands, in a word: its name, or no-NAME where it is off."""
        return name if getattr(self, name) else f"no-{name}"


@dataclass(frozen=True)
class ToldRules(Rules):
    """Rules as a summary tells them: beside each rule the nearest epoch, and what is not as that one has it."""

    epoch: str = ""
    but: tuple[str, ...] = ()

    @property
    def plain(self) -> Rules:
        """The rules alone."""
        return Rules(**{name: getattr(self, name) for name in NAMES})


NAMES = tuple(rule.name for rule in fields(Rules))
# The rules that an epoch is made of; the others come and go with stable levels.
EPOCHAL = tuple(rule.name for rule in fields(Rules) if rule.metadata["levels"] is None)
SILENT = tuple(rule.name for rule in fields(Rules) if rule.metadata["silent"])
_SINCE: Mapping[str, str] = {rule.name: rule.metadata["since"] for rule in fields(Rules)}
_FIRST = "6.1"
# The newest version of each major number of which something is known: Linux 6.19 was followed by 7.0.
LAST_KNOWN: Mapping[int, int] = {6: 19, 7: 4}


def numbers(version: str) -> tuple[int, ...]:
    """The leading numbers of a version: (6, 12, 117) of "6.12.117-rt". Empty for what is no version."""
    found = []
    for part in version.split("."):
        digits = "".join(takewhile(str.isdigit, part))
        if not digits:
            break
        found.append(int(digits))
    return tuple(found)


def _epoch(version: str) -> Rules:
    return Rules(**{name: name in EPOCHAL and numbers(_SINCE[name]) <= numbers(version) for name in NAMES})


# The name of an epoch is the first version that has its rules. Rules of stable levels are off here, and mean nothing.
EPOCHS: Mapping[str, Rules] = {
    version: _epoch(version) for version in sorted({_FIRST, *(_SINCE[name] for name in EPOCHAL)}, key=numbers)
}

# The mainline versions that were the first with a rule of stable levels: no epoch has these rules.
FIRST_WITH_A_FIX = tuple(sorted({_SINCE[name] for name in NAMES if name not in EPOCHAL}, key=numbers))


def epoch_of_version(version: str) -> str:
    """The epoch that a mainline version is in; the first one for what is older, or no version at all."""
    return [_FIRST, *(name for name in EPOCHS if numbers(name) <= numbers(version))][-1]


def differences(rules: Rules, epoch: str) -> tuple[str, ...]:
    """The rules that are not as that epoch has them, each as it is: ("no-syncookie", ...)."""
    theirs = EPOCHS[epoch]
    return tuple(rules.word(name) for name in EPOCHAL if getattr(rules, name) != getattr(theirs, name))


def nearest_epoch(rules: Rules) -> str:
    """The epoch whose rules these are; if none has them, the one with the fewest that differ, the older of equals."""
    return min(EPOCHS, key=lambda epoch: len(differences(rules, epoch)))


def describe(rules: Rules) -> str:
    """The rules for people: "epoch 6.9 with unhashed_check", or "no known epoch: 6.9 but no-syncookie ..."."""
    epoch = nearest_epoch(rules)
    differ = differences(rules, epoch)
    text = f"no known epoch: {epoch} but {', '.join(differ)}" if differ else f"epoch {epoch}"
    more = [name for name in NAMES if name not in EPOCHAL and getattr(rules, name)]
    return text + (f" with {', '.join(more)}" if more else "")


def expected(version: str) -> tuple[str, ...]:
    """The rules that a kernel of that version should have: those of its epoch, and the fixes that its point release, or
    the mainline version that it comes from, has. None for what is no version.
    """
    found = numbers(version)
    series, point = ".".join(map(str, found[:2])), found[2] if len(found) > 2 else 0

    def should_have(rule: Field[Any]) -> bool:
        since, level = rule.metadata["since"], (rule.metadata["levels"] or {}).get(series)
        if since and numbers(since) == found[:2] and "-rc" in version and rule.metadata["levels"] is not None:
            return False  # a fix comes in any release candidate
        return bool(since and numbers(since) <= found) or (level is not None and level <= point)

    return tuple(rule.name for rule in fields(Rules) if len(found) > 1 and should_have(rule))


def of_version(version: str) -> Rules:
    """The rules that a kernel of that version should have."""
    there = expected(version)
    return Rules(**{name: name in there for name in NAMES})


def missing(text: Rules, unknown: Sequence[str], version: str) -> tuple[str, ...]:
    """The rules that a kernel of that version should have and that its text has not: each is a difference."""
    return tuple(name for name in expected(version) if not getattr(text, name) and name not in unknown)


def origin(name: str) -> str:
    """Where a rule comes from: "Linux 6.9, 8b5ac68fb5ee, "the commit's title", CVE", as far as it is known."""
    [rule] = [rule for rule in fields(Rules) if rule.name == name]
    meta = rule.metadata
    levels = [f"Linux {series}.{point}" for series, point in (meta["levels"] or {}).items()]
    since = ([f"Linux {meta['since']}"] if meta["since"] else []) + levels
    title = f'"{meta["title"]}"' if meta["title"] else ""
    return ", ".join(filter(None, (" and ".join(since), meta["commit"], title, meta["cve"])))


def describe_doubts(text: Rules, unknown: Sequence[str], version: str) -> list[str]:
    """Where the text of a kernel and its version disagree about rules, and what cannot be told, a line each."""
    if not numbers(version):
        return []
    should = expected(version)
    lines = [
        f"missing rule {name} ({origin(name)}): Linux {version} should have it"
        for name in missing(text, unknown, version)
    ]
    for name in unknown:
        has = "has" if name in should else "has not"
        lines.append(f"cannot tell rule {name}: its function was not found in the text; a Linux {version} {has} it")
    early = [name for name in NAMES if getattr(text, name) and name not in should]
    if early:
        lines.append(f"its text has {', '.join(early)} besides what Linux {version} should have")
    return lines


def told(rules: Rules) -> ToldRules:
    """The rules for a summary."""
    epoch = nearest_epoch(rules)
    return ToldRules(**{name: getattr(rules, name) for name in NAMES}, epoch=epoch, but=differences(rules, epoch))


def rules_to_follow(text: Rules, unknown: Sequence[str] = (), version: str = "", words: str = "") -> Rules:
    """The rules that a tree is held to, whose text has the rules `text` and does not tell of `unknown`: those that its
    version should have, and those that its text has besides, as a fix may come early but does not go missing. What
    `words` say, if there are any ("text": those of the text alone).
    """
    if words:
        return changed_by_hand(text, words.replace("text", " "))
    return replace(text, **dict.fromkeys(expected(version), True))


def check_supported(version: str) -> None:
    """Raises CannotRun for a version that is older than the first epoch: its rules are not modelled."""
    if len(numbers(version)) > 1 and numbers(version)[:2] < numbers(_FIRST):
        raise CannotRun(f"Linux {version} is older than {_FIRST}, and the rules of such kernels are not modelled")


def changed_by_hand(rules: Rules, words: str) -> Rules:
    """The rules changed as a user wants them: words apart by commas or blanks, a version (the rules of its epoch, those
    of stable levels as they are), a rule's name to switch it on, no-NAME for off. Raises CannotRun, also for a version
    that is newer than all whose rules are known: the last epoch's rules would be a guess.
    """
    for word in words.replace(",", " ").split():
        if len(numbers(word)) > 1:
            check_supported(word)
            major, minor = numbers(word)[:2]
            if minor > LAST_KNOWN.get(major, -1):
                known = [(_FIRST if numbers(_FIRST)[0] == a else f"{a}.0", f"{a}.{b}") for a, b in LAST_KNOWN.items()]
                spans = ", ".join(f"{first} to {last}" for first, last in known)
                raise CannotRun(f"the rules of Linux {word} are not known; known are {spans}")
            epoch = EPOCHS[epoch_of_version(word)]
            rules = replace(rules, **{name: getattr(epoch, name) for name in EPOCHAL})
        elif word.removeprefix("no-") in NAMES:
            rules = replace(rules, **{word.removeprefix("no-"): not word.startswith("no-")})
        else:
            raise CannotRun(f"no epoch or rule {word!r}: a version, or {', '.join(NAMES)}, or no- and one of these")
    return rules
