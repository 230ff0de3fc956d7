"""What says that skdiff sees something: coverage, mutants, what was not looked at, measurements, the doctor."""
