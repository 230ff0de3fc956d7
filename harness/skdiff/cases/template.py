"""The case that `skdiff new` writes."""

TEMPLATE = """\
# A case for skdiff: one packet, the sockets that may get it, and what is said of it.
# `skdiff explain FILE` tells who gets the packet and why, `skdiff fields` lists all keys, docs/cases.md explains them.
version = 1
why = "What this case shows."

# Where the packet is from, and where it goes. IPv6 stands in brackets: "[2001:db8::1]:40000 -> [2001:db8::2]:80".
packet = "10.0.0.1:40000 -> 10.0.0.2:80"
proto = "tcp" # or "udp"
in = "eth0" # the device that it comes in by
# cpu = 0 # the CPU that it is looked up on
# attached = "web" # the socket that hangs on it already, attached_by "bpf", "early demux" or "tproxy"

# The devices that are named here, with their indexes, as `ip link` shows them. lo is 1.
[devices]
eth0 = 2
# red = 5 # a VRF
# eth1 = { index = 9, master = "red" } # and its slave

# [sysctl]
# net.ipv4.tcp_l3mdev_accept = 1

# Sockets, as `ss -tlnp`, `ss -tn` and `ss -unp` show them. The order is that of the calls.
[[listener]]
name = "web"
listen = "10.0.0.2:80" # "0.0.0.0:80" or "*:80" of IPv4, "[::]:80" of both unless v6only = true
reuseport = true # SO_REUSEPORT: who is like an earlier one joins its group; who is not, is at least not refused
# device = "eth0" # SO_BINDTODEVICE
# incoming_cpu = 3 # SO_INCOMING_CPU
# v6only = true # IPV6_V6ONLY

[[listener]]
name = "other"
listen = "0.0.0.0:80"
reuseport = true

# [[connection]]
# from = "10.0.0.1:40000" # the other end
# to = "10.0.0.2:80" # its own
# state = "ESTABLISHED"

# [[timewait]]
# from = "10.0.0.1:40000"
# to = "10.0.0.2:80"

# [[request]] # only its SYN has come
# from = "10.0.0.1:40000"
# to = "10.0.0.2:80"
# listener = "web"

# [[udp]]
# bind = "10.0.0.2:53"
# connect = "10.0.0.1:40000"

# A BPF program: sk_lookup, sk_reuseport (of a group: attach = a member), or a filter, which returns a member's index.
# [[program]]
# type = "sk_lookup"
# select = "other"
# ... or by a table:
# by = "source port" # "destination port", "source address", "destination address", "cpu", "device"
# table = { "40000-50000" = "other", "else" = "pass" }

# What happens later: [[setsockopt]], [[shutdown]] and [[close]], each with socket = "web".

# What another CPU does in the middle of the lookup (docs/races.md): "web" leaves its table once the walk comes to it.
# [[event]]
# point = "node"
# at = "web"
# action = "leaves"
# sk = "web"

# What is expected, and who says so; `skdiff replay FILE` looks whether it is so.
# [expect]
# from = "document"
# sk = "web"
# refcounted = false
"""
