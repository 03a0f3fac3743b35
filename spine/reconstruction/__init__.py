"""Reads files of named 3D points as a checked record in LPS millimetres, or refuses them with a code.

Such files and bone meshes are written here too. ``spine.projection`` projects the points into images.

    bone_names        names of the meshes of single bones
    checks            the check that points can be a spine
    ct_keypoints      reader of CT keypoint lists
    decoding          bytes of a file, and their text encoding
    femoral_head      the sphere of a femoral head on a mesh
    kinds             what a file looks like, from its name and first bytes
    mesh_files        readers of OBJ and STL meshes, and of the other mesh files through the next modules
    mesh_folder       reader of meshes of single bones as one reconstruction
    meshes            triangle meshes, and their writer
    names             names of points, and other spellings of these names
    open              reader of any known format, which is recognised by content
    ply_files         reader of PLY meshes
    plumbline_csv     reader of Plumbline's CSV table
    plumbline_json    reader and writer of Plumbline's JSON
    reconstruction    the record of a reconstruction
    slicer_fcsv       reader of 3D Slicer's older point lists
    slicer_markups    reader and writer of 3D Slicer markups
    tables            text tables as spreadsheets write them
    verse_centroids   reader of the centroids of the VerSe data sets
    vertebra_surface  end plates and bodies on the mesh of a vertebra
    vtp_files         reader of VTK's XML meshes
"""
