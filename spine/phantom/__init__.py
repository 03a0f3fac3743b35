"""Virtual patients: population -> skeleton -> pose -> picture -> DICOM and reconstruction files."""
