"""The kernel in a bzImage, as it is when its own code has unpacked it: which an emulated processor does slowly.

Documentation/arch/x86/boot.rst has the header of a bzImage, include/xen/interface/elfnote.h the note.
"""

import bz2
import lzma
import shutil
import struct
import subprocess
import zlib
from pathlib import Path

_SECTORS_AT, _VERSION_AT, _PAYLOAD_AT = 0x1F1, 0x206, 0x248  # then its length
_WITH_PAYLOAD = 0x208  # the version of the boot protocol from which on the header says where it is
_SECTOR = 0x200
_SIZE = 4  # bytes behind what is packed: how long it is unpacked
_PROGRAMS = {b"\x28\xb5\x2f\xfd": "zstd", b"\x02\x21\x4c\x18": "lz4"}
_ELF64, _HEADERS_AT, _HEADER_SIZE = b"\x7fELF\2\1", 0x20, 56
_PT_NOTE = 4
_PHYS32_ENTRY = 18  # XEN_ELFNOTE_PHYS32_ENTRY: where QEMU begins, CONFIG_PVH


def vmlinux(bzimage: Path) -> bytes:
    """The ELF file in a bzImage that QEMU can begin by itself, b"" if there is none: the kernel is packed in a way that
    nothing here unpacks, or is without CONFIG_PVH, or it is no bzImage.
    """
    try:
        kernel = _unpacked(_payload(bzimage.read_bytes()))
        return kernel if kernel.startswith(_ELF64) and _has_entry(kernel) else b""
    except (OSError, EOFError, ValueError, struct.error, zlib.error, lzma.LZMAError):
        return b""


def _payload(image: bytes) -> bytes:
    (version,) = struct.unpack_from("<H", image, _VERSION_AT)
    if version < _WITH_PAYLOAD:
        return b""
    at, length = struct.unpack_from("<II", image, _PAYLOAD_AT)
    start = ((image[_SECTORS_AT] or 4) + 1) * _SECTOR + at
    return image[start : start + length]


def _unpacked(packed: bytes) -> bytes:
    if packed.startswith(b"\x1f\x8b"):
        return zlib.decompressobj(wbits=31).decompress(packed)
    if packed.startswith((b"\xfd7zXZ\0", b"\x5d\0\0")):
        return lzma.LZMADecompressor().decompress(packed)
    if packed.startswith(b"BZh"):
        return bz2.BZ2Decompressor().decompress(packed)
    program = _PROGRAMS.get(packed[:4])
    if program is None or shutil.which(program) is None:
        return b""
    done = subprocess.run([program, "-dc"], input=packed[:-_SIZE], capture_output=True, check=False)
    return b"" if done.returncode else done.stdout


def _has_entry(kernel: bytes) -> bool:
    (table,) = struct.unpack_from("<Q", kernel, _HEADERS_AT)
    (number,) = struct.unpack_from("<H", kernel, 0x38)
    for i in range(number):
        kind, _, at, _, _, size = struct.unpack_from("<IIQQQQ", kernel, table + i * _HEADER_SIZE)
        if kind == _PT_NOTE and any(note == (b"Xen\0", _PHYS32_ENTRY) for note in _notes(kernel[at : at + size])):
            return True
    return False


def _notes(section: bytes) -> list[tuple[bytes, int]]:
    found, at = [], 0
    while at + 12 <= len(section):
        name, length, kind = struct.unpack_from("<III", section, at)
        found.append((section[at + 12 : at + 12 + name], kind))
        at += 12 + (name + 3 & ~3) + (length + 3 & ~3)
    return found
