"""Virtual patients and their radiographs, simulated with numpy and torch from the seed to the image.

A seed always gives the same patient and, on a CPU, the same images. Up to ``body.patient``, one patient is a set of
numpy arrays. From ``body.batch`` on, N patients are torch tensors on a CPU or a GPU. Training on these patients is part
of ``training.data``.

    vocabulary    the words that describe a patient: condition, sex, anatomy, rod metal, field of view
    anatomy       which vertebrae a patient has, and how end plates are numbered
    parameters    the parameters of one patient, and their allowed ranges
    randomness    one random stream for each patient and purpose
    threads       rendering in one torch thread
    population/   who the patients are, and how well they match the literature
    pose/         where every vertebra, landmark, rib and joint of one patient lies
    body/         bones, soft tissue and metal as surfaces, solids and mass points
    imaging/      rays, exposure, appearance, display, field of view, patient motion
    cohort/       patients on disk
    stream/       patients rendered on the device during training
"""
