"""Patients on disk: a folder of virtual patients, each with two radiographs and a reconstruction.

Patients that are never written to disk are part of ``simulation.stream``.

    config           the configuration of a cohort, and the names of its files
    cohort           writes or completes a cohort
    patient_folder   the state of a patient's folder, and which of its files belong to the cohort
    patient_writer   renders one patient and writes the folder
    mesh_export      bone meshes and 3D Slicer markups
"""
