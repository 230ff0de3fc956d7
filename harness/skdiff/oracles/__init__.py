"""What turns a Scenario into an Outcome: the kernel's C (`reference`, `guarded`) and the Python `model`."""
