"""3D reconstructions: one record, one reader per file format."""
