"""Alignment parameters of the spine, each with one definition, from points in the two anatomical planes.

``inference`` finds the points. ``validation.evaluation`` compares the parameters with a reference.

    classes       the table of classes that follow from parameters
    classify      the classes of one study
    construction  the lines whose angle or distance a parameter is
    coronal       Cobb angles, secondary curves, coronal balance
    fusion        tilts of end plates, combined with the tilts of neighbouring plates
    in_space      the 3D points of landmarks that two calibrated views show
    margins       plate margins of one view as 3D points
    measure       all parameters of one study
    planes        points in the sagittal and the coronal plane
    plausible_values  plausible values of parameters by their intervals
    registry      the table of parameters: name, definition, unit, sign, source
    sagittal      kyphosis, lordosis and the pelvic angles
    sagittal_classes  classes of the sagittal shape
    tilts         tilts of end plates, from margins or plate centres
"""
