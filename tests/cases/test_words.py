"""Cases in words: what follows from each key, what a host refuses, and what is told of what is wrong."""

from typing import Any

import pytest

from skdiff.base.errors import CannotRun
from skdiff.cases.addresses import MAPPED_ANY, from_text
from skdiff.cases.case_file import Case, dump, parse
from skdiff.cases.scenario import (
    AF_INET,
    AF_INET6,
    BOUND,
    EDEMUX,
    EHASH,
    FILTER,
    KIND_REQUEST,
    KIND_TIMEWAIT,
    LEAVE,
    LHASH2,
    NONE,
    NOWHERE,
    PACKET_HOST,
    PACKET_MULTICAST,
    PFREE,
    REHASHED,
    SK_DROP,
    SK_PASS,
    SK_REUSEPORT,
    TCP4,
    TCP6,
    TCP_CLOSE,
    TCP_ESTABLISHED,
    TCP_LISTEN,
    TCP_NEW_SYN_RECV,
    TCP_TIME_WAIT,
    UDP4,
    UDP6,
    UDP_HASHED,
    Netns,
    Program,
    Scenario,
    Sock,
)

TOP4 = 'version = 1\npacket = "10.0.0.1:40000 -> 10.0.0.2:80"\n'
TOP6 = 'version = 1\npacket = "[2001:db8::1]:40000 -> [2001:db8::2]:80"\n'
UDP = TOP4 + 'proto = "udp"\n'
DEVICES = '[devices]\neth0 = 2\nred = 5\neth1 = { index = 9, master = "red" }\n'


def read(text: str) -> Scenario:
    return parse(text, "x").scenario


def sock(text: str) -> Sock:
    (made,) = read(text).socks
    return made


def told(text: str) -> list[str]:
    """The lines with which a text is refused."""
    with pytest.raises(CannotRun) as caught:
        parse(text, "x")
    return str(caught.value).splitlines()


# --- the packet and its devices ---


@pytest.mark.parametrize(
    ("text", "lookup"), [(TOP4, TCP4), (TOP6, TCP6), (UDP, UDP4), (TOP6 + 'proto = "udp"\n', UDP6)]
)
def test_addresses_and_proto_say_the_lookup(text: str, lookup: int) -> None:
    scenario = read(text)
    assert scenario.lookup == lookup
    assert (scenario.packet.sport, scenario.packet.dport) == (40000, 80)
    assert scenario.packet.doff == (8 if "udp" in text else 20)


@pytest.mark.parametrize(
    ("device", "fields"),
    [
        ("lo", (0, 1, 0)),
        ("eth0", (0, 2, 0)),
        ("eth1", (0, 5, 9)),
        ("red", (0, 5, 5)),
        ('lo"\nsender_device = "eth0', (2, 1, 0)),
    ],
)
def test_a_device_says_iif_and_sdif(device: str, fields: tuple[int, int, int]) -> None:
    packet = read(f'{TOP4}in = "{device}"\n{DEVICES}').packet
    assert (packet.rt_iif, packet.skb_iif, packet.sdif) == fields


def test_a_helper_of_a_slave_is_given_the_slave_twice() -> None:
    packet = read(f'{TOP4}caller = "helper"\nin = "eth1"\n{DEVICES}').packet
    assert (packet.skb_iif, packet.sdif) == (9, 9)


@pytest.mark.parametrize("caller", ["receive", "helper", "demux"])
@pytest.mark.parametrize("ends", ["10.0.0.1:1 -> 239.0.0.1:80", "[2001:db8::1]:1 -> [ff0e::1]:80"])
def test_what_a_helper_asks_for_has_no_link_layer(ends: str, caller: str) -> None:
    """A datagram to many has, and is looked up by early demux alone."""
    text = f'version = 1\npacket = "{ends}"\nproto = "udp"\ncaller = "{caller}"\n'
    if caller == "receive":
        assert "a packet for many is delivered to all" in told(text)[0]
        return
    made = read(text)
    assert made.packet.pkt_type == (PACKET_HOST if caller == "helper" else PACKET_MULTICAST)
    assert parse(dump(Case(made))).scenario == made


