"""What every package may need and that knows nothing of lookups: errors, files, paths, signals."""
