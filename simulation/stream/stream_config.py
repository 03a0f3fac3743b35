"""The settings of a stream of biplanar pairs, and their checks.

Contract: one ``ValuesRejected`` names every wrong setting, with the allowed values in parentheses.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from numbers import Integral, Real

from simulation.body.patient import build_patient
from simulation.cohort.config import HEIGHT_MM, WIDTH_MM
from simulation.population.sampling import sample_patient
from spine.errors import ValuesRejected
from spine.landmarks import GALBUSERA39, VIEWS, ViewName
from spine.scanner import NATIVE_SPACING_MM

MIN_SHAPE = (64, 32)


@dataclass(frozen=True)
class StreamConfig:
    """The settings of a stream.

    Attributes:
        seed: seed of the stream.
        count: number of patients in one pass.
        batch_size: number of patients that are rendered together.
        shape: (H, W) of every image. The rows below a shorter field of view are black.
        spacing_mm: pixel spacing of full-length images.
        views: views to render.
        names: names of the K landmarks to project.
        first: index of the first patient, so that a pass can continue where another pass ended.
        varied: share of varied patients (``sample_patient``), whose images have the appearances of plain radiographs.

    Raises:
        ValuesRejected: a value is not possible. This error is a ``ValueError``.
    """

    seed: int
    count: int
    batch_size: int = 32
    shape: tuple[int, int] = (512, 256)
    spacing_mm: float = NATIVE_SPACING_MM * 8
    views: tuple[ViewName, ...] = VIEWS
    names: tuple[str, ...] = GALBUSERA39.names
    first: int = 0
    varied: float = 0.0

    def __post_init__(self) -> None:
        found = impossible_numbers(self.count, self.seed, self.shape, self.batch_size, self.first)
        found += unknown_choices("views", self.views, VIEWS)
        found += unknown_choices("names", self.names, _known_landmarks())
        if not (isinstance(self.varied, Real) and 0 <= self.varied <= 1):
            found.append(f"varied = {self.varied!r} (a share, 0 to 1)")
        if not found:
            found += _impossible_size(self.shape, self.spacing_mm)
        require_none("STREAM_IMPOSSIBLE", found)


def impossible_numbers(count: int, seed: int, shape: tuple[int, int], batch_size: int, first: int) -> list[str]:
    """The violations in the numbers that every kind of stream has."""
    found = [*not_whole("count", count, 1), *not_whole("batch_size", batch_size, 1)]
    found += [*not_whole("seed", seed, 0), *not_whole("first", first, 0)]
    if not isinstance(shape, Sequence) or len(shape) != 2 or not all(map(_is_whole, shape, MIN_SHAPE)):
        found.append(f"shape = {shape!r} (rows and columns, at least {MIN_SHAPE[0]} x {MIN_SHAPE[1]} pixels)")
    return found


def not_whole(name: str, value: int, low: int) -> list[str]:
    """A list with one message if ``value`` is not a whole number of at least ``low``; empty if it is valid."""
    return [] if _is_whole(value, low) else [f"{name} = {value!r} (a whole number from {low})"]


def _is_whole(value: object, low: int) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool) and int(value) >= low


def unknown_choices(field: str, chosen: Sequence[str], known: Collection[str]) -> list[str]:
    """The violations in a tuple of choices. Each violation names the most similar known choices."""
    if isinstance(chosen, str) or not isinstance(chosen, Sequence) or not chosen:
        return [f"{field} = {chosen!r} (a tuple of one or more)"]
    return [f"{field} {word!r} ({_nearest(word, sorted(known))})" for word in chosen if word not in list(known)]


def _nearest(word: object, known: Sequence[str]) -> str:
    """All known choices if there are few, otherwise the choices with the most similar names."""
    near = known if len(known) < 6 else get_close_matches(str(word), known) or known[:3]
    return f"known: {', '.join(near)}{', ...' if len(near) < len(known) else ''}"


def _impossible_size(shape: tuple[int, int], spacing_mm: float) -> list[str]:
    """A list with the violation if an image is too small for a spine. Images for square networks can be very wide."""
    if not isinstance(spacing_mm, Real):
        return [f"spacing_mm = {spacing_mm!r} (a number)"]
    height, width = (pixels * float(spacing_mm) for pixels in shape)
    if HEIGHT_MM[0] <= height <= HEIGHT_MM[1] and width >= WIDTH_MM[0]:
        return []
    allowed = f"allowed {HEIGHT_MM[0]:.0f} to {HEIGHT_MM[1]:.0f} mm high, {WIDTH_MM[0]:.0f} mm wide or more"
    return [f"shape {shape} of spacing_mm = {spacing_mm:g}: {height:.0f} x {width:.0f} mm ({allowed})"]


def require_none(code: str, violations: list[str]) -> None:
    """Raise ``ValuesRejected`` with all violations if the list is not empty."""
    if violations:
        raise ValuesRejected(
            code,
            found="; ".join(violations),
            expected="the values in parentheses",
            remedy="correct these settings; spine.landmarks has the landmark names, and 512 x 256 pixels of 1.435 mm "
            "cover a whole spine",
        )


@cache
def _known_landmarks() -> frozenset[str]:
    """The names of all landmarks that patients of any anatomy have."""
    by_anatomy = {p.anatomy: p for p in map(sample_patient, range(200))}
    return frozenset().union(*(build_patient(p, 1).reconstruction.points for p in by_anatomy.values()))