def test_what_hangs_on_the_packet_has_its_reference() -> None:
    entry = '[[connection]]\nname = "c"\nfrom = "10.0.0.1:40000"\nto = "10.0.0.2:80"\n'
    scenario = read(f'{TOP4}attached = "c"\nattached_by = "early demux"\n{entry}')
    assert (scenario.packet.sk, scenario.packet.destructor, scenario.socks[0].refcnt) == (0, EDEMUX, 2)
    scenario = read(f'{TOP4}attached = "w"\n[[listener]]\nname = "w"\nlisten = "10.0.0.2:81"\n')
    assert (scenario.packet.sk, scenario.packet.destructor, scenario.socks[0].refcnt) == (0, PFREE, 1)


# --- sockets ---


@pytest.mark.parametrize(
    ("end", "family", "address", "ipv6only"),
    [
        ("10.0.0.2:80", AF_INET, "10.0.0.2", 0),
        ("*:80", AF_INET, "0.0.0.0", 0),
        ("0.0.0.0:80", AF_INET, "0.0.0.0", 0),
        ("[::]:80", AF_INET6, "::", 0),
        ("[2001:db8::2]:80", AF_INET6, "2001:db8::2", 1),
        ("[::ffff:10.0.0.2]:80", AF_INET6, "10.0.0.2", 0),
    ],
)
def test_an_end_says_family_and_v6only(end: str, family: int, address: str, ipv6only: int) -> None:
    for made in (sock(f'{TOP4}[[listener]]\nlisten = "{end}"\n'), sock(f'{UDP}[[udp]]\nbind = "{end}"\n')):
        assert (made.family, made.rcv_saddr, made.ipv6only, made.num) == (family, from_text(address), ipv6only, 80)
    assert sock(f'{TOP4}[[listener]]\nlisten = "[::ffff:0.0.0.0]:80"\n').rcv_saddr == MAPPED_ANY


def test_a_listener_is_in_its_table() -> None:
    made = sock(f'{TOP4}[[listener]]\nlisten = "10.0.0.2:80"\nincoming_cpu = 3\n')
    assert (made.state, made.hashed, made.rcu_free, made.incoming_cpu) == (TCP_LISTEN, LHASH2, 1, 3)
    assert (made.refcnt, made.group, made.reuseport) == (1, NONE, 0)


def test_a_connection_a_timewait_and_a_request() -> None:
    ends = 'from = "10.0.0.1:40000"\nto = "10.0.0.2:80"\n'
    dual = '[[listener]]\nname = "w"\nlisten = "[::]:80"\n'
    scenario = read(f'{TOP4}{dual}[[connection]]\n{ends}[[timewait]]\n{ends}[[request]]\nlistener = "w"\n{ends}')
    _, connection, timewait, request = scenario.socks
    for made in (connection, timewait, request):
        assert (made.hashed, made.num, made.dport, made.rcu_free) == (EHASH, 80, 40000, 0)
        assert (made.rcv_saddr, made.daddr) == (from_text("10.0.0.2"), from_text("10.0.0.1"))
    assert (connection.state, connection.family) == (TCP_ESTABLISHED, AF_INET)
    assert (timewait.state, timewait.kind) == (TCP_TIME_WAIT, KIND_TIMEWAIT)
    assert (request.state, request.kind, request.listener) == (TCP_NEW_SYN_RECV, KIND_REQUEST, 0)
    assert request.family == AF_INET6  # its listener's


