"""Which streams are possible, and the refusal of others.

Contract: all that is wrong is gathered into one ``ValuesRejected``, with what is allowed in brackets.
"""

from collections.abc import Collection, Sequence
from difflib import get_close_matches
from functools import cache
from numbers import Integral, Real

from simulation.body.patient import build_patient
from simulation.cohort.config import HEIGHT_MM, WIDTH_MM
from simulation.population.sampling import sample_patient
from spine.errors import ValuesRejected

LEAST_SHAPE = (64, 32)


def impossible_numbers(count: int, seed: int, shape: tuple[int, int], batch_size: int, first: int) -> list[str]:
    """What is wrong with numbers that every stream has."""
    found = [*not_whole("count", count, 1), *not_whole("batch_size", batch_size, 1)]
    found += [*not_whole("seed", seed, 0), *not_whole("first", first, 0)]
    if not isinstance(shape, Sequence) or len(shape) != 2 or not all(map(_is_whole, shape, LEAST_SHAPE)):
        found.append(f"shape = {shape!r} (rows and columns, at least {LEAST_SHAPE[0]} x {LEAST_SHAPE[1]} pixels)")
    return found


def not_whole(name: str, value: int, low: int) -> list[str]:
    """What is wrong with a number that should be whole and ``low`` or more."""
    return [] if _is_whole(value, low) else [f"{name} = {value!r} (a whole number from {low})"]


def _is_whole(value: object, low: int) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool) and int(value) >= low


def unknown_words(field: str, words: Sequence[str], known: Collection[str]) -> list[str]:
    """What is wrong with a choice of words, and which were meant."""
    if isinstance(words, str) or not isinstance(words, Sequence) or not words:
        return [f"{field} = {words!r} (a tuple of one or more)"]
    return [f"{field} {word!r} ({_meant(word, sorted(known))})" for word in words if word not in list(known)]


def _meant(word: object, known: Sequence[str]) -> str:
    """The nearest of many known words, or all of a few."""
    near = known if len(known) < 6 else get_close_matches(str(word), known) or known[:3]
    return f"known: {', '.join(near)}{', ...' if len(near) < len(known) else ''}"


def too_small(shape: tuple[int, int], spacing_mm: float) -> list[str]:
    """Images that could not hold a spine. They may be wider than a cohort's: networks take square ones, too."""
    if not isinstance(spacing_mm, Real):
        return [f"spacing_mm = {spacing_mm!r} (a number)"]
    height, width = (pixels * float(spacing_mm) for pixels in shape)
    if HEIGHT_MM[0] <= height <= HEIGHT_MM[1] and width >= WIDTH_MM[0]:
        return []
    allowed = f"allowed {HEIGHT_MM[0]:.0f} to {HEIGHT_MM[1]:.0f} mm high, {WIDTH_MM[0]:.0f} mm wide or more"
    return [f"shape {shape} of spacing_mm = {spacing_mm:g}: {height:.0f} x {width:.0f} mm ({allowed})"]


def refuse(code: str, found: list[str]) -> None:
    """Raise if anything was found.

    Raises:
        ValuesRejected: with all of it.
    """
    if found:
        raise ValuesRejected(
            code,
            found="; ".join(found),
            expected="the values in brackets",
            remedy="correct them; spine.landmarks names landmarks, and 512 x 256 pixels of 1.435 mm show a whole spine",
        )


@cache
def drawn_points() -> frozenset[str]:
    """Every point that a patient of some anatomy has."""
    by_anatomy = {p.anatomy: p for p in map(sample_patient, range(200))}
    return frozenset().union(*(build_patient(p, 1).reconstruction.points for p in by_anatomy.values()))
