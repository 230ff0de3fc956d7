"""Mutants: small changes of the kernel's text, of the model and of the harness, each of which must be seen.

`common` says what a mutant is and which are judged, `sites` finds those of C, `schemata` builds them all into one
library, `python` makes those of Python, `hunt` runs the corpus and the fuzzer against them.
"""
