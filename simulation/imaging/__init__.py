"""Computes images from bodies: path lengths, exposure, display and overlays, for N images at once.

``simulation.cohort`` writes images to files.

    render           the steps from posed patients to images
    acquisition      geometry, exposure, appearance and overlay of one image, or of N images as tables
    field_of_view    the part of a patient that is imaged
    rays             the rays of N images
    chords           closed-form path lengths through solids
    splat            path lengths through mass points
    exposure         attenuation, scatter, noise
    appearance       families of exposure and display settings
    display          computes 12-bit grey values from line integrals
    annotation       collimation, side markers, text and rulers of an image
    patient_motion   a patient who moves between the two views
    random_fields    normally distributed random numbers for each patient, and smooth random fields
    blur             Gaussian blurs
    fused_kernels    compiled kernels on a GPU
"""