def test_connect_of_a_udp_socket_on_the_wildcard_takes_it_out_of_its_group() -> None:
    one = '[[udp]]\nname = "a"\nbind = "0.0.0.0:80"\nreuseport = true\n'
    two = '[[udp]]\nbind = "0.0.0.0:80"\nreuseport = true\nconnect = "10.0.0.1:40000"\nsource = "10.0.0.2"\n'
    scenario = read(UDP + one + two)
    a, b = scenario.socks
    assert (a.group, a.hash2, a.hashed, a.state) == (0, BOUND, UDP_HASHED, TCP_CLOSE)
    assert (b.group, b.hash2, b.state, b.rcv_saddr) == (NONE, REHASHED, TCP_ESTABLISHED, from_text("10.0.0.2"))
    assert (scenario.groups[0].slots, scenario.groups[0].has_conns) == ((0,), 0)


def test_connect_of_a_bound_udp_socket_leaves_it_in_its_group() -> None:
    two = '[[udp]]\nbind = "10.0.0.2:80"\nreuseport = true\n' * 2 + 'connect = "10.0.0.1:40000"\n'
    scenario = read(UDP + two)
    assert (scenario.groups[0].slots, scenario.groups[0].has_conns) == ((0, 1), 1)
    scenario = read(f"{UDP}{two}left_group = true\n")
    assert (scenario.groups[0].slots, scenario.groups[0].has_conns) == ((0,), 1)
    assert scenario.socks[1].group == NONE


# --- groups ---


def listeners(*fields: str) -> str:
    return "".join(
        f'[[listener]]\nname = "{"abcdef"[i]}"\nlisten = "0.0.0.0:80"\nreuseport = true\n{more}'
        for i, more in enumerate(fields)
    )


def test_a_listener_joins_the_group_of_one_that_is_like_it() -> None:
    scenario = read(TOP4 + DEVICES + listeners("", 'device = "eth0"\n', "", "incoming_cpu = 1\n"))
    assert [made.group for made in scenario.socks] == [0, 1, 0, 0]
    first, second = scenario.groups
    assert (first.slots, first.num_socks, first.bind_inany, first.incoming_cpu, first.reuseport_id) == (
        (0, 2, 3),
        3,
        1,
        1,
        1,
    )
    assert (second.slots, second.num_socks, second.reuseport_id) == ((1,), 1, 2)


def test_the_order_of_the_file_is_that_of_the_calls() -> None:
    text = TOP4 + '[[udp]]\nname = "u"\nbind = "10.0.0.2:53"\n' + listeners("")
    assert parse(text).socks == ("u", "a")
    assert parse(TOP4 + listeners("") + '[[udp]]\nname = "u"\nbind = "10.0.0.2:53"\n').socks == ("a", "u")


def test_close_gives_the_slot_to_the_last_member() -> None:
    case = parse(TOP4 + listeners("", "", "") + '[[close]]\nsocket = "a"\n')
    assert case.socks == ("b", "c")
    assert case.scenario.groups[0].slots == (1, 0)


def test_shutdown_leaves_the_group_unless_requests_migrate() -> None:
    text = listeners("", "", "") + '[[shutdown]]\nsocket = "b"\n[[shutdown]]\nsocket = "a"\n'
    scenario = read(TOP4 + text)
    assert [(made.group, made.state, made.hashed) for made in scenario.socks] == [
        (NONE, TCP_CLOSE, NOWHERE),
        (NONE, TCP_CLOSE, NOWHERE),
        (0, TCP_LISTEN, LHASH2),
    ]
    migrates = read(f'{TOP4}[sysctl]\n"net.ipv4.tcp_migrate_req" = 1\n{text}').groups[0]
    assert (migrates.slots, migrates.num_socks, migrates.num_closed_socks) == ((2, 0, 1), 1, 2)


def test_a_closed_listener_stays_for_its_request() -> None:
    request = '[[request]]\nname = "r"\nlistener = "a"\nfrom = "10.0.0.1:40000"\nto = "10.0.0.2:80"\n'
    case = parse(TOP4 + listeners("", "") + request + '[[close]]\nsocket = "a"\n')
    assert case.socks == ("a", "b", "r")
    assert (case.scenario.socks[0].state, case.scenario.socks[0].group) == (TCP_CLOSE, NONE)
    assert case.scenario.socks[2].listener == 0


