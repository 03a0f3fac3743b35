"""Measurements: speed, memory and exactness, printed and stored; nothing here passes or fails a test."""
