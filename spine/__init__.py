"""The anatomy of the spine and its geometry.

What belongs here: landmarks, 3D reconstructions, the slot scanner, radiographs, studies, measurements
and the virtual cohort. What does not: learning, statistics, orchestration. Contract: numpy and scipy
only (``spine.phantom`` may use torch), and nothing here imports a room above it.
"""
