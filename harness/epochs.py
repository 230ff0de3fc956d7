"""Epochs: the rules of the lookup that differ between kernel versions, as data that the model reads.

A rule is on or off in a kernel's text, whatever its version says (see `harness/kernel/detect.py`): stable kernels and
distributions take patches back. An epoch is the set of rules of the mainline version that it is named after.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from itertools import takewhile
from typing import Any

from harness.errors import CannotRun


def _rule(default: bool, since: str, commit: str, stable: bool = False, silent: bool = False) -> Any:
    """A rule: whether Linux 6.12.117 has it, the first mainline version that does, and the commit that brought it.
    A `stable` one came to old versions as a fix, so it belongs to no epoch. No outcome tells of a `silent` one.
    """
    return field(default=default, metadata={"since": since, "commit": commit, "stable": stable, "silent": silent})


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
    - `own_tables`: __inet_lookup_skb() has no hashinfo argument, the namespace's own tables are searched. Off: the
      caller passes them, so they may be foreign.
    - `sk_lookup_always`: sk_lookup programs are asked whatever tables are searched. Off: for the namespace's own only.
    - `unhashed_check`: a match in ehash that is no longer hashed when its reference is taken sends the walk back to its
      start (__inet_lookup_established()). Off: it is returned. It came with stable kernels of 2026.
    - `ehash_replace`: a socket takes the place of its request in ehash in one step (inet_ehash_insert()). Off: there is
      a moment with neither. No lookup in tables that stand still can tell.
    """

    reselect: bool = _rule(True, "6.6", "9c02bec95954")
    shared_sk_lookup: bool = _rule(True, "6.6", "6c886db2e78c", silent=True)
    syncookie: bool = _rule(True, "6.9", "8b5ac68fb5ee")
    lport_added: bool = _rule(False, "6.15", "9544d60a2605")
    own_tables: bool = _rule(False, "6.18", "cb16f4b6c73d")
    sk_lookup_always: bool = _rule(False, "6.18", "8150f3a44b17")
    unhashed_check: bool = _rule(True, "", "", stable=True)
    ehash_replace: bool = _rule(True, "6.19", "1532ed0d0753", stable=True, silent=True)

    def word(self, name: str) -> str:
        """A rule as it stands, in a word: its name, or no-NAME where it is off."""
        return name if getattr(self, name) else f"no-{name}"


NAMES = tuple(rule.name for rule in fields(Rules))
# The rules that an epoch is made of; the others come and go with stable levels.
EPOCHAL = tuple(rule.name for rule in fields(Rules) if not rule.metadata["stable"])
SILENT = tuple(rule.name for rule in fields(Rules) if rule.metadata["silent"])
_SINCE: Mapping[str, str] = {rule.name: rule.metadata["since"] for rule in fields(Rules)}
_FIRST = "6.1"


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


def of_version(version: str) -> str:
    """The epoch that a mainline version is in; the first one for what is older, or no version at all."""
    return [_FIRST, *(name for name in EPOCHS if numbers(name) <= numbers(version))][-1]


def differences(rules: Rules, epoch: str) -> tuple[str, ...]:
    """The rules that are not as that epoch has them, each as it is: ("no-syncookie", ...)."""
    theirs = EPOCHS[epoch]
    return tuple(rules.word(name) for name in EPOCHAL if getattr(rules, name) != getattr(theirs, name))


def nearest(rules: Rules) -> str:
    """The epoch whose rules these are; if none has them, the one with the fewest that differ, the older of equals."""
    return min(EPOCHS, key=lambda epoch: len(differences(rules, epoch)))


def told(rules: Rules) -> str:
    """The rules for people: "epoch 6.9 with unhashed_check", or "no known epoch: 6.9 but no-syncookie ..."."""
    epoch = nearest(rules)
    differ = differences(rules, epoch)
    text = f"no known epoch: {epoch} but {', '.join(differ)}" if differ else f"epoch {epoch}"
    more = [name for name in NAMES if name not in EPOCHAL and getattr(rules, name)]
    return text + (f" with {', '.join(more)}" if more else "")


def doubts(rules: Rules, version: str) -> list[str]:
    """What is odd about the rules found in the text of a kernel of that version, a line each."""
    epoch, expected = nearest(rules), of_version(version)
    found = []
    if differences(rules, epoch):
        found.append(
            f"the rules in its text are of no known epoch: it is held to those of {epoch}, and what it does otherwise"
            " is reported (EPOCH=text follows the text)"
        )
    if numbers(version) and differences(rules, expected):
        found.append(
            f"Linux {version} should be of epoch {expected}, its text has {', '.join(differences(rules, expected))}"
        )
    return found


def data(rules: Rules) -> dict[str, Any]:
    """The rules for programs: the nearest epoch, what is not as that one has it, and each rule."""
    epoch = nearest(rules)
    return {"epoch": epoch, "but": list(differences(rules, epoch)), **{name: getattr(rules, name) for name in NAMES}}


def held(rules: Rules, words: str = "") -> Rules:
    """The rules that a tree is held to, whose text has `rules`: those, if they are an epoch's; the nearest epoch's, if
    they are of none, so that the difference is seen; what `words` say, if there are any ("text": those of the text).
    """
    if words:
        return by_hand(rules, words.replace("text", " "))
    return by_hand(rules, nearest(rules))


def by_hand(rules: Rules, words: str) -> Rules:
    """The rules changed as a user wants them: words apart by commas or blanks, a version (the rules of its epoch, those
    of stable levels as they are), a rule's name to switch it on, no-NAME for off. Raises CannotRun.
    """
    for word in words.replace(",", " ").split():
        if len(numbers(word)) > 1:
            epoch = EPOCHS[of_version(word)]
            rules = replace(rules, **{name: getattr(epoch, name) for name in EPOCHAL})
        elif word.removeprefix("no-") in NAMES:
            rules = replace(rules, **{word.removeprefix("no-"): not word.startswith("no-")})
        else:
            raise CannotRun(f"no epoch or rule {word!r}: a version, or {', '.join(NAMES)}, or no- and one of these")
    return rules
