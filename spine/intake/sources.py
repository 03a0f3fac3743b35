"""The door: every kind of source by name.

Contract: ``open_source`` returns a ``StudySource`` for a known kind and an existing location. To add a reader: a class
with ``name`` and ``candidates`` (see ``candidate``) and a line in ``READERS``.
"""

from collections.abc import Callable, Mapping
from pathlib import Path

from spine.errors import ParametersRejected
from spine.intake.aasce import AasceSource
from spine.intake.ct_scans import CtKeypointSource
from spine.intake.folder import FolderSource
from spine.intake.records import LoadedStudy, LoadedView, StudyCandidate, StudySource

__all__ = ["READERS", "LoadedStudy", "LoadedView", "StudyCandidate", "StudySource", "open_source"]

READERS: Mapping[str, Callable[[Path], StudySource]] = {
    "folder": FolderSource,
    "virtual": lambda location: FolderSource(location, name="virtual", simulated=True),
    "aasce": AasceSource,
    "ct-keypoints": CtKeypointSource,
}


def open_source(kind: str, location: Path) -> StudySource:
    """A source of a kind at a location.

    Raises:
        ParametersRejected: ``SOURCE_UNKNOWN``, ``SOURCE_MISSING``.
    """
    if kind not in READERS:
        raise ParametersRejected(
            "SOURCE_UNKNOWN", found=f"source kind {kind!r}", expected=f"one of {sorted(READERS)}", remedy="correct it"
        )
    if not location.is_dir():
        raise ParametersRejected(
            "SOURCE_MISSING",
            found=f"no folder at {location}",
            expected=f"a folder for source kind {kind!r}",
            remedy="give the folder that holds the studies",
        )
    return READERS[kind](location)
