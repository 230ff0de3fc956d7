"""Patch series: read from whatever people have them in, applied to a copy, and compared with what they are for."""

import difflib
import io
import json
import re
import shutil
from email.message import EmailMessage
from pathlib import Path

import pytest

from skdiff.base.errors import CannotRun
from skdiff.cli import main
from skdiff.kernel import patches
from skdiff.kernel.source import Tree

pytestmark = pytest.mark.usefixtures("without_mutants")
LOOKUP = "net/ipv4/inet_hashtables.c"
FAR = "include/linux/list_nulls.h"
LONG = "inet: of several listeners that score alike the last one that is met wins, which a mailer folds"


def change(tree: Path, file: str, old: str, new: str) -> str:
    """A patch as git makes it, of one file of a tree."""
    before = (tree / file).read_text()
    assert before.count(old) >= 1
    after = before.replace(old, new, 1)
    lines = difflib.unified_diff(before.splitlines(True), after.splitlines(True), f"a/{file}", f"b/{file}")
    return f"diff --git a/{file} b/{file}\nindex 1111111..2222222 100644\n{''.join(lines)}"


def mail(subject: str, body: str, encoding: str = "quoted-printable") -> bytes:
    """A mail of a mailbox as b4 am writes it: From_ line, headers, a message, the patch, a signature."""
    message = EmailMessage()
    message["From"] = "Jörg Ångström <jorg@example.org>"
    message["Date"] = "Fri, 27 Nov 2026 10:00:00 +0000"
    message["Subject"] = subject
    text = f"Says why.\n\nSigned-off-by: Jörg Ångström <jorg@example.org>\n---\n net | 1 +\n\n{body}-- \n2.39.5\n"
    message.set_content(text, cte=encoding)
    return b"From git@z Thu Jan  1 00:00:00 1970\n" + message.as_bytes() + b"\n"


@pytest.fixture
def better(kernel_tree) -> str:
    """A patch after which the last of two listeners that score alike wins."""
    return change(kernel_tree.path, LOOKUP, "if (score > hiscore)", "if (score >= hiscore)")


@pytest.fixture
def remark(kernel_tree) -> str:
    """A patch of a comment in a file that the lookup reads."""
    return change(kernel_tree.path, FAR, "/*\n", "/* A remark.\n")


