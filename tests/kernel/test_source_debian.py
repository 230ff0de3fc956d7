"""Kernels from Debian's mirror: which suites, which release, what goes wrong; with programs that act like apt."""

import hashlib
import io
import json
import os
import shutil
import signal
import subprocess
import tarfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from skdiff import cli
from skdiff.base.errors import CannotRun
from skdiff.kernel import apt_state, debian, git_web, kernel_cache
from skdiff.kernel.apt_state import Suites, suites_of
from skdiff.kernel.source import fetch_missing, find
from tests.helpers import harm_file

MAKEFILE = b"VERSION = 6\nPATCHLEVEL = 12\nSUBLEVEL = {}\nEXTRAVERSION =\n"
LOOKUP, HEADER, EXTRA = "net/ipv4/inet_hashtables.c", "include/net/sock.h", "kernel/bpf/verifier.c"
OWN = "6.12.117-1~deb12u1"
SOURCES = """Types: deb
URIs: http://mirror.invalid/debian
Suites: bookworm bookworm-updates
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: http://security.invalid/debian-security
Suites: bookworm-security
Components: main
"""
pytestmark = pytest.mark.skipif(shutil.which("dpkg-deb") is None, reason="no dpkg-deb to make a package with")


def text(point: int) -> dict[str, bytes | str]:
    """The files of Linux 6.12.`point`."""
    return {
        "Makefile": MAKEFILE.replace(b"{}", str(point).encode()),
        LOOKUP: b"int lookup;\n",
        HEADER: b"struct sock;\n",
        "include/linux/new.h": b"int new;\n",
        "net/ipv4/udp.c": b"int udp;\n",
        "drivers/net/veth.c": b"int veth;\n",
        EXTRA: b"int verifier;\n",
    }


