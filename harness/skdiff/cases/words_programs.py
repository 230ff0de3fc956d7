"""BPF programs in words: what they decide for the packet of the case, by a constant or a small table."""

import re
from collections.abc import Callable, Mapping
from typing import Any

from skdiff.cases import words_keys as keys
from skdiff.cases.addresses import from_text
from skdiff.cases.case_values import BadError, FollowsError
from skdiff.cases.did_you_mean import near, shown
from skdiff.cases.faults import Faults, Place
from skdiff.cases.scenario import FILTER, LEAVE, NONE, SK_DROP, SK_PASS, SK_REUSEPORT, Packet, Program
from skdiff.cases.words_reading import Device, Entry
from skdiff.cases.words_sockets import Made, MadeGroup

_TYPES = (keys.SK_LOOKUP, keys.SK_REUSEPORT, keys.FILTER)
_ONLY = {
    "attach": (keys.SK_REUSEPORT, keys.FILTER),
    "namespace": (keys.SK_LOOKUP,),
    "no_reuseport": (keys.SK_LOOKUP,),
    "returns": (keys.FILTER,),
    "reads_cb": (keys.FILTER,),
    "select": (keys.SK_LOOKUP, keys.SK_REUSEPORT),
    "verdict": (keys.SK_LOOKUP, keys.SK_REUSEPORT),
}


