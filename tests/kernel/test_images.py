"""Images to boot: which of Debian's packages have one, what is kept of them, and a kernel of the user's own."""

import io
import lzma
import struct
import tarfile
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest

from skdiff.base.errors import CannotRun
from skdiff.kernel import apt_state, debian, images, kernel_cache
from skdiff.kernel.apt_state import State
from skdiff.kernel.debian import Gone, Package
from skdiff.kernel.kernel_cache import Tree

NAMES = (
    ("linux-image-6.12.117+deb12-cloud-amd64", "6.12.117-1~deb12u1"),
    ("linux-image-6.12.117+deb12-cloud-amd64-unsigned", "6.12.117-1~deb12u1"),
    ("linux-image-6.12.118+deb13-cloud-amd64", "6.12.118-1"),
    ("linux-image-6.12.96+deb13-cloud-amd64", "6.12.96-1"),
    ("linux-image-6.12-cloud-amd64", "6.12.117-1~deb12u1"),  # a name for the newest, with nothing in it
    ("linux-image-cloud-amd64", "6.12.118-1"),
    ("linux-image-6.12.118+deb13-amd64", "6.12.118-1"),  # another flavour
    ("linux-image-7.1.13+deb13-cloud-amd64", "7.1.13-1~bpo13+1"),  # which needs modules that are nowhere
    ("linux-binary-7.1.13+deb13-cloud-amd64", "7.1.13-1~bpo13+1"),
    ("linux-image-7.3.4+deb13-cloud-amd64", "7.3.4-1~bpo13+1"),
    ("linux-binary-7.3.4+deb13-cloud-amd64", "7.3.4-1~bpo13+1"),
    ("linux-binary-unsigned-7.3.4+deb13-cloud-amd64", "7.3.4-1~bpo13+1"),
    ("linux-modules-7.3.4+deb13-cloud-amd64", "7.3.4-1~bpo13+1"),
)


def module(*depends: str) -> bytes:
    return b"\x7fELF\0license=GPL\0depends=" + ",".join(depends).encode() + b"\0retpoline=Y\0"


FILES = {
    "./boot/vmlinuz-6.12": b"the kernel",
    "./boot/System.map-6.12": b"no",
    "./lib/modules/6.12/kernel/drivers/net/tun.ko.xz": lzma.compress(module()),
    "./lib/modules/6.12/kernel/net/bridge/bridge.ko.xz": lzma.compress(module("stp", "llc")),
    "./lib/modules/6.12/kernel/net/802/stp.ko.xz": lzma.compress(module("llc")),
    "./lib/modules/6.12/kernel/net/llc/llc.ko.xz": lzma.compress(module()),
    "./lib/modules/6.12/kernel/drivers/net/veth.ko.xz": lzma.compress(module()),
}
SPLIT = {
    "linux-binary-7.3.4+deb13-cloud-amd64": {"./usr/lib/modules/7.3.4/vmlinuz": b"7.3's"},
    "linux-modules-7.3.4+deb13-cloud-amd64": {"./usr/lib/modules/7.3.4/kernel/drivers/net/tun.ko.xz": FILES[
        "./lib/modules/6.12/kernel/drivers/net/tun.ko.xz"
    ]},
}  # fmt: skip


@pytest.fixture
def mirror(tmp_path, monkeypatch):
    """A mirror with NAMES, a cache, and what was downloaded."""
    state = State(tmp_path / "apt", (), "deb", Path("/keyring"))
    told = SimpleNamespace(downloads=[], gone=set(), trouble="")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(debian, "states", lambda cache: (state, state))
    monkeypatch.setattr(apt_state, "refresh", lambda state, say: told.trouble)
    monkeypatch.setattr(apt_state, "output", lambda *command: "\n".join(name for name, _ in NAMES))
    listed = [(name, version, "trixie") for name, version in NAMES]
    monkeypatch.setattr(debian, "binaries", lambda state, *names: [entry for entry in listed if entry[0] in names])

    def archive(name: str) -> bytes:
        body = io.BytesIO()
        with tarfile.open(fileobj=body, mode="w") as tar:
            for path, content in SPLIT.get(name, FILES).items():
                member = tarfile.TarInfo(path)
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))
        return body.getvalue()

    def binary(state, name, version, suite):
        path = tmp_path / "package"
        path.write_bytes(archive(name))
        yield Package(name, version, suite, kernel_cache.sha256(path), 10**6, state, source=False)

    def download(package: Package, work: Path) -> Path:
        if package.version in told.gone:
            raise Gone(f"{package.name} is gone")
        told.downloads.append(package.name)
        path = work / "x.deb"
        path.write_bytes(archive(package.name))
        return path

    @contextmanager
    def running(*command: str, cwd: Path | None = None):
        with Path(command[-1]).open("rb") as archive:
            yield SimpleNamespace(stdout=archive)

    monkeypatch.setattr(debian, "binary", binary)
    monkeypatch.setattr(debian, "download", download)
    monkeypatch.setattr(apt_state, "running", running)
    monkeypatch.setattr(images.shutil, "which", lambda tool: tool)
    return told


def say(line: str) -> None:
    pass


def test_the_newest_image_of_a_series_is_fetched_once_with_its_modules_in_their_order(mirror):
    image = images.find("6.12", say)
    assert image.version == "6.12.118"
    assert image.kernel.read_bytes() == b"the kernel"
    assert [*image.modules] == ["tun", "llc", "stp", "bridge"]
    assert image.modules["stp"] == module("llc")
    assert images.find("6.12", say) == image
    assert mirror.downloads == ["linux-image-6.12.118+deb13-cloud-amd64"]
    assert [one.version for one in images.cached()] == ["6.12.118"]


