"""skdiff: a differential fuzzing harness for the Linux kernel's socket lookup, of TCP and UDP over IPv4 and IPv6."""
