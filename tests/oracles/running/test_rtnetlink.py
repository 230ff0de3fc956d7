"""What is asked of rtnetlink(7), as pyroute2 reads it back from a network namespace of its own."""

import errno
import os
import socket
from concurrent.futures import ThreadPoolExecutor

import pytest
from pyroute2 import IPRoute

from skdiff.oracles.running.namespace_calls import CLONE_NEWNET, unshare
from skdiff.oracles.running.rtnetlink import Refused, Routes

FAMILIES = (socket.AF_INET, socket.AF_INET6)


@pytest.fixture
def inside():
    """Runs a function in a network namespace with lo alone."""
    with ThreadPoolExecutor(1) as threads:
        try:
            threads.submit(unshare, CLONE_NEWNET).result()
        except PermissionError:
            pytest.skip("no rights to make a network namespace")
        yield lambda work: threads.submit(work).result()


def devices() -> dict[int, tuple]:
    with IPRoute() as routes:
        links = [link for link in routes.get_links() if link["index"] > 1]
        infos = {link["index"]: link.get_attr("IFLA_LINKINFO") for link in links}
        return {
            link["index"]: (
                link.get_attr("IFLA_IFNAME"),
                infos[link["index"]].get_attr("IFLA_INFO_KIND"),
                bool(link["flags"] & 1),  # IFF_UP
                bool(link["flags"] & 0x80),  # IFF_NOARP
                link.get_attr("IFLA_MASTER"),
            )
            for link in links
        }


def routes_of(table: int) -> list[tuple]:
    with IPRoute() as routes:
        return [
            (
                family,
                route.get_attr("RTA_DST"),
                route["dst_len"],
                route["type"],
                route.get_attr("RTA_OIF"),
                route.get_attr("RTA_PRIORITY"),
                route.get_attr("RTA_PREFSRC"),
            )
            for family in FAMILIES
            for route in routes.get_routes(family=family, table=table)
        ]


def rules() -> list[tuple]:
    names = ("FRA_PRIORITY", "FRA_TABLE", "FRA_IIFNAME", "FRA_FWMARK", "FRA_FWMASK")
    with IPRoute() as routes:
        return [
            (family, rule["action"], *map(rule.get_attr, names))
            for family in FAMILIES
            for rule in routes.get_rules(family=family)
        ]


def test_devices_are_as_asked_for(inside):
    def work():
        with Routes() as routes:
            routes.add_device(7, "one", "bridge")
            routes.add_device(8, "two", "bridge")
            routes.up(7)
            namespace = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
            routes.add_pair(9, "near", b"\2\0\0\0\0\1", "far", namespace)
            routes.without_arp(9)
            routes.up(9, master=8)
            routes.up_by_name("far")
        os.close(namespace)
        with IPRoute() as routes:
            [near] = routes.get_links(9)
        return devices(), near.get_attr("IFLA_ADDRESS")

    found, address = inside(work)
    [far] = found.keys() - {7, 8, 9}
    assert found == {
        7: ("one", "bridge", True, False, None),
        8: ("two", "bridge", False, False, None),
        9: ("near", "veth", True, True, 8),
        far: ("far", "veth", True, False, None),
    }
    assert address == "02:00:00:00:00:01"


def test_routes_are_as_asked_for_also_in_tables_with_great_numbers(inside):
    def work():
        with Routes() as routes:
            routes.up(1)
            routes.put_ipv6(1, "2001:db8::1", 0x02)
            routes.local("0.0.0.0/0", 1, 300)
            routes.local("::/0", 1, 300)
            routes.local("fe80::/10", 1, 301, 5)
            routes.local("10.0.0.0/8", 1, 302)
            routes.route("0.0.0.0/0", 1, 302, 7, "10.1.2.3")
            routes.no_local("10.0.0.0/8", 1, 302)
            routes.route("::/0", 1, 302, 8, "2001:db8::1")
        return {table: routes_of(table) for table in (300, 301, 302)}

    unicast, local, default6 = 1, 2, 1024  # include/net/ip6_route.h IP6_RT_PRIO_USER, where nobody says one
    v4, v6 = FAMILIES
    assert inside(work) == {
        300: [(v4, None, 0, local, 1, None, None), (v6, None, 0, local, 1, default6, None)],
        301: [(v6, "fe80::", 10, local, 1, 5, None)],
        302: [(v4, None, 0, unicast, 1, 7, "10.1.2.3"), (v6, None, 0, unicast, 1, 8, "2001:db8::1")],
    }


@pytest.mark.parametrize("family", FAMILIES)
def test_rules_are_as_asked_for(family, inside):
    def work():
        before = rules()
        with Routes() as routes:
            routes.rule(family, 255, 30000)
            routes.no_rule(family, 255, 0)
            routes.rule(family, 300, 1, comes_by="lo")
            routes.rule(family, 301, 2, mark=0x6500)
            routes.drop_unmarked(family)
        return before, rules()

    to_table, blackhole, every, none = 1, 6, 0xFFFFFFFF, (None, None, None)
    before, after = inside(work)
    gone, fresh = [rule for rule in before if rule not in after], [rule for rule in after if rule not in before]
    assert gone == [(family, to_table, None, 255, *none)]
    assert fresh == [
        (family, blackhole, None, 0, "lo", None, every),
        (family, to_table, 1, 300, "lo", None, None),
        (family, to_table, 2, 301, None, 0x6500, every),
        (family, to_table, 30000, 255, *none),
    ]


def test_what_is_refused_first_is_told_and_the_rest_is_done(inside):
    def work():
        with Routes() as routes:
            routes.add_device(7, "one", "bridge")
            routes.add_device(8, "two", "no-such-kind")
            routes.up(99)
            routes.up(7)
            with pytest.raises(Refused) as refused:
                routes.do()
        return refused.value.errno, devices()

    assert inside(work) == (errno.EOPNOTSUPP, {7: ("one", "bridge", True, False, None)})


def test_each_call_of_do_tells_of_its_own_requests_alone(inside):
    def work():
        with Routes() as routes:
            routes.up(99)
            with pytest.raises(Refused, match="No such device"):
                routes.do()
            routes.do()
            routes.add_device(7, "one", "bridge")
        return [*devices()]

    assert inside(work) == [7]
