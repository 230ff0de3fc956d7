"""Finding kernel trees: paths, the git web (a local server), Debian (a tiny package, fake apt), cache."""

import errno
import hashlib
import io
import os
import shutil
import signal
import socket
import struct
import subprocess
import tarfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from harness.errors import CannotRun
from harness.kernel import source
from harness.kernel.source import find

MAKEFILE = b"# SPDX\nVERSION = 6\nPATCHLEVEL = 12\nSUBLEVEL = 0\nEXTRAVERSION =\nNAME = Baby\nVERSION2 = 9\n"
LOOKUP, HEADER, EXTRA = "net/ipv4/inet_hashtables.c", "include/net/sock.h", "include/linux/unaligned.h"
FILES = {"Makefile": MAKEFILE, LOOKUP: b"int lookup;\n", HEADER: b"struct sock;\n"}

needs_dpkg = pytest.mark.skipif(shutil.which("dpkg-deb") is None, reason="no dpkg-deb to make a package with")


@pytest.fixture(autouse=True)
def kernels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, no apt, no waiting; the directory that has the cached trees."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("SKDIFF_GIT_WEB", "http://127.0.0.1:9/unset")
    monkeypatch.setenv("no_proxy", "*")
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setattr(source, "WEB_PAUSE", 0.01)
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
        self.answers: dict[str, Any] = dict(FILES)
        self.asked: list[str] = []
        self.kind = "text/plain"
        self.commits = [NEWER, OLDER]
        self.feed, self.entry = FEED, ENTRY


class WebHandler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        web, url = self.server, urlsplit(self.path)
        assert isinstance(web, Web)
        file = url.path.removeprefix("/linux.git/plain/")
        web.asked.append(file)
        query = parse_qs(url.query)
        answer: Any = 404
        if file == "/linux.git/atom/":
            entries = "".join(web.entry.format(commit) for commit in web.commits)
            answer = web.feed.format(entries).encode() if query == {"h": ["master"]} else 404
        elif query == {"h": [web.tag]} or query.get("id", [""])[0] in web.commits[:2]:
            answer = web.answers.get(file, 404)
        if isinstance(answer, list):
            answer = answer.pop(0)
        if answer == "drop":  # promise ten bytes, send three, then reset the connection
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
    source._newest.cache_clear()  # each test is a process of its own
    server = Web()
    server.answers = dict(answers)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    yield server
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
    assert tree.origin == f"v6.12 from http://127.0.0.1:{web.server_port}/linux.git/plain"
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


def test_a_longer_list_fetches_again(web: Web) -> None:
    first = find("6.12", [LOOKUP])
    second = find("6.12", [LOOKUP, HEADER])
    assert (second.path / HEADER).read_bytes() == FILES[HEADER]
    assert second.path != first.path  # somebody may still be reading that
    assert (first.path / LOOKUP).exists()
    assert not (first.path / HEADER).exists()
    count = len(web.asked)
    third = find("6.12", [LOOKUP], optional=[EXTRA])  # the cache does not know whether it exists
    assert len(web.asked) == count + 3
    assert find("6.12", [LOOKUP], optional=[EXTRA]) == third
    assert len(web.asked) == count + 3


def test_a_file_that_somebody_put_there_is_not_trusted(web: Web) -> None:
    tree = find("6.12", [LOOKUP])
    plant(tree.path, {HEADER: b"of another kernel\n"})
    assert (find("6.12", [LOOKUP, HEADER]).path / HEADER).read_bytes() == FILES[HEADER]


@pytest.mark.parametrize("harm", [b"int Lookup;\n", b"", None])
def test_a_changed_cache_is_fetched_again(harm: bytes | None, web: Web, kernels: Path) -> None:
    tree = find("6.12", [LOOKUP])
    if harm is None:
        (tree.path / LOOKUP).unlink()
    else:
        (tree.path / LOOKUP).write_bytes(harm)
    assert find("6.12", [LOOKUP]) == tree
    assert (tree.path / LOOKUP).read_bytes() == FILES[LOOKUP]
    assert entries(kernels) == [tree.path.name]


@pytest.mark.parametrize("manifest", ["", "{", "[]", "{}", '{"kernel": "6.12"}', "null", "\xff"])
def test_a_damaged_manifest_is_as_none(manifest: str, web: Web, kernels: Path) -> None:
    tree = find("6.12", [LOOKUP])
    (tree.path / source.MANIFEST).write_text(manifest, encoding="latin-1")
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
    assert "there is no apt-get for linux-source-6.99, and " in line
    assert "apt" not in refused("6.12.5", LOOKUP)  # Debian would not have it under that name
    assert web.asked == ["Makefile"] * 2
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

    source._newest.cache_clear()  # the next process
    second = find("mainline", [LOOKUP])
    assert NEWEST[:12] in second.origin
    assert (second.path / LOOKUP).read_bytes() == b"int newer;\n"
    assert (first.path / LOOKUP).read_bytes() == FILES[LOOKUP]

    mainline.commits.pop(0)
    source._newest.cache_clear()
    count = len(mainline.asked)
    assert find("mainline", [LOOKUP]).origin == first.origin  # a commit that is here is not fetched again
    assert mainline.asked[count:] == ["/linux.git/atom/"]


