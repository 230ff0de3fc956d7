"""Where `skdiff` and `python -m skdiff` begin: before the imports, which take a moment, so that Ctrl-C has its word."""

import sys


def main() -> int:
    """Run the command line; returns the exit code."""
    try:
        from skdiff.cli import main as run

        return run()
    except KeyboardInterrupt:
        print("skdiff: interrupted", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
