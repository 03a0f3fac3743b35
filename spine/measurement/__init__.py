"""Alignment parameters: one definition each, in one place (``registry``)."""
