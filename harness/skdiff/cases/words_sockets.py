"""The sockets of a case in words while its calls are made: bind(), listen(), connect(), setsockopt(), close().

Reuseport groups and conflicts follow from the order of the calls, as in net/core/sock_reuseport.c,
net/ipv4/inet_connection_sock.c and net/ipv4/udp.c.
"""

from dataclasses import dataclass, field

from skdiff.cases.addresses import ANY, MAPPED_ANY, is_ipv6, is_mapped
from skdiff.cases.case_values import BadError
from skdiff.cases.derived import NOT_LISTENING, UDP_GROUP_KEY
from skdiff.cases.scenario import (
    AF_INET,
    AF_INET6,
    IPPROTO_TCP,
    IPPROTO_UDP,
    NOWHERE,
    TCP_CLOSE,
    TCP_LISTEN,
    UDP_HASHED,
    Group,
    Sock,
)
from skdiff.cases.words_reading import Device, Entry


@dataclass(eq=False)
class Made:
    """A socket: its `entry`, its record so far (without group and listener), whether it has SO_REUSEADDR, its device,
    and the group that it is in.
    """

    entry: Entry
    sock: Sock
    device: Device
    reuseaddr: bool = False
    had_reuseport: int = 0  # in listen(), or of UDP in bind()
    group: "MadeGroup | None" = None
    listener: "Made | None" = None
    gone: bool = False

    @property
    def name(self) -> str:
        """Its name in the case."""
        return self.entry.name


_NO_PROGRAM = Group()


@dataclass(eq=False)
class MadeGroup:
    """A reuseport group: who is in it, in the order of its slots, and its program."""

    live: list[Made] = field(default_factory=list)
    closed: list[Made] = field(default_factory=list)
    has_conns: int = 0
    program: Group = _NO_PROGRAM

    @property
    def first(self) -> Made:
        """The member in its first slot, or the first that was closed."""
        return (*self.live, *self.closed)[0]

    def record(self, number: int, index: dict[int, int]) -> Group:
        """The group of that number, where `index` has the sockets' places by id()."""
        members = [*self.live, *self.closed]
        slots = [index[id(made)] for made in (*self.live, *reversed(self.closed))]
        address = members[0].sock.rcv_saddr if members else NOT_LISTENING
        return self.program._replace(
            reuseport_id=number + 1,
            num_socks=len(self.live),
            num_closed_socks=len(self.closed),
            incoming_cpu=sum(made.sock.incoming_cpu >= 0 for made in members),
            bind_inany=int(address == ANY),
            has_conns=self.has_conns,
            slots=tuple(slots),
        )


def takes(sock: Sock) -> tuple[int | None, int | None]:
    """The addresses of IPv4 and of IPv6 that a bound socket has, 0 for all of them, None for none."""
    if sock.family == AF_INET:
        return sock.rcv_saddr, None
    if sock.rcv_saddr == ANY:
        return (None if sock.ipv6only else 0), 0
    if sock.rcv_saddr == MAPPED_ANY:
        return 0, None
    return (sock.rcv_saddr, None) if is_mapped(sock.rcv_saddr) else (None, sock.rcv_saddr)


def meet(one: Sock, other: Sock) -> bool:
    """Whether two sockets are bound to a common address: include/net/inet_connection_sock.h, inet_rcv_saddr_equal()."""
    return any(
        a is not None and b is not None and (a == b or not a or not b)
        for a, b in zip(takes(one), takes(other), strict=True)
    )


def bound(end_address: int, ipv6: bool, v6only: int | None, where: str) -> tuple[int, int]:
    """The family and ipv6only of a socket that bind() is called for, `v6only` is IPV6_V6ONLY, if it is said. Raises
    BadError for what the kernel refuses (net/ipv6/af_inet6.c __inet6_bind(), net/ipv6/ipv6_sockglue.c).
    """
    if not ipv6:
        if v6only is not None:
            raise BadError(f"{where}: v6only: an AF_INET socket has no IPV6_V6ONLY; of IPv6 the address is in brackets")
        return AF_INET, 0
    if is_mapped(end_address):
        if v6only:
            raise BadError(f"{where}: v6only: bind() refuses an IPv4 address to a socket with IPV6_V6ONLY")
        return AF_INET6, 0
    if is_ipv6(end_address):
        if v6only == 0:
            raise BadError(f"{where}: v6only: bind() to an address of IPv6 sets it: leave it out")
        return AF_INET6, 1
    return AF_INET6, v6only or 0