def test_mainline_is_not_served_without_the_web(mainline: Web, kernels: Path) -> None:
    find("mainline", [LOOKUP])
    source._newest.cache_clear()
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
    source._newest.cache_clear()
    asked: list[str] = []

    def get(url: str, stop: threading.Event) -> bytes | None:
        asked.append(url)
        return None

    monkeypatch.setattr(source, "_get", get)
    assert "the kernel's git web does not tell" in refused("mainline", LOOKUP)
    assert asked == ["https://git.kernel.org/pub/scm/linux/kernel/git/torvalds/linux.git/atom/?h=master"]
    assert "the kernel's git web has no Linux v6.12" in refused("6.12", LOOKUP)
    assert asked[1:] == ["https://git.kernel.org/pub/scm/linux/kernel/git/stable/linux.git/plain/Makefile?h=v6.12"]


def test_old_trees_of_mainline_go(mainline: Web, kernels: Path) -> None:
    trees = [find("mainline", [LOOKUP])]
    for commit in ("b" * 40, "c" * 40):
        mainline.commits.insert(0, commit)
        source._newest.cache_clear()
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
        monkeypatch.setattr(source, "WEB_TIMEOUT", 0.05)
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


def test_another_process_was_first(web: Web, kernels: Path) -> None:
    inodes: list[int] = []

    def other(line: str) -> None:
        if not inodes:
            inodes.append(0)  # the other one, below, does not call this
            inodes[0] = (find("6.12", [LOOKUP]).path / LOOKUP).stat().st_ino

    tree = find("6.12", [LOOKUP], say=other)
    assert web.asked == ["Makefile", LOOKUP] * 2  # both fetched
    assert (tree.path / LOOKUP).stat().st_ino == inodes[0]  # and the first one's files stayed
    assert entries(kernels) == [tree.path.name]


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


def test_only_old_working_directories_are_removed(web: Web, kernels: Path) -> None:
    for name in (".work-killed", ".work-busy"):
        plant(kernels / name, {"half.deb": b"x"})
    old = time.time() - 2 * 24 * 3600
    os.utime(kernels / ".work-killed", (old, old))
    tree = find("6.12", [LOOKUP])
    assert entries(kernels) == [".work-busy", tree.path.name]


# --- Debian ---

VERSION = "6.12.117-1~deb12u1"


class Apt:
    """A package and programs that act like apt-cache and apt-get; every call of them goes to a log."""

    def __init__(self, top: Path) -> None:
        self.top, self.bin, self.name = top, top / "bin", "linux-source-6.12"
        self.deb = top / f"{self.name}.deb"
        self.policy(VERSION)
        self.get(f"cp {self.deb} ./{self.name}_{VERSION}_all.deb")

    def program(self, name: str, script: str) -> None:
        # A shell by its own path, and the usual PATH inside, because the tests' PATH has only these programs.
        head = f"#!/bin/sh\nPATH={os.defpath}:/usr/bin:/bin\necho {name} $LC_ALL $* >>{self.top}/log\n"
        (self.bin / name).write_text(head + script + "\n")
        (self.bin / name).chmod(0o755)

    def get(self, script: str) -> None:
        self.program("apt-get", script)

    def policy(self, candidate: str, sha256: str = "0" * 64) -> None:
        size = self.deb.stat().st_size if self.deb.exists() else 1
        stanzas = "".join(
            f"Package: x\nVersion: {version}\nDescription: x\n more: x\nSize: {length}\nSHA256: {digest}\n\n"
            for version, length, digest in [("6.12.9-1", 5, "f" * 64), (VERSION, size, sha256)]
        )
        table = f"x:\n  Installed: (none)\n  Candidate: {candidate}\n  Version table:\n     {VERSION} 500\n"
        (self.top / "stanzas").write_text(stanzas)
        (self.top / "table").write_text(table)
        self.program("apt-cache", f"case $1 in policy) cat {self.top}/table;; show) cat {self.top}/stanzas;; esac")

    def calls(self) -> list[str]:
        log = self.top / "log"
        return log.read_text().splitlines() if log.exists() else []

    def package(self, members: dict[str, bytes | str], cut: int = 0) -> None:
        """Make the package from files and symlinks (str), without the last `cut` bytes of its archive."""
        inner = io.BytesIO()
        with tarfile.open(fileobj=inner, mode="w:xz", preset=0) as archive:
            for name, body in members.items():
                member = tarfile.TarInfo(name)
                if isinstance(body, str):
                    member.type, member.linkname = tarfile.SYMTYPE, body
                    archive.addfile(member)
                else:
                    member.size = len(body)
                    archive.addfile(member, io.BytesIO(body))
        body = inner.getvalue()
        control = f"Package: {self.name}\nVersion: {VERSION}\nArchitecture: all\nMaintainer: x\nDescription: x\n"
        plant(self.top / "root", {
            "DEBIAN/control": control.encode(),
            f"usr/src/{self.name}.tar.xz": body[: len(body) - cut],
        })  # fmt: skip
        command = [
            "dpkg-deb",
            "-Znone",
            "--root-owner-group",
            "--build",
            str(self.top / "root"),
            str(self.deb),
        ]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env={"PATH": REAL_PATH})
        self.sign()

    def sign(self) -> None:
        self.policy(VERSION, hashlib.sha256(self.deb.read_bytes()).hexdigest())