@pytest.fixture
def tree(kernel_tree, tmp_path) -> Tree:
    """A small tree of the files that are patched here."""
    for file in ("Makefile", LOOKUP, FAR, "include/net/ip.h"):
        (tmp_path / "tree" / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(kernel_tree.path / file, tmp_path / "tree" / file)
    return Tree(tmp_path / "tree", kernel_tree.version, "test")


def apply(tree, tmp_path, *texts: str | bytes):
    files = []
    for number, text in enumerate(texts):
        path = tmp_path / f"{number}.patch"
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        files.append(path)
    folder = tmp_path / "patched"
    folder.mkdir()
    return patches.patched(tree, patches.series(files), folder)


def test_a_mailbox_is_read_in_its_order_without_cover_letter_and_answers(tmp_path, better, remark):
    path = tmp_path / "series.mbx"
    path.write_bytes(
        mail("[PATCH net-next v3 0/2] Two changes", "No patch here.\n")
        + mail("[PATCH net-next v3 2/2] second", remark, "base64")
        + mail("Re: [PATCH net-next v3 1/2] first", "> a quoted line\nGood.\n")
        + mail(f"[PATCH net-next v3 1/2] {LONG}", better)
    )
    first, second = patches.series([path])
    assert (first.subject, second.subject) == (
        f"[PATCH net-next v3 1/2] {LONG}",
        "[PATCH net-next v3 2/2] second",
    )
    assert (first.files, second.files) == ((LOOKUP,), (FAR,))
    assert patches.label([first, second]) == f"{LONG} (2 patches)"


@pytest.mark.parametrize("form", ["git", "plain", "mail", "base64", "crlf"])
def test_each_form_of_a_patch_applies_to_a_copy(form, tree, tmp_path, better):
    before = (tree.path / LOOKUP).read_text()
    text = {
        "git": better,
        "plain": re.sub(r"(?m)^(diff|index) .*\n", "", better),
        "mail": mail("[PATCH] x", better),
        "base64": mail("[PATCH] x", better, "base64"),
        "crlf": better.replace("\n", "\r\n"),
    }[form]
    done = apply(tree, tmp_path, text)
    assert (done.tree.path / LOOKUP).read_text() == before.replace("score > hiscore", "score >= hiscore", 1)
    assert (tree.path / LOOKUP).read_text() == before
    assert not (done.tree.path / LOOKUP).is_symlink()
    assert (done.tree.path / "include/net/ip.h").read_bytes() == (tree.path / "include/net/ip.h").read_bytes()
    assert (done.files, done.left_out) == ((LOOKUP,), ())
    assert done.tree.version == tree.version


def test_new_renamed_and_removed_files(tree, tmp_path):
    text = (tree.path / "include/net/ip.h").read_text().splitlines()
    gone = "".join(f"-{line}\n" for line in text)
    series = f"""diff --git a/include/net/new.h b/include/net/new.h
new file mode 100644
--- /dev/null
+++ b/include/net/new.h
@@ -0,0 +1 @@
+#define NEW 1
diff --git a/include/net/ip.h b/include/net/ip.h
deleted file mode 100644
--- a/include/net/ip.h
+++ /dev/null
@@ -1,{len(text)} +0,0 @@
{gone}diff --git a/{FAR} b/include/linux/other_nulls.h
similarity index 100%
rename from {FAR}
rename to include/linux/other_nulls.h
"""
    done = apply(tree, tmp_path, series)
    here = done.tree.path
    assert (here / "include/net/new.h").read_text() == "#define NEW 1\n"
    assert not (here / "include/net/ip.h").exists()
    assert not (here / FAR).exists()
    assert (here / "include/linux/other_nulls.h").read_bytes() == (tree.path / FAR).read_bytes()
    assert (tree.path / FAR).exists() and not (tree.path / "include/net/new.h").exists()


def test_files_that_the_tree_does_not_have_are_left_out(tree, tmp_path, better):
    far = "--- a/drivers/net/x.c\n+++ b/drivers/net/x.c\n@@ -1 +1 @@\n-a\n+b\n"
    done = apply(tree, tmp_path, better + far)
    assert (done.files, done.left_out) == ((LOOKUP,), ("drivers/net/x.c",))


@pytest.mark.parametrize("old", ["/dev/null", "a/include/net/sub/x.h\t1970-01-01 00:00:00.000000000 +0000"])
@pytest.mark.parametrize("tool", ["git", "patch"])
def test_a_new_header_in_a_new_folder_is_there(tool, old, tree, tmp_path, better, monkeypatch):
    found = shutil.which(tool)
    if not found:
        pytest.skip(f"no {tool}")
    monkeypatch.setattr(shutil, "which", lambda name: found if name == tool else None)
    new = f"--- {old}\n+++ b/include/net/sub/x.h\n@@ -0,0 +1 @@\n+int x;\n"
    done = apply(tree, tmp_path, better + new)
    assert (done.files, done.left_out) == ((LOOKUP, "include/net/sub/x.h"), ())
    assert (done.tree.path / "include/net/sub/x.h").read_text() == "int x;\n"
    assert not (tree.path / "include/net/sub").exists()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("hello\n", "no patch in it"),
        ("", "no patch in it"),
        ("diff --git a/x b/x\nGIT binary patch\n", "a binary patch"),
        ("--- a/../x\n+++ b/../x\n@@ -1 +1 @@\n-a\n+b\n", "not inside a kernel tree"),
        ("--- a/drivers/net/x.c\n+++ b/drivers/net/x.c\n@@ -1 +1 @@\n-a\n+b\n", "none of the files"),
        (
            f"--- a/{LOOKUP}\n+++ b/{LOOKUP}\n@@ -1 +1 @@\n-a\n+b\n",
            f"0.patch: does not apply: patch failed: {LOOKUP}:1",
        ),
    ],
)
def test_what_is_no_patch_or_does_not_apply_is_one_line(text, says, tree, tmp_path):
    with pytest.raises(CannotRun, match=re.escape(says)) as error:
        apply(tree, tmp_path, text)
    assert "\n" not in str(error.value)


