"""The files of a measurement: its JSON and its overlay.

Contract: both are written, or none. A measurement that is refused or fails leaves no file of an earlier call at these
paths, which could be taken for its result.
"""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from spine.storage import write_bytes_atomically

if TYPE_CHECKING:
    from PIL.Image import Image

_FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".tif": "TIFF", ".tiff": "TIFF"}
"""Suffix of an overlay -> Pillow's name of the format."""


@dataclass(frozen=True)
class MeasuredFiles:
    """The files that a person named; None for a file that is not wanted."""

    overlay: Path | None
    out: Path | None

    def require_safe(self, inputs: tuple[Path, ...]) -> None:
        """Refuse files that would replace an input, each other or no plain file, and an overlay that is not an image.

        Raises:
            click.UsageError: which file, and why.
        """
        given = {file.resolve() for file in inputs}
        for option, path in (("--overlay", self.overlay), ("--out", self.out)):
            if path is not None and path.resolve() in given:
                raise click.UsageError(f"{option} {path}: this is an input file; name another file")
            if path is not None and path.exists() and (path.is_symlink() or not path.is_file()):
                raise click.UsageError(f"{option} {path}: this is a link or a device; name a file")
        if self.out is not None and str(self.out) == "-":
            raise click.UsageError("--out -: omit --out to print the measurements on standard output")
        if self.overlay is None:
            return
        if self.out is not None and self.out.resolve() == self.overlay.resolve():
            raise click.UsageError(f"--out and --overlay both name {self.overlay}; name two files")
        if self.overlay.suffix.lower() not in _FORMATS:
            raise click.UsageError(f"--overlay {self.overlay}: name an image file, e.g. overlay.png")

    @contextmanager
    def replaced(self) -> Iterator[None]:
        """Remove the files of an earlier call; if the block fails, also remove what it wrote."""
        self._remove()
        try:
            yield
        except BaseException:
            self._remove()
            raise

    def write(self, report: str, image: "Image | None") -> None:
        """Write the report and the image. Both are complete in memory before the first one is written."""
        files: list[tuple[Path, bytes]] = []
        if self.out is not None:
            files.append((self.out, f"{report}\n".encode()))
        if self.overlay is not None and image is not None:
            drawn = io.BytesIO()
            image.save(drawn, _FORMATS[self.overlay.suffix.lower()])
            files.append((self.overlay, drawn.getvalue()))
        for path, content in files:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_bytes_atomically(path, content)

    def _remove(self) -> None:
        for path in (self.overlay, self.out):
            if path is not None and path.is_file():
                path.unlink()
