"""Config: the kernel's options that the lookup's text asks for. The build defines them, the model reads them."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from harness.errors import CannotRun


def _option(default: bool, *kernel: str) -> Any:
    """An option: whether it is on by default, and its names in the kernel (without CONFIG_), of whichever version."""
    return field(default=default, metadata={"kernel": kernel})


@dataclass(frozen=True)
class Config:
    """One configuration; the defaults are a distribution's.

    - `ipv6`: CONFIG_IPV6, =y or =m alike. Off: ipv6only says nothing, and AF_INET6 listeners stand where all do.
    - `l3mdev`: CONFIG_NET_L3_MASTER_DEV. Off: unbound sockets take packets of any device.
    - `syn_cookies`: CONFIG_SYN_COOKIES. Off: a request whose SYN cookie BPF has validated is like any request.
    - `net_ns`: CONFIG_NET_NS. Off: there is one namespace, the packet's, and all sockets are in it.
    - `smp`: CONFIG_SMP. Off: the CPU is 0.
    - `retpoline`: CONFIG_MITIGATION_RETPOLINE. On: the group's hash function is called by name. No rule differs.
    - `rx_queue`: CONFIG_SOCK_RX_QUEUE_MAPPING. On: a member more in each socket. No rule differs.
    """

    ipv6: bool = _option(True, "IPV6")
    l3mdev: bool = _option(True, "NET_L3_MASTER_DEV")
    syn_cookies: bool = _option(True, "SYN_COOKIES")
    net_ns: bool = _option(True, "NET_NS")
    smp: bool = _option(True, "SMP")
    retpoline: bool = _option(False, "MITIGATION_RETPOLINE", "RETPOLINE")
    rx_queue: bool = _option(True, "SOCK_RX_QUEUE_MAPPING")

    def __str__(self) -> str:
        """What differs from the default, as `parse` reads it; "" for the default."""
        return " ".join(
            f"{option.name.upper()}={'y' if getattr(self, option.name) else 'n'}"
            for option in fields(self)
            if getattr(self, option.name) != option.default
        )

    def defines(self) -> str:
        """The options that are on, as lines of C."""
        names = [name for option in fields(self) if getattr(self, option.name) for name in option.metadata["kernel"]]
        return "".join(f"#define CONFIG_{name} 1\n" for name in names)


NAMES = tuple(option.name for option in fields(Config))
_FIELDS: Mapping[str, str] = {
    **{name.upper(): name for name in NAMES},
    **{name: option.name for option in fields(Config) for name in option.metadata["kernel"]},
}
# What `make matrix` builds: each option on its own the other way, and all of them.
MATRIX: tuple[Config, ...] = (
    Config(),
    *(Config(**{option.name: not option.default}) for option in fields(Config)),
    Config(**{option.name: False for option in fields(Config)}),
)


def parse(text: str) -> Config:
    """The configuration that a user asks for: NAME=y and NAME=n, apart by blanks or commas, where NAME is an option's
    name here or the kernel's; or the path of a kernel's .config file. Raises CannotRun.
    """
    words = text.replace(",", " ").split()
    if len(words) == 1 and "=" not in words[0]:
        return _of_file(Path(words[0]))
    config = Config()
    for word in words:
        name, _, value = word.partition("=")
        option = _FIELDS.get(name.upper().removeprefix("CONFIG_"))
        if option is None or value not in ("y", "m", "n"):
            raise CannotRun(f"no option {word!r}: {', '.join(name.upper() for name in NAMES)}, each =y or =n")
        config = replace(config, **{option: value != "n"})
    return config


def _of_file(path: Path) -> Config:
    """A .config says what is on; what it does not name is off."""
    try:
        lines = path.expanduser().read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise CannotRun(
            f"no configuration {path}: neither NAME=y or =n, nor a .config file that can be read"
        ) from error
    if not any(line.startswith("CONFIG_") for line in lines):
        raise CannotRun(f"{path}: no line of it is an option, is this a .config file?")
    on = {match[1] for line in lines if (match := re.fullmatch(r"CONFIG_(\w+)=[ym]", line.strip()))}
    return Config(**{o.name: any(name in on for name in o.metadata["kernel"]) for o in fields(Config)})
