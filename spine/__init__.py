"""The anatomy of the spine and its geometry.

Contract: numpy and scipy only (``simulation`` may use torch), and nothing here imports a room above it.
"""