def test_setsockopt_after_listen() -> None:
    text = TOP4 + DEVICES + listeners("", "")
    scenario = read(f'{text}[[setsockopt]]\nsocket = "a"\nreuseport = false\ndevice = "eth0"\nincoming_cpu = 2\n')
    made = scenario.socks[0]
    assert (made.reuseport, made.reuseport_changed, made.bound_dev_if, made.incoming_cpu) == (0, 1, 2, 2)
    assert (scenario.groups[0].slots, scenario.groups[0].incoming_cpu) == ((0, 1), 1)


def test_setsockopt_of_a_device_takes_a_udp_socket_out_of_its_group() -> None:
    text = UDP + DEVICES + '[[udp]]\nname = "u"\nbind = "0.0.0.0:80"\nreuseport = true\n'
    scenario = read(f'{text}[[setsockopt]]\nsocket = "u"\ndevice = "eth0"\n')
    assert (scenario.socks[0].group, scenario.groups) == (NONE, ())


# --- programs ---


def test_an_sk_lookup_program_decides_by_its_table() -> None:
    head = f'{TOP4}[[listener]]\nname = "w"\nlisten = "127.0.0.1:1"\n[[program]]\ntype = "sk_lookup"\n'
    wanted = {
        'by = "source port"\ntable = { "1-39999" = "drop", "40000-50000" = "w" }\n': Program(SK_PASS, 0),
        'by = "source port"\ntable = { "1" = "w", else = "drop" }\n': Program(SK_DROP, LEAVE),
        'by = "source port"\ntable = { "1" = "w" }\n': Program(SK_PASS, LEAVE),
        'by = "destination address"\ntable = { "10.0.0.2" = "w" }\n': Program(SK_PASS, 0),
        'by = "device"\ntable = { lo = "w" }\n': Program(SK_PASS, 0),
        'select = "w"\nno_reuseport = true\nverdict = "drop"\n': Program(SK_DROP, 0, 1),
        'select = "none"\n': Program(SK_PASS, NONE),
    }
    for said, program in wanted.items():
        scenario = read(head + said)
        assert scenario.netns == (Netns(run_array=1, progs=(program,)),), said
        assert scenario.sk_lookup_enabled == 1


def test_a_program_of_a_group_decides_by_its_table() -> None:
    text = f'{TOP4}cpu = 1\n{listeners("", "")}[[program]]\nattach = "a"\n'
    group = read(f'{text}type = "sk_reuseport"\nby = "cpu"\ntable = {{ 0 = "a", 1 = "b" }}\n').groups[0]
    assert (group.prog, group.select, group.verdict) == (SK_REUSEPORT, 1, SK_PASS)
    group = read(f'{text}type = "sk_reuseport"\nby = "cpu"\ntable = {{ 1 = "drop" }}\n').groups[0]
    assert (group.prog, group.select, group.verdict) == (SK_REUSEPORT, NONE, SK_DROP)
    group = read(f'{text}type = "filter"\nreads_cb = true\nby = "cpu"\ntable = {{ 1 = 7, else = 0 }}\n').groups[0]
    assert (group.prog, group.returns, group.cb_access) == (FILTER, 7, 1)


def test_a_program_sees_the_vrf_of_a_slave() -> None:
    program = '[[program]]\ntype = "sk_lookup"\nby = "device"\ntable = { red = "drop" }\n'
    assert read(f'{TOP4}in = "eth1"\n{DEVICES}{program}').netns[0].progs == (Program(SK_DROP, LEAVE),)


# --- what a host refuses ---

A, B = '[[listener]]\nname = "a"\nlisten = "{}"\n', '[[listener]]\nname = "b"\nlisten = "{}"\n'


