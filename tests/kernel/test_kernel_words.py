"""The kernel's words that are no C: closure.toml lists them, and a new one needs no Python."""

import pytest

from skdiff.base.errors import CannotRun
from skdiff.base.paths import CSRC
from skdiff.kernel.index import Definition, definitions
from skdiff.kernel.kernel_words import load


@pytest.fixture
def with_line(monkeypatch, tmp_path):
    """Add a line to one of the tables of closure.toml, and look at a text by that."""

    def read(table: str, line: str, text: str) -> list[Definition]:
        head = f"[words.{table}]\n"
        changed = (CSRC / "closure.toml").read_text().replace(head, f"{head}{line}\n")
        (tmp_path / "closure.toml").write_text(changed)
        words = load(tmp_path / "closure.toml")
        for user in ("syntax", "mentions", "index"):
            monkeypatch.setattr(f"skdiff.kernel.{user}.kernel_words", lambda: words)
        definitions.cache_clear()
        return definitions(text.encode(), "a.h")

    yield read
    definitions.cache_clear()


@pytest.mark.parametrize(
    ("table", "line", "text", "name"),
    [
        ("annotations", '__shiny = "a test"', "static int __shiny f(int x)\n{\n\treturn x;\n}", "f"),
        ("annotations_with_arguments", '__glows = "a test"', "static int __glows(1, (2)) f(int x) { return x; }", "f"),
        ("statements", "'TEST_\\w+' = \"a test\"", "struct s {\n\tint a;\n\tTEST_mark(x);\n\tint b;\n};", "s"),
        ("objects", 'DEFINE_LAMP = "last"', "static DEFINE_LAMP(struct bulb, lamp);", "lamp"),
    ],
)
def test_a_new_word_needs_a_line_and_no_python(with_line, table, line, text, name):
    [found] = [definition for definition in with_line(table, line, text) if definition.name == name]
    assert text.startswith(found.text.decode().rstrip(";"))
    if found.members is not None:
        assert [member.names for member in found.members] == [("a",), ("b",)]
    else:
        word = line.split()[0]
        assert word in {reference.name for reference in found.references}


def test_a_new_group_of_members_needs_a_line(with_line):
    [found] = with_line("struct_groups", "box = 1", "struct s {\n\tbox(inner, int a; int b;);\n\tint c;\n};")
    assert [member.names for member in found.members] == [("a",), ("b",), ("c",)]


def test_a_group_that_a_comment_names_is_left_alone():
    text = """
    struct s {
    \t/* New members go into the struct_group() macro below. */
    \t__struct_group(tag, inner, /* none */,
    \t\tint a;
    \t\tint b;
    \t);
    \tstruct_group_tagged(tag2, inner2, int c;);
    };
    #define struct_group(NAME, MEMBERS...) MEMBERS
    """
    found, macro = definitions(text.encode(), "a.h")
    assert [member.names for member in found.members or ()] == [("a",), ("b",), ("c",)]
    assert macro.name == "struct_group"


def test_a_new_macro_for_local_objects_needs_a_line(with_line):
    text = "int f(void)\n{\n\tNEW_LAMP(lamp, 3);\n\treturn use(lamp);\n}"
    [found] = with_line("locals", "'NEW_\\w+' = \"a test\"", text)
    assert {"NEW_LAMP", "use"} <= {reference.name for reference in found.references}
    assert "lamp" not in {reference.name for reference in found.references}


@pytest.mark.parametrize(
    ("text", "reason"),
    [("", "words"), ("[words.annotations]\n'(' = \"\"\n", "words"), ("x =", "Invalid"), (None, "No such file")],
)
def test_a_broken_list_is_one_clear_error(text, reason, tmp_path):
    path = tmp_path / "closure.toml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(CannotRun, match=reason) as caught:
        load(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("table", ["annotations", "locals"])
def test_a_name_that_is_no_pattern_is_an_error_too(table, tmp_path):
    head = f"[words.{table}]\n"
    text = (CSRC / "closure.toml").read_text().replace(head, f"{head}'(' = \"\"\n")
    (tmp_path / "closure.toml").write_text(text)
    with pytest.raises(CannotRun, match="cannot be read"):
        load(tmp_path / "closure.toml")
