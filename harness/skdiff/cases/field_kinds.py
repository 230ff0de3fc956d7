"""What a field of a record is: its kind, and all that is said of it in the tables of `fields.py`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, auto

from skdiff.cases.pools import Pool


class Kind(Enum):
    """What a field's number means."""

    NUMBER = auto()
    HEX = auto()  # a number that people read in hexadecimal
    FLAG = auto()
    WORD = auto()  # one of some words
    SIZE = auto()  # of a hash table: a power of two
    ADDRESS = auto()  # 128 bits, as in `addresses.py`
    PORT = auto()  # in host byte order
    DEVICE = auto()  # an interface index, 0 for none
    CPU = auto()
    NETNS = auto()  # an index
    SOCKET = auto()  # an index; NONE, LEAVE
    GROUP = auto()  # an index; NONE
    LIST = auto()  # of things that have tables of their own, or of sockets
    SOCKETS = auto()  # a bit mask of them
    EVENTS = auto()  # a bit mask of them
    TEXTS = auto()  # a list of texts
    WRITTEN = auto()  # an object of WRITTEN_NAMES, which one of these, and a byte in it; () for nothing
    SHOWN = auto()  # a list of programs' runs: kind, and arguments named by SHOWN_NAMES


@dataclass(frozen=True)
class Field:
    """A field of a record: its `kind`, the `pool` that its values are drawn from (of a list, how many there are), and

    - `words` for the values of a WORD, by number; other numbers are valid too if it is `open`;
    - `range`, the least and the greatest value that is valid. In the tables below None is that of the kind: 0 and 1 of
      a flag, the words, the things that there is room for, else what record.h can hold. FIELDS has it for each field;
    - `meets`, the field of the packet that a socket's field must equal for the socket to match;
    - `frame`, whether it may change while the tables stay as they are;
    - `derived`, whether it follows from the rest of a reachable case (see `derived.py`);
    - `each`, whether it has a value for each socket of the case.
    """

    kind: Kind
    pool: Pool = ()
    words: Mapping[int, str] = field(default_factory=dict)
    open: bool = False
    range: tuple[int, int] | None = None
    meets: str = ""
    frame: bool = False
    derived: bool = False
    each: bool = False


def numbered(*words: str) -> dict[int, str]:
    """Words by their numbers from 0 on."""
    return dict(enumerate(words))
