"""Which packets never come as far as a lookup: what the kernel drops of what comes in, by its addresses and device."""

from collections.abc import Callable
from pathlib import Path

from skdiff.cases.addresses import low_word, text
from skdiff.cases.derived import LOOPBACK_IFINDEX as LO
from skdiff.cases.derived import is_for_many, is_routed
from skdiff.cases.scenario import IPV6_LOOKUPS
from skdiff.oracles.running.host_net import Device

_CONF = Path("/proc/sys/net/ipv4/conf")


def why_dropped(
    lookup: int, ends: tuple[int, int], device: Device, is_own: bool, allowed: Callable[[str], bool]
) -> str:
    """Why no packet from the first of these addresses to the second comes in by a device, "" if one does. The first one
    `is_own`, if this namespace has it; `allowed` says whether a sysctl of the device, or of all, is on.

    net/ipv4/route.c ip_route_input_slow(), net/ipv4/fib_frontend.c __fib_validate_source(), net/ipv6/ip6_input.c
    ip6_rcv_core().
    """
    ipv6 = lookup in IPV6_LOOKUPS
    saddr, daddr = ends
    if is_for_many(saddr):
        return f"{text(saddr)} is an address of many: nobody sends from it"
    if device.number == LO or device.is_vrf:
        return ""
    loopback = [address for address in ends if (address == 1 if ipv6 else low_word(address) >> 24 == 127)]
    if loopback:
        if not ipv6 and allowed("route_localnet"):
            return ""
        unless = "" if ipv6 else ", unless its sysctl route_localnet is on"
        return f"{text(loopback[0])} is of this host alone: {device.name} brings no packet with it{unless}"
    if is_own and not ipv6 and not allowed("accept_local"):
        return (
            f"{text(saddr)} is an address of this host: {device.name} brings no packet from it, unless its sysctl"
            " accept_local is on (without --dev the packet is one of this host's own)"
        )
    return "" if is_routed(lookup, saddr, daddr) else f"no packet from {text(saddr)} to {text(daddr)} is routed"


def allowed_for(device: Device) -> Callable[[str], bool]:
    """Whether a sysctl is on for a device of the caller's network namespace: include/linux/inetdevice.h
    IN_DEV_ORCONF().
    """
    return lambda name: any(_is_on(who, name) for who in ("all", device.name))


def _is_on(who: str, name: str) -> bool:
    try:
        return int((_CONF / who / name).read_text()) != 0
    except (OSError, ValueError):
        return False
