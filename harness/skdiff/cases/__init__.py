"""The data: a Scenario and its Outcome, their bytes, their text, where values are drawn from and which are valid."""