@pytest.mark.parametrize(
    ("one", "other", "refused"),
    [
        ("0.0.0.0:80", "10.0.0.2:80", True),
        ("10.0.0.2:80", "10.0.0.2:80", True),
        ("10.0.0.2:80", "10.0.0.3:80", False),
        ("0.0.0.0:80", "0.0.0.0:81", False),
        ("0.0.0.0:80", "[::]:80", True),
        ('0.0.0.0:80"\ndevice = "eth0', "0.0.0.0:80", True),
        ('0.0.0.0:80"\ndevice = "eth0', '0.0.0.0:80"\ndevice = "lo', False),
        ('0.0.0.0:80"\ndevice = "red', "0.0.0.0:80", False),  # a VRF has ports of its own
        ("0.0.0.0:80", "[2001:db8::2]:80", False),
        ("[::]:80", "[::ffff:10.0.0.2]:80", True),
    ],
)
def test_two_listeners_that_bind_refuses(one: str, other: str, refused: bool) -> None:
    text = TOP4 + DEVICES + A.format(one) + B.format(other)
    if not refused:
        assert len(read(text).socks) == 2
        return
    line = text.splitlines().index('name = "b"') + 2
    assert told(text) == [
        f"x:{line}: listener b: listen: bind() refuses it with EADDRINUSE, listener a has that address and port;"
        " with reuseport = true on both it is allowed"
    ]
    assert len(read(text.replace('name = "', 'reuseport = true\nname = "')).socks) == 2


def test_v6only_lets_both_wildcards_be() -> None:
    assert len(read(TOP4 + A.format("0.0.0.0:80") + B.format("[::]:80") + "v6only = true\n").socks) == 2


def test_udp_sockets_with_reuseaddr_may_have_one_address() -> None:
    one = '[[udp]]\nbind = "0.0.0.0:80"\n'
    assert "udp udp1: bind: bind() refuses it with EADDRINUSE, udp udp0 has that address" in told(UDP + one * 2)[0]
    assert len(read(UDP + (one + "reuseaddr = true\n") * 2).socks) == 2


