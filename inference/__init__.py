"""Inference: computes landmarks, parameters, intervals, overlay and JSON report from radiographs with a model.

Preprocessing and heat-map decoding belong here. Training imports both, so training and inference treat images alike.
Training itself and the choice of the champion belong elsewhere. The package runs on onnxruntime, without torch.

    batch             a folder of studies, one after the other
    batch_table       the CSV table of a batch
    blank_regions     detection of landmarks in image regions without contrast
    bundled           the model that ships with the software
    calibration       conversion of the spread of a heat map to 90 % intervals
    chain             landmarks that cannot belong to the chain of vertebrae
    contract          the record that accompanies every exported network
    curves            the decision whether the curves of a radiograph are known
    decoding          conversion of heat maps to landmarks
    detection         landmarks of one study, named by the vertebral levels that fit best
    drawing           the outline of a spine and construction lines, drawn on one radiograph
    facing            the side to which the patient faces in a lateral image
    given_points      measurement of landmarks that a person moved or set
    input_check       the check that an image is a radiograph of the spine
    inputs            one radiograph with its calibration
    levels            the decision which vertebra is which
    measure           measurement of the radiographs of a study
    measured_study    from the files of one study to its measurement
    measurement_json  the JSON report of a measurement
    mirrored_average  mean of a frontal image and its mirror image
    model             a loaded model
    model_folder      opening of a model folder that a user names
    notes             what to check in the images before the values are used
    overlay           the overlay image
    preprocessing     conversion of an image to the input of a network
    radiograph_files  the radiographs of one study from files
    site_calibration  intervals from a site's own labelled studies
    value_table       the table of measured parameters as text
    vertebral_column  positions of the vertebrae, and the lean of the spine
    view_check        detection of images that are exchanged, turned or mirrored
"""
