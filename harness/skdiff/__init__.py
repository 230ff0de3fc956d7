"""skdiff: a differential fuzzing harness for the Linux kernel's TCP socket lookup, over IPv4 and IPv6."""
