"""Finding kernel trees: paths, the git web (a local server), the cache."""

import errno
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from skdiff import cli
from skdiff.base.errors import CannotRun
from skdiff.kernel import git_web, kernel_cache, source
from skdiff.kernel.following import Following
from skdiff.kernel.source import fetch_missing, find
from tests.helpers import harm_file

MAKEFILE = b"# SPDX\nVERSION = 6\nPATCHLEVEL = 12\nSUBLEVEL = 0\nEXTRAVERSION =\nNAME = Baby\nVERSION2 = 9\n"
LOOKUP, HEADER, EXTRA = "net/ipv4/inet_hashtables.c", "include/net/sock.h", "include/linux/unaligned.h"
FILES = {"Makefile": MAKEFILE, LOOKUP: b"int lookup;\n", HEADER: b"struct sock;\n"}

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def kernels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, no apt, no waiting; the directory that has the cached trees."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("SKDIFF_GIT_WEB", "http://127.0.0.1:9/unset")
    monkeypatch.setenv("no_proxy", "*")
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setattr(git_web, "PAUSE", 0.01)
    return tmp_path / "cache/skdiff/kernels"


def refused(kernel: str | Path, *files: str, **options: Any) -> str:
    """The one line with which find() refuses."""
    with pytest.raises(CannotRun) as caught:
        find(str(kernel), files, **options)
    line = str(caught.value)
    assert line
    assert "\n" not in line
    assert "Traceback" not in line
    return line


def entries(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir()) if directory.exists() else []


def plant(top: Path, files: dict[str, bytes]) -> Path:
    for file, body in files.items():
        (top / file).parent.mkdir(parents=True, exist_ok=True)
        (top / file).write_bytes(body)
    return top


# --- a given path ---


def test_a_path_is_used_as_it_is(tmp_path: Path, kernels: Path) -> None:
    makefile = MAKEFILE.replace(b"SUBLEVEL = 0", b"SUBLEVEL\t= 7").replace(b"EXTRAVERSION =", b"EXTRAVERSION = -rc3+")
    top = plant(tmp_path / "linux", {**FILES, "Makefile": makefile})
    before = {path: path.stat().st_mtime_ns for path in [top, *top.rglob("*")]}
    tree = find(str(top), [LOOKUP, HEADER], optional=[EXTRA])
    assert (tree.path, tree.version, tree.origin) == (top, "6.12.7-rc3+", f"tree {top}")
    assert {path: path.stat().st_mtime_ns for path in [top, *top.rglob("*")]} == before
    assert not kernels.exists()


