"""Inference: a model and radiographs in; landmarks, parameters, intervals, overlay and JSON report out.

Preprocessing and heat-map decoding are here. Training imports them, so training and inference treat an image alike.
Training itself and the choice of the champion are elsewhere. The package runs on onnxruntime, without torch.

    blank_regions     landmarks in regions of the image without any contrast
    bundled           the model that ships with the software
    calibration       from the spread of a heat map to 90 % intervals
    contract          the record beside every exported network
    decoding          from heat maps to landmarks
    detection         landmarks of one study, under the vertebral levels that fit best
    drawing           the outline of a spine on one radiograph
    input_check       whether an image is a radiograph of a whole spine
    inputs            one radiograph with its calibration
    levels            which vertebra is which
    measure           from radiographs to a prediction
    model             a loaded model
    model_folder      a model folder that a user names
    overlay           the overlay image and the JSON report
    preprocessing     from an image to the input of a network
    vertebral_column  positions of the vertebrae, and the lean of the spine
    view_check        images of the other view, turned or mirrored
"""