# What is wrong, and the end of the line that tells it.
WRONG: dict[str, tuple[str, int, Any]] = {
    "an end without a port": (TOP4 + '[[listener]]\nlisten = "10.0.0.2"\n', 4, 'missing: "10.0.0.2:80"'),
    "a port alone": (TOP4 + '[[listener]]\nlisten = "80"\n', 4, 'it is "*:80", or "[::]:80" of IPv6'),
    "an address with a mask": (TOP4 + '[[listener]]\nlisten = "10.0.0.2/24:80"\n', 4, "no mask here: 10.0.0.2"),
    "netstat's IPv6": (TOP4 + '[[listener]]\nlisten = ":::80"\n', 4, 'stands in brackets: "[::]:80"'),
    "a port too great": (TOP4 + '[[listener]]\nlisten = "*:65536"\n', 4, "65536 is no port: a number of 0 to 65535"),
    "ss's wildcard, of IPv6": (TOP6 + '[[listener]]\nlisten = "*:80"\n', 4, '"0.0.0.0:80" for one of IPv4 alone'),
    "a device that is a number": (TOP4 + "in = 2\n", 3, "give 2 one, as in [devices]: eth0 = 2"),
    "a device that is not there": (TOP4 + 'in = "eth0"\n', 3, "under [devices] say its index: eth0 = 2"),
    "a misspelt device": (TOP4 + 'in = "eht0"\n[devices]\neth0 = 2\n', 3, "did you mean eth0?"),
    "a misspelt key": (TOP4 + '[[listener]]\nlisten = "*:80"\nreuse_port = true\n', 5, "did you mean reuseport?"),
    "a key of ss": (TOP4 + '[[timewait]]\nfrom = "10.0.0.1:1"\nto = "10.0.0.2:80"\npeer = ""\n', 6, "mean from?"),
    "a state of ss": (
        TOP4 + '[[connection]]\nfrom = "10.0.0.1:1"\nto = "10.0.0.2:80"\nstate = "CLOSE-WAIT"\n',
        6,
        "did you mean CLOSE_WAIT?",
    ),
    "a kernel's name of a state": (
        TOP4 + '[[connection]]\nfrom = "10.0.0.1:1"\nto = "10.0.0.2:80"\nstate = "TCP_FIN_WAIT1"\n',
        6,
        "did you mean FIN_WAIT1?",
    ),
    "a state that has a table of its own": (
        TOP4 + '[[connection]]\nfrom = "10.0.0.1:1"\nto = "10.0.0.2:80"\nstate = "TIME-WAIT"\n',
        6,
        "did you mean a [[timewait]]?",
    ),
    "an upper-case proto": (TOP4 + 'proto = "TCP"\n', 3, "did you mean tcp?"),
    "a packet of two families": ('version = 1\npacket = "10.0.0.1:1 -> [::1]:2"\n', 2, "both of IPv6 (in brackets)"),
    "no arrow": ('version = 1\npacket = "10.0.0.1:1 > 10.0.0.2:2"\n', 2, '"10.0.0.1:40000 -> 10.0.0.2:80"'),
    "a packet as a table": (
        'version = 1\n[packet]\nfrom = "10.0.0.1:40000"\n',
        2,
        'write packet = "10.0.0.1:40000 -> 10.0.0.2:80", above the first table of the file',
    ),
    "a table in the plural": (TOP4 + "[[listeners]]\n", 3, "did you mean [[listener]]?"),
    "a socket of later": (TOP4 + '[[close]]\nsocket = "a"\n' + A.format("*:80"), 4, "is the order of the calls"),
    "a socket of nobody": (TOP4 + A.format("*:80") + '[[close]]\nsocket = "b"\n', 7, "no socket b; there is a"),
    "a close of nobody": (TOP4 + A.format("*:80") + '[[close]]\nsocket = ""\n', 7, "no socket ''; there is a"),
    "a close of nobody, behind another one": (
        TOP4 + A.format("*:80") + B.format("*:81") + '[[close]]\nsocket = "a"\n[[close]]\nsocket = ""\n',
        12,
        "no socket ''; there is a, b",
    ),
    "a program before listen()": (
        TOP4 + '[[bound]]\nname = "a"\nbind = "*:80"\n[[program]]\ntype = "filter"\nattach = "a"\n',
        8,
        "a is in no group: it needs reuseport = true, and to listen first",
    ),
    "a program that cannot see the device": (
        TOP4
        + listeners("")
        + '[[program]]\ntype = "sk_reuseport"\nattach = "a"\nby = "device"\ntable = { lo = "a" }\n',
        10,
        "a filter and an sk_lookup program do",
    ),
    "connect() from the wildcard": (
        UDP + '[[udp]]\nbind = "*:53"\nconnect = "10.0.0.1:1"\n',
        6,
        'say which, as source = "10.0.0.2"',
    ),
    "IPV6_V6ONLY of IPv4": (TOP4 + '[[listener]]\nlisten = "*:80"\nv6only = true\n', 3, "the address is in brackets"),
    "shutdown() of a connection": (
        TOP4 + '[[connection]]\nname = "c"\nfrom = "10.0.0.1:1"\nto = "10.0.0.2:80"\n[[shutdown]]\nsocket = "c"\n',
        8,
        "c does not listen",
    ),
    "a sysctl by its last name": (TOP4 + "[sysctl]\ntcp_l3mdev_accept = 1\n", 4, "mean net.ipv4.tcp_l3mdev_accept?"),
    "a key of the top in a table": (TOP4 + '[devices]\nin = "eth0"\n', 4, "stands above the first table of the file"),
    "a device's index that is taken": (TOP4 + "[devices]\neth0 = 1\n", 4, "device eth0: index 1 is that of lo"),
    "a count of a socket in the wrong place": (
        TOP4 + A.format("*:80") + "[expect]\nrefcnt = 2\n",
        7,
        "a table [expect.refcnt] is needed, with a line for each socket: a = 2",
    ),
    "an expectation of nobody": (TOP4 + A.format("*:80") + '[expect]\nsk = "b"\n', 7, "'b' is none of a, none"),
    "a raw socket in between": (TOP4 + '[[listener]]\nlisten = "*:80"\n[[sock]]\n', 5, "[[connection]] or [[udp]]?"),
    "a number in quotes": (TOP4 + A.format("*:80") + 'incoming_cpu = "3"\n', 6, 'not "3": write it without quotes'),
    "a flag in quotes": (TOP4 + A.format("*:80") + 'reuseport = "true"\n', 6, 'not "true": write it without quotes'),
    "an address with a device": (
        TOP4 + '[[listener]]\nlisten = "127.0.0.53%lo:53"\n',
        4,
        "127.0.0.53 here, and device = ...",
    ),
    "a classic program": (
        TOP4 + listeners("") + '[[program]]\ntype = "cbpf"\nattach = "a"\n',
        8,
        "did you mean filter?",
    ),
    "a key twice": (TOP4 + TOP4.splitlines()[1] + "\n", 3, "packet is there already, in line 2"),
    "a program of a socket that was refused": (
        TOP4 + A.format("*:x") + '[[program]]\ntype = "sk_lookup"\nselect = "a"\n',
        5,
        "x is no port: a number of 0 to 65535",
    ),
    "a packet that no host gets": (
        TOP4.replace("10.0.0.1", "224.0.0.1") + 'in = "eth0"\n[devices]\neth0 = 2\n',
        2,
        "net/ipv6/ip6_input.c ip6_rcv_core())",
    ),
    "a size that is none": (TOP4 + "[hash]\nudp_size = 3\n", 4, "x:4: hash: udp_size is 3, a power of two is needed"),
}


