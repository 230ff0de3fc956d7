"""Kernels to boot that are none: bzImages, and what is packed in them."""

import struct

PVH = (b"Xen", 18, struct.pack("<Q", 0x1000160))  # XEN_ELFNOTE_PHYS32_ENTRY


def elf(*notes: tuple[bytes, int, bytes]) -> bytes:
    """An ELF file with a loaded segment of nothing, and one of notes: their names, kinds and bodies."""
    body = b""
    for name, kind, said in notes:
        head = struct.pack("<III", len(name) + 1, len(said), kind) + name + b"\0"
        body += head + bytes(-len(head) % 4) + said + bytes(-len(said) % 4)
    start = 64 + 2 * 56
    header = b"\x7fELF\2\1\1" + bytes(9)
    header += struct.pack("<HHIQQQIHHHHHH", 2, 62, 1, 0x1000000, 64, 0, 0, 64, 56, 2, 0, 0, 0)
    loaded = struct.pack("<IIQQQQQQ", 1, 5, start, 0, 0, 0, 0, 0x1000)
    of_notes = struct.pack("<IIQQQQQQ", 4, 4, start, 0, 0, len(body), len(body), 4)
    return header + loaded + of_notes + body


def bzimage_of(packed: bytes, version: int = 0x20F, sectors: int = 3) -> bytes:
    """A bzImage of a packed kernel, behind some code; the header says where."""
    at = 0x80
    body = bytearray((sectors + 1) * 0x200 + at)
    body[0x1F1] = sectors
    body[0x202:0x206] = b"HdrS"
    struct.pack_into("<H", body, 0x206, version)
    struct.pack_into("<II", body, 0x248, at, len(packed))
    return bytes(body) + packed + bytes(64)
