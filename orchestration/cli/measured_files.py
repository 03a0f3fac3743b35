"""The files of a measurement: its JSON, its overlay, its DICOM objects and its FHIR bundle.

Contract: all are written, or none. A measurement that is refused or fails leaves no file of an earlier call at these
paths, which could be taken for its result.
"""

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from serving.results.fhir_codes import Release
from serving.results.identity import RESULT_KINDS, file_name
from spine.storage import write_bytes_atomically

if TYPE_CHECKING:
    from PIL.Image import Image

    from inference.measured_study import MeasuredStudy

_FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".tif": "TIFF", ".tiff": "TIFF"}
"""Suffix of an overlay -> Pillow's name of the format."""


@dataclass(frozen=True)
class MeasuredFiles:
    """The files that a person named; None for a file that is not wanted.

    Attributes:
        dicom_out: the folder for the DICOM objects, one file a kind of result.
        fhir, release: the file for the FHIR bundle, and its release of FHIR.
    """

    overlay: Path | None = None
    out: Path | None = None
    dicom_out: Path | None = None
    fhir: Path | None = None
    release: Release = Release.R4B

    def require_safe(self, inputs: tuple[Path, ...]) -> None:
        """Refuse files that would replace an input, each other or no plain file, and an overlay that is not an image.

        Raises:
            click.UsageError: which file, and why.
        """
        given = {file.resolve() for file in inputs}
        taken: dict[Path, str] = {}
        for option, path in self._named():
            if path.resolve() in given:
                raise click.UsageError(f"{option} {path}: this is an input file; name another file")
            if path.exists() and (path.is_symlink() or not path.is_file()):
                raise click.UsageError(f"{option} {path}: this is a link or a device; name a file")
            if path.resolve() in taken:
                raise click.UsageError(f"{taken[path.resolve()]} and {option} both name {path}; name two files")
            taken[path.resolve()] = option
        if self.out is not None and str(self.out) == "-":
            raise click.UsageError("--out -: omit --out to print the measurements on standard output")
        if self.dicom_out is not None and self.dicom_out.exists() and not self.dicom_out.is_dir():
            raise click.UsageError(f"--dicom-out {self.dicom_out}: this is a file; name a folder")
        if self.overlay is not None and self.overlay.suffix.lower() not in _FORMATS:
            raise click.UsageError(f"--overlay {self.overlay}: name an image file, e.g. overlay.png")

    def require_installed(self) -> None:
        """Refuse DICOM and FHIR results before anything is measured if their libraries are missing.

        Raises:
            ParametersRejected: ``SERVING_NOT_INSTALLED``.
        """
        if self.dicom_out is not None or self.fhir is not None:
            from serving.results.objects import require_installed

            require_installed()

    @contextmanager
    def replaced(self) -> Iterator[None]:
        """Remove the files of an earlier call; if the block fails, also remove what it wrote."""
        self._remove()
        try:
            yield
        except BaseException:
            self._remove()
            raise

    def write(self, report: str, image: "Image | None", results: Sequence[tuple[Path, bytes]] = ()) -> None:
        """Write the files of a measurement, ``results`` among them. All are complete in memory before the first one."""
        files: list[tuple[Path, bytes]] = []
        if self.out is not None:
            files.append((self.out, f"{report}\n".encode()))
        if self.overlay is not None and image is not None:
            drawn = io.BytesIO()
            image.save(drawn, _FORMATS[self.overlay.suffix.lower()])
            files.append((self.overlay, drawn.getvalue()))
        files += results
        for path, content in files:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_bytes_atomically(path, content)

    def results_of(self, study: "MeasuredStudy") -> list[tuple[Path, bytes]]:
        """Path and bytes of the DICOM objects and the FHIR bundle that are wanted.

        Raises:
            InputRejected: ``RESULTS_NEED_DICOM``, ``FILE_CHANGED``.
        """
        files: list[tuple[Path, bytes]] = []
        if self.dicom_out is not None:
            from serving.results.objects import result_objects

            files += [(self.dicom_out / each.file_name, each.encoded()) for each in result_objects(study)]
        if self.fhir is not None:
            from serving.results.fhir_bundle import fhir_text

            files.append((self.fhir, f"{fhir_text(study, self.release)}\n".encode()))
        return files

    def _named(self) -> list[tuple[str, Path]]:
        """Option and path of every file that may be written."""
        named = [("--overlay", self.overlay), ("--out", self.out), ("--fhir", self.fhir)]
        if self.dicom_out is not None:
            named += [("--dicom-out", self.dicom_out / file_name(kind)) for kind in RESULT_KINDS]
        return [(option, path) for option, path in named if path is not None]

    def _remove(self) -> None:
        for _, path in self._named():
            if path.is_file():
                path.unlink()
