"""The layout of `csrc/record.h`, which alone declares it, and Outcomes read from it. `native.py` has the Scenarios."""

import importlib
from struct import Struct
from typing import Any

from skdiff.base.errors import CannotRun
from skdiff.base.paths import CSRC
from skdiff.cases.addresses import ADDRESS_BYTES, MOST, joined
from skdiff.cases.outcome import ABSENT, BROKEN, MAX_SHOWN, MAX_WARNS, RETURNED, SHOWN_NAMES, Outcome
from skdiff.cases.steps import FUNCTIONS, Step

RECORD_H = CSRC / "record.h"
MADE = "_skdiff_record"  # cffi's module of it, where there is one
_CODES = {
    "uint8_t": "B",
    "int8_t": "b",
    "uint16_t": "H",
    "int32_t": "i",
    "uint32_t": "I",
    "int64_t": "q",
    "uint64_t": "Q",
}


def cdef() -> str:
    """record.h as cffi reads it."""
    return RECORD_H.read_text()


def _read() -> Any:
    """What cffi knows of record.h: in a guest by a module that was made of it before, since to read it there takes as
    long as to load half of the rest (oracles/guests/initramfs.py); nor is what reads C loaded there.
    """
    try:
        return importlib.import_module(MADE).ffi
    except ModuleNotFoundError:
        from cffi import FFI

        read = FFI()
        read.cdef(cdef())
        return read


ffi = _read()
constants: Any = ffi.dlopen(None)
SCENARIO_SIZE: int = ffi.sizeof("struct scenario_record")
OUTCOME_SIZE: int = ffi.sizeof("struct outcome_record")


def aligned(offset: int) -> int:
    """The first place from an offset on at which C may have any of its objects: a multiple of 8 bytes."""
    return (offset + 7) // 8 * 8


def is_address(kind: Any) -> bool:
    """Whether a type of record.h is that of an address: so many bytes as only they have, and no gap before them."""
    return bool(kind.kind == "array" and kind.item.cname == "uint8_t" and kind.length == ADDRESS_BYTES)


def layout(struct: str) -> tuple[Struct, tuple[str, ...]]:
    """The leading plain fields of a struct of record.h: how to pack them, and their names."""
    text, names = "=", []
    for name, member in ffi.typeof(f"struct {struct}").fields:
        kind, times = member.type, ""
        if is_address(kind):
            text += f"{ADDRESS_BYTES}s"
            names.append(name)
            continue
        if kind.kind == "array":
            kind, times = kind.item, str(kind.length)
        if kind.kind != "primitive":
            break
        gap = member.offset - Struct(text).size
        text += "x" * gap + times + _CODES[kind.cname]
        names.append(name)
    return Struct(text), tuple(names)


def code_of(struct: str, name: str) -> str:
    """The type of a plain field in the words of the module struct; "s" for an address."""
    kind = dict(ffi.typeof(f"struct {struct}").fields)[name].type
    return "s" if is_address(kind) else _CODES[kind.cname]


def ranges(struct: str) -> dict[str, tuple[int, int]]:
    """The least and the greatest value that each leading plain field of a struct of record.h can hold."""
    found = {}
    for name, member in ffi.typeof(f"struct {struct}").fields:
        if is_address(member.type):
            found[name] = 0, MOST
        if member.type.kind != "primitive":
            continue
        bits = 8 * ffi.sizeof(member.type)
        signed = not member.type.cname.startswith("u")
        found[name] = (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)
    return found


def _offset(struct: str, *path: str | int) -> int:
    return int(ffi.offsetof(f"struct {struct}", *path))


