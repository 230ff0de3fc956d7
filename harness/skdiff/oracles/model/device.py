"""Whether a socket's device is the packet's (include/net/inet_sock.h)."""

from skdiff.cases.scenario import Sock
from skdiff.oracles.model.state import State


def inet_sk_bound_dev_eq(state: State, sock: Sock) -> bool:
    """include/net/inet_sock.h inet_bound_dev_eq(): a bound socket wants the packet's device, or the one that it came in
    by below an L3 master (`sdif`). An unbound one takes all, but packets of an L3 domain only if
    tcp_l3mdev_accept, which is as good as on without CONFIG_NET_L3_MASTER_DEV.
    """
    bound, sdif = sock.bound_dev_if, state.sdif
    accept = bool(state.netns.tcp_l3mdev_accept) or not state.config.l3mdev
    fits = bound in (state.dif, sdif) if bound else not sdif or accept
    state.note("inet_bound_dev_eq", bound, int(fits))
    return fits


def udp_sk_bound_dev_eq(state: State, sock: Sock) -> bool:
    """include/net/udp.h: the same with udp_l3mdev_accept."""
    bound, sdif = sock.bound_dev_if, state.sdif
    accept = bool(state.netns.udp_l3mdev_accept) or not state.config.l3mdev
    fits = bound in (state.dif, sdif) if bound else not sdif or accept
    state.note("inet_bound_dev_eq", bound, int(fits))
    return fits
