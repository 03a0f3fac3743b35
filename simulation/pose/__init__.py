"""The positions of every part of one patient as numpy arrays: vertebrae, pelvis, landmarks, rib cage, arms.

Surfaces and tissue are part of ``simulation.body``.

    morphometry        sizes of vertebrae and discs
    growth             differences between a growing spine and an adult spine
    sagittal_profile   sagittal angle of every body and disc
    curvature          sagittal tilt, coronal tilt and axial rotation of every end plate
    coronal_shear      sideways shear of vertebrae and discs in a curve
    fractures          wedge fractures
    spine_pose         the posed spine and pelvis
    landmarks3d        3D landmarks of the posed spine
    habitus            body build and posture of the arms
    chest              position and size of the rib cage
"""
