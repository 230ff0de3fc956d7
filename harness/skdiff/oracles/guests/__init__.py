"""Kernels booted under QEMU, and asked by the running-kernel oracle inside of them."""
