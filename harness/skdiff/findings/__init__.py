"""From a mismatch to what a person reads: reduction, explanation, triage, replay, kernel against kernel."""
