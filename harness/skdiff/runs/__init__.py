"""Whole runs, from the build to the summary: what `skdiff fuzz` and `skdiff diff` do."""
