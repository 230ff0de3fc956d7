"""Inputs of guided runs, kept from run to run: a folder for each layout of the wire format, and how to read others.

DIR/NAME/ has the inputs, one a file, named as libFuzzer names them; DIR/NAME.json is the layout by which they mean
something, and NAME its hash. Inputs of another layout are converted field by field, never read as if they were of ours.
"""

import hashlib
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from skdiff.base.errors import CannotRun
from skdiff.base.files import read_json, to_json, write_whole
from skdiff.cases import wire
from skdiff.cases.addresses import mapped
from skdiff.cases.field_kinds import Kind
from skdiff.cases.fields import of_kind
from skdiff.cases.scenario import Packet, Sock
from skdiff.engines.seed_inputs import seeds

Say = Callable[[str], None]
# Where a field stands in the bytes, and what a byte means there, by kind of thing, its number and the field's name.
Places = dict[tuple[str, int, str], tuple[int, Sequence[int]]]


def name_of(layout: wire.Layout) -> str:
    """The name of a layout: 16 digits of its hash."""
    return hashlib.sha256(to_json(layout).encode()).hexdigest()[:16]


def place_of(folder: Path) -> Path:
    """Our layout's folder of inputs in a folder, with its description beside it. Raises OSError."""
    layout = wire.layout()
    ours, text = folder / name_of(layout), to_json(layout)
    ours.mkdir(parents=True, exist_ok=True)
    description = folder / f"{ours.name}.json"
    if not description.exists() or description.read_bytes() != text.encode():
        write_whole(description, text)
    return ours


def seeded(folder: Path) -> Path:
    """The same with the corpus of this repository in it, where a run starts. Raises OSError."""
    ours = place_of(folder)
    for data in seeds():
        add(ours, data)
    return ours


def add(folder: Path, data: bytes) -> None:
    """Put an input into a folder, unless it is there: whole or not at all. Raises OSError."""
    path = folder / hashlib.sha1(data, usedforsecurity=False).hexdigest()
    if not path.exists() or path.read_bytes() != data:  # a full disk, or a kill, may have cut libFuzzer's own
        fresh = folder.parent / f".{path.name}.{os.getpid()}"
        try:
            fresh.write_bytes(data)
            fresh.replace(path)
        finally:
            fresh.unlink(missing_ok=True)


def opened(folder: Path, say: Say) -> None:
    """Make a folder of inputs ready for a run: what it has in other layouts is converted into ours; what means nothing
    to us stays where it is, unread. Raises CannotRun.
    """
    try:
        ours = place_of(folder)
        for place, places in layouts(folder, say):
            if place == ours:
                continue
            old = [path.read_bytes() for path in place.iterdir() if path.is_file()]
            for data in old:
                add(ours, converted(data, places))
            discard(place)
            say(f"{folder}: {len(old):,} inputs of layout {place.name} are now of layout {ours.name}")
    except OSError as error:
        raise CannotRun(f"cannot use {folder} for inputs: {error}") from error


def discard(place: Path) -> None:
    """Remove a folder of inputs and its layout. Raises OSError."""
    shutil.rmtree(place)
    place.with_suffix(".json").unlink()


def layouts(folder: Path, say: Say) -> Iterator[tuple[Path, Places]]:
    """Each folder of inputs in a folder with what its bytes mean; `say` hears of what is left out. Raises OSError."""
    every = sorted(folder.glob("[!.]*"))
    places = [path for path in every if path.is_dir()]
    loose = [path for path in every if path not in places and path.suffix != ".json"]
    for place in places:
        try:
            layout = read_json(place.with_suffix(".json"), wire.Layout, "a layout of inputs")
            if name_of(layout) != place.name:
                raise ValueError("it was changed")
            yield place, places_of(layout)
        except (CannotRun, ValueError) as error:
            say(f"{place}: left out ({error}); remove it, or bring back {place.name}.json")
    if loose:
        say(f"{folder}: {len(loose):,} files are left out, for they do not tell their layout")


def places_of(layout: wire.Layout) -> Places:
    """What bytes of a layout mean. Raises ValueError for one that does not say it of each byte."""
    found: Places = {}
    at = 0
    for kind, count, fields in layout:
        for index in range(count):
            for name, values in fields:
                table = [int(value) for value, share in values for _ in range(share)]
                if len(table) != 256:
                    raise ValueError(f"{kind}.{name} has {len(table)} values, not 256")
                found[kind, index, name] = at, table
                at += 1
    return found


_OURS = places_of(wire.layout())
_ADDRESSES = {
    (kind, name) for kind, record in (("packet", Packet), ("sock", Sock)) for name in of_kind(record, Kind.ADDRESS)
}
_MOST_OF_32_BITS = 0xFFFFFFFF


def converted(data: bytes, places: Places) -> bytes:
    """The bytes in our layout that mean what `data` means in another one: field by field, with the plainest value where
    ours lacks the field's value, and for fields that are new. An address of 32 bits is one of IPv4: older layouts had
    no others.
    """
    fresh = bytearray(wire.MOST)
    for key, (to, _) in _OURS.items():
        if key in places:
            at, table = places[key]
            value = table[data[at] if at < len(data) else 0]
            kind, _, name = key
            if (kind, name) in _ADDRESSES and value <= _MOST_OF_32_BITS:
                value = mapped(value)
            fresh[to] = wire.byte(to, value)
    return wire.cut(fresh)
