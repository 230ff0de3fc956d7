"""Where `skdiff` and `python -m skdiff` start: it imports nothing first, so that Ctrl-C gives no traceback even while
the other modules are imported, which takes half a second.
"""

import sys


def main() -> int:
    """Run the command line; returns the exit code."""
    try:
        from skdiff.base.errors import CannotRun

        try:
            from skdiff.cli import main as run
        except CannotRun as error:  # declarations that must agree do not
            print(f"skdiff: {error}", file=sys.stderr)
            return 2
        return run()
    except KeyboardInterrupt:
        print("skdiff: interrupted", file=sys.stderr)
        return 2


if __name__ == "__main__":
    code = main()
    # `python -m` ends by SIGINT if a KeyboardInterrupt has left an exec of a string, as dataclasses use it, although it
    # was caught later; one more exec makes it forget that.
    exec("")  # noqa: S102
    sys.exit(code)
