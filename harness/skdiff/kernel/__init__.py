"""From a kernel source tree to a compiled reference: find it, extract the closure, build it."""
