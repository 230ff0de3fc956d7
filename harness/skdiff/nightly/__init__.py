"""A night of runs: its plan, its summaries, and the page of all nights."""
