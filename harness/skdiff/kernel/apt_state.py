"""A private state of apt in the user's cache: Debian's suites and what they have, without root.

It is of the machine's own Debian suites and of other suites of the same mirror, and does not read what `apt-get update`
left on the machine.
"""

import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from skdiff.base.errors import CannotRun
from skdiff.kernel.kernel_cache import Say

FRESH = 24 * 3600.0  # seconds; older lists are asked for again
KEYRINGS = ("debian-archive-keyring.gpg", "debian-archive-keyring.pgp")  # in /usr/share/keyrings
RELEASES = ("bullseye", "bookworm", "trixie", "forky", "duke")
_ALIASES = ("oldoldstable", "oldstable", "stable", "testing", "unstable", "sid", "experimental")
# Where kernels are that a machine's own suites do not have.
OTHERS = ("trixie", "trixie-backports", "bookworm", "bookworm-backports", "forky", "sid", "experimental")
OTHERS_SECURITY = ("trixie-security", "bookworm-security")
_SUITE = re.compile(rf"({'|'.join((*RELEASES, *_ALIASES))})(-updates|-security|-backports|-proposed-updates|/updates)?")


@dataclass(frozen=True)
class Suites:
    """Suites of one Debian mirror."""

    uri: str
    names: tuple[str, ...]

    @property
    def security(self) -> bool:
        """Whether they are those of security updates, which stand at an address of their own."""
        return any(name.endswith(("-security", "/updates")) for name in self.names)


@dataclass(frozen=True)
class State:
    """Lists of packages in a folder of the cache, and the suites they are of."""

    folder: Path
    suites: tuple[Suites, ...]
    types: str  # "deb", or "deb deb-src"
    keyring: Path


def suites_of(text: str) -> list[Suites]:
    """Debian's suites in a file of apt's sources, in either of apt's two formats (sources.list(5))."""
    found: list[Suites] = []
    for stanza in re.split(r"\n\s*\n", "\n".join(line for line in text.splitlines() if not line.startswith("#"))):
        fields = {
            k.lower(): " ".join(v.split()) for k, v in re.findall(r"^([\w-]+):((?:.*\n?)(?:[ \t].*\n?)*)", stanza, re.M)
        }
        if "deb" in fields.get("types", "").split() and fields.get("enabled", "yes") not in ("no", "false"):
            for uri in fields.get("uris", "").split():
                found += _debians(
                    uri, fields.get("suites", ""), fields.get("components", ""), fields.get("signed-by", "")
                )
    for options, uri, suite, components in re.findall(
        r"^deb[ \t]+(?:\[([^\]\n]*)\][ \t]+)?(\S+)[ \t]+(\S+)[ \t]+([^#\n]+)", text, re.M
    ):
        found += _debians(uri, suite, components, "".join(re.findall(r"signed-by=(\S+)", options)))
    return found


def _debians(uri: str, suites: str, components: str, key: str) -> list[Suites]:
    names = tuple(name for name in suites.split() if _SUITE.fullmatch(name))
    # A key that stands in the file itself is not looked at: what comes is checked with Debian's keyring anyway.
    of_another = (
        key
        and "-----BEGIN" not in key
        and not all(Path(path).name.startswith("debian-archive") for path in key.replace(",", " ").split())
    )
    if not names or of_another or "main" not in components.split() or uri.startswith("cdrom:"):
        return []
    return [Suites(uri.rstrip("/"), names)]


def own_suites() -> tuple[Suites, ...]:
    """Debian's suites in the machine's own sources, of which another distribution has none."""
    if not (shutil.which("apt-get") and shutil.which("apt-cache") and shutil.which("apt-config")):
        return ()
    shown = output("apt-config", "shell", "L", "Dir::Etc::sourcelist/f", "P", "Dir::Etc::sourceparts/d")
    places = dict(re.findall(r"^([LP])='(.*)'$", shown, re.M))
    parts = Path(places.get("P", "/etc/apt/sources.list.d"))
    files = [Path(places.get("L", "/etc/apt/sources.list"))]
    files += sorted(path for path in parts.glob("*") if path.suffix in (".list", ".sources"))
    found: list[Suites] = []
    for file in files:
        try:
            found += suites_of(file.read_text(errors="replace"))
        except OSError:
            continue
    return tuple(dict.fromkeys(found))


def others(own: tuple[Suites, ...]) -> tuple[Suites, ...]:
    """More suites of the machine's mirrors: all that may have a kernel, with its own."""
    more = list(own)
    for security, names in ((False, OTHERS), (True, OTHERS_SECURITY)):
        uri = next((suites.uri for suites in own if suites.security == security), None)
        had = {name for suites in own if suites.uri == uri for name in suites.names}
        if uri is not None and (left := tuple(name for name in names if name not in had)):
            more.append(Suites(uri, left))
    return tuple(more)


