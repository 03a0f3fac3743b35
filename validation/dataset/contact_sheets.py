"""Contact sheets, for a person to check: images of studies with their landmarks and the rules that they break.

Contract: the PNG contains no identifier except study ids. A vertebra with an error has a thick red outline. The
outlines of the other vertebrae alternate in colour. A white line shows where a second reader found the spine.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from io import BytesIO
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from spine.dataset import Example, ExampleView, load_example_image, read_manifest
from spine.landmarks import VERTEBRAE
from spine.projection import derive_points
from spine.storage import write_bytes_atomically
from spine.study import Points2D
from spine.types import Floats
from validation.dataset.results import Finding
from validation.dataset.second_reading import RULES as READER_RULES
from validation.dataset.second_reading import Reading
from validation.dataset.spine_shape import vertebrae_of

COLOURS = ("#7ee787", "#79c0ff", "#f2cc60", "#d2a8ff")
ERROR_COLOUR = "#ff4d4d"
READER_COLOUR = "#ffffff"
MARGIN_SHARE = 0.05
LINE_PX = 15
COLUMNS = 8
"""Number of studies in one row of the sheet."""


PointsOf = Callable[[Reading], Points2D]


def points_kept(reading: Reading) -> Points2D:
    """The landmarks of a reading that has them."""
    return reading.points


def draw_findings(
    dataset: Path,
    findings: Sequence[Finding],
    out: Path,
    *,
    limit: int = 24,
    tile_px: int = 620,
    readings: Sequence[Reading] = (),
    points_of: PointsOf = points_kept,
) -> Path:
    """Write the PNG ``out`` with at most ``limit`` studies, which break the most rules, and return the path of the PNG.

    Each study is ``tile_px`` pixels high. ``readings`` are those of the second reader, and ``points_of``
    gives the landmarks of one.

    Raises:
        ValueError: no study can be drawn.
    """
    reasons: dict[str, list[Finding]] = defaultdict(list)
    for finding in findings:
        reasons[finding.study_id].append(finding)
    worst = sorted(reasons, key=lambda s: (-len({f.rule for f in reasons[s]}), -len(reasons[s]), s))
    manifest = read_manifest(dataset)
    known = {entry.study_id for entry in manifest.index()}
    chosen = [s for s in worst if s in known][:limit]
    examples = {example.study_id: example for example in manifest.select(chosen)}
    if not chosen:
        raise ValueError("found no study to draw; expected findings on studies of this dataset")
    buffer = BytesIO()
    tiles = [draw_study(dataset, examples[s], reasons[s], tile_px, readings, points_of) for s in chosen]
    _sheet(tiles).save(buffer, format="PNG")
    write_bytes_atomically(out, buffer.getvalue())
    return out


def draw_examples(dataset: Path, out: Path, *, count: int = 6, tile_px: int = 420) -> Path | None:
    """Write the PNG ``out`` with evenly chosen studies of the train split and their labels; None if there is none."""
    manifest = read_manifest(dataset)
    known = [e.study_id for e in manifest.index() if e.split == "train" and e.views]
    chosen = list(manifest.select(known[:: max(1, len(known) // count)][:count]))
    if not chosen:
        return None
    buffer = BytesIO()
    _sheet([draw_study(dataset, example, [], tile_px) for example in chosen]).save(buffer, format="PNG")
    write_bytes_atomically(out, buffer.getvalue())
    return out


def draw_study(
    dataset: Path,
    example: Example,
    findings: Sequence[Finding],
    height_px: int,
    readings: Sequence[Reading] = (),
    points_of: PointsOf = points_kept,
) -> Any:
    """One view of one study as a Pillow image, cropped to its landmarks, with the broken rules below it.

    The view is the first one that an error of the second reader names, or else the first view of the study.
    """
    named = [f.message.split(":")[0] for f in findings if f.rule in READER_RULES and f.severity == "error"]
    name, view = next(((n, v) for n, v in example.views.items() if n in named), next(iter(example.views.items())))
    image, origin, scale = _cropped(dataset, view, height_px)
    drawn = Image.fromarray(image).convert("RGB")
    canvas = ImageDraw.Draw(drawn)
    faulty = _faulty_levels(findings, name)
    for level, colour in zip(VERTEBRAE, cycle(COLOURS), strict=False):
        if (outline := _outline(view, level)) is not None:
            colour, width = (ERROR_COLOUR, 4) if level in faulty else (colour, 2)
            on_tile = (outline - origin) * scale
            canvas.line([tuple(p) for p in [*on_tile, on_tile[0]]], fill=colour, width=width)
            canvas.text(tuple(on_tile.mean(axis=0) - [6, 5]), level, fill=colour)
    for reading in readings:
        if (reading.study_id, reading.view) == (example.study_id, name):
            seen = vertebrae_of(points_of(reading))
            on_tile = (seen.centres[seen.seen] - origin) * scale
            canvas.line([tuple(point) for point in on_tile], fill=READER_COLOUR, width=3)
    return _with_caption(drawn, [f"{example.study_id} {name}", *_reasons(findings)])


def _cropped(dataset: Path, view: ExampleView, height_px: int) -> tuple[Any, Floats, float]:
    """(8-bit image of the region around the landmarks, its origin (column, row) in the image, scale)."""
    image = np.asarray(load_example_image(dataset, view), dtype=np.float64)
    points = np.stack(list(view.points.values())) if view.points else np.array([[0, 0], image.shape[::-1]])
    margin = MARGIN_SHARE * view.shape[0] * np.array([1.6, 1.0])
    low = np.maximum(np.floor(points.min(axis=0) - margin), 0).astype(int)
    high = np.minimum(np.ceil(points.max(axis=0) + margin), view.shape[::-1]).astype(int)
    part = image[low[1] : high[1], low[0] : high[0]]
    dark, bright = np.percentile(part, [0.5, 99.5])
    grey = np.clip((part - dark) / max(bright - dark, 1.0) * 235, 0, 255).astype(np.uint8)
    scale = height_px / grey.shape[0]
    resized = Image.fromarray(grey).resize((max(1, round(grey.shape[1] * scale)), height_px))
    return np.asarray(resized), low.astype(np.float64), scale


def _outline(view: ExampleView, level: str) -> Floats | None:
    """(4, 2) corners of a vertebra in order along its outline, or its (2, 2) plate centres if a corner is unknown."""
    points: Mapping[str, Floats] = derive_points(view.points)
    corners = [f"{level}_{corner}" for corner in ("sup_right", "sup_left", "inf_left", "inf_right")]
    centres = [f"{level}_sup", f"{level}_inf"]
    for names in (corners, centres):
        if all(name in points for name in names):
            return np.stack([points[name] for name in names])
    return None


def _faulty_levels(findings: Sequence[Finding], view: str) -> set[str]:
    heads = [f.message.split(":")[0].split() for f in findings if f.severity == "error"]
    return {words[1].split("_")[0] for words in heads if len(words) == 2 and words[0] == view}


def _reasons(findings: Sequence[Finding]) -> list[str]:
    """The first six broken rules, each with the place of its first finding."""
    first: dict[str, str] = {}
    for finding in findings:
        where = finding.message.split(": ")[0].split(" ")[-1] if ": " in finding.message else ""
        first.setdefault(f"{'!' if finding.severity == 'error' else '?'} {finding.rule}", where)
    return [f"{rule} {where}" for rule, where in list(first.items())[:6]]


def _with_caption(drawn: Any, lines: Sequence[str]) -> Any:
    tile = Image.new("RGB", (max(drawn.width, 190), drawn.height + LINE_PX * 7 + 4), "#0d1117")
    tile.paste(drawn, (0, 0))
    canvas = ImageDraw.Draw(tile)
    for number, line in enumerate(lines):
        canvas.text((3, drawn.height + 2 + LINE_PX * number), line, fill="#e6edf3" if number == 0 else "#ffa198")
    return tile


def _sheet(tiles: Sequence[Any]) -> Any:
    rows = [tiles[i : i + COLUMNS] for i in range(0, len(tiles), COLUMNS)]
    width = max(sum(tile.width + 6 for tile in row) for row in rows)
    sheet = Image.new("RGB", (width, sum(max(t.height for t in row) + 6 for row in rows)), "#30363d")
    top = 0
    for row in rows:
        left = 0
        for tile in row:
            sheet.paste(tile, (left, top))
            left += tile.width + 6
        top += max(tile.height for tile in row) + 6
    return sheet
