"""Virtual patients on disk: a folder of patients, each with two radiographs and a reconstruction.

``simulation.stream`` renders patients that are never written to disk.

    config           the configuration of a cohort, and the names of its files
    cohort           writes or completes a cohort
    patient_folder   the state of a patient's folder, and the list of its files that belong to the cohort
    patient_writer   renders one patient and writes the folder
    mesh_export      writes bone meshes and 3D Slicer markups
"""
