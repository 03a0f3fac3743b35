"""``make bench``: run every measurement and store the figures in ``bench/results.json``.

python -m benchmarks                    every group; runs the demo first if its workspace has no finished run
python -m benchmarks exactness          one group
python -m benchmarks rendering --full   the same group with more patients
python -m benchmarks service --requests N   the HTTP service under load (``service``)
python -m benchmarks seeds -w WORKSPACE NAME=FIT ...   the spread between fits of a GPU machine (``seeds``)
make bench-peers                        installs the other renderers and runs the group ``peers``
"""

import json
import platform
import sys
from datetime import UTC, datetime
from pathlib import Path

from benchmarks import (
    bundled_model,
    demo,
    exactness,
    gate,
    neighbour_tilts,
    peers,
    plate_centres,
    promotion,
    rendering,
    reviewing,
    seeds,
    service,
    views,
)
from benchmarks.figures import Figure, print_figures

GROUPS = {
    "exactness": exactness.figures,
    "neighbour-tilts": neighbour_tilts.figures,
    "plate-centres": plate_centres.figures,
    "rendering": rendering.figures,
    "views": views.figures,
    "bundled-model": bundled_model.figures,
    "gate": gate.figures,
    "demo": demo.figures,
    "reviewing": reviewing.figures,
    "promotion": promotion.figures,
    "peers": peers.figures,
}
RESULTS = Path("bench/results.json")


def main(wanted: list[str]) -> int:
    """Run the groups ``wanted`` (by default all), print their figures and update the stored results."""
    if wanted[:1] == ["seeds"]:
        return seeds.main(wanted[1:])
    if wanted[:1] == ["service"]:
        return service.main(wanted[1:])
    full = "--full" in wanted
    wanted = [name for name in wanted if name != "--full"]
    unknown = [name for name in wanted if name not in GROUPS]
    if unknown:
        sys.stderr.write(f"found the unknown groups {unknown}; expected some of {list(GROUPS)}\n")
        return 2
    stored = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    missing = {"peers": not peers.installed(), "reviewing": not reviewing.installed()}
    for name in wanted or [group for group in GROUPS if not missing.get(group)]:
        figures: list[Figure] = rendering.figures(full) if name == "rendering" else GROUPS[name]()
        if not figures:
            continue
        print_figures(name, figures)
        stored[name] = {"at": datetime.now(UTC).isoformat(timespec="seconds"), "machine": platform.machine()}
        stored[name]["figures"] = [figure.__dict__ for figure in figures]
        RESULTS.parent.mkdir(exist_ok=True)
        RESULTS.write_text(json.dumps(stored, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
