"""Outcomes against each other: where they differ, what that difference is called, and who is right."""
