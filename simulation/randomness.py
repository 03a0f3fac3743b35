"""One stream of random numbers for each patient and purpose.

Contract: a stream depends on the patient's seed and the purpose only. It does not depend on the batch.
"""

import numpy as np


def patient_seed(seed: int, index: int) -> int:
    """The 63-bit seed of patient ``index`` of the cohort with ``seed``, and of the stream with ``seed``."""
    return int(np.random.SeedSequence([seed, index]).generate_state(1, np.uint64)[0] >> 1)


def stream_seed(seed: int, purpose: int) -> int:
    """A 63-bit seed for one patient and purpose, mixed as in SplitMix64."""
    mixed = (seed * 0x9E3779B97F4A7C15 + (purpose + 1) * 0xBF58476D1CE4E5B9) & (2**64 - 1)
    mixed ^= mixed >> 31
    return ((mixed * 0x94D049BB133111EB) & (2**64 - 1)) >> 1


def host_generator(seed: int, purpose: int) -> np.random.Generator:
    """A numpy generator for one patient and purpose."""
    return np.random.default_rng([seed, purpose])
