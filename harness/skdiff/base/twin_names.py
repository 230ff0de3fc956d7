"""The names of what two files of a kernel call alike."""

import re


def twin_name(name: str, file: str) -> str:
    """What a file's own function is called in the generated C, in steps and in lists of names, where another file has
    one of its name: "compute_score__net_ipv6_udp_c".
    """
    return f"{name}__{re.sub(r'[^A-Za-z0-9]', '_', file)}"
