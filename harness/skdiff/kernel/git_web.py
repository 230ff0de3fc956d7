"""The kernel's git web (cgit), or a mirror of it: its tags, mainline's newest commit, single files."""

import functools
import os
import re
import threading
import urllib.parse
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from skdiff.base.errors import CannotRun
from skdiff.kernel import kernel_cache

GIT_WEB = "https://git.kernel.org/pub/scm/linux/kernel/git/stable/linux.git/plain"
MAINLINE = "mainline"
MAINLINE_WEB = "https://git.kernel.org/pub/scm/linux/kernel/git/torvalds/linux.git/plain"
BRANCH = "master"  # of Linus' repository, which has no other
ATTEMPTS = 3  # per file
PAUSE = 1.0  # seconds before the second attempt, twice that before the third
TIMEOUT = 20.0  # seconds without a byte from the server
THREADS = 8


def address(kernel: str) -> str:
    """The base of the addresses of a kernel's files: SKDIFF_GIT_WEB, if set."""
    web = MAINLINE_WEB if kernel == MAINLINE else GIT_WEB
    return (os.environ.get("SKDIFF_GIT_WEB") or web).rstrip("/")


def place(base: str) -> str:
    """Whom the answers come from, for people. Raises CannotRun for what is no address."""
    if not re.match(r"https?://[^/]", base):
        raise CannotRun(f"SKDIFF_GIT_WEB is {base!r}, which is no http or https address: correct or unset it")
    return "the kernel's git web" if base in (GIT_WEB, MAINLINE_WEB) else base


def mainline() -> str:
    """Mainline's newest commit, asked for once in a process: all that a run fetches is of the same one, though the
    branch moves meanwhile. Raises CannotRun.
    """
    return newest_commit(address(MAINLINE))


@functools.cache
def newest_commit(base: str) -> str:
    """The newest commit of the branch of Linus. Raises CannotRun."""
    whose = place(base)
    if not base.endswith("/plain"):
        raise CannotRun(f"SKDIFF_GIT_WEB is {base!r}: for mainline it must end in /plain, beside cgit's other pages")
    feed = get(f"{base.removesuffix('plain')}atom/?h={BRANCH}", threading.Event())
    # The branch's feed begins with its newest commit. Newer versions of cgit write urn:sha1: before it.
    found = re.search(rb"<entry>.*?<id>(?:urn:sha1:)?([0-9a-f]{40})</id>", feed or b"", re.DOTALL)
    if found is None:
        raise CannotRun(f"{whose} does not tell the newest commit of its branch {BRANCH}: check SKDIFF_GIT_WEB")
    return found[1].decode()


def newest_releases(base: str) -> dict[str, str]:
    """The newest release of each series that the web has a tag of, such as "6.12": "6.12.96". Empty where the web has
    no page of its tags. Raises CannotRun if it cannot be reached.
    """
    place(base)
    if not base.endswith("/plain"):
        return {}
    page = get(f"{base.removesuffix('plain')}refs/tags", threading.Event(), page=True) or b""
    found: dict[str, int] = {}
    for series, point in re.findall(r">v(\d+\.\d+)(?:\.(\d+))?<", page.decode(errors="replace")):
        found[series] = max(found.get(series, 0), int(point or 0))
    return {series: f"{series}.{point}" if point else series for series, point in found.items()}


def fetch(base: str, revision: str, files: Sequence[str], tree: Path) -> tuple[dict[str, str], list[str]]:
    """Write `files` of a revision below `tree`: the SHA256 of each, and those that the revision does not have. Raises
    CannotRun.
    """
    hashes: dict[str, str] = {}
    absent: list[str] = []
    stop = threading.Event()
    pool = ThreadPoolExecutor(THREADS)
    try:
        urls = [f"{base}/{urllib.parse.quote(file)}?{revision}" for file in files]
        for file, body in zip(files, pool.map(lambda url: get(url, stop), urls), strict=True):
            if body is None:
                absent.append(file)
            else:
                hashes[file] = kernel_cache.write(tree, file, body)
    finally:
        stop.set()
        pool.shutdown(wait=False, cancel_futures=True)
    return hashes, absent


def get(url: str, stop: threading.Event, page: bool = False) -> bytes | None:
    """The body at `url`, or None where the server says that there is no such thing. Raises CannotRun, for a web page
    too unless one was asked for.
    """
    import http.client  # here, since every worker imports this module, and none of them fetches anything
    import urllib.error
    import urllib.request

    request = urllib.request.Request(url, headers={"User-Agent": "skdiff"})
    reason = ""
    for attempt in range(ATTEMPTS):
        if attempt and stop.wait(PAUSE * attempt):
            break
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT) as response:
                if page or response.headers.get_content_type() != "text/html":
                    return bytes(response.read())
                reason = "a web page came instead of the file"
                break
        except urllib.error.HTTPError as error:
            error.close()
            reason = f"HTTP {error.code} {error.reason}"
            if error.code in (404, 410):
                return None
            if error.code < 500:
                break
        except (OSError, ValueError, http.client.HTTPException) as error:
            cause = error.reason if isinstance(error, urllib.error.URLError) else error
            reason = str(cause) or type(cause).__name__
    raise CannotRun(f"cannot fetch {url}: {' '.join(reason.split())}; check the network, or SKDIFF_GIT_WEB if set")
