"""From a finished fit to a model that ships: export, calibration, records and cards.

Running an exported model does not belong here (see ``inference``). Its evaluation does not either (``validation``).

    calibrate        intervals, limits and level margin from patients with known values
    candidate        the record of a fit
    candidate_card   the model card of a finished fit
    onnx_export      from weights to an ONNX graph
    release          from an evaluated candidate to the bundled model
"""
