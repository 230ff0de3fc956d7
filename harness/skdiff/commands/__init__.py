"""What `skdiff COMMAND` does: each function takes the parsed arguments and returns the exit code."""
