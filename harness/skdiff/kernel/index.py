"""Index of C definitions: which names a set of source files defines, where, and under which `#if` lines.

Kernel files are parsed one by one with tree-sitter-c, without preprocessing and without their headers. What a file
says stays as it is: a `Definition` holds the bytes of the file, and the parser alone sees a copy in which annotations
that are no C (`__rcu`, `__must_check`, ...) are blanked out, byte for byte, so that positions agree.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache, lru_cache
from typing import Any

import tree_sitter_c
from tree_sitter import Language, Node, Parser

# Words that stand where the C grammar has no place for them. Only the parser's copy loses them.
_BARE_ANNOTATIONS = (
    "__rcu __force __bitwise __must_check __always_inline __signed_wrap __percpu __user __iomem __init __read_mostly"
    " __ro_after_init __bpf_kfunc __pure __cold __noreturn noinline asmlinkage ____cacheline_aligned_in_smp"
    " ____cacheline_aligned __randomize_layout __packed __visible __weak __fix_address INDIRECT_CALLABLE_SCOPE"
    " __maybe_unused __always_unused __used __hot __latent_entropy"
)
_CALLED_ANNOTATIONS = (
    "__aligned __counted_by __printf __attribute__ __acquires __releases __cond_acquires __no_sanitize __cleanup __free"
)
_ANNOTATIONS = re.compile(
    (
        rf"(?<!#define )\b(?:{'|'.join(_BARE_ANNOTATIONS.split())})\b"
        rf"|(?<!#define )\b(?:{'|'.join(_CALLED_ANNOTATIONS.split())})\s*\((?:[^()]|\([^()]*\))*\)"
        r"|\bINDIRECT_CALLABLE_DECLARE\([^;]*\);"
        r"|(?<!#define )__cacheline_group_(?:begin|end)\w*\(\w+\);"
    ).encode()
)
_DEFINE = re.compile(rb"^[ \t]*#[ \t]*define\b(?:\\\n|[^\n])*\\\n(?:\\\n|[^\n])*", re.MULTILINE)
_COMMENT = re.compile(rb"/\*.*?\*/", re.DOTALL)
_STRUCT_GROUP = re.compile(rb"\bstruct_group\(\w+,|\b__struct_group\([^,;]*,[^,;]*,[^,;]*,")
_DIRECTIVE = re.compile(rb"[ \t]*#[ \t]*(if|ifdef|ifndef|elif|else|endif)\b")
_WORD = re.compile(r"(?P<before>->|\.)?\s*\b(?P<word>[A-Za-z_]\w*)")
_LITERALS = re.compile(r'"(?:[^"\\]|\\.)*"|\'(?:[^\'\\]|\\.)*\'|/\*.*?\*/|//[^\n]*', re.DOTALL)
_MACRO_HEAD = re.compile(r"[ \t]*#[ \t]*define[ \t]+\w+(?:\((?P<parameters>[^)]*)\))?")
_ATTRIBUTE = re.compile(r"__attribute__\s*\(\((?:[^()]|\([^()]*\))*\)\)")
_MEMBER_PATH = re.compile(r"[A-Za-z_][\w.]*\.\w+")
_KEYWORDS = frozenset(
    [
        "auto",
        "break",
        "case",
        "char",
        "const",
        "continue",
        "default",
        "do",
        "double",
        "else",
        "enum",
        "extern",
        "float",
        "for",
        "goto",
        "if",
        "inline",
        "int",
        "long",
        "register",
        "restrict",
        "return",
        "short",
        "signed",
        "sizeof",
        "static",
        "struct",
        "switch",
        "typedef",
        "union",
        "unsigned",
        "void",
        "volatile",
        "while",
        "_Bool",
        "_Static_assert",
        "_Generic",
        "asm",
        "__asm__",
        "__inline",
        "__inline__",
        "__volatile__",
        "__extension__",
        "__attribute__",
        "typeof",
        "__typeof__",
        "__auto_type",
        "_Alignof",
        "__alignof__",
        "__func__",
        "__LINE__",
        "__FILE__",
        "__COUNTER__",
        "__VA_ARGS__",
        "defined",
        "VA_ARGS",
        "args",
        "_T",
    ]
)


@dataclass(frozen=True)
class Reference:
    """A name that a definition mentions: `kind` is "name", "tag" (struct, union, enum), "pointer" (a tag behind `*`,
    for which a forward declaration will do), "whole" (a tag whose members are initialised by position) or "field";
    `line` is 1-based in the definition's own file; `at` is its offset in the definition's text, -1 where unknown.
    """

    kind: str
    name: str
    line: int
    at: int = field(default=-1, compare=False)


@dataclass(frozen=True)
class Definition:
    """One definition as it stands in its file.

    `kind` is function, macro, tag, enum, typedef or variable; `text` the file's own bytes, from `line` to `end_line`
    (1-based, inclusive); `conditions` the preprocessor lines that lead to it, outermost first, each with the branches
    before its own; `names` all that it defines (an enum defines its enumerators too).
    """

    name: str
    kind: str
    file: str
    line: int
    end_line: int
    text: bytes
    conditions: tuple[tuple[str, ...], ...]
    names: tuple[str, ...]
    references: tuple[Reference, ...] = field(repr=False, default=())
    comment: str = ""
    members: "tuple[Member, ...] | None" = field(repr=False, default=None)


@dataclass(frozen=True)
class Member:
    """One member of a struct or union: its declared names, its text, or (nested) the members of an unnamed one."""

    names: tuple[str, ...]
    line: int
    text: bytes
    conditions: tuple[tuple[str, ...], ...]
    references: tuple[Reference, ...]
    head: bytes = b""
    tail: bytes = b""
    nested: "tuple[Member, ...] | None" = None


@cache
def _parser() -> Parser:
    return Parser(Language(tree_sitter_c.language()))


def _blank(match: re.Match[bytes]) -> bytes:
    return re.sub(rb"[^\n]", b" ", match.group())


def _without_comments(macro: re.Match[bytes]) -> bytes:
    """A macro without its comments: behind one that stands before a continuation tree-sitter loses the rest."""
    return _COMMENT.sub(lambda c: re.sub(rb"\\\n|[^\n]", lambda m: m[0] if m[0] == b"\\\n" else b" ", c[0]), macro[0])


def parse(source: bytes) -> Node:
    """The syntax tree of a C file; positions are those of `source`."""
    clean = bytearray(_DEFINE.sub(_without_comments, _ANNOTATIONS.sub(_blank, source)))
    for match in _STRUCT_GROUP.finditer(source):  # its members are members of the struct around it
        depth, end = 1, match.end()
        while depth and end < len(source):
            depth += {40: 1, 41: -1}.get(source[end], 0)
            end += 1
        for start, stop in ((match.start(), match.end()), (end - 1, end + 1)):
            clean[start:stop] = re.sub(rb"[^\n]", b" ", clean[start:stop])
    return _parser().parse(bytes(clean)).root_node


def _text(node: Node) -> str:
    return (node.text or b"").decode("utf-8", "replace")


def _line(node: Node) -> int:
    return int(node.start_point[0]) + 1


def conditions_by_line(source: bytes) -> list[tuple[tuple[str, ...], ...]]:
    """For each line (index 0 is line 1) the `#if` branches it stands in; a header's include guard is none.

    A branch is the tuple of directives that lead into it: ("#ifdef A", "#else") for the second branch of `#ifdef A`.
    """
    lines = source.split(b"\n")
    guard = _include_guard(lines)
    stack: list[tuple[str, ...] | None] = []
    result: list[tuple[tuple[str, ...], ...]] = []
    number = 0
    while number < len(lines):
        first = number
        while lines[number].endswith(b"\\") and number + 1 < len(lines):
            number += 1
        match = _DIRECTIVE.match(lines[first])
        if match:
            word = match.group(1)
            text = b"\n".join(lines[first : number + 1]).decode("utf-8", "replace")
            if word in (b"if", b"ifdef", b"ifndef"):
                stack.append(None if first == guard else (text,))
            elif word == b"endif":
                if stack:
                    stack.pop()
            elif stack and stack[-1] is not None:
                stack[-1] = (*stack[-1], text)
        now = tuple(branch for branch in stack if branch is not None)
        result.extend([now] * (number - first + 1))
        number += 1
    return result


def _include_guard(lines: list[bytes]) -> int:
    """The index of the `#ifndef` of an include guard, or -1."""
    directives = [(i, line.split()) for i, line in enumerate(lines) if line.startswith(b"#")][:2]
    if len(directives) == 2:
        (index, first), (_, second) = directives
        if len(first) > 1 and len(second) > 1 and first[0] == b"#ifndef" and second[:2] == [b"#define", first[1]]:
            return index
    return -1


@lru_cache(maxsize=512)
def definitions(source: bytes, file: str) -> list[Definition]:
    """All that `source` defines at file level, and the macros defined inside its structs."""
    conditions = conditions_by_line(source)
    lines = source.split(b"\n")
    found: list[Definition] = []
    for node, kind, name, names in _walk(parse(source)):
        start, end = node.start_byte, node.end_byte
        if kind == "macro":
            end = start + len(_macro_text(source, start))
        line = _line(node)
        last = line + source[start:end].count(b"\n")
        comment = lines[line - 2].decode("utf-8", "replace").strip() if line >= 2 else ""
        found.append(
            Definition(
                name=name,
                kind=kind,
                file=file,
                line=line,
                end_line=last,
                text=source[start:end] + (_tail(source, end) if kind in ("tag", "enum") else b""),
                conditions=conditions[line - 1],
                names=names,
                references=(
                    *(
                        _macro_references(source[start:end].decode("utf-8", "replace"), line)
                        if kind == "macro"
                        else _references(node, kind)
                    ),
                    *annotation_references(source[start:end], line),
                ),
                comment=comment.removeprefix("/*").removesuffix("*/").strip() if comment.startswith("/*") else "",
                members=_members(node, source, conditions) if kind == "tag" else None,
            )
        )
    known = {name for d in found for name in d.names}
    return found + [d for d in _made_by_macros(source, file, conditions) if d.name not in known]


_MAKERS = re.compile(
    rb"^(?:static\s+)?(?P<macro>DEFINE_(?:STATIC_KEY_(?:TRUE|FALSE)(?:_RO)?|PER_CPU\w*|SPINLOCK|RAW_SPINLOCK|RWLOCK|MUTEX"
    rb"|RATELIMIT_STATE|FREE))\s*\((?P<arguments>(?:[^()]|\([^()]*\))*)\)[^;\n]*;?",
    re.MULTILINE,
)


def _made_by_macros(source: bytes, file: str, conditions: list[tuple[tuple[str, ...], ...]]) -> Iterator[Definition]:
    """Objects that a macro of the kernel makes at file level (DEFINE_STATIC_KEY_FALSE(name) and its kin), where the
    grammar sees none; DEFINE_FREE(name, ...) makes the function __free_name.
    """
    for match in _MAKERS.finditer(source):
        macro, arguments = match["macro"].decode(), match["arguments"].decode("utf-8", "replace").split(",")
        name = arguments[-1 if macro.startswith("DEFINE_PER_CPU") else 0].strip()
        if not re.fullmatch(r"[A-Za-z_]\w*", name):
            continue
        line = source.count(b"\n", 0, match.start()) + 1
        words = [Reference("name", macro, line)]
        if macro.startswith("DEFINE_PER_CPU") or macro == "DEFINE_FREE":
            kind = "tag" if arguments[0].split()[0] in ("struct", "union", "enum") else "name"
            places = ",".join(arguments[:-1] if kind == "tag" or macro != "DEFINE_FREE" else arguments[1:])
            words += [
                Reference("name", word, line)
                for word in re.findall(r"[A-Za-z_]\w*", places)
                if word not in _KEYWORDS and word not in (name, "_T")
            ]
        if macro == "DEFINE_FREE":
            name = f"__free_{name}"
        yield Definition(
            name=name,
            kind="function" if macro == "DEFINE_FREE" else "variable",
            file=file,
            line=line,
            end_line=line + match.group().count(b"\n"),
            text=match.group(),
            conditions=conditions[line - 1],
            names=(name,),
            references=tuple(words),
        )


def argument_spans(text: str) -> list[tuple[int, int, str, int]]:
    """Each argument of each call in a text: where it begins and ends, the name that is called, its place from 0."""
    clean = _LITERALS.sub(lambda m: re.sub(r"[^\n]", " ", m.group()), text)
    found: list[tuple[int, int, str, int]] = []
    stack: list[list[Any]] = []
    for match in _PARENTHESES.finditer(clean):
        if match["open"]:
            stack.append([match["called"] if match["open"] == "(" else "", 0, match.end()])
        elif stack and match.group() == ",":
            top = stack[-1]
            if top[0]:
                found.append((top[2], match.start(), top[0], top[1]))
            top[1:] = [top[1] + 1, match.end()]
        elif stack and match.group() != ",":
            name, place, start = stack.pop()
            if name:
                found.append((start, match.start(), name, place))
    return found


_PARENTHESES = re.compile(r"(?:(?P<called>[A-Za-z_]\w*)\s*)?(?P<open>[(\[{])|[)\]},]")


def parameters_of(macro: Definition) -> tuple[list[str], str] | None:
    """The parameters of a macro, a variadic one as "...NAME", and its body; None for one that is no function."""
    text = macro.text.decode("utf-8", "replace")
    head = _MACRO_HEAD.match(text)
    if head is None or head["parameters"] is None:
        return None
    names = [name.strip() for name in head["parameters"].split(",") if name.strip()]
    named = [f"...{n.removesuffix('...').strip() or '__VA_ARGS__'}" if n.endswith("...") else n for n in names]
    return named, text[head.end() :]


def place_of(name: str, source: bytes) -> tuple[int, str]:
    """Where a name seems to be defined or declared in a file: line and "defines" or "declares"; (0, "") for nowhere.
    It reads text and no syntax, so that it finds what the parser loses: a function with a brace in two `#if` branches.
    """
    word = re.escape(name.encode())
    for what, pattern in (
        (
            "defines",
            rb"^(?:[ \t]*#[ \t]*define[ \t]+" + word + rb"\b|(?![#\s/*])[^\n;{}=]*\b" + word + rb"\s*\([^;{}]*\)\s*\{)",
        ),
        ("defines", rb"^(?:struct|union|enum|typedef)\b[^;{}]*\b" + word + rb"\s*[{;]"),
        ("declares", rb"^(?![#\s/*])[^\n;{}=]*\b" + word + rb"\b[^;{}]*;"),
    ):
        match = re.search(pattern, source, re.MULTILINE)
        if match:
            at = source.index(name.encode(), match.start())
            return source.count(b"\n", 0, at) + 1, what
    return 0, ""


def _tail(source: bytes, end: int) -> bytes:
    """What stands behind the `}` of a struct: its attributes, where nothing but these is there, and a semicolon."""
    tail = source[end : source.find(b";", end)]
    return (tail if tail.strip() and not _ANNOTATIONS.sub(b"", tail).strip() else b"") + b";"


def declared(source: bytes) -> frozenset[str]:
    """The names that a header of ours defines or declares at file level, functions included."""
    names = {name for d in definitions(source, "") for name in d.names}
    for node in parse(source).children:
        if node.type == "declaration":
            names |= {_declared(d) for d in node.children_by_field_name("declarator")}
    return frozenset(names)


def _walk(node: Node) -> Iterator[tuple[Node, str, str, tuple[str, ...]]]:
    """(node, kind, name, all names) of each definition, in the order of the file."""
    for child in node.children:
        kind = child.type
        if kind == "function_definition":
            name = _declared(child.child_by_field_name("declarator"))
            if name and not child.text.startswith(b"struct {") if child.text else name:  # macro soup is no function
                yield child, "function", name, (name,)
        elif kind in ("preproc_def", "preproc_function_def"):
            name = _text(child.child_by_field_name("name") or child)
            yield child, "macro", name, (name,)
        elif kind in ("struct_specifier", "union_specifier", "enum_specifier"):
            yield from _specifier(child)
        elif kind == "type_definition":
            names = tuple(n for d in child.children_by_field_name("declarator") if (n := _declared(d)))
            if names:
                enumerators = tuple(_enumerators(child))
                yield child, "typedef", names[0], names + enumerators
        elif kind == "declaration":
            typ = child.child_by_field_name("type")
            if typ is not None and typ.child_by_field_name("body") is not None:
                yield from _specifier(typ)
            elif not child.text.startswith(b"extern") if child.text else False:
                for declarator in child.children_by_field_name("declarator"):
                    inner = declarator
                    while inner.type in ("init_declarator", "pointer_declarator", "array_declarator"):
                        inner = inner.child_by_field_name("declarator") or inner.children[0]
                    if inner.type == "identifier":
                        yield child, "variable", _text(inner), (_text(inner),)
        elif kind in ("ERROR", "linkage_specification", "declaration_list") or kind.startswith("preproc_"):
            yield from _walk(child)


def _specifier(node: Node) -> Iterator[tuple[Node, str, str, tuple[str, ...]]]:
    body = node.child_by_field_name("body")
    if body is None:
        return
    tag = node.child_by_field_name("name")
    if node.type == "enum_specifier":
        names = tuple(_enumerators(node))
        if tag is not None or names:
            yield node, "enum", _text(tag) if tag is not None else names[0], names
    elif tag is not None:
        yield node, "tag", _text(tag), ()
    for inner in _descend(body):
        if inner.type == "preproc_def":  # sk_refcnt and its kin stand inside struct sock
            name = _text(inner.child_by_field_name("name") or inner)
            yield inner, "macro", name, (name,)


def _enumerators(node: Node) -> Iterator[str]:
    for inner in _descend(node):
        if inner.type == "enumerator":
            yield _text(inner.child_by_field_name("name") or inner)


def _descend(node: Node) -> Iterator[Node]:
    for child in node.children:
        yield child
        yield from _descend(child)


def _declared(node: Node | None) -> str:
    """The name that a declarator declares, "" for none."""
    while node is not None:
        if node.type in ("identifier", "type_identifier", "field_identifier", "primitive_type"):
            return _text(node)
        inner = node.child_by_field_name("declarator")
        if inner is None:  # parenthesized_declarator has no field name
            inner = next(
                (c for c in node.children if c.type.endswith("declarator") or c.type.endswith("identifier")), None
            )
        node = inner
    return ""


def _is_pointer(node: Node) -> bool:
    """Whether a `struct tag` is used only through a pointer, where it stands."""
    parent = node.parent
    while parent is not None and parent.type in ("type_descriptor", "parameter_declaration", "field_declaration"):
        declarators = parent.children_by_field_name("declarator")
        if declarators:
            return all(d.type.endswith("pointer_declarator") or "function" in d.type for d in declarators)
        parent = parent.parent
    return False


def _references(node: Node, kind: str) -> Iterator[Reference]:
    local = set(_locals(node))
    base = node.start_byte
    own = {_declared(d) for d in node.children_by_field_name("declarator")}
    for inner in _descend(node):
        kinds = inner.type
        if kinds in ("struct_specifier", "union_specifier", "enum_specifier"):
            tag = inner.child_by_field_name("name")
            if tag is not None and inner.child_by_field_name("body") is None:
                pointer = kind in ("tag", "typedef") and _is_pointer(inner)
                yield Reference("pointer" if pointer else "tag", _text(tag), _line(inner), inner.start_byte - base)
        elif kinds == "identifier" or kinds == "type_identifier":
            parent = inner.parent
            if parent is not None and parent.type in ("struct_specifier", "union_specifier", "enum_specifier"):
                continue
            name = _text(inner)
            if name and name not in local and name not in own and name not in _KEYWORDS:
                yield Reference("name", name, _line(inner), inner.start_byte - base)
        elif kinds == "field_identifier":
            yield Reference("field", _text(inner), _line(inner), inner.start_byte - base)
        elif kinds == "initializer_list" and _is_positional(inner):
            holder = inner.parent
            while holder is not None and holder.type in ("init_declarator", "parenthesized_expression"):
                holder = holder.parent
            tag = holder.child_by_field_name("type") if holder is not None else None  # a member's type is not known
            if tag is not None and tag.type == "type_descriptor":
                tag = tag.child_by_field_name("type")
            tag = tag.child_by_field_name("name") if tag is not None else None
            if tag is not None:
                yield Reference("whole", _text(tag), _line(inner), inner.start_byte - base)
        elif kinds in ("primitive_type", "true", "false", "null"):  # the kernel defines bool, true, NULL itself
            yield Reference("name", _text(inner), _line(inner), inner.start_byte - base)
        elif kinds in ("preproc_arg",):
            for word in _WORD.finditer(_text(inner)):
                yield Reference("name", word["word"], _line(inner), inner.start_byte - base)


def _is_positional(values: Node) -> bool:
    """Whether an initialiser depends on the order of members: `{}`, `{ 0 }` and `{ .a = 1 }` do not."""
    named = [v for v in values.named_children if v.type not in ("comment", "initializer_pair")]
    return [_text(v) for v in named] not in ([], ["0"])


_DECLARERS = re.compile(r"(?:DECLARE|DEFINE)_[A-Z_]+|XA_STATE\w*|H?LIST_HEAD|LLIST_HEAD")


def _locals(node: Node) -> Iterator[str]:
    for inner in _descend(node):
        if inner.type in ("parameter_declaration", "declaration"):
            for declarator in inner.children_by_field_name("declarator"):
                yield _declared(declarator)
        elif inner.type == "call_expression" and _DECLARERS.fullmatch(
            _text(inner.child_by_field_name("function") or inner)
        ):
            arguments = inner.child_by_field_name("arguments")
            yield from (_text(n) for n in (arguments.named_children if arguments is not None else ())[:1])
        elif inner.type == "enumerator" and node.type == "function_definition":
            yield _text(inner.child_by_field_name("name") or inner)


def annotation_references(text: bytes, line: int) -> Iterator[Reference]:
    """The annotations that the parser does not see, all the same somebody has to define them."""
    for match in _ANNOTATIONS.finditer(text):
        word, _, argument = (part.strip() for part in match.group().decode("utf-8", "replace").partition("("))
        here = line + text.count(b"\n", 0, match.start())
        if word not in _KEYWORDS:
            yield Reference("name", word, here)
        if word in ("__cleanup", "__free"):
            called = argument.rstrip(") \t\n")
            yield Reference("name", called if word == "__cleanup" else f"__free_{called}", here)


def _macro_text(source: bytes, start: int) -> bytes:
    """A macro's logical line: tree-sitter ends it at a comment that stands before a continuation."""
    end = source.find(b"\n", start)
    while end > 0 and source[end - 1 : end] == b"\\":
        end = source.find(b"\n", end + 1)
    return source[start:] if end < 0 else source[start:end]


