"""Reads files of named 3D points as a checked record in LPS millimetres, or refuses them with a code.

Such files and bone meshes are written here too. ``spine.projection`` projects the points into images.

    checks           whether the points can be a spine
    ct_keypoints     reader of CT keypoint lists
    meshes           triangle meshes, and their OBJ and STL files
    names            names of points, and their other spellings
    open             reader of any known format, by content
    plumbline_csv    reader of Plumbline's table
    plumbline_json   Plumbline's JSON, read and written
    reconstruction   the record
    slicer_markups   3D Slicer markups, read and written
"""
