"""Virtual patients and their radiographs, simulated with numpy and torch from the seed to the image.

A seed always gives the same patient and, on a CPU, the same images. Up to ``body.patient``, one patient is a set of
numpy arrays. From ``body.batch`` on, N patients are torch tensors on a CPU or a GPU. ``training.data`` turns these
patients into training data.

    vocabulary    the words that describe a patient: condition, sex, side, anatomy, rod metal, field of view
    anatomy       the vertebrae of a patient, and the numbers of their end plates
    parameters    the parameters of one patient, and their allowed ranges
    randomness    one random stream for each patient and purpose
    threads       runs code in one torch thread
    cuda_graphs   records the operations of a batch as one CUDA graph, and replays it
    population/   samples parameters of patients, and compares them with the literature
    pose/         positions of every vertebra, landmark, rib and joint of one patient
    body/         bones, soft tissue and metal as surfaces, solids and mass points
    imaging/      rays, exposure, appearance, display, field of view, patient motion
    cohort/       writes patients to disk
    stream/       renders patients on the device during training
"""