def _macro_references(text: str, first_line: int) -> Iterator[Reference]:
    """A macro's body is not parsed by tree-sitter: its words are taken as they come."""
    head = _MACRO_HEAD.match(text)
    if head is None:
        return
    known = set(re.findall(r"\w+", head["parameters"] or ""))
    body = text[head.end() :]
    for no_names in (_LITERALS, _ATTRIBUTE):
        body = no_names.sub(lambda m: re.sub(r"[^\n]", " ", m.group()), body)
    wrapped = parse(b"void f(void){" + body.replace("\\\n", " ").encode() + b";}")
    known |= {name for name in _locals(wrapped) if name != "f"}
    path = bool(_MEMBER_PATH.fullmatch(body.strip()))
    previous = ""
    for match in _WORD.finditer(body):
        if "##" in (body[: match.start("word")].rstrip()[-2:], body[match.end() :].lstrip()[:2]):
            continue  # only the preprocessor knows what the word will be
        at = head.end() + match.start("word")
        word, line = match["word"], first_line + text.count("\n", 0, at)
        if word in known or (word in _KEYWORDS and word not in ("struct", "union", "enum")):
            previous = word
            continue
        if previous in ("struct", "union", "enum"):
            yield Reference("tag", word, line, at)
        elif path and match["before"] is None:
            yield Reference("path", word, line, at)
        elif match["before"] is not None:
            yield Reference("field", word, line, at)
        elif word not in _KEYWORDS:
            yield Reference("name", word, line, at)
        previous = word


