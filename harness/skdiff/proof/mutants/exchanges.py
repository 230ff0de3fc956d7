"""Which names of fields are exchanged for each other: those of the same record that hold the same kind of thing."""

from skdiff.cases.record import ranges

# What is taken for another in a hurry, though the layout has it as another type, or it is no field of a record.
_ALIKE = (
    ("saddr", "daddr", "rcv_saddr"),
    ("sport", "dport", "num"),
    ("rt_iif", "skb_iif", "sdif", "dif", "bound_dev_if"),
    ("doff", "len", "data_len"),
    ("num_socks", "num_closed_socks", "incoming_cpu", "returns"),
    ("group", "listener", "sk", "skb_sk"),
)


_RECORDS = ("scenario_record", "packet_record", "netns_record", "program_record", "group_record", "sock_record")


def _exchanges() -> dict[str, tuple[str, ...]]:
    """For each field of a record: the others of that record that hold as many bits, and those that are alike."""
    found: dict[str, dict[str, None]] = {}
    for record in _RECORDS:
        fields = ranges(record)
        for name, limits in fields.items():
            others = (other for other, theirs in fields.items() if theirs == limits and not other.startswith("n_"))
            found.setdefault(name, {}).update(dict.fromkeys(others))
    for names in _ALIKE:
        for name in names:
            found.setdefault(name, {}).update(dict.fromkeys(names))
    return {name: tuple(other for other in others if other != name) for name, others in found.items()}


EXCHANGES = _exchanges()