class Apt:
    """Programs that act like apt's, with packages in two sets of suites: "own" and "all"; calls go to a log."""

    def __init__(self, top: Path) -> None:
        self.top, self.bin = top, top / "bin"
        self.bin.mkdir()
        (top / "sources.list.d").mkdir()
        (top / "sources.list.d/debian.sources").write_text(SOURCES)
        for state in ("own", "all"):
            (top / f"{state}.madison").touch()
        self.program("apt-config", f"echo \"L='{top}/sources.list'\"; echo \"P='{top}/sources.list.d/'\"")
        self.program("apt-cache", f"""case $verb in
            madison) for name in $names; do grep "^ *$name |" {top}/$state.madison; done;;
            show) cat {top}/"$names.stanza";;
            showsrc) cat {top}/"$names.sources";;
            pkgnames) sed -n 's/^ *\\(linux-source[^ ]*\\) .*/\\1/p' {top}/$state.madison | sort -u;;
        esac""")  # fmt: skip
        self.update = "touch $lists/x_InRelease"
        self.download = f'cp {top}/"$names.deb" x.deb'
        self.source = f'cp {top}/"$names.orig.tar.xz" x.orig.tar.xz'
        self.get()

    def get(self) -> None:
        self.program("apt-get", f"""case $verb in
            update) {self.update};;
            download) {self.download};;
            source) {self.source};;
        esac""")  # fmt: skip

    def program(self, name: str, script: str) -> None:
        (self.bin / name).write_text(f"""#!/bin/sh
            PATH={os.defpath}:/usr/bin:/bin
            for word; do case $word in
                update|download|source|madison|show|showsrc|pkgnames) verb=$word; names=;;
                Dir::State::Lists=*) lists=${{word#*=}};;
                --*|-*) ;;
                *) names="$names $word";;
            esac; done
            names=${{names# }}
            case $lists in */apt/own/lists) state=own;; *) state=all;; esac
            echo {name} $LC_ALL $state $verb $names >>{self.top}/log
            {script}
            """)
        (self.bin / name).chmod(0o755)

    def calls(self, program: str = "apt-get") -> list[str]:
        log = self.top / "log"
        lines = log.read_text().splitlines() if log.exists() else []
        return [line.removeprefix(f"{program} C ") for line in lines if line.startswith(program)]

    def archive(self, folder: str, members: dict[str, bytes | str]) -> bytes:
        inner = io.BytesIO()
        with tarfile.open(fileobj=inner, mode="w:xz", preset=0) as archive:
            for name, body in members.items():
                member = tarfile.TarInfo(name if ".." in name or name[0] in "./" else f"{folder}/{name}")
                if isinstance(body, str):
                    member.type, member.linkname = tarfile.SYMTYPE, body
                    archive.addfile(member)
                else:
                    member.size = len(body)
                    archive.addfile(member, io.BytesIO(body))
        return inner.getvalue()

    def binary(
        self, version: str, members: dict[str, bytes | str], suite: str, states: str = "own all", cut: int = 0
    ) -> Path:
        """Put linux-source-6.12 of a version into a suite, without the last `cut` bytes of its archive."""
        name = "linux-source-6.12"
        body = self.archive(name, members)
        root, deb = self.top / "root", self.top / f"{name}={version}.deb"
        shutil.rmtree(root, ignore_errors=True)
        (root / "DEBIAN").mkdir(parents=True)
        control = f"Package: {name}\nVersion: {version}\nArchitecture: all\nMaintainer: x\nDescription: x\n"
        (root / "DEBIAN/control").write_text(control)
        (root / "usr/src").mkdir(parents=True)
        (root / f"usr/src/{name}.tar.xz").write_bytes(body[: len(body) - cut])
        command = ["dpkg-deb", "-Znone", "--root-owner-group", "--build", str(root), str(deb)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env={"PATH": REAL_PATH})
        self.sign(deb, version)
        self.list(name, version, f"{suite}/main amd64 Packages", states)
        return deb

    def sign(self, deb: Path, version: str, sha256: str = "") -> None:
        digest = sha256 or hashlib.sha256(deb.read_bytes()).hexdigest()
        stanza = (
            f"Package: x\nVersion: {version}\nSize: {deb.stat().st_size}\nSHA256: {digest}\nDescription: x\n more\n"
        )
        (self.top / f"{deb.name.removesuffix('.deb')}.stanza").write_text(stanza)

    def sources(self, version: str, members: dict[str, bytes | str], suite: str, name: str = "linux") -> None:
        """Put a source package into a suite."""
        exact = debian.release(version)[1]
        tarball = self.top / f"{name}={version}.orig.tar.xz"
        tarball.write_bytes(self.archive(f"linux-{exact}", members))
        digest, size = hashlib.sha256(tarball.read_bytes()).hexdigest(), tarball.stat().st_size
        with (self.top / f"{name}.sources").open("a") as file:
            file.write(
                f"Package: {name}\nVersion: {version}\nChecksums-Sha256:\n {'0' * 64} 7 linux_{version}.dsc\n"
                f" {digest} {size} linux_{exact}.orig.tar.xz\nDirectory: pool\n\n"
            )
        self.list(name, version, f"{suite}/main Sources", "all")

    def list(self, name: str, version: str, place: str, states: str) -> None:
        for state in states.split():
            with (self.top / f"{state}.madison").open("a") as file:
                file.write(f"{name} | {version} | http://mirror.invalid/debian {place}\n")


REAL_PATH = os.environ.get("PATH", os.defpath)


@pytest.fixture
def kernels(tmp_path: Path) -> Path:
    return tmp_path / "cache/skdiff/kernels"


@pytest.fixture
def apt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Apt:
    """A machine with Debian's apt, an empty cache and no git web."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("SKDIFF_GIT_WEB", "http://127.0.0.1:9/plain")
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(git_web, "PAUSE", 0.01)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{REAL_PATH}")
    (tmp_path / "keyring.gpg").touch()
    monkeypatch.setattr(apt_state, "KEYRINGS", (str(tmp_path / "keyring.gpg"),))
    return Apt(tmp_path)


def refused(kernel: str, *files: str, **options: Any) -> str:
    """The one line with which find() refuses."""
    with pytest.raises(CannotRun) as caught:
        find(kernel, files, **options)
    line = str(caught.value)
    assert line
    assert "\n" not in line
    return line


def entries(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir()) if directory.exists() else []


# --- which suites ---


def test_suites_in_both_formats() -> None:
    assert suites_of(SOURCES) == [
        Suites("http://mirror.invalid/debian", ("bookworm", "bookworm-updates")),
        Suites("http://security.invalid/debian-security", ("bookworm-security",)),
    ]
    lines = """# deb http://old.invalid/debian buster main
