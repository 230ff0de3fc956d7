"""The model: Linux's lookup of TCP sockets, over IPv4 and IPv6, said as rules.

Read it from `lookup.py` downwards. Each rule names the kernel function that it describes; none of them follows the
kernel's loops, tables or hash chains where the result can be said without them. It keeps its own hash function and
shares no code with the reference.
"""

from skdiff.oracles.model.lookup import Model

__all__ = ["Model"]