def keyring() -> Path:
    """Debian's archive keyring, which the suites' signatures are checked with. Raises CannotRun if there is none."""
    for name in KEYRINGS:
        if (path := Path("/usr/share/keyrings", name)).is_file():
            return path
    raise CannotRun(
        f"the signature of Debian's mirror cannot be checked: there is no /usr/share/keyrings/{KEYRINGS[0]};"
        " install debian-archive-keyring"
    )


def refresh(state: State, say: Say, force: bool = False) -> str:
    """Ask the mirror what it has, unless that was done less than a day ago. Returns what went wrong that leaves
    something to go on with: the beginning of a line, or nothing. Raises CannotRun where the signature of one of the
    suites is not right, if no other suite came.
    """
    for name in ("lists/partial", "cache/archives/partial"):
        (state.folder / name).mkdir(parents=True, exist_ok=True)
    text = "\n".join(
        f"Types: {state.types}\nURIs: {suites.uri}\nSuites: {' '.join(suites.names)}\nComponents: main\n"
        f"Targets: Packages Sources\nSigned-By: {state.keyring}\n"
        for suites in state.suites
    )
    stamp = state.folder / "updated"  # holds the sources that the lists are of
    if not force and stamp.is_file() and stamp.read_text() == text and time.time() - stamp.stat().st_mtime < FRESH:
        return ""
    stamp.unlink(missing_ok=True)
    (state.folder / "x.sources").write_text(text)
    (state.folder / "apt.conf").write_text(
        "#clear APT::Update::Post-Invoke;\n#clear APT::Update::Post-Invoke-Success;\n"
    )
    names = [name for suites in state.suites for name in suites.names]
    say(f"asking Debian's mirror what it has ({', '.join(names)})")
    with running("apt-get", *options(state), "-q", "update") as apt:
        complaint = apt.communicate()[1].decode(errors="replace")
    came = any((state.folder / "lists").glob("*Release"))
    unsigned = re.findall(
        r"^E: (The repository .* is (?:not|no longer) signed.*|Release file .* is (?:not valid|expired).*)$",
        complaint,
        re.M,
    )
    unsigned += re.findall(
        r"^W: ((?:An error occurred during the signature verification|GPG error).*)$", complaint, re.M
    )
    if unsigned and not came:
        raise CannotRun(f"the signature of Debian's mirror cannot be checked: {unsigned[-1]}; look for a newer"
                        " debian-archive-keyring, and at the machine's clock")  # fmt: skip
    for line in unsigned:
        if line.startswith(("The repository", "Release file")):
            say(f"left out, since its signature cannot be checked: {line}")
    failed = re.findall(r"^[EW]: (Failed to fetch .*|.*No space left.*)$", complaint, re.M)
    if not came:
        reason = (failed or re.findall(r"^[EW]: (.*)$", complaint, re.M) or ["apt gave no reason"])[0]
        return f"apt got no list of packages from Debian's mirror ({' '.join(reason.split())}), and "
    if failed:
        say(f"apt could not ask for all lists again, so older ones are used: {' '.join(failed[0].split())}")
    else:
        stamp.write_text(text)
    return ""


def options(state: State) -> tuple[str, ...]:
    """The options with which apt's programs use the private state and nothing else."""
    values = {
        "Dir::State::Lists": state.folder / "lists",
        "Dir::Cache": state.folder / "cache",
        "Dir::Etc::sourcelist": state.folder / "x.sources",
        "Dir::Etc::sourceparts": "-",
        "APT::Sandbox::User": "root",  # else apt, when root runs it, warns that its own user cannot write here
        "Acquire::Languages": "none",
        "Acquire::GzipIndexes": "true",
        "Acquire::Retries": "2",
        "Acquire::AllowInsecureRepositories": "false",
        "APT::Get::AllowUnauthenticated": "false",
    }
    # The file takes away the machine's hooks, some of which need root.
    return (f"-c={state.folder / 'apt.conf'}", *(word for k, v in values.items() for word in ("-o", f"{k}={v}")))


@contextmanager
def running(*command: str, cwd: Path | None = None) -> Iterator[subprocess.Popen[bytes]]:
    """A program and all that it starts, which end with the block at the latest."""
    pipe, env = subprocess.PIPE, os.environ | {"LC_ALL": "C"}  # C because the messages are read
    # A group of its own: apt and the shell have helpers, all of which must end before `cwd` is removed.
    with subprocess.Popen(
        command, cwd=cwd, env=env, stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe, process_group=0
    ) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()  # after Ctrl-C Popen itself would not


def output(*command: str) -> str:
    """What a program prints; its complaints and its exit code are not looked at."""
    with running(*command) as process:
        return process.communicate()[0].decode(errors="replace")
