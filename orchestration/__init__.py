"""Orchestration: the chain of steps, Dagster definitions and the command line."""
