"""skdiff: a differential fuzzing harness for the Linux kernel's IPv4 socket lookup."""
