"""Time and memory of the search for near-duplicates (``validation.dataset.duplicate_search``).

``python -m benchmarks.near_duplicates [N ...]`` draws N random descriptors for each of two views and searches all pairs
(by default N = 1,000, 4,000 and 20,000). A search of 100,000 studies takes some minutes. One study in a hundred is a
copy of the study before it, with noise, and must be found.

The last column is the memory above the descriptors. One core is used if ``OMP_NUM_THREADS=1``.
"""

import resource
import sys
import time

import numpy as np

from benchmarks.figures import print_table
from spine.landmarks import VIEWS, ViewName
from validation.dataset.duplicate_search import candidate_pairs
from validation.dataset.near_duplicates import Descriptor

BITS, COEFFICIENTS = 255, 575
COPY_EVERY = 100


def main(arguments: list[str]) -> int:
    """Print one row for each number of studies."""
    rows = []
    for count in [int(a) for a in arguments] or [1000, 4000, 20000]:
        studies = random_descriptors(count)
        before, began, cpu = _peak_mib(), time.perf_counter(), time.process_time()
        found = np.concatenate([*candidate_pairs(studies), np.empty((0, 2), dtype=np.intp)])
        wall, used = time.perf_counter() - began, time.process_time() - cpu
        copies = {(i - 1, i) for i in range(COPY_EVERY, count, COPY_EVERY)}
        missed = len(copies - {(int(i), int(j)) for i, j in found})
        per_study = 1000 * used / count
        memory = _peak_mib() - before
        rows.append(
            (f"{count:,}", f"{wall:.1f} s", f"{used:.1f} s", f"{per_study:.2f} ms", str(missed), f"{memory:.0f} MiB")
        )
    print_table(("studies", "wall", "CPU", "CPU a study", "copies missed", "peak memory above"), rows)
    return 0


def random_descriptors(count: int) -> list[dict[ViewName, Descriptor]]:
    """Descriptors of two views for ``count`` studies; every ``COPY_EVERY``-th is like the one before it."""
    rng = np.random.default_rng(0)
    studies: list[dict[ViewName, Descriptor]] = []
    for number in range(count):
        copied = studies[-1] if number and number % COPY_EVERY == 0 else None
        studies.append({view: _drawn(rng, copied[view] if copied else None) for view in VIEWS})
    return studies


def _drawn(rng: np.random.Generator, like: Descriptor | None) -> Descriptor:
    spectrum = rng.standard_normal(COEFFICIENTS, dtype=np.float32)
    bits = np.packbits(rng.random(BITS) > 0.5)
    if like is not None:
        spectrum, bits = like.spectrum + 0.3 * spectrum / np.float32(np.linalg.norm(spectrum)), like.bits
    return Descriptor(bits, (spectrum / np.linalg.norm(spectrum)).astype(np.float16))


def _peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
