"""A step's report as metadata for the asset's page.

Contract: previews are small, because the event log keeps them for ever. Absent figures are shown as absent. A missing
image raises nothing.
"""

import base64
import io
from collections.abc import Mapping
from pathlib import Path

import dagster as dg
from PIL import Image, UnidentifiedImageError

from orchestration.pipeline.step_report import Figure, StepReport

PREVIEW_WIDTH_PX = 560
PREVIEW_LIMIT_BYTES = 90_000
PREVIEWS = 3


def metadata_of(report: StepReport) -> dict[str, dg.MetadataValue]:
    """Figures, duration, previews and pages of a report, in this order."""
    shown: dict[str, dg.MetadataValue] = {name: _typed(value) for name, value in report.figures.items()}
    shown["wall time (s)"] = dg.MetadataValue.float(round(report.seconds, 2))
    shown["recomputed"] = dg.MetadataValue.bool(not report.skipped)
    for title, image in list(report.images.items())[:PREVIEWS]:
        shown[f"image: {title}"] = preview(Path(image), title)
    for title, page in report.pages.items():
        shown[f"page: {title}"] = dg.MetadataValue.path(page)
    return shown


def preview(image: Path, title: str) -> dg.MetadataValue:
    """An image as inline markdown, or its path if it cannot be made small enough."""
    payload = _shrunk(image) if image.is_file() else None
    if payload is None:
        return dg.MetadataValue.path(str(image))
    encoded = base64.b64encode(payload).decode()
    return dg.MetadataValue.md(f"![{title}](data:image/png;base64,{encoded})")


def table_of(rows: Mapping[str, str], columns: tuple[str, str]) -> dg.MetadataValue:
    """A two-column table as markdown."""
    lines = [f"| {columns[0]} | {columns[1]} |", "| --- | --- |"]
    return dg.MetadataValue.md("\n".join([*lines, *(f"| {left} | {right} |" for left, right in rows.items())]))


def _typed(value: Figure) -> dg.MetadataValue:
    if value is None:
        return dg.MetadataValue.null()
    if isinstance(value, bool):
        return dg.MetadataValue.bool(value)
    if isinstance(value, int):
        return dg.MetadataValue.int(value)
    if isinstance(value, float):
        return dg.MetadataValue.float(value)
    return dg.MetadataValue.url(value) if value.startswith("http") else dg.MetadataValue.text(value)


def _shrunk(image: Path) -> bytes | None:
    """PNG within ``PREVIEW_LIMIT_BYTES``, narrower and with fewer colours as needed; None if that is not enough."""
    try:
        with Image.open(image) as opened:
            original = opened.convert("RGB")
    except (UnidentifiedImageError, OSError):
        return None
    for width in (PREVIEW_WIDTH_PX, PREVIEW_WIDTH_PX // 2, PREVIEW_WIDTH_PX // 4):
        small = original.copy()
        small.thumbnail((width, 2 * width))
        buffer = io.BytesIO()
        small.quantize(96).save(buffer, "PNG", optimize=True)
        if buffer.tell() <= PREVIEW_LIMIT_BYTES:
            return buffer.getvalue()
    return None
