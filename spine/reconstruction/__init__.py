"""Reads files of named 3D points as a checked record in LPS millimetres, or refuses them with a code.

Such files and bone meshes are written here too. ``spine.projection`` projects the points into images.

    checks           the check that points can be a spine
    ct_keypoints     reader of CT keypoint lists
    meshes           triangle meshes, and their OBJ and STL files
    names            names of points, and other spellings of these names
    open             reader of any known format, which is recognised by content
    plumbline_csv    reader of Plumbline's CSV table
    plumbline_json   reader and writer of Plumbline's JSON
    reconstruction   the record of a reconstruction
    slicer_markups   reader and writer of 3D Slicer markups
"""