def is_member_path(definition: Definition) -> bool:
    """Whether a macro renames a member (`#define sk_refcnt __sk_common.skc_refcnt`)."""
    words = definition.text.split(None, 2)
    return definition.kind == "macro" and len(words) == 3 and bool(_MEMBER_PATH.fullmatch(words[2].decode().strip()))


def _members(node: Node, source: bytes, conditions: list[tuple[tuple[str, ...], ...]]) -> tuple[Member, ...]:
    body = node.child_by_field_name("body")
    found: list[Member] = []
    outer = conditions[_line(node) - 1]

    def visit(parent: Node) -> None:
        for child in parent.children:
            if child.type == "field_declaration":
                found.append(member(child))
            elif child.type.startswith("preproc_") or child.type == "ERROR":
                visit(child)

    def member(child: Node) -> Member:
        typ = child.child_by_field_name("type")
        names = tuple(n for d in child.children_by_field_name("declarator") if (n := _declared(d)))
        line = _line(child)
        extra = conditions[line - 1][len(outer) :]
        inner = typ.child_by_field_name("body") if typ is not None else None
        if typ is not None and inner is not None and typ.type != "enum_specifier":
            return Member(
                names=names,
                line=line,
                text=source[child.start_byte : child.end_byte],
                conditions=extra,
                references=(),
                head=source[child.start_byte : inner.start_byte + 1],
                tail=source[inner.end_byte - 1 : child.end_byte],
                nested=_members(typ, source, conditions),
            )
        return Member(
            names=names,
            line=line,
            text=source[child.start_byte : child.end_byte],
            conditions=extra,
            references=(
                *_references(child, "tag"),
                *annotation_references(source[child.start_byte : child.end_byte], line),
            ),
        )

    if body is not None:
        visit(body)
    return tuple(found)
