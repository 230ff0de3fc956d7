"""Where members stand in the running kernel's structs: /sys/kernel/btf/vmlinux (Documentation/bpf/btf.rst)."""

import struct
from pathlib import Path

from skdiff.base.errors import CannotRun

VMLINUX = Path("/sys/kernel/btf/vmlinux")
_HEADER = struct.Struct("<HBBIIIII")  # struct btf_header
_TYPE = struct.Struct("<III")  # struct btf_type: name, info, size
_MEMBER = struct.Struct("<III")  # struct btf_member: name, type, offset
_MAGIC, _STRUCT = 0xEB9F, 4
_KIND_FLAG = 1 << 31  # the offset has the size of a bit field in its upper byte


class Btf:
    """The members of structs. Raises CannotRun where the kernel does not tell them (CONFIG_DEBUG_INFO_BTF)."""

    def __init__(self, path: Path = VMLINUX) -> None:
        try:
            data = path.read_bytes()
        except OSError as error:
            raise CannotRun(f"{path}: {error.strerror}") from None
        if len(data) < _HEADER.size or data[:2] != _MAGIC.to_bytes(2, "little"):
            raise CannotRun(f"{path}: not in the format of BTF")
        _, _, _, header, types, types_size, strings, strings_size = _HEADER.unpack_from(data)
        self._types = data[header + types : header + types + types_size]
        self._strings = data[header + strings : header + strings + strings_size]

    def bit(self, struct_name: str, member: str) -> int:
        """The first bit of a member, in bits from the start of its struct, which no anonymous one hides. Raises
        CannotRun for what is not there.
        """
        for at, members in self._structs(struct_name):
            flagged = _TYPE.unpack_from(self._types, at)[1] & _KIND_FLAG
            for number in range(members):
                name, _, offset = _MEMBER.unpack_from(self._types, at + _TYPE.size + number * _MEMBER.size)
                if self._text(name) == member:
                    return int(offset & 0xFFFFFF if flagged else offset)
        raise CannotRun(f"this kernel's struct {struct_name} has no {member}")

    def byte(self, struct_name: str, member: str) -> int:
        """The same in bytes, of a member that is no bit field."""
        return self.bit(struct_name, member) // 8

    def _structs(self, name: str) -> list[tuple[int, int]]:
        """Where the structs of a name are, and how many members each has. A name is in the strings once, so its number
        is searched for; only a type has a kind behind it, a member a smaller number.
        """
        number = self._strings.find(f"\0{name}\0".encode()) + 1
        if not number:
            return []
        wanted, found, at = struct.pack("<I", number), [], -1
        while (at := self._types.find(wanted, at + 1)) >= 0:
            if at % 4 == 0 and at + _TYPE.size <= len(self._types):
                info = _TYPE.unpack_from(self._types, at)[1]
                if info >> 24 & 31 == _STRUCT and info & 0xFFFF:
                    found.append((at, info & 0xFFFF))
        return found

    def _text(self, at: int) -> str:
        return self._strings[at : self._strings.index(b"\0", at)].decode()
