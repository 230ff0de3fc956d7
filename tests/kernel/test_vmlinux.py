"""The kernel in a bzImage, in each way of packing it, and bzImages that have none to begin with."""

import bz2
import gzip
import lzma
import shutil
import struct
import subprocess

import pytest

from skdiff.kernel.vmlinux import vmlinux
from tests.kernels import PVH, bzimage_of, elf


def program(name: str):
    def pack(data: bytes) -> bytes:
        if shutil.which(name) is None:
            pytest.skip(f"no {name}")
        options = ["-l"] if name == "lz4" else []
        return subprocess.run([name, "-c", *options], input=data, capture_output=True, check=True).stdout

    return pack


# scripts/Makefile.lib: gzip and bzip2 say no more than they do, the others have the size behind them
PACKINGS = {
    "gzip": gzip.compress,
    "bzip2": bz2.compress,
    "xz": lambda data: lzma.compress(data, check=lzma.CHECK_CRC32),
    "lzma": lambda data: lzma.compress(data, lzma.FORMAT_ALONE),
    "zstd": program("zstd"),
    "lz4": program("lz4"),
}


@pytest.fixture
def image(tmp_path):
    """Writes a bzImage of what is packed."""

    def write(packed: bytes, **header: int):
        path = tmp_path / "bzImage"
        path.write_bytes(bzimage_of(packed, **header))
        return path

    return write


@pytest.mark.parametrize("packing", PACKINGS)
def test_a_kernel_is_unpacked(packing, image):
    kernel = elf(PVH) + bytes(range(256)) * 100
    packed = PACKINGS[packing](kernel) + struct.pack("<I", len(kernel))
    assert vmlinux(image(packed)) == kernel


def test_the_note_may_stand_behind_others(image):
    kernel = elf((b"Linux", 257, b"abc"), (b"Xen", 6, b"linux\0"), PVH)
    assert vmlinux(image(gzip.compress(kernel))) == kernel


@pytest.mark.parametrize("notes", [(), ((b"Xen", 1, bytes(8)),), ((b"GNU", 18, bytes(8)),)])
def test_a_kernel_that_qemu_cannot_begin_stays_packed(notes, image):
    assert vmlinux(image(gzip.compress(elf(*notes)))) == b""


def test_what_is_damaged_or_unknown_stays_as_it_is(image, tmp_path):
    packed = gzip.compress(elf(PVH))
    for wrong in (
        packed[: len(packed) // 2],
        b"\x1f\x8b" + bytes(50),
        b"?" + packed,
        b"\x28\xb5\x2f\xfd" + bytes(9),
        b"",
    ):
        assert vmlinux(image(wrong)) == b""
    assert vmlinux(image(gzip.compress(elf(PVH)[:0x30]))) == b""
    assert vmlinux(image(gzip.compress(b"\x7fELF\1\1" + elf(PVH)[6:]))) == b""  # of 32 bits
    assert vmlinux(image(packed, version=0x207)) == b""
    short = tmp_path / "short"
    short.write_bytes(bytes(0x100))
    assert vmlinux(short) == b""
    assert vmlinux(tmp_path / "nothing") == b""