@pytest.mark.parametrize("given", ["./linux", "linux", "~/linux", "../w/linux"])
def test_ways_to_write_a_path(given: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    top = plant(tmp_path / "w/linux", FILES)
    monkeypatch.chdir(tmp_path / "w")
    monkeypatch.setenv("HOME", str(tmp_path / "w"))
    assert find(given, [LOOKUP]).path == top
    monkeypatch.setenv("HOME", str(top))
    assert find("~", [LOOKUP]).path == top


def test_a_directory_named_like_a_version_is_a_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(tmp_path / "6.12", FILES)
    monkeypatch.chdir(tmp_path)
    assert find("6.12", [LOOKUP]).origin == f"tree {tmp_path / '6.12'}"


def test_paths_that_are_no_tree(tmp_path: Path) -> None:
    plant(
        tmp_path,
        {"app/Makefile": b"all:\n\tcc x.c\n", "file": b"", "linux/Makefile": MAKEFILE, "empty/x": b""},
    )
    assert "nowhere is not a directory" in refused(tmp_path / "nowhere", LOOKUP)
    assert "file is not a directory" in refused(tmp_path / "file", LOOKUP)
    assert "empty has no Makefile (nor 1 more" in refused(tmp_path / "empty", LOOKUP)
    assert "app/Makefile is not a kernel's" in refused(tmp_path / "app")
    assert f"linux has no {LOOKUP}, which is needed" in refused(tmp_path / "linux", LOOKUP)
    assert f"linux has no {LOOKUP} (nor 2 more" in refused(tmp_path / "linux", LOOKUP, HEADER, EXTRA)
    assert "~nobody-has-this-name" in refused("~nobody-has-this-name/linux", LOOKUP)


@pytest.mark.parametrize("kernel", ["", "foo", "6", "6.12.x", "6.12 ", "v6.12", "6.12-1", "6.12\n"])
def test_neither_version_nor_path(kernel: str) -> None:
    assert "neither a kernel version" in refused(kernel, LOOKUP)


@pytest.mark.parametrize("file", ["../x.c", "/etc/passwd", "net/../../x", "net//x.c", ""])
def test_files_stay_inside_the_tree(file: str) -> None:
    assert "not a plain path" in refused("6.12", file)
    assert "not a plain path" in refused("6.12", optional=[file])


# --- the git web ---


OLDER, NEWER, NEWEST = "0" * 39 + "1", "0" * 39 + "2", "a" * 40
TAGS = "/linux.git/refs/tags"
# As cgit writes them; "<id>" in a title comes escaped.
FEED = "<feed xmlns='http://www.w3.org/2005/Atom'>\n<id>http://localhost/atom/?h=master</id>\n{}</feed>\n"
ENTRY = (
    "<entry>\n<title>Merge &lt;id&gt;</title>\n<id>urn:sha1:{}</id>\n<content type='text'>\nx\n</content>\n</entry>\n"
)


class Web(ThreadingHTTPServer):
    """v6.12 on a local port: `answers` by path are bodies, statuses, or lists of them to be taken in turn. `commits`
    are those of its branch master, the newest first; of the first two it has files."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), WebHandler)
        self.address = f"http://127.0.0.1:{self.server_port}/linux.git/plain"
        self.tag = "v6.12"
        self.tags: list[str] = []
        self.answers: dict[str, Any] = dict(FILES)
        self.asked: list[str] = []
        self.kind = "text/plain"
        self.ended = threading.Event()
        self.commits = [NEWER, OLDER]
        self.feed, self.entry = FEED, ENTRY


class WebHandler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        web, url = self.server, urlsplit(self.path)
        assert isinstance(web, Web)
        file = url.path.removeprefix("/linux.git/plain/")
        if file != TAGS:  # asked for before each fetch of a series
            web.asked.append(file)
        query = parse_qs(url.query)
        answer: Any = 404
        if file == TAGS:
            tags = "".join(f"<td><a href='/linux.git/tag/?h={tag}'>{tag}</a></td>" for tag in web.tags)
            answer = f"<table>{tags}</table>".encode() if web.tags else 404
        elif file == "/linux.git/atom/":
            entries = "".join(web.entry.format(commit) for commit in web.commits)
            answer = web.feed.format(entries).encode() if query == {"h": ["master"]} else 404
        elif query == {"h": [web.tag]} or query.get("id", [""])[0] in web.commits[:2]:
            answer = web.answers.get(file, 404)
        if isinstance(answer, list):
            answer = answer.pop(0)
        if answer == "hang":
            web.ended.wait(30)
        elif answer == "drop":  # promise ten bytes, send three, then reset the connection
            self.send_response(200)
            self.send_header("Content-Length", "10")
            self.end_headers()
            self.wfile.write(b"abc")
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.close_connection = True
        elif isinstance(answer, int):
            self.send_error(answer)
        else:
            self.send_response(200)
            self.send_header("Content-Type", web.kind)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the name is http.server's
        pass


@contextmanager
def serving(answers: dict[str, Any] = FILES) -> Iterator[Web]:
    git_web.newest_commit.cache_clear()  # each test is a process of its own
    server = Web()
    server.answers = dict(answers)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    yield server
    server.ended.set()
    server.shutdown()
    server.server_close()


@pytest.fixture
def web(monkeypatch: pytest.MonkeyPatch) -> Iterator[Web]:
    with serving() as server:
        monkeypatch.setenv("SKDIFF_GIT_WEB", f"{server.address}/")
        yield server


def test_the_web_gives_a_tree_once(web: Web, kernels: Path) -> None:
    lines: list[str] = []
    web.answers[EXTRA] = 404
    tree = find("6.12", [LOOKUP, HEADER], optional=[EXTRA], say=lines.append)
    assert tree.version == "6.12.0"
    assert tree.origin == f"v6.12 from http://127.0.0.1:{web.server_port}/linux.git/plain, upstream text"
    assert {file: (tree.path / file).read_bytes() for file in FILES} == FILES
    assert not (tree.path / EXTRA).exists()
    assert [line.partition(" from ")[0] for line in lines] == ["fetching 4 files of v6.12"]
    assert sorted(web.asked) == sorted([*FILES, EXTRA])
    assert entries(kernels) == [tree.path.name]

    web.shutdown()
    web.server_close()
    assert find("6.12", [LOOKUP, HEADER], optional=[EXTRA]) == tree
    assert find("6.12", [LOOKUP]) == tree  # fewer files than there are
    assert len(web.asked) == 4


def test_an_optional_file_that_exists_is_fetched(web: Web) -> None:
    web.answers[EXTRA] = b"extra\n"
    assert (find("6.12", [LOOKUP], optional=[EXTRA]).path / EXTRA).read_bytes() == b"extra\n"


def test_a_longer_list_fetches_what_is_missing(web: Web) -> None:
    first = find("6.12", [LOOKUP])
    assert find("6.12", [LOOKUP, HEADER], optional=[EXTRA]) == first
    assert (first.path / HEADER).read_bytes() == FILES[HEADER]
    assert sorted(web.asked) == sorted(["Makefile", LOOKUP, HEADER, EXTRA])
    assert find("6.12", [LOOKUP], optional=[EXTRA]) == first
    assert f"has no {EXTRA}, which is needed" in refused("6.12", EXTRA)
    assert len(web.asked) == 4


def test_who_follows_includes_gets_more_files(web: Web, tmp_path: Path) -> None:
    tree = find("6.12", [LOOKUP])
    assert fetch_missing(tree.path, [LOOKUP, HEADER, EXTRA]) == {LOOKUP, HEADER}
    assert (tree.path / HEADER).read_bytes() == FILES[HEADER]
    asked = list(web.asked)
    assert fetch_missing(tree.path, [HEADER, EXTRA]) == {HEADER}
    assert web.asked == asked
    with pytest.raises(CannotRun, match="not a plain path"):
        fetch_missing(tree.path, ["../x.h"])
    given = find(str(plant(tmp_path / "linux", FILES)), [LOOKUP])
    assert fetch_missing(given.path, [HEADER, EXTRA]) == {HEADER}

    (tree.path / HEADER).write_bytes(b"cut")
    with pytest.raises(CannotRun, match="was changed since it was fetched: try again"):
        fetch_missing(tree.path, [HEADER])
    healed = find("6.12", [LOOKUP])
    assert fetch_missing(healed.path, [HEADER]) == {HEADER}
    assert (healed.path / HEADER).read_bytes() == FILES[HEADER]


def test_what_a_file_of_the_web_includes_is_fetched(web: Web) -> None:
    web.answers |= {
        LOOKUP: b'#include <net/sock.h>\n#include <asm/own.h>\n#include "beside.h"\nint lookup;\n',
        HEADER: b"#include <asm/any.h>\n",
        "arch/x86/include/asm/own.h": b"int own_one;\n",
        "net/ipv4/beside.h": b"int beside_one;\n",
        "include/asm-generic/any.h": b"int any_one;\n",
    }
    tree = find("6.12", [LOOKUP])
    found = Following(tree.path, [LOOKUP])
    for name, file in (("own_one", "arch/x86/include/asm/own.h"), ("beside_one", "net/ipv4/beside.h"),
                       ("any_one", "include/asm-generic/any.h"), ("nowhere", "")):  # fmt: skip
        assert [d.file for d in found.find(name, tag=False, user=LOOKUP)] == ([file] if file else [])
    asked = list(web.asked)
    assert Following(tree.path, [LOOKUP]).find("any_one", tag=False, user=LOOKUP)
    assert web.asked == asked


def test_a_series_is_its_newest_tag(web: Web) -> None:
    web.tags = ["v6.12", "v6.12.9", "v6.12.96", "v6.12-rc7", "v6.13.97", "v6.1.99", "v16.12.98"]
    web.tag = "v6.12.96"
    web.answers["Makefile"] = MAKEFILE.replace(b"SUBLEVEL = 0", b"SUBLEVEL = 96")
    tree = find("6.12", [LOOKUP])
    assert (tree.version, tree.origin.partition(" from ")[0]) == ("6.12.96", "v6.12.96")
    assert find("6.12.96", [LOOKUP]) == tree  # by its full name it is the same
    web.tags[2] = "v6.12.97"
    assert find("6.12", [LOOKUP]) == tree  # what is cached stays
    assert "answered with Linux 6.12.96 instead of v6.12.97" in _of_tag(web, "v6.12.97")
    assert _of_tag(web, "v6.12", "6.12.0").endswith("instead of v6.12: check SKDIFF_GIT_WEB")


def test_the_list_of_kernels_on_another_system(web: Web, capsys: pytest.CaptureFixture[str]) -> None:
    web.tags = ["v6.12", "v6.12.9", "v6.12.96", "v6.12-rc7", "v6.1.99", "v7.0"]
    assert cli.main(["kernels"]) == 0
    out = capsys.readouterr().out
    listed = [line.partition(" from ")[0].strip() for line in out.splitlines() if line.startswith("  ")]
    assert listed == ["7.0: 7.0", "6.12: 6.12.96", "6.1: 6.1.99"]
    web.tags = []
    assert cli.main(["kernels"]) == 2
    assert "has no list of its tags" in capsys.readouterr().err


def _of_tag(web: Web, tag: str, kernel: str = "") -> str:
    web.tag = tag
    return refused(kernel or tag[1:], LOOKUP)


def test_a_file_that_somebody_put_there_is_not_trusted(web: Web) -> None:
    tree = find("6.12", [LOOKUP])
    plant(tree.path, {HEADER: b"of another kernel\n"})
    assert (find("6.12", [LOOKUP, HEADER]).path / HEADER).read_bytes() == FILES[HEADER]


@pytest.mark.parametrize("harm", [b"int Lookup;\n", b"", None])
def test_a_changed_cache_is_fetched_again(harm: bytes | None, web: Web, kernels: Path) -> None:
    tree = find("6.12", [LOOKUP])
    harm_file(tree.path / LOOKUP, harm)
    assert find("6.12", [LOOKUP]) == tree
    assert (tree.path / LOOKUP).read_bytes() == FILES[LOOKUP]
    assert entries(kernels) == [tree.path.name]


@pytest.mark.parametrize("manifest", ["", "{", "[]", "{}", '{"kernel": "6.12"}', "null", "\xff"])
def test_a_damaged_manifest_is_as_none(manifest: str, web: Web, kernels: Path) -> None:
    tree = find("6.12", [LOOKUP])
    (tree.path / kernel_cache.MANIFEST).write_text(manifest, encoding="latin-1")
    assert find("6.12", [LOOKUP]) == tree
    assert len(web.asked) == 4
    assert entries(kernels) == [tree.path.name]


def test_another_address_is_another_tree(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    tree = find("6.12", [LOOKUP])
    monkeypatch.setenv("SKDIFF_GIT_WEB", f"http://localhost:{web.server_port}/linux.git/plain")
    assert find("6.12", [LOOKUP]).path != tree.path
    assert len(web.asked) == 4


def test_a_release_candidate_is_not_the_release(web: Web) -> None:
    web.tag = "v6.12-rc1"
    web.answers["Makefile"] = MAKEFILE.replace(b"EXTRAVERSION =", b"EXTRAVERSION = -rc1")
    assert find("6.12-rc1", [LOOKUP]).version == "6.12.0-rc1"
    assert "has no Linux v6.12:" in refused("6.12", LOOKUP)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (404, f"v6.12 from ADDRESS has no {LOOKUP}, which is needed"),
        (403, f"cannot fetch ADDRESS/{LOOKUP}?h=v6.12: HTTP 403 Forbidden; check the network"),
        (500, f"cannot fetch ADDRESS/{LOOKUP}?h=v6.12: HTTP 500 Internal Server Error"),
        ("drop", f"cannot fetch ADDRESS/{LOOKUP}?h=v6.12: "),
    ],
)
def test_a_required_file_that_does_not_come(answer: Any, expected: str, web: Web, kernels: Path) -> None:
    web.answers[LOOKUP] = answer
    address = f"http://127.0.0.1:{web.server_port}/linux.git/plain"
    assert expected.replace("ADDRESS", address) in refused("6.12", LOOKUP, HEADER)
    assert web.asked.count(LOOKUP) == (3 if answer in (500, "drop") else 1)
    assert entries(kernels) == []


def test_a_broken_connection_for_an_optional_file_is_no_absence(web: Web, kernels: Path) -> None:
    web.answers[EXTRA] = "drop"
    assert "cannot fetch" in refused("6.12", LOOKUP, optional=[EXTRA])
    assert entries(kernels) == []


def test_it_tries_again(web: Web) -> None:
    web.answers |= {"Makefile": ["drop", MAKEFILE], LOOKUP: [503, "drop", FILES[LOOKUP]]}
    assert (find("6.12", [LOOKUP]).path / LOOKUP).read_bytes() == FILES[LOOKUP]


def test_no_such_version(web: Web, kernels: Path) -> None:
    line = refused("6.99", LOOKUP)
    assert "has no Linux v6.99: give a released version" in line
    assert "this machine's apt has no Debian suite to look for Linux 6.99 in, and " in line
    assert web.asked == ["Makefile"]
    assert entries(kernels) == []


def test_a_web_that_answers_something_else(web: Web, monkeypatch: pytest.MonkeyPatch, kernels: Path) -> None:
    web.answers["Makefile"] = MAKEFILE.replace(b"12", b"13")
    assert "answered with Linux 6.13.0 instead of v6.12" in refused("6.12", LOOKUP)
    web.answers["Makefile"] = b"please log in"
    assert "Makefile of v6.12 from" in refused("6.12", LOOKUP)
    web.kind = "text/html; charset=utf-8"
    assert "a web page came instead of the file" in refused("6.12", LOOKUP)
    assert entries(kernels) == []


# --- mainline ---


@pytest.fixture
def mainline(web: Web) -> Web:
    """Mainline between two release candidates."""
    web.answers["Makefile"] = MAKEFILE.replace(b"12", b"19").replace(b"EXTRAVERSION =", b"EXTRAVERSION = -rc3")
    return web


def test_mainline_is_its_newest_commit(mainline: Web, kernels: Path) -> None:
    lines: list[str] = []
    mainline.answers[EXTRA] = 404
    tree = find("mainline", [LOOKUP, HEADER], optional=[EXTRA], say=lines.append)
    place = f"http://127.0.0.1:{mainline.server_port}/linux.git/plain"
    assert (tree.version, tree.origin) == ("6.19.0-rc3", f"mainline at {NEWER[:12]} from {place}")
    assert tree.path.name.startswith(f"mainline-{NEWER[:12]}-")
    assert lines == [f"fetching 4 files of mainline at {NEWER[:12]} from {place}"]
    assert mainline.asked[0] == "/linux.git/atom/"
    assert sorted(mainline.asked[1:]) == sorted([*FILES, EXTRA])
    assert entries(kernels) == [tree.path.name]


def test_a_run_is_of_one_commit_and_the_next_one_is_not(mainline: Web, kernels: Path) -> None:
    first = find("mainline", [LOOKUP])
    mainline.commits.insert(0, NEWEST)
    mainline.answers[LOOKUP] = b"int newer;\n"
    assert find("mainline", [LOOKUP]) == first  # from the cache, and without a question
    assert mainline.asked == ["/linux.git/atom/", "Makefile", LOOKUP]
    assert NEWER[:12] in find("mainline", [LOOKUP, HEADER]).origin  # what is fetched later is of the same commit

    git_web.newest_commit.cache_clear()  # the next process
    second = find("mainline", [LOOKUP])
    assert NEWEST[:12] in second.origin
    assert (second.path / LOOKUP).read_bytes() == b"int newer;\n"
    assert (first.path / LOOKUP).read_bytes() == FILES[LOOKUP]

    mainline.commits.pop(0)
    git_web.newest_commit.cache_clear()
    count = len(mainline.asked)
    assert find("mainline", [LOOKUP]).origin == first.origin  # a commit that is here is not fetched again
    assert mainline.asked[count:] == ["/linux.git/atom/"]


def test_mainline_is_not_served_without_the_web(mainline: Web, kernels: Path) -> None:
    find("mainline", [LOOKUP])
    git_web.newest_commit.cache_clear()
    mainline.shutdown()
    mainline.server_close()
    line = refused("mainline", LOOKUP)
    assert f"cannot fetch http://127.0.0.1:{mainline.server_port}/linux.git/atom/?h=master: " in line
    assert "check the network" in line


def test_a_commit_that_the_web_has_no_files_of(mainline: Web, kernels: Path) -> None:
    mainline.answers["Makefile"] = 404
    assert f"has no Linux mainline at {NEWER[:12]}" in refused("mainline", LOOKUP)
    mainline.answers["Makefile"] = b"please log in"
    assert f"the Makefile of mainline at {NEWER[:12]} from" in refused("mainline", LOOKUP)
    mainline.answers["Makefile"] = MAKEFILE
    assert f"mainline at {NEWER[:12]} from" in refused("mainline", EXTRA)
    assert entries(kernels) == []


def test_a_feed_of_an_older_cgit(mainline: Web) -> None:
    mainline.entry = ENTRY.replace("urn:sha1:", "")
    assert NEWER[:12] in find("mainline", [LOOKUP]).origin


@pytest.mark.parametrize("feed", ["", "<feed></feed>", "<entry><id>tag:x</id></entry>", "<id>" + "0" * 40 + "</id>"])
def test_a_feed_that_names_no_commit(feed: str, mainline: Web) -> None:
    mainline.feed = feed
    assert "does not tell the newest commit of its branch master: check SKDIFF_GIT_WEB" in refused("mainline", LOOKUP)


def test_a_mirror_that_has_no_feed(mainline: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SKDIFF_GIT_WEB", f"http://127.0.0.1:{mainline.server_port}/elsewhere/plain")
    assert "does not tell the newest commit" in refused("mainline", LOOKUP)
    monkeypatch.setenv("SKDIFF_GIT_WEB", f"http://127.0.0.1:{mainline.server_port}/linux.git")
    assert "must end in /plain" in refused("mainline", LOOKUP)
    monkeypatch.setenv("SKDIFF_GIT_WEB", "nonsense")
    assert "is no http or https address" in refused("mainline", LOOKUP)


def test_mainline_comes_from_linus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SKDIFF_GIT_WEB")
    git_web.newest_commit.cache_clear()
    asked: list[str] = []

    def get(url: str, stop: threading.Event, page: bool = False) -> bytes | None:
        asked.append(url)
        return None

    monkeypatch.setattr(git_web, "get", get)
    assert "the kernel's git web does not tell" in refused("mainline", LOOKUP)
    assert asked == ["https://git.kernel.org/pub/scm/linux/kernel/git/torvalds/linux.git/atom/?h=master"]
    assert "the kernel's git web has no Linux v6.12" in refused("6.12", LOOKUP)
    assert asked[1].endswith("/stable/linux.git/refs/tags")
    assert asked[2:] == ["https://git.kernel.org/pub/scm/linux/kernel/git/stable/linux.git/plain/Makefile?h=v6.12"]


def test_old_trees_of_mainline_go(mainline: Web, kernels: Path) -> None:
    trees = [find("mainline", [LOOKUP])]
    for commit in ("b" * 40, "c" * 40):
        mainline.commits.insert(0, commit)
        git_web.newest_commit.cache_clear()
        if commit[0] == "c":  # two nights and a week later
            old = time.time() - 8 * 24 * 3600
            os.utime(trees[0].path, (old, old))
            plant(kernels / "6.12-old", {"Makefile": b""})
            os.utime(kernels / "6.12-old", (old, old))
        trees.append(find("mainline", [LOOKUP]))
    assert entries(kernels) == sorted(["6.12-old", trees[1].path.name, trees[2].path.name])


def test_a_web_that_cannot_be_reached(monkeypatch: pytest.MonkeyPatch, kernels: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # bound, but not listening: refuses connections
        monkeypatch.setenv("SKDIFF_GIT_WEB", f"http://127.0.0.1:{unused.getsockname()[1]}/plain")
        assert "refused" in refused("6.12", LOOKUP)
        unused.listen()  # the connection is made, but nobody answers
        monkeypatch.setattr(git_web, "TIMEOUT", 0.05)
        assert "timed out" in refused("6.12", LOOKUP)
    monkeypatch.setenv("SKDIFF_GIT_WEB", "http://no-such-host.invalid/plain")
    monkeypatch.setattr(socket, "getaddrinfo", _no_such_host)
    assert "Name or service not known; check the network" in refused("6.12", LOOKUP)
    for address in ("ftp://127.0.0.1/", "nonsense", "http://"):
        monkeypatch.setenv("SKDIFF_GIT_WEB", address)
        assert "is no http or https address" in refused("6.12", LOOKUP)
    for address in ("http://127.0.0.1:port/", "http://a..b/", "http://127.0.0.1/ü"):
        monkeypatch.setenv("SKDIFF_GIT_WEB", address)
        assert "cannot fetch" in refused("6.12", LOOKUP)
    assert entries(kernels) == []


def _no_such_host(*args: object, **named: object) -> None:
    raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")


# --- what goes wrong in the middle ---


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(errno.ENOSPC, "No space left on device")])
def test_an_end_in_the_middle_leaves_nothing(
    error: BaseException, web: Web, kernels: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, written = Path.write_bytes, []

    def fail_at_the_second(path: Path, body: bytes) -> int:
        written.append(path)
        if len(written) == 2:
            raise error
        return write(path, body)

    monkeypatch.setattr(Path, "write_bytes", fail_at_the_second)
    if isinstance(error, KeyboardInterrupt):
        with pytest.raises(KeyboardInterrupt):
            find("6.12", [LOOKUP, HEADER])
    else:
        line = refused("6.12", LOOKUP, HEADER)
        assert "No space left on device" in line
        assert f"{kernels}" in line
        assert "XDG_CACHE_HOME" in line
    assert written[0].is_relative_to(kernels)
    assert entries(kernels) == []
    monkeypatch.undo()


def test_a_cache_that_cannot_be_made(web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert "set XDG_CACHE_HOME to another" in refused("6.12", LOOKUP)


def test_without_xdg_cache_home(web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for value in ("", "relative"):
        monkeypatch.setenv("XDG_CACHE_HOME", value)
        assert find("6.12", [LOOKUP]).path.parent == tmp_path / "home/.cache/skdiff/kernels"


def test_many_at_the_same_time(web: Web, kernels: Path) -> None:
    trees: list[source.Tree] = []
    threads = [threading.Thread(target=lambda: trees.append(find("6.12", [LOOKUP, HEADER]))) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(trees) == 6
    assert len(set(trees)) == 1
    assert entries(kernels) == [trees[0].path.name]


def test_what_killed_processes_left_is_removed(web: Web, kernels: Path) -> None:
    tree = find("6.12", [LOOKUP])
    for name in (".fetch-killed", ".work-old", ".work-busy"):
        plant(kernels / name, {"half.deb": b"x"})
    old = time.time() - 2 * 24 * 3600
    os.utime(kernels / ".work-old", (old, old))
    with kernel_cache.locked(kernels, lambda line: None):
        find("6.12", [LOOKUP])  # somebody else fetches, in that folder perhaps
        assert entries(kernels) == [".fetch-killed", ".work-busy", ".work-old", tree.path.name]
    find("6.12", [LOOKUP])  # though it fetches nothing
    assert entries(kernels) == [".work-busy", tree.path.name]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_an_asked_or_forced_end_leaves_nothing(number: int, web: Web, kernels: Path) -> None:
    script = (
        "import sys; from skdiff.kernel.source import find; find('6.12', [], say=lambda line: print(line, flush=True))"
    )
    web.answers["Makefile"] = "hang"
    command = [sys.executable, "-c", script]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=ROOT) as process:
        assert process.stdout is not None
        assert process.stdout.readline()
        await_(lambda: "Makefile" in web.asked)
        assert [name for name in entries(kernels) if name.startswith(".fetch-")]
        process.send_signal(number)
        if number != signal.SIGKILL:
            await_(lambda: not entries(kernels))
        web.ended.set()  # who reads from the web ends with its answer
    if number == signal.SIGKILL:
        assert entries(kernels)
        web.answers["Makefile"] = MAKEFILE
        find("6.12", [])
    assert not [name for name in entries(kernels) if name.startswith(".fetch-")]


def await_(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.005)
