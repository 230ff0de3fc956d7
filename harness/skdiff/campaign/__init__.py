"""A run: worker processes, their supervisor, progress, and the inputs that are kept and merged."""
