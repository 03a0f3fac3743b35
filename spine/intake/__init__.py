"""Intake: any source of studies through one door into the study store, the rest into quarantine."""
