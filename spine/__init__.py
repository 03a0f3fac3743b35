"""The anatomy of the spine, the scanner's geometry, and the records that all packages share.

The files of studies (DICOM, reconstructions), intake, projection and measurement belong here. The detection of
landmarks and the training and judging of models do not. Only numpy, scipy and file libraries are imported, never torch.

    construction_lines  the construction lines of measured parameters in one view
    dataset             the dataset record: examples, landmarks, reference parameters, splits; read shard by shard
    dataset_writing     writes a dataset's shards, index and header
    errors              the error classes of all packages
    given_labels        checks of 2D labels that a person or a program gave
    intake/             studies from any source into the study store or into quarantine
    landmarks           landmark sets
    measurement/        alignment parameters
    mlmodel             the file that tells MLflow how to load a model
    model_digest        the digest that identifies a model
    outline             the lines, rings and labels that show a spine in one view
    prediction          the prediction record of one study
    projection          the landmarks of a study in the pixels of its images
    radiograph/         reads DICOM files as images, and writes images as DICOM files
    reconstruction/     3D reconstructions, their files and checks
    scanner             the scanner's geometry: projection into both views, and triangulation
    storage             atomic writing, locks and digests of files
    study               the study record and its folder
    times               the form in which people see a time
    types               types that all packages share
    work                one interface for work on many items, and its implementation with the cores of this machine
    worker_pool         worker processes that end with their parent
"""
