"""A model on the 481 public real frontal radiographs: zero shot, and fine-tuned in five folds by patient.

Contract: a model is never evaluated on a patient with whose radiographs it was trained. No radiograph is left out.
``benchmarks.sim_to_real`` packs the radiographs.

    folds         the five folds, and a fold as a data set folder
    predictions   predictions of a model for the packed radiographs, and overlays of the worst
    ensemble      several models as one
    figures       distances, levels, angles and answered shares
    intervals     90 % intervals by shift, and calibrated on some of the radiographs
    angles        the three angles of the benchmark
    labels        the reliability of the labels
"""
