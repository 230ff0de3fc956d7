"""The kernels that run, and can be asked beside the text of one and the model, as a user names them."""

import os

from skdiff.kernel import images

HOST, VM = "host", "vm:"


def is_oracle(words: str) -> bool:
    """Whether these name a kernel that runs: "host", "vm:7.3" or "vm:PATH"."""
    return words == HOST or (words.startswith(VM) and words != VM)


def is_vm(oracle: str) -> bool:
    """Whether an oracle is a kernel of a guest."""
    return oracle.startswith(VM)


def image_of(oracle: str) -> str:
    """What a guest boots: a version or a path."""
    return oracle.removeprefix(VM)


def kernel_beside(oracle: str) -> str:
    """The kernel whose text belongs beside an oracle: a version or a tree, as --kernel takes it. Raises CannotRun."""
    if oracle == HOST:
        return ".".join(os.uname().release.split("-")[0].split(".")[:2])
    return images.kernel_of(image_of(oracle))
