"""What csrc/cases/ does, once more in Python: drawing a case, making it valid, and its record.

Nothing of skdiff uses it: tests/cases/test_native.py holds the two against each other.
"""
