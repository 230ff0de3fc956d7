"""The offsets of members, in BTF that is made here."""

import struct
from pathlib import Path

import pytest

from skdiff.base.errors import CannotRun
from skdiff.oracles.running.btf import Btf

_STRINGS = b"\0sock\0first\0second\0bits\0"


def at(name: str) -> int:
    return _STRINGS.index(f"\0{name}\0".encode()) + 1


def made(*types: bytes) -> bytes:
    all_types = b"".join(types)
    header = struct.pack("<HBBIIIII", 0xEB9F, 1, 0, 24, 0, len(all_types), len(all_types), len(_STRINGS))
    return header + all_types + _STRINGS


def struct_of(name: str, *members: tuple[str, int], kind: int = 4, flag: int = 0) -> bytes:
    head = struct.pack("<III", at(name), flag << 31 | kind << 24 | len(members), 64)
    return head + b"".join(struct.pack("<III", at(member), 1, offset) for member, offset in members)


def test_members_are_found(tmp_path: Path) -> None:
    path = tmp_path / "vmlinux"
    # A member and a union have the name as well.
    union = struct_of("sock", ("first", 800), kind=5)
    other = struct_of("first", ("sock", 8))
    wanted = struct_of("sock", ("first", 0), ("second", 64), ("bits", 3 << 24 | 77), flag=1)
    path.write_bytes(made(union, other, wanted))
    btf = Btf(path)
    assert [btf.byte("sock", "first"), btf.byte("sock", "second"), btf.bit("sock", "bits")] == [0, 8, 77]
    assert btf.byte("first", "sock") == 1


@pytest.mark.parametrize(("name", "member"), [("sock", "third"), ("third", "sock"), ("first", "second")])
def test_what_is_not_there(name: str, member: str, tmp_path: Path) -> None:
    path = tmp_path / "vmlinux"
    path.write_bytes(made(struct_of("sock", ("first", 0))))
    with pytest.raises(CannotRun, match=f"struct {name} has no {member}"):
        Btf(path).byte(name, member)


def test_no_btf(tmp_path: Path) -> None:
    with pytest.raises(CannotRun, match="No such file"):
        Btf(tmp_path / "vmlinux")
    (tmp_path / "vmlinux").write_bytes(b"\x7fELF")
    with pytest.raises(CannotRun, match="not in the format"):
        Btf(tmp_path / "vmlinux")
