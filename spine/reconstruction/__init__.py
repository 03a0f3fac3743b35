"""3D reconstructions: files of named points to a checked record in LPS millimetres, or a refusal with a code.

Writing such files and bone meshes belongs here too. Projection into images does not: see ``spine.projection``.

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