_OUTCOME, _OUTCOME_FIELDS = layout("outcome_record")
_SIGNAL, _FREED = map(_OUTCOME_FIELDS.index, ("signal", "freed"))
_REFCNT, _LISTENER = _SIGNAL + 4, _SIGNAL + 4 + constants.MAX_SOCKS
_WRITTEN = _LISTENER + constants.MAX_SOCKS
_SHOWN_AT = [_offset("outcome_record", "shown", i) for i in range(MAX_SHOWN)]
_SHOWN_ARGS = _offset("shown_record", "args")
# An address is two numbers there.
_SHOWN_ADDRESSES = {
    kind: [i for i, n in enumerate(names) if n in ("saddr", "daddr")] for kind, names in SHOWN_NAMES.items()
}
_SHOWN = {kind: Struct(f"={len(names) + len(_SHOWN_ADDRESSES[kind])}q") for kind, names in SHOWN_NAMES.items()}
_WARNS_AT = [_offset("outcome_record", "warns", i) for i in range(MAX_WARNS)]
_WARN = Struct("=96s")
_MEMBER, _MEMBER_AT = Struct("=32s"), _offset("outcome_record", "written_member")
_KIND = Struct("=I")


def outcome(buffer: Any, n_socks: int) -> Outcome:
    """The outcome that the reference wrote for a scenario of `n_socks` sockets. Raises CannotRun where it was not the
    kernel's text that crashed: that says nothing of the kernel.
    """
    values = _OUTCOME.unpack_from(buffer)
    if values[0] == BROKEN:
        raise CannotRun(f"csrc/driver crashed (signal {values[_SIGNAL]}) outside the kernel's text: a fault of skdiff")
    if values[0] == ABSENT:
        raise CannotRun("this kernel has no such lookup in this configuration")
    if values[0] != RETURNED:
        return Outcome(ended=values[0], signal=values[_SIGNAL])
    n_warns, n_shown, freed_wrong = values[_SIGNAL + 1 : _SIGNAL + 4]
    if freed_wrong:
        values = (*values[:_FREED], values[_FREED] | freed_wrong << constants.MAX_SOCKS, *values[_FREED + 1 :])
    return Outcome._make(
        (
            *values[:_SIGNAL],
            values[_REFCNT : _REFCNT + n_socks],
            values[_LISTENER : _LISTENER + n_socks],
            _written(buffer, values[_WRITTEN:]) if values[_WRITTEN] else (),
            _warns(buffer, n_warns) if n_warns else (),
            _shown(buffer, n_shown) if n_shown else (),
            (),
            0,
        )
    )


def _written(buffer: Any, place: tuple[int, ...]) -> tuple[int | str, ...]:
    (name,) = _MEMBER.unpack_from(buffer, _MEMBER_AT)
    return (*place, name.partition(b"\0")[0].decode())


def _warns(buffer: Any, count: int) -> tuple[str, ...]:
    found = []
    for at in _WARNS_AT[:count]:
        (text,) = _WARN.unpack_from(buffer, at)
        found.append(text.partition(b"\0")[0].decode())
    return tuple(found)


def _shown(buffer: Any, count: int) -> tuple[tuple[int, ...], ...]:
    found: list[tuple[int, ...]] = []
    for at in _SHOWN_AT[:count]:
        (kind,) = _KIND.unpack_from(buffer, at)
        values = list(_SHOWN[kind].unpack_from(buffer, at + _SHOWN_ARGS))
        for place in _SHOWN_ADDRESSES[kind]:
            values[place : place + 2] = [joined(*values[place : place + 2])]
        found.append((kind, *values))
    return tuple(found)


TRACE_SIZE: int = ffi.sizeof("struct trace_record")
_STEP = Struct("=I4x3q")
_STEPS_AT = _offset("trace_record", "steps")


def steps(buffer: Any, at: int = 0) -> list[Step]:
    """The steps in a trace record that starts at a place of a buffer."""
    (count,) = _KIND.unpack_from(buffer, at)
    found = []
    for i in range(min(count, constants.MAX_STEPS)):
        step, *values = _STEP.unpack_from(buffer, at + _STEPS_AT + i * _STEP.size)
        function, names = FUNCTIONS[step]
        found.append(Step(function, tuple(values[: len(names)])))
    return found


def names(struct: str) -> tuple[str, ...]:
    """The fields of a struct of record.h in their order, without counters (n_...)."""
    return tuple(name for name, _ in ffi.typeof(f"struct {struct}").fields if not name.startswith("n_"))