REAL_PATH = os.environ.get("PATH", os.defpath)
DEBIAN_FILES: dict[str, bytes | str] = {
    "linux-source-6.12/Makefile": MAKEFILE.replace(b"SUBLEVEL = 0", b"SUBLEVEL = 117"),
    f"linux-source-6.12/{LOOKUP}": FILES[LOOKUP],
    f"linux-source-6.12/{HEADER}": FILES[HEADER],
    "linux-source-6.12/net/ipv4/udp.c": b"int udp;\n",
}


@pytest.fixture
def apt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Apt:
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{REAL_PATH}")
    return Apt(tmp_path)


@needs_dpkg
@pytest.mark.parametrize("xz", [True, False])
def test_debian_gives_a_tree_once(xz: bool, apt: Apt, kernels: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not xz:
        for tool in ("dpkg-deb", "tar", "sh"):
            (apt.bin / tool).symlink_to(shutil.which(tool, path=REAL_PATH) or tool)
        monkeypatch.setenv("PATH", str(apt.bin))
    apt.package(DEBIAN_FILES)
    lines: list[str] = []
    tree = find("6.12", [LOOKUP, HEADER], optional=[EXTRA], say=lines.append)
    assert (tree.version, tree.origin) == ("6.12.117", f"Debian linux-source-6.12 {VERSION}")
    assert (tree.path / LOOKUP).read_bytes() == FILES[LOOKUP]
    assert tree.path.name.startswith(f"6.12-{VERSION}-")
    assert lines == [f"downloading linux-source-6.12 {VERSION} (0 MB)", "unpacking 4 files"]
    files = [path.relative_to(tree.path) for path in tree.path.rglob("*") if path.is_file()]
    assert sorted(map(str, files)) == sorted([*FILES, source.MANIFEST])
    assert entries(kernels) == [tree.path.name]  # and so neither package nor working directory

    calls = apt.calls()
    assert [call.split()[:3] for call in calls] == [
        ["apt-cache", "C", "policy"], ["apt-cache", "C", "show"], ["apt-get", "C", "-q"]
    ]  # fmt: skip
    assert calls[-1].endswith(f"download linux-source-6.12={VERSION}")
    assert find("6.12", [HEADER, LOOKUP], optional=[EXTRA]) == tree
    assert apt.calls() == calls


@needs_dpkg
def test_only_regular_files_with_exactly_a_wanted_name(apt: Apt, tmp_path: Path, kernels: Path) -> None:
    strange: dict[str, bytes | str] = {
        f"linux-source-6.12/{EXTRA}": "../../../../etc/passwd",
        "../evil": b"",
        "/evil": b"",
        f"linux-source-6.12/x/{HEADER}": b"not this one",
        f"./linux-source-6.12/./{HEADER}": FILES[HEADER],
    }
    apt.package({**{name: body for name, body in DEBIAN_FILES.items() if HEADER not in name}, **strange})
    tree = find("6.12", [LOOKUP, HEADER], optional=[EXTRA])
    assert (tree.path / HEADER).read_bytes() == FILES[HEADER]
    assert not os.path.lexists(tree.path / EXTRA)
    assert not list(tmp_path.rglob("evil"))
    assert f"Debian's linux-source-6.12 {VERSION} has no {EXTRA}" in refused("6.12", EXTRA)
    assert entries(kernels) == [tree.path.name]


@needs_dpkg
def test_a_wrong_hash(apt: Apt, kernels: Path) -> None:
    apt.package(DEBIAN_FILES)
    apt.policy(VERSION, "0" * 64)
    line = refused("6.12", LOOKUP)
    assert "wrong SHA256" in line
    assert "apt-get update" in line
    assert entries(kernels) == []


@needs_dpkg
def test_damaged_packages(apt: Apt, kernels: Path) -> None:
    apt.package({**DEBIAN_FILES, "linux-source-6.12/big": os.urandom(200_000)}, cut=100_000)
    assert "is damaged or cannot be unpacked" in refused("6.12", LOOKUP, EXTRA)
    apt.package(DEBIAN_FILES, cut=12)  # no more than the end of the archive, but it had to be read up to there
    assert "is damaged or cannot be unpacked" in refused("6.12", LOOKUP, optional=[EXTRA])
    apt.deb.write_bytes(apt.deb.read_bytes()[:300])
    apt.sign()
    assert "is damaged or cannot be unpacked" in refused("6.12", LOOKUP)
    apt.deb.write_bytes(b"no package")
    apt.sign()
    assert "is damaged or cannot be unpacked" in refused("6.12", LOOKUP)
    assert entries(kernels) == []


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("echo 'W: x\nE: Failed to fetch http://a.invalid/x  404  Not Found [IP: ::1]\nE: y' >&2; exit 100",
         "Not Found [IP: ::1]; run 'apt-get update' as root"),
        ("echo 'E: Failed to fetch http://a.invalid/x.deb  Hash Sum mismatch' >&2; exit 100",
         "mismatch; run 'apt-get update' as root"),
        ("echo 'E: Could not resolve a.invalid' >&2; exit 100", "resolve a.invalid; check the network"),
        ("echo x >half.deb; exit 100", "apt gave no reason"),
        ("exit 0", "apt gave no reason"),
        ("echo 'E: 28: No space left on device' >&2; exit 100", "No space left on device; that directory"),
        ("echo 'E: no enough free space in /x' >&2; exit 100", "No space left on device; that directory"),
        ("kill -9 $$", "apt gave no reason"),
    ],
)  # fmt: skip
@needs_dpkg
def test_apt_cannot_download(script: str, expected: str, apt: Apt, kernels: Path, web: Web) -> None:
    apt.get(script)
    assert expected in refused("6.12", LOOKUP)
    assert web.asked == []
    assert entries(kernels) == []