def conflict(new: Made, others: list[Made], l3mdev_accept: bool) -> Made | None:
    """The socket for which bind() or listen() refuses a new one with EADDRINUSE, if there is one.

    net/ipv4/inet_connection_sock.c inet_csk_bind_conflict(), net/ipv4/udp.c udp_lib_lport_inuse(). All sockets are of
    one user. TCP's servers have SO_REUSEADDR, which lets them be where connections are, and no two of them listen.
    """
    for other in others:
        a, b = new.sock, other.sock
        tcp = a.protocol == IPPROTO_TCP
        if (
            other.gone
            or (a.protocol, a.netns, a.num) != (b.protocol, b.netns, b.num)
            or (a.bound_dev_if and b.bound_dev_if and a.bound_dev_if != b.bound_dev_if)
            or not meet(a, b)
            or (a.reuseport and b.reuseport)
        ):
            continue
        if tcp and b.state != TCP_LISTEN:
            continue
        # include/net/inet_hashtables.h inet_bind_bucket_match(): of TCP each VRF has ports of its own
        if tcp and not l3mdev_accept and new.device.vrf != other.device.vrf:
            continue
        if not tcp and new.reuseaddr and other.reuseaddr:
            continue
        return other
    return None


def is_alike(one: Sock, other: Sock) -> bool:
    """Whether two sockets with SO_REUSEPORT come into one group in listen(), or of UDP in bind()."""
    return all(getattr(one, name) == getattr(other, name) for name in UDP_GROUP_KEY)


def join_group(new: Made, others: list[Made]) -> None:
    """What listen() does for a TCP socket with SO_REUSEPORT, and bind() for one of UDP: it joins the group of the first
    one that is like it, or has one of its own (net/ipv4/inet_hashtables.c inet_reuseport_add_sock(), net/ipv4/udp.c
    udp_reuseport_add_sock(), net/core/sock_reuseport.c reuseport_add_sock()).
    """
    sock = new.sock
    for other in others:
        old = other.sock
        if other.gone or not old.reuseport or old.hashed != sock.hashed or old.hashed == NOWHERE:
            continue
        if not is_alike(old, sock):
            continue
        if other.group is None:
            if old.daddr:
                raise BadError(
                    f"{new.entry.told}: bind() makes a group of it and of {other.name}, which connect() has taken out"
                    " of its own; skdiff does not have such groups",
                    new.entry.place,
                )
            other.group = MadeGroup([other])
        other.group.live.append(new)
        new.group = other.group
        return
    new.group = MadeGroup([new])


def leave_group(made: Made) -> None:
    """net/core/sock_reuseport.c reuseport_detach_sock(): the last member takes its slot."""
    group = made.group
    if group is None:
        return
    if made in group.live:
        place = group.live.index(made)
        group.live[place] = group.live[-1]
        group.live.pop()
    else:
        group.closed.remove(made)
    made.group = None


def stop_listening(made: Made, migrates: bool) -> None:
    """net/core/sock_reuseport.c reuseport_stop_listen_sock(): what shutdown() and close() do to a listener. Where
    requests migrate it stays in its group, behind the live ones.
    """
    group = made.group
    made.sock = made.sock._replace(state=TCP_CLOSE, hashed=NOWHERE, reuseport_changed=0)
    if group is None:
        return
    leave_group(made)
    if migrates:
        group.closed.append(made)
        made.group = group


def rehash_for(made: Made, device: Device) -> None:
    """SO_BINDTODEVICE after bind(), net/core/sock.c sock_bindtoindex_locked(): UDP's rehash takes the socket out of its
    group (net/ipv4/udp.c udp_lib_rehash()), TCP has none.
    """
    made.device = device
    made.sock = made.sock._replace(bound_dev_if=device.index)
    if made.sock.protocol == IPPROTO_UDP and made.sock.hashed == UDP_HASHED:
        leave_group(made)