class Programs:
    """The programs of a case with that packet, which is looked up on that CPU, and these devices.

    `find` gives the socket of a name, or raises BadError. Faults of a table's lines go to `faults`.
    """

    def __init__(
        self,
        packet: Packet,
        cpu: int,
        devices: Mapping[str, Device],
        faults: Faults,
        find: Callable[[str, str, Place], Made],
    ) -> None:
        self._packet, self._cpu, self._devices, self._faults, self._find = packet, cpu, devices, faults, find
        self.sk_lookup: list[tuple[int, int, Made | int, int]] = []  # namespace, verdict, whom, no_reuseport
        self._selected: list[tuple[MadeGroup, Made]] = []

    def add(self, entry: Entry) -> None:
        """Attach one. Raises BadError."""
        if "type" in entry.refused:
            return
        kind = _TYPES[entry.get("type", 0)]
        for key, types in _ONLY.items():
            if key in entry.values and kind not in types:
                raise BadError(f"{entry.told}: {key} is for {' and '.join(types)}, not for {kind}", entry.at(key))
        decided = self._decided(entry, kind)
        if kind == keys.SK_LOOKUP:
            self._look_up(entry, decided)
            return
        if "attach" not in entry.values:
            raise BadError(f"{entry.told}: attach is missing: a member of the group that it is attached to")
        member = self._find(entry.get("attach"), f"{entry.told}: attach", entry.at("attach"))
        group = member.group
        if group is None or member not in group.live:
            raise BadError(
                f"{entry.told}: attach: {member.name} is in no group: it needs reuseport = true, and to listen first",
                entry.at("attach"),
            )
        if kind == keys.FILTER:
            returns = decided if isinstance(decided, int) else entry.get("returns", 0)
            group.program = group.program._replace(
                prog=FILTER, returns=returns, cb_access=entry.get("reads_cb", 0), verdict=SK_PASS, select=NONE
            )
            return
        select, verdict = self._selects(entry, decided)
        if isinstance(select, Made):
            if select.group is not group or select not in group.live:
                raise BadError(
                    f"{entry.told}: {select.name} is not in the group of {member.name}, a program selects members",
                    entry.at("select"),
                )
            self._selected.append((group, select))
        group.program = group.program._replace(prog=SK_REUSEPORT, verdict=verdict, select=NONE, returns=0, cb_access=0)

    def _look_up(self, entry: Entry, decided: str | int | None) -> None:
        netns, no_reuseport = entry.get("namespace", 0), entry.get("no_reuseport", 0)
        select, verdict = self._selects(entry, decided)
        self.sk_lookup.append((netns, verdict, select, no_reuseport))

    def _selects(self, entry: Entry, decided: str | int | None) -> tuple[Made | int, int]:
        """Whom a program selects, LEAVE for nobody, and its verdict."""
        name, verdict = entry.get("select"), entry.get("verdict", SK_PASS)
        if decided is not None:
            name = None if decided in (keys.PASS, keys.DROP) else str(decided)
            verdict = SK_DROP if decided == keys.DROP else SK_PASS
        if name is None:
            return LEAVE, verdict
        if name == "none" and entry.get("type") == 0:
            return NONE, verdict
        key = "select" if decided is None else "table"
        return self._find(name, f"{entry.told}: {key}", entry.at(key)), verdict

    def _decided(self, entry: Entry, kind: str) -> str | int | None:
        """What the table of a program has for the packet; None if it has no table."""
        table = entry.get("table")
        if (table is None) != ("by" not in entry.values):
            missing = "table" if table is None else "by"
            raise BadError(f"{entry.told}: by and table go together, {missing} is missing")
        if table is None:
            return None
        for key in ("select", "verdict", "returns"):
            if key in entry.values:
                raise BadError(f"{entry.told}: {key}: the table decides, it cannot stand beside it", entry.at(key))
        by = keys.BY[entry.get("by", 0)]
        if by == keys.DEVICE and kind == keys.SK_REUSEPORT:
            raise BadError(
                f"{entry.told}: by: an sk_reuseport program does not see the packet's device (struct sk_reuseport_md of"
                " include/uapi/linux/bpf.h); a filter and an sk_lookup program do",
                entry.at("by"),
            )
        value, found, good = self._value(by, kind), None, 0
        for word, what in table.items():
            where = f"{entry.told}: table: {shown(word)}"
            with self._faults.noted(*entry.at("table")):
                self._check_action(what, kind, where, entry.at("table"))
                good += 1
            with self._faults.noted(*entry.at("table")):
                if word != keys.ELSE and self._fits(by, word, value, where) and found is None:
                    found = what
        if good < len(table):
            raise FollowsError(f"{entry.told}: table")
        if found is None:
            found = table.get(keys.ELSE)
        if found is None and kind == keys.FILTER:
            raise BadError(f'{entry.told}: table: a filter always returns a number: say which, as "else" = 0')
        return keys.PASS if found is None else found

    def _check_action(self, what: Any, kind: str, where: str, place: Place) -> None:
        if kind == keys.FILTER:
            if isinstance(what, bool) or not isinstance(what, int) or not 0 <= what < 1 << 32:
                raise BadError(f"{where}: a filter returns a number, the index of a member, not {shown(what)}")
        elif not isinstance(what, str):
            raise BadError(f'{where}: a socket\'s name, "pass" or "drop" is needed, not {shown(what)}')
        elif what not in (keys.PASS, keys.DROP):
            self._find(what, where, place)

    def _value(self, by: str, kind: str) -> int:
        """What a program sees of the packet: of one that came in by a slave of a VRF, the VRF is the device."""
        packet = self._packet
        device = (packet.rt_iif if kind == keys.SK_LOOKUP else 0) or packet.skb_iif
        return {
            keys.SOURCE_PORT: packet.sport,
            keys.DESTINATION_PORT: packet.dport,
            keys.SOURCE: packet.saddr,
            keys.DESTINATION: packet.daddr,
            keys.CPU: self._cpu,
            keys.DEVICE: device,
        }[by]

    def _fits(self, by: str, word: str, value: int, where: str) -> bool:
        if by == keys.DEVICE:
            if word not in self._devices:
                raise BadError(
                    f"{where}: no device {shown(word)}; there is {', '.join(self._devices)}{near(word, self._devices)}"
                )
            return self._devices[word].index == value
        if by in (keys.SOURCE, keys.DESTINATION):
            try:
                return from_text(word) == value
            except ValueError:
                raise BadError(f"{where}: {shown(word)} is no address of IPv4 or IPv6") from None
        match = re.fullmatch(r"(\d{1,10})(?:-(\d{1,10}))?", word)
        if match is None:
            raise BadError(f'{where}: {by} is a number or a range, as "40000" or "1024-65535", not {shown(word)}')
        return int(match[1]) <= value <= int(match[2] or match[1])

    def set_selected(self, index: dict[int, int]) -> None:
        """Let each group's program select its member, where `index` has the sockets' places by id()."""
        for group, made in self._selected:
            if group.program.prog == SK_REUSEPORT and made in group.live:
                group.program = group.program._replace(select=index[id(made)])

    def of_namespace(self, number: int, index: dict[int, int]) -> tuple[Program, ...]:
        """The sk_lookup programs of a namespace."""
        return tuple(
            Program(verdict, index.get(id(whom), LEAVE) if isinstance(whom, Made) else whom, no_reuseport)
            for netns, verdict, whom, no_reuseport in self.sk_lookup
            if netns == number
        )