def test_without_a_candidate_the_web_is_asked(apt: Apt, web: Web) -> None:
    apt.policy("(none)")
    assert find("6.12", [LOOKUP]).version == "6.12.0"
    assert not [call for call in apt.calls() if call.startswith("apt-get")]
    assert "apt knows no linux-source-6.99" in refused("6.99", LOOKUP)
    web.tag = "v6.12.5"
    web.answers["Makefile"] = MAKEFILE.replace(b"SUBLEVEL = 0", b"SUBLEVEL = 5")
    calls = apt.calls()
    assert find("6.12.5", [LOOKUP]).version == "6.12.5"
    assert apt.calls() == calls


def test_apt_that_fails_or_knows_no_hash(apt: Apt, web: Web) -> None:
    apt.policy("6.12.200-1")  # a candidate that `apt-cache show` does not show
    web.answers["Makefile"] = 404
    assert "apt has no SHA256 for linux-source-6.12 6.12.200-1 (run 'apt-get update'" in refused("6.12", LOOKUP)
    apt.program("apt-cache", "echo 'E: Malformed entry in list file' >&2; exit 100")
    assert "apt knows no linux-source-6.12" in refused("6.12", LOOKUP)


def test_without_dpkg_deb(apt: Apt, kernels: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(apt.bin))
    assert "dpkg-deb is missing" in refused("6.12", LOOKUP)
    assert not [call for call in apt.calls() if call.startswith("apt-get")]
    assert entries(kernels) == []


@needs_dpkg
def test_ctrl_c_ends_apt_and_its_helpers(apt: Apt, tmp_path: Path, kernels: Path) -> None:
    apt.get(f"echo x >half.deb; sleep 60 & echo $! >{tmp_path}/helper; echo $$ >{tmp_path}/started; wait")

    def interrupt() -> None:
        await_(lambda: (tmp_path / "started").exists() and (tmp_path / "started").read_text().endswith("\n"))
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        find("6.12", [LOOKUP])
    thread.join()
    assert entries(kernels) == []
    pids = [int((tmp_path / name).read_text()) for name in ("started", "helper")]
    await_(lambda: not any(alive(pid) for pid in pids))


def await_(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 5
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


@needs_dpkg
@pytest.mark.parametrize("terminal", [True, False])
def test_a_bar_on_a_terminal_only(
    terminal: bool, apt: Apt, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE", "JUPYTER_COLUMNS"):
        monkeypatch.delenv(name, raising=False)
    if terminal:
        monkeypatch.setenv("FORCE_COLOR", "1")  # rich: as if there were one
    apt.package(DEBIAN_FILES)
    apt.get(f"sleep 0.25; cp {apt.deb} x.deb")
    find("6.12", [LOOKUP])
    out, err = capsys.readouterr()
    assert out == ""
    assert ("linux-source-6.12" in err) == terminal
    assert terminal or err == ""
