"""A step's report as metadata for the asset's page.

Contract: previews are small, because the event log keeps them for ever. Absent figures are shown as absent. A missing
image raises no error.
"""

import base64
import io
from pathlib import Path
from typing import Any

import dagster as dg
from PIL import Image, UnidentifiedImageError

from orchestration.pipeline.step_report import Figure, StepReport

PREVIEW_WIDTH_PX = 560
PREVIEW_LIMIT_BYTES = 90_000
PREVIEWS = 3


def metadata_of(report: StepReport) -> dict[str, Any]:
    """Figures, duration, tables, previews and pages of a report. Dagster chooses the types of plain values."""
    shown: dict[str, Any] = {name: _linked(value) for name, value in report.figures.items()}
    shown |= {"wall time (s)": round(report.seconds, 2), "recomputed": not report.skipped}
    for title, rows in report.tables.items():
        shown[title] = dg.MetadataValue.table([dg.TableRecord(dict(row)) for row in rows])
    for title, image in list(report.images.items())[:PREVIEWS]:
        shown[f"image: {title}"] = preview(Path(image), title)
    for title, page in report.pages.items():
        shown[f"page: {title}"] = dg.MetadataValue.path(page)
    return shown


def preview(image: Path, title: str) -> dg.MetadataValue:
    """An image as inline markdown, or the image's path if the image cannot be made small enough."""
    payload = _shrunk(image) if image.is_file() else None
    if payload is None:
        return dg.MetadataValue.path(str(image))
    encoded = base64.b64encode(payload).decode()
    return dg.MetadataValue.md(f"![{title}](data:image/png;base64,{encoded})")


def _linked(value: Figure) -> Figure | dg.MetadataValue:
    return dg.MetadataValue.url(value) if isinstance(value, str) and value.startswith("http") else value


def _shrunk(image: Path) -> bytes | None:
    """PNG within ``PREVIEW_LIMIT_BYTES``, reduced in width and colours as needed; None if it is still too large."""
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
