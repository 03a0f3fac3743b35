"""Makes a model from a finished fit: export, calibration, records and cards.

Predictions with an exported model belong to ``inference``. Evaluations of a model belong to ``validation``.

    calibrate         computes intervals, limits and level margin from patients with known values
    candidate         the record of a fit
    candidate_card    the model card of a finished fit
    interval_widths   half widths of intervals, for images like the calibration's and unlike them
    onnx_export       makes an ONNX graph from weights
    release           makes an evaluated candidate the bundled model
    site_calibration  makes the calibration of a site from its own labelled studies
    weight_change     how far a fit moved the weights of the model that it started from
"""