def test_an_image_is_of_the_text_beside_it_if_there_is_one(mirror):
    source = "Debian linux-source-6.12 6.12.117-1~deb12u1 of bookworm-security, with Debian's patches"
    beside = Tree(Path("/t"), "6.12.117", source)
    assert images.find("6.12", say, beside).version == "6.12.117"
    assert images.find("6.12", say, Tree(Path("/t"), "6.12.96", "a tree")).version == "6.12.96"
    assert images.find("6.12", say, Tree(Path("/t"), "6.12.8", "a tree")).version == "6.12.118"
    assert images.find("6.12.96", say, beside).version == "6.12.96"


def test_from_7_2_on_kernel_and_modules_are_two_packages(mirror):
    image = images.find("7.3", say)
    assert (image.version, image.kernel.read_bytes(), [*image.modules]) == ("7.3.4", b"7.3's", ["tun"])
    assert mirror.downloads == [*SPLIT]


def test_an_image_whose_modules_are_nowhere_is_none(mirror):
    with pytest.raises(CannotRun, match=r"no cloud image of Linux 7\.1"):
        images.find("7.1", say)
    assert images.offered(Path("/cache"), say) == {"7.3": ["7.3.4"], "6.12": ["6.12.118", "6.12.117", "6.12.96"]}


def test_what_the_mirror_has_dropped_is_passed_over(mirror):
    mirror.gone = {"6.12.118-1"}
    assert images.find("6.12", say).version == "6.12.117"
    mirror.gone = {"7.3.4-1~bpo13+1"}
    with pytest.raises(CannotRun, match="is gone"):
        images.find("7.3", say)


def test_without_a_network_an_image_that_is_here_will_do(mirror):
    image = images.find("6.12", say)
    mirror.trouble = "apt got no list, and "
    other = Tree(Path("/t"), "6.12.117", "a tree")
    assert images.find("6.12", say, other) == image
    with pytest.raises(CannotRun, match=r"apt got no list, and so there is no image of Linux 7\.3: check the network"):
        images.find("7.3", say)


def test_a_spoilt_image_is_fetched_again(mirror):
    image = images.find("6.12", say)
    (image.kernel.parent / "llc.ko").unlink()
    assert images.cached() == []
    assert images.find("6.12", say).modules == image.modules


def test_whether_there_is_an_image_is_looked_up_in_the_lists_and_said(mirror):
    told = []
    with pytest.raises(CannotRun, match=r"^Debian's mirror has no cloud image of Linux 6\.99$"):
        images.check("6.99", told.append)
    assert told == ["looking for an image of Linux 6.99 in the lists of Debian's mirror"]
    images.check("6.12", told.append)
    assert mirror.downloads == []
    images.find("6.12", say)
    told.clear()
    images.check("6.12", told.append)
    assert told == []


def test_an_image_of_a_kernel_that_is_too_old_is_not_looked_for(mirror):
    told = []
    for look in (images.check, images.find):
        with pytest.raises(CannotRun, match=r"Linux 2\.6 is older than 6\.1"):
            look("2.6", told.append)
    assert told == []


@pytest.mark.parametrize("words", ["6", "six", "7.3.4+deb13", "", "6.12 IPV6=n"])
def test_what_is_no_version_and_no_path(words):
    with pytest.raises(CannotRun, match=r"neither a kernel version such as 6\.12, nor the path of a kernel"):
        images.find(words, say)


# --- a kernel of the user's own ---


def bzimage(path: Path, release: str) -> Path:
    """As Documentation/arch/x86/boot.rst has it, as far as it is read."""
    at = 0x3000
    body = bytearray(0x8000)
    body[0x202:0x206] = b"HdrS"
    struct.pack_into("<H", body, 0x20E, at - 0x200)
    text = f"{release} (me@here) #1 SMP".encode() + b"\0"
    body[at : at + len(text)] = text
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(body)
    return path


def test_a_kernel_of_ones_own_has_the_modules_of_the_tree_that_it_was_built_in(tmp_path):
    tree = tmp_path / "linux"
    kernel = bzimage(tree / "arch/x86/boot/bzImage", "7.4.0-rc1+")
    (tree / "modules.order").write_text("")
    (tree / "drivers/net").mkdir(parents=True)
    (tree / "drivers/net/tun.ko").write_bytes(module())
    image = images.find(str(kernel), say)
    assert (image.version, image.kernel, image.modules) == ("7.4.0-rc1+", kernel, {"tun": module()})
    assert images.kernel_of(str(kernel)) == str(tree)


def test_a_kernel_that_stands_alone_needs_no_modules_and_its_version_says_what_is_beside_it(tmp_path):
    kernel = bzimage(tmp_path / "vmlinuz", "6.12.90-mine")
    assert images.find(str(kernel), say).modules == {}
    assert images.kernel_of(str(kernel)) == "6.12"
    assert images.kernel_of("7.3") == "7.3"


def test_what_is_no_bzimage_is_said_to_be_none(tmp_path):
    (tmp_path / "vmlinux").write_bytes(b"\x7fELF")
    with pytest.raises(CannotRun, match="is no bzImage"):
        images.find(str(tmp_path / "vmlinux"), say)
    with pytest.raises(CannotRun, match="No such file"):
        images.find(str(tmp_path / "nothing"), say)
