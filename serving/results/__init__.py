"""A measurement as objects for the clinic: DICOM objects beside the radiographs, and a FHIR bundle.

Results are made of a ``MeasuredStudy`` alone, and nothing is measured here. The heavy libraries (highdicom, pydicom,
fhir.resources, Pillow, matplotlib) are imported in functions, so that a module here can be imported without them.

    identity            the UIDs of results, from radiographs and model
    codes               the table of codes of DICOM and FHIR
    concepts            codes as DICOM writes them
    sources             radiographs, patient and study that results refer to
    statements          what every result says about itself
    derived_classes     classes that follow from the parameters
    sites               levels at which a parameter is measured
    lines               lines and landmarks in the stored images
    structured_report   TID 1500 in a Comprehensive 3D SR
    overlay_capture     the overlay as a colour Secondary Capture
    presentation        presentation states of the radiographs
    pdf_page            A4 pages of text, tables and images
    report_pdf          the report as a PDF, and as Encapsulated PDF
    objects             all DICOM objects of a measurement
    fhir_codes          code values of FHIR that bundles contain
    fhir_observations   observations of a bundle
    fhir_bundle         a measurement as a FHIR transaction
"""
