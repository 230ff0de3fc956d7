"""Config: the kernel's options that the lookup's text asks for. The build defines them, the model reads them."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import Field, dataclass, field, fields
from pathlib import Path
from typing import Any

from skdiff.base.errors import CannotRun

# Options that the lookup's text asks for, too, and that have one value here (without CONFIG_), each with the reason.
ALWAYS_ON: Mapping[str, str] = {
    "INET": "without it there is no lookup",
    "BPF_SYSCALL": "without it nobody could attach the programs that a Scenario has",
    "64BIT": "the library is loaded into a 64-bit Python",
}
ALWAYS_OFF: Mapping[str, str] = {
    "CPU_BIG_ENDIAN": "the library runs on this CPU",
    "HAVE_EFFICIENT_UNALIGNED_ACCESS": "another way to read the same bytes of an IPv6 address",
    "IP_DCCP": "a TCP socket's tables are its namespace's all the same; gone in Linux 6.16",
    "PROVE_RCU_LIST": "a check of lockdep, whether a list of RCU is walked in a section (debugging)",
    "FAIL_SKB_REALLOC": "fault injection for debugging (Linux 6.13 on): a Scenario says itself which pull fails",
}


def _option(default: bool, *kernel: str, module: bool = False) -> Any:
    """An option: whether it is on by default, and its names in the kernel (without CONFIG_), of whichever version; only
    one that can be a `module` may be =m.
    """
    return field(default=default, metadata={"kernel": kernel, "module": module})


@dataclass(frozen=True)
class Config:
    """One configuration; the defaults are a distribution's.

    - `ipv6`: CONFIG_IPV6, =y or =m alike. Off: ipv6only says nothing, and AF_INET6 listeners stand where all do.
    - `l3mdev`: CONFIG_NET_L3_MASTER_DEV. Off: unbound sockets take packets of any device.
    - `syn_cookies`: CONFIG_SYN_COOKIES. Off: a request whose SYN cookie BPF has validated is like any request.
    - `net_ns`: CONFIG_NET_NS. Off: there is one namespace, the packet's, and all sockets are in it.
    - `smp`: CONFIG_SMP. Off: the CPU is 0.
    - `retpoline`: CONFIG_MITIGATION_RETPOLINE. On: the group's hash function is called by name. No rule differs.
    - `base_small`: CONFIG_BASE_SMALL. On: UDP has no hash4, whatever the version.
    - `rx_queue`: CONFIG_SOCK_RX_QUEUE_MAPPING. On: a member more in each socket. No rule differs.
    - `more`: other options that are on, by their names in the kernel, sorted: those that a tree's own text asks for.
      The model knows nothing of them.
    """

    ipv6: bool = _option(True, "IPV6", module=True)
    l3mdev: bool = _option(True, "NET_L3_MASTER_DEV")
    syn_cookies: bool = _option(True, "SYN_COOKIES")
    net_ns: bool = _option(True, "NET_NS")
    smp: bool = _option(True, "SMP")
    retpoline: bool = _option(False, "MITIGATION_RETPOLINE", "RETPOLINE")
    base_small: bool = _option(False, "BASE_SMALL")
    rx_queue: bool = _option(True, "SOCK_RX_QUEUE_MAPPING")
    more: tuple[str, ...] = ()

    def __str__(self) -> str:
        """What differs from the default, as `parse` reads it; "" for the default."""
        changed = [option for option in OPTIONS if getattr(self, option.name) != option.default]
        words = [f"{option.name.upper()}={'y' if getattr(self, option.name) else 'n'}" for option in changed]
        return " ".join([*words, *(f"{name}=y" for name in self.more)])

    def defines(self) -> str:
        """The options that are on, as lines of C."""
        names = [name for option in OPTIONS if getattr(self, option.name) for name in option.metadata["kernel"]]
        return "".join(f"#define CONFIG_{name} 1\n" for name in (*names, *self.more))

    def taken_as_off(self, asked: Iterable[str]) -> tuple[str, ...]:
        """Those of the options that a text asks for (names in the kernel) of which nothing here says what they are."""
        known = {name for option in OPTIONS for name in option.metadata["kernel"]} | {*ALWAYS_ON, *ALWAYS_OFF}
        return tuple(sorted({*asked} - known - {*self.more}))


OPTIONS: tuple[Field[Any], ...] = tuple(option for option in fields(Config) if option.metadata)
NAMES = tuple(option.name for option in OPTIONS)
_FIELDS: Mapping[str, str] = {
    **{name.upper(): name for name in NAMES},
    **{name: option.name for option in OPTIONS for name in option.metadata["kernel"]},
}


def _only(**values: Any) -> Config:
    return Config(**values)


MINIMAL = _only(**dict.fromkeys(NAMES, False))  # everything off
# What `make matrix` builds: each option on its own the other way, and all of them.
MATRIX: tuple[Config, ...] = (
    Config(),
    *(_only(**{option.name: not option.default}) for option in OPTIONS),
    MINIMAL,
)


_MINIMAL = "minimal"
_MODULES = frozenset(option.name for option in OPTIONS if option.metadata["module"])
Asks = Callable[[str], bool]


def _nothing_more(_name: str) -> bool:
    return False


def parse(text: str, asks: Asks = _nothing_more) -> Config:
    """The configuration that a user asks for: NAME=y and NAME=n, apart by blanks or commas, where NAME is an option's
    name here or the kernel's; "minimal", which is everything off; or the path of a kernel's .config file. `asks` tells
    whether a tree's text asks for an option that is unknown here (its name in the kernel): these can be set too. Raises
    CannotRun.
    """
    words = text.replace(",", " ").split()
    if words == [_MINIMAL]:
        return MINIMAL
    if len(words) == 1 and "=" not in words[0]:
        return _of_file(Path(words[0]), asks)
    values: dict[str, Any] = {}
    more: dict[str, bool] = {}
    for word in words:
        name, _, value = word.partition("=")
        name = name.upper().removeprefix("CONFIG_")
        if value not in ("y", "n", *("m" for option in [_FIELDS.get(name)] if option in _MODULES)):
            raise CannotRun(f"{word!r}: an option is NAME=y or NAME=n (=m too for IPV6)")
        if name in _FIELDS:
            values[_FIELDS[name]] = value != "n"
        elif why := {**ALWAYS_ON, **ALWAYS_OFF}.get(name):
            raise CannotRun(f"{word!r}: {name} cannot be set: {why}")
        elif re.fullmatch(r"[A-Z0-9_]+", name) and asks(name):
            more[name] = value != "n"
        else:
            raise CannotRun(
                f"no option {word!r}: {', '.join(name.upper() for name in NAMES)}, each =y or =n; or one more that the"
                " tree's text of the lookup asks for"
            )
    return Config(**values, more=tuple(sorted(name for name, on in more.items() if on)))


def _of_file(path: Path, asks: Asks) -> Config:
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
    unknown = on - {*_FIELDS, *ALWAYS_ON, *ALWAYS_OFF}
    values: dict[str, Any] = {o.name: any(name in on for name in o.metadata["kernel"]) for o in OPTIONS}
    return Config(
        **values,
        more=tuple(sorted(name for name in unknown if asks(name))),
    )
