"""`python -m skdiff`: the command line."""

import sys

from skdiff.cli import main

if __name__ == "__main__":
    sys.exit(main())