def test_a_folder_without_patches_is_told(tmp_path):
    with pytest.raises(CannotRun, match="no patch in that folder"):
        patches.series([tmp_path])
    with pytest.raises(CannotRun, match="cannot read the patch"):
        patches.series([tmp_path / "gone.patch"])


def test_without_a_tool_to_apply_it(tree, tmp_path, better, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(CannotRun, match="neither git nor patch"):
        apply(tree, tmp_path, better)


def diff(tmp_path, *words):
    summary = tmp_path / "diff.json"
    command = ["diff", "6.12", *words, "--cases", "3000", "--seed", "1", "--json", str(summary)]
    status = main([*command, "--findings", str(tmp_path / "findings")])
    return status, json.loads(summary.read_text())


@pytest.mark.long
def test_a_series_is_compared_with_the_kernel_that_it_is_for(better, remark, tmp_path, capsys):
    folder = tmp_path / "series"
    folder.mkdir()
    (folder / "0001-first.patch").write_text(remark)
    (folder / "0002-second.patch").write_text(better)
    status, summary = diff(tmp_path, "--patch", str(folder))
    out = " ".join(capsys.readouterr().out.split())
    assert status == 1
    assert f"not read by the lookup: {FAR}" not in out
    assert "0001-first.patch (2 patches)" in out
    [change_of_text] = summary["text"]
    assert change_of_text["name"] == "inet_lhash2_lookup"
    finding = summary["groups"][0]["findings"][0]
    again = re.search(
        r"again: \S*skdiff (diff --patch \S+ 6\.12 \S+)", Path(finding["file"]).with_name("report.txt").read_text()
    )
    assert main(again[1].split()) == 1


def test_a_patch_that_the_lookup_does_not_read_is_no_difference_and_runs_nothing(kernel_tree, tmp_path, capsys):
    path = tmp_path / "x.patch"
    path.write_text(change(kernel_tree.path, LOOKUP, "/*\n", "/* A remark.\n"))
    status, summary = diff(tmp_path, "--patch", str(path))
    assert (status, summary["differ"]) == (0, False)
    assert "leaves the text of the lookup as it is" in " ".join(capsys.readouterr().out.split())


@pytest.mark.long
def test_a_patch_of_what_a_stub_takes_the_place_of_is_no_verdict(kernel_tree, tmp_path, capsys):
    file, path = "include/net/request_sock.h", tmp_path / "x.patch"
    text = (kernel_tree.path / file).read_text()
    [head] = re.findall(r"^[^\n]*\breqsk_free\(struct request_sock \*req\)\n\{\n", text, re.MULTILINE)
    path.write_text(change(kernel_tree.path, file, head, f"{head}\treturn;\n"))
    status, summary = diff(tmp_path, "--patch", str(path))
    assert (status, summary["text"], summary["differ"]) == (2, [], False)
    out = " ".join(capsys.readouterr().out.split())
    assert "reqsk_free" in out
    assert "leaves the text" not in out


@pytest.mark.long
def test_standard_input_is_kept_for_the_commands_that_are_printed(better, tmp_path, monkeypatch, capsys):
    class Stdin:
        buffer = io.BytesIO(mail("[PATCH] from a pipe", better))

    monkeypatch.setattr("skdiff.commands.diff.sys.stdin", Stdin)
    status, _ = diff(tmp_path, "--patch", "-")
    assert status == 1
    assert "from a pipe" in capsys.readouterr().out
    assert (tmp_path / "findings" / "patch.mbox").read_bytes() == Stdin.buffer.getvalue()


def test_diff_needs_another_side(capsys):
    assert main(["diff", "6.12"]) == 2
    assert "--patch" in capsys.readouterr().err