@pytest.mark.parametrize(("text", "line", "end"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_told_with_its_line_and_what_to_write(text: str, line: int, end: str) -> None:
    (said,) = told(text)
    assert said.startswith(f"x:{line}: ")
    assert said.endswith(end)


def test_all_that_is_wrong_is_told_at_once() -> None:
    text = f'{TOP4}proto = "sctp"\n[[listener]]\nname = "a"\nport = 80\n[[udp]]\nbind = "10.0.0.2"\n[expect]\nsk = 1\n'
    assert [line.split(": ")[0] for line in told(text)] == ["x:3", "x:4", "x:6", "x:8", "x:10"]


def test_all_that_is_wrong_with_the_table_of_a_program_is_told_at_once() -> None:
    table = '{ "4000x" = "a", "5000" = 3, "6000" = "b", else = "c" }'
    text = f'{TOP4}{A.format("*:80")}[[program]]\ntype = "sk_lookup"\nby = "source port"\ntable = {table}\n'
    ends = [line.rsplit(", ", 1)[-1].rsplit(": ", 1)[-1] for line in told(text)]
    assert ends == ["not 4000x", "not 3", "no socket b; there is a", "no socket c; there is a"]


def test_so_many_faults_are_told() -> None:
    lines = told(TOP4 + "[[listener]]\n" * 30)
    assert len(lines) == 21
    assert lines[-1] == "x: and 10 more"


def test_single_brackets_are_told_each() -> None:
    assert told(f"{TOP4}[listener]\n[listener]\n") == [
        "x:3: [listener]: write [[listener]], with two brackets: there may be several",
        "x:4: [listener]: write [[listener]], with two brackets: there may be several",
    ]
    assert told(f'{TOP4}[listener]\nlisten = "*:80"\n') == [
        "x:3: listener: tables [[listener]] are needed, with two brackets: one [[listener]] for each"
    ]


@pytest.mark.parametrize("key", ["a." * 50_000 + "b", '"a".' * 20_000 + "b"])
def test_a_key_without_end_is_refused_at_once(key: str) -> None:
    assert told(f"version = 1\n{key} = 1\n") == ["x:2: a key of more than 32 parts, no case has one"]


def test_a_long_key_is_told_shortly() -> None:
    (line,) = told(f"{TOP4}{'a' * 100_000} = 1\n")
    assert len(line) < 600
    assert "(100000 characters): no such key here" in line
