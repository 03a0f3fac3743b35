"""A model on the 481 public real frontal radiographs: zero shot, and fine-tuned in five folds by patient.

Contract: a fit that is evaluated on a radiograph never reads a radiograph of the same patient. Every radiograph counts.
Preparing the radiographs does not belong here: see ``benchmarks.sim_to_real``.

    folds         the five folds, and a fold as a data set folder
    predictions   predictions of a model for the packed radiographs, and overlays of the worst
    ensemble      several models, or a model and mirrored images, as one
    figures       distances, levels, angles and answered shares
    angles        the three angles of the benchmark
    labels        the reliability of the labels
"""
