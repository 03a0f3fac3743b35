"""Where every part of one patient lies, as numpy arrays: vertebrae, pelvis, landmarks, rib cage, arms.

Surfaces and tissue are part of ``simulation.body``.

    morphometry        sizes of vertebrae and discs
    growth             how a growing spine differs from an adult one
    sagittal_profile   sagittal tilt of every end plate
    curvature          sagittal tilt, coronal tilt and axial rotation of every end plate
    coronal_shear      how vertebrae and discs shear sideways in a curve
    fractures          wedge fractures
    spine_pose         the posed spine and pelvis
    landmarks3d        3D landmarks of the posed spine
    habitus            body build and posture of the arms
    chest              position and size of the rib cage
"""