deb [arch=amd64 signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://a.invalid/debian/ trixie main contrib
deb-src http://a.invalid/debian trixie main
deb http://b.invalid/debian sid main # the newest
deb cdrom:[Debian]/ bookworm main
deb http://archive.invalid/ubuntu noble main
deb [signed-by=/etc/apt/keyrings/them.gpg] http://c.invalid/php bookworm main
deb http://d.invalid/linux/debian bookworm stable
"""
    assert suites_of(lines) == [
        Suites("http://a.invalid/debian", ("trixie",)),
        Suites("http://b.invalid/debian", ("sid",)),
    ]


@pytest.mark.parametrize(
    ("field", "value"),
    [("Enabled", "no"), ("Types", "deb-src"), ("Signed-By", "/etc/apt/keyrings/x.gpg"), ("Suites", "noble")],
)
def test_suites_that_do_not_count(field: str, value: str) -> None:
    fields = {"Types": "deb", "URIs": "http://a.invalid/debian", "Suites": "sid", "Components": "main", "X": "\n a\n b"}
    assert suites_of("".join(f"{k}: {v}\n" for k, v in fields.items()))
    assert suites_of("".join(f"{k}: {v}\n" for k, v in (fields | {field: value}).items())) == []
    key = {"Signed-By": "\n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n mQINBF"}
    assert suites_of("".join(f"{k}: {v}\n" for k, v in (fields | key).items()))


def test_the_other_suites_are_of_the_machines_own_mirrors() -> None:
    own = tuple(suites_of(SOURCES))
    more = apt_state.others(own)
    assert more[:2] == own
    assert [suites.uri for suites in more[2:]] == [suites.uri for suites in own]
    assert "trixie-backports" in more[2].names
    assert "bookworm" not in more[2].names
    assert more[3].names == ("trixie-security",)


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        ("6.12.117-1~deb12u1", ("6.12", "6.12.117")), ("7.3~rc7-1~exp1", ("7.3", "7.3-rc7")), ("6.1-1", ("6.1", "6.1")),
        ("6.12.8-1", ("6.12", "6.12.8")), ("1:6.5.10-1", ("6.5", "6.5.10")), ("nonsense", ("", "")),
    ],
)  # fmt: skip
def test_the_kernels_version_in_debians(version: str, expected: tuple[str, str]) -> None:
    assert debian.release(version) == expected


# --- which package ---


def test_the_machines_own_suites_first(apt: Apt, kernels: Path) -> None:
    apt.binary(OWN, text(117), "bookworm-security")
    apt.binary("6.12.115-1", text(115), "bookworm")
    apt.binary("6.12.118-1", text(118), "trixie-security", "all")
    lines: list[str] = []
    tree = find("6.12", [LOOKUP, HEADER], optional=["include/linux/none.h"], say=lines.append)
    assert (tree.version, tree.path.name) == ("6.12.117", f"6.12-{OWN}")
    assert tree.origin == f"Debian linux-source-6.12 {OWN} of bookworm-security, with Debian's patches"
    assert lines[0] == "asking Debian's mirror what it has (bookworm, bookworm-updates, bookworm-security)"
    assert lines[1] == f"downloading linux-source-6.12 {OWN} (0 MB)"
    assert apt.calls() == ["own update", f"own download linux-source-6.12={OWN}"]
    files = sorted(str(path.relative_to(tree.path)) for path in tree.path.rglob("*") if path.is_file())
    assert files == sorted(["Makefile", HEADER, LOOKUP, "include/linux/new.h", "net/ipv4/udp.c", kernel_cache.MANIFEST])
    assert entries(kernels) == [tree.path.name]  # and so neither package nor working directory

    calls = apt.calls()
    assert find("6.12", [HEADER], optional=["net/ipv4/udp.c", "include/linux/none.h"]) == tree  # a longer list
    assert "has no include/linux/none.h, which is needed" in refused("6.12", "include/linux/none.h")
    assert fetch_missing(tree.path, ["include/linux/new.h", "include/linux/none.h"]) == {"include/linux/new.h"}
    assert find("6.12.117", [HEADER]) == tree
    assert apt.calls() == calls
    sources = (kernels.parent / "apt/own/x.sources").read_text()
    assert "Suites: bookworm bookworm-updates\n" in sources
    assert f"Signed-By: {apt.top}/keyring.gpg\n" in sources


def test_then_other_suites_then_source_packages(apt: Apt) -> None:
    apt.binary("6.12.118-1", text(118), "trixie-security", "all")
    apt.sources("6.12.8-1", text(8), "trixie")
    apt.sources("6.12.120-1", text(120), "sid")
    apt.sources("6.12.100-1~deb12u1", text(100), "bookworm-security", "linux-6.12")
    tree = find("6.12", [LOOKUP])
    assert (tree.version, tree.origin) == (
        "6.12.118", "Debian linux-source-6.12 6.12.118-1 of trixie-security, with Debian's patches"
    )  # fmt: skip
    tree = find("6.12.8", [LOOKUP])
    assert (tree.version, tree.origin) == (
        "6.12.8", "Debian source package linux 6.12.8-1 of trixie, without Debian's patches"
    )  # fmt: skip
    assert (tree.path / LOOKUP).read_bytes() == b"int lookup;\n"
    assert find("6.12.100", [LOOKUP]).origin.startswith(
        "Debian source package linux-6.12 6.12.100-1~deb12u1 of bookworm-s"
    )
    assert apt.calls()[-2:] == ["all source linux=6.12.8-1", "all source linux-6.12=6.12.100-1~deb12u1"]
    assert apt.calls().count("all update") == 1
    (apt.top / "all.madison").write_text("")
    shutil.rmtree(tree.path.parent)
    assert find("6.12", [LOOKUP]).version == "6.12.120"  # the newest of the source packages


def test_a_series_is_no_release_candidate(apt: Apt) -> None:
    apt.binary("6.12~rc7-1~exp1", {**text(0), "Makefile": MAKEFILE.replace(b"{}", b"0")}, "experimental", "all")
    assert "Debian's mirror has no package of Linux 6.12, and cannot fetch" in refused("6.12", LOOKUP)
    assert find("6.12-rc7", [LOOKUP]).origin.startswith("Debian linux-source-6.12 6.12~rc7-1~exp1 of exp")


def test_a_file_outside_of_what_is_kept(apt: Apt) -> None:
    apt.binary(OWN, text(117), "bookworm")
    tree = find("6.12", [LOOKUP])
    assert find("6.12", [LOOKUP, EXTRA]).path == tree.path
    assert (tree.path / EXTRA).read_bytes() == b"int verifier;\n"
    assert find("6.12", [LOOKUP], optional=["kernel/none.c"]).path == tree.path
    calls = apt.calls()
    find("6.12", [LOOKUP], optional=["kernel/none.c"])
    assert apt.calls() == calls


@pytest.mark.parametrize("harm", [b"int Lookup;\n", b"", None])
def test_a_changed_cache_is_fetched_again(harm: bytes | None, apt: Apt, kernels: Path) -> None:
    apt.binary(OWN, text(117), "bookworm")
    tree = find("6.12", [LOOKUP])
    harm_file(tree.path / LOOKUP, harm)
    assert find("6.12", [LOOKUP]) == tree
    assert (tree.path / LOOKUP).read_bytes() == b"int lookup;\n"
    assert entries(kernels) == [tree.path.name]


def test_lists_are_asked_for_once_a_day(apt: Apt, kernels: Path) -> None:
    apt.binary(OWN, text(117), "bookworm")
    for _ in range(2):
        find("6.12", [LOOKUP])
        shutil.rmtree(kernels)
    assert apt.calls().count("own update") == 1
    old = time.time() - 25 * 3600
    os.utime(kernels.parent / "apt/own/updated", (old, old))
    find("6.12", [LOOKUP])
    assert apt.calls().count("own update") == 2


def test_a_list_that_names_what_is_gone(apt: Apt) -> None:
    apt.binary(OWN, text(117), "bookworm")
    apt.binary("6.12.115-1", text(115), "bookworm")
    apt.download = f"""case $names in
        *117*) echo 'E: Failed to fetch http://a.invalid/x  404  Not Found [IP: ::1]' >&2; exit 100;;
        *) cp {apt.top}/"$names.deb" x.deb;; esac"""
    apt.get()
    lines: list[str] = []
    assert find("6.12", [LOOKUP], say=lines.append).version == "6.12.115"
    assert apt.calls().count("own update") == 2  # it might have been an old list
    assert any("is no more on Debian's mirror: trying the next" in line for line in lines)
    line = refused("6.12.117", LOOKUP)
    assert "404  Not Found" in line
    assert "127.0.0.1:9" in line  # the git web was asked


# --- what goes wrong ---


UNSIGNED = "E: The repository 'http://mirror.invalid/debian bookworm InRelease' is not signed."


def test_a_signature_that_cannot_be_checked_stops_it(apt: Apt, monkeypatch: pytest.MonkeyPatch) -> None:
    apt.binary(OWN, text(117), "bookworm")
    apt.update = f'echo "{UNSIGNED}" >&2; exit 100'
    apt.get()
    line = refused("6.12", LOOKUP)
    assert line.startswith(
        "the signature of Debian's mirror cannot be checked: The repository 'http://mirror.invalid/deb"
    )
    assert apt.calls() == ["own update"]
    monkeypatch.setattr(apt_state, "KEYRINGS", ("none.gpg",))
    assert "there is no /usr/share/keyrings/none.gpg; install debian-archive-keyring" in refused("6.12", LOOKUP)


def test_a_suite_without_a_right_signature_is_left_out(apt: Apt) -> None:
    apt.binary(OWN, text(117), "bookworm")
    apt.update = f'touch $lists/x_InRelease; echo "{UNSIGNED}" >&2; exit 100'
    apt.get()
    lines: list[str] = []
    find("6.12", [LOOKUP], say=lines.append)
    assert any(line.startswith("left out, since its signature cannot be checked: The repository") for line in lines)


def test_without_a_network(apt: Apt, kernels: Path) -> None:
    apt.binary(OWN, text(117), "bookworm")
    apt.update = "echo 'W: Failed to fetch http://mirror.invalid/x  Could not resolve' >&2"
    apt.get()
    line = refused("6.12", LOOKUP)
    assert line.startswith(
        "apt got no list of packages from Debian's mirror (Failed to fetch http://mirror.invalid/x Could"
    )
    assert "127.0.0.1:9" in line
    (kernels.parent / "apt/own/lists/x_InRelease").touch()  # from the day before
    lines: list[str] = []
    assert find("6.12", [LOOKUP], say=lines.append).version == "6.12.117"
    assert any("so older ones are used" in line for line in lines)


def test_only_regular_files_with_exactly_a_wanted_name(apt: Apt, tmp_path: Path) -> None:
    strange: dict[str, bytes | str] = {
        "include/linux/link.h": "../../../../etc/passwd",
        "../evil.h": b"",
        "/evil.h": b"",
        "./x/../../include/evil.h": b"",
        f"x/{HEADER}": b"not this one",
    }
    apt.binary(OWN, {**text(117), **strange}, "bookworm")
    tree = find("6.12", [LOOKUP, HEADER], optional=["include/linux/link.h"])
    assert (tree.path / HEADER).read_bytes() == b"struct sock;\n"
    assert not os.path.lexists(tree.path / "include/linux/link.h")
    assert not [path for path in tmp_path.rglob("evil.h") if not path.is_relative_to(tree.path)]


def test_a_wrong_hash(apt: Apt, kernels: Path) -> None:
    deb = apt.binary(OWN, text(117), "bookworm")
    apt.sign(deb, OWN, "0" * 64)
    assert "wrong SHA256" in refused("6.12", LOOKUP)
    assert entries(kernels) == []


def test_damaged_packages(apt: Apt, kernels: Path) -> None:
    members = {**text(117), "big": os.urandom(200_000)}
    apt.binary(OWN, members, "bookworm", cut=100_000)
    assert "is damaged or cannot be unpacked" in refused("6.12", LOOKUP, "include/linux/none.h")
    deb = apt.binary(OWN, members, "bookworm", cut=12)  # no more than the end of the archive
    assert "is damaged or cannot be unpacked" in refused("6.12", LOOKUP)
    for body in (deb.read_bytes()[:300], b"no package"):
        deb.write_bytes(body)
        apt.sign(deb, OWN)
        assert "is damaged or cannot be unpacked" in refused("6.12", LOOKUP)
    assert entries(kernels) == []


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("echo 'E: Could not resolve a.invalid' >&2; exit 100", "resolve a.invalid; check the network"),
        ("echo x >half.deb; exit 100", "apt gave no reason"),
        ("exit 0", "apt gave no reason"),
        ("echo 'E: 28: No space left on device' >&2; exit 100", "No space left on device; that directory"),
        ("kill -9 $$", "apt gave no reason"),
    ],
)
def test_apt_cannot_download(script: str, expected: str, apt: Apt, kernels: Path) -> None:
    apt.binary(OWN, text(117), "bookworm")
    apt.download = script
    apt.get()
    assert expected in refused("6.12", LOOKUP)
    assert entries(kernels) == []


def test_another_distribution_asks_the_web(apt: Apt) -> None:
    (apt.top / "sources.list.d/debian.sources").write_text(SOURCES.replace("bookworm", "noble"))
    line = refused("6.12", LOOKUP)
    assert line.startswith("this machine's apt has no Debian suite to look for Linux 6.12 in, and cannot fetch")
    assert apt.calls() == []


def test_ctrl_c_ends_apt_and_its_helpers(apt: Apt, tmp_path: Path, kernels: Path) -> None:
    apt.binary(OWN, text(117), "bookworm")
    apt.download = f"echo x >half.deb; sleep 60 & echo $! >{tmp_path}/helper; echo $$ >{tmp_path}/started; wait"
    apt.get()

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
    deadline = time.monotonic() + 10
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.mark.parametrize("terminal", [True, False])
def test_a_bar_on_a_terminal_only(
    terminal: bool, apt: Apt, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE", "JUPYTER_COLUMNS"):
        monkeypatch.delenv(name, raising=False)
    if terminal:
        monkeypatch.setenv("FORCE_COLOR", "1")  # rich: as if there were one
    apt.binary(OWN, text(117), "bookworm")
    apt.download = f"sleep 0.25; {apt.download}"
    apt.get()
    find("6.12", [LOOKUP])
    out, err = capsys.readouterr()
    assert out == ""
    assert ("linux-source-6.12" in err) == terminal
    assert terminal or err == ""


# --- skdiff kernels ---


def test_the_list_of_kernels(apt: Apt, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    apt.binary(OWN, text(117), "bookworm-security")
    apt.binary("6.12.118-1", text(118), "trixie-security", "all")
    apt.sources("6.12.8-1", text(8), "trixie")
    apt.sources("6.18.5-1~bpo13+1", text(5), "trixie-backports")
    apt.sources("6.18.15-1~bpo13+1", text(15), "trixie-backports")
    find("6.12.8", [LOOKUP])
    assert cli.main(["kernels", "--json", str(tmp_path / "list.json")]) == 0
    out = capsys.readouterr().out
    assert (
        "  6.12.8: Linux 6.12.8, Debian source package linux 6.12.8-1 of trixie, without Debian's patches, 0 MB, "
        in out
    )
    assert "  6.18: 6.18.15 from a source package; point releases: 6.18.15, 6.18.5\n" in out
    assert "  6.12: 6.12.117 from this machine's Debian suites; point releases: 6.12.8\n" in out
    listed = json.loads((tmp_path / "list.json").read_text())
    assert [one["version"] for one in listed["cached"]] == ["6.12.8"]
    assert [one["series"] for one in listed["offered"]] == ["6.18", "6.12"]


def test_no_list_of_kernels(apt: Apt, capsys: pytest.CaptureFixture[str]) -> None:
    (apt.top / "sources.list.d/debian.sources").write_text("")
    assert cli.main(["kernels"]) == 2
    assert "skdiff: cannot fetch http://127.0.0.1:9/refs/tags: " in capsys.readouterr().err
