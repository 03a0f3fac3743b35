"""Image statistics of virtual radiographs compared with real ones.

Contract: both kinds have the same frame and are measured by the same code. The distance of a quantity is the difference
of its medians, in interquartile ranges of the real radiographs: 0 is equal, 1 is unusual. The statistics of earlier
versions of the renderer are JSON files in ``stored_appearance``.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.sim_to_real.image_statistics import GREY_BINS, grey_histogram, statistics_of

STORE = Path(__file__).with_name("stored_appearance")


@dataclass(frozen=True)
class AppearanceSummary:
    """Summary of a set of radiographs.

    Attributes:
        radiographs: number of radiographs.
        quartiles: quantity -> 25th, 50th, 75th percentile over radiographs.
        histogram: (32,) mean share of the pixels in each range of greys, without black margins.
    """

    radiographs: int
    quartiles: Mapping[str, tuple[float, float, float]]
    histogram: tuple[float, ...]


def measure_radiographs(
    images: NDArray[np.uint8], corners: NDArray[np.floating], visible: NDArray[np.bool_]
) -> AppearanceSummary:
    """The summary of (N, H, W) images with (N, 17, 4, 2) corners. Quantities that no radiograph shows are left out."""
    radiographs = list(zip(images, corners, visible, strict=True))
    rows = [statistics_of(p, np.asarray(c, dtype=np.float64), v) for p, c, v in radiographs]
    values = {name: np.array([row[name] for row in rows]) for name in rows[0]}
    quartiles = {}
    for name, value in values.items():
        seen = value[np.isfinite(value)]
        if seen.size:
            low, middle, high = np.quantile(seen, (0.25, 0.5, 0.75))
            quartiles[name] = (float(low), float(middle), float(high))
    histogram = np.mean([grey_histogram(p) for p in images], axis=0)
    return AppearanceSummary(len(radiographs), quartiles, tuple(float(h) for h in histogram))


def earth_movers_grey(a: AppearanceSummary, b: AppearanceSummary) -> float:
    """Earth mover's distance of two mean grey histograms, in grey values (0..255)."""
    difference = np.cumsum(a.histogram) - np.cumsum(b.histogram)
    return float(np.abs(difference).sum() * 256 / GREY_BINS)


def distance_iqr(real: AppearanceSummary, virtual: AppearanceSummary, name: str) -> float:
    """Signed distance of the medians of one quantity, in interquartile ranges of the real radiographs."""
    low, middle, high = real.quartiles[name]
    return (virtual.quartiles[name][1] - middle) / max(high - low, 1e-9)


def table(real: AppearanceSummary, virtual: Mapping[str, AppearanceSummary]) -> str:
    """A Markdown table: a row for each quantity, a column for the real set, two columns for each virtual set."""
    names = [n for n in real.quartiles if all(n in v.quartiles for v in virtual.values())]
    heads = "".join(f" {n} ({v.radiographs}) | distance, IQR |" for n, v in virtual.items())
    lines = [f"| quantity | real ({real.radiographs}) |{heads}", "|---|---|" + "---|---|" * len(virtual)]
    for name in names:
        cells = "".join(f" {_cell(v.quartiles[name])} | {distance_iqr(real, v, name):+.2f} |" for v in virtual.values())
        lines.append(f"| {name} | {_cell(real.quartiles[name])} |{cells}")
    moved = "".join(f" {earth_movers_grey(real, v):.1f} | |" for v in virtual.values())
    lines.append(f"| mean histograms, earth mover's distance to real, grey of 255 | 0 |{moved}")
    typical = [[abs(distance_iqr(real, v, n)) for n in names] for v in virtual.values()]
    lines.append(
        "| all quantities, median and share over 1 of the distances | |"
        + "".join(f" | {np.median(t):.2f}; {np.mean(np.array(t) > 1):.0%} |" for t in typical)
    )
    return "\n".join(lines) + "\n"


def _cell(quartiles: tuple[float, float, float]) -> str:
    low, middle, high = quartiles
    return f"{middle:.3g} [{low:.3g}, {high:.3g}]"


def save_appearance(appearance: AppearanceSummary, name: str, how: str, folder: Path = STORE) -> Path:
    """Store a summary under a name, with its origin."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.json"
    record = asdict(appearance)
    record["quartiles"] = {n: [float(f"{x:.5g}") for x in q] for n, q in appearance.quartiles.items()}
    record["histogram"] = [round(h, 6) for h in appearance.histogram]
    path.write_text(json.dumps({"how": how, **record}, indent=1) + "\n", encoding="utf-8")
    return path


def load_appearance(name: str, folder: Path = STORE) -> AppearanceSummary:
    """Read a stored summary.

    Raises:
        FileNotFoundError: the name is unknown; the message lists the stored names.
    """
    path = folder / f"{name}.json"
    if not path.is_file():
        there = sorted(p.stem for p in folder.glob("*.json"))
        raise FileNotFoundError(f"found no {path}; expected one of {there}: store others with `appearance --save NAME`")
    stored = json.loads(path.read_text(encoding="utf-8"))
    quartiles = {n: (q[0], q[1], q[2]) for n, q in stored["quartiles"].items()}
    return AppearanceSummary(stored["radiographs"], quartiles, tuple(stored["histogram"]))
