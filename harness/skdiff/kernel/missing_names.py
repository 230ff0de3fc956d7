"""What is said of names that neither a kernel's text nor a stub supplies: where they are used, and the lines to add."""

import re
from collections.abc import Iterable, Mapping

from skdiff.kernel.following import Following
from skdiff.kernel.index import Definition
from skdiff.kernel.mentions import Mention

_HOME = "csrc/stubs/compiler.h"


def refusal(unresolved: Mapping[str, tuple[Definition, Mention]], following: Following, listed: Iterable[str]) -> str:
    """A line for each name, with where it is used and what the tree has of it, then the lines of stubs to add."""
    listed = list(listed)
    lines, stubs, broken = [], [], False
    for name, (definition, reference) in sorted(unresolved.items()):
        file, line, what = following.place(name, listed)
        how = _found(file, line, what, file in listed or file in following.read)
        if not file and not following.is_whole:
            how += ", of which a fetched kernel has only a part: give --kernel a whole tree for the rest"
        broken = broken or how.endswith("cannot be read as C")
        use = f"{definition.file}:{reference.line}: {definition.name} uses {name}"
        lines.append(f"{use}, which no file that it includes defines and no stub supplies{how}")
        stubs.append(f"    {example(name, definition, reference)}")
    if len(lines) > 1:
        lines.insert(0, f"{len(lines)} names are missing:")
    each = "a stub for it" if len(stubs) == 1 else "stubs for them"
    home = f"Add {each} to {_HOME}, or to a file of your own that you pass with --stub FILE, such as"
    if broken:
        home = (
            f"Write that text so that each branch has its own braces, or add {each} ({_HOME}, or --stub FILE), such as"
        )
    return "\n".join([*lines, f"{home}:", *stubs])


def _found(file: str, line: int, what: str, read: bool) -> str:
    if not file:
        return "; the tree has it nowhere in include/, lib/ and net/"
    if what == "declares":
        return f"; {file}:{line} declares it"
    if read:
        return f"; {file}:{line} seems to define it, but cannot be read as C"
    return f"; {file}:{line} defines it"


def example(name: str, definition: Definition, reference: Mention) -> str:
    """A stub that fits the use: what it does has to be judged by a person."""
    text = definition.text.decode("latin-1")
    places = [m.start() for m in re.finditer(rf"\b{re.escape(name)}\b", text)]
    at = reference.at if reference.at in places else next(iter(places), -1)
    before, after = text[: max(at, 0)].rstrip(), text[max(at, 0) + len(name) :].lstrip()
    if after.startswith("("):
        statement = before.endswith((";", "{", "}", ")", "else")) or re.search(r"\*/$", before)
        return f"#define {name}(...) {'((void)0)' if statement else '0'}"
    if re.match(r"\*|[A-Za-z_]", after):
        return f"#define {name}" if name.startswith("__") else f"typedef int {name};"
    return f"#define {name} 0"
