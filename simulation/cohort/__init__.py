"""Patients on disk: a folder of virtual patients, each with two radiographs and a reconstruction.

Patients that are never written belong to ``simulation.stream``.

    config           what a cohort is made from, and the names of its files
    cohort           writes or completes a cohort
    patient_folder   which files of a patient's folder belong to the cohort
    patient_writer   renders one patient and writes the folder
    mesh_export      bone meshes and 3D Slicer markups
"""
