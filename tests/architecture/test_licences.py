"""Every requirement has a licence that permits shipping.

The test reads the declared licence of every installed distribution that Plumbline and its extras require. It refuses
the GPL without a linking exception, AGPL, SSPL, BUSL and non-commercial terms. LGPL and MPL are permitted.
``PERMITTED`` lists the exceptions with their reasons.
"""

import importlib.metadata as metadata
import re
from functools import cache
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PERMITTED = {
    # DVC requires all of them. DVC runs as a tool and is no part of what ships (`inference`).
    "asyncssh": "EPL-2.0 or GPL-2.0-or-later, at our choice: taken under EPL-2.0 (file-level copyleft, unmodified)",
    "dulwich": "Apache-2.0 or GPL-2.0-or-later, at our choice: taken under Apache-2.0",
    "grandalf": "GPLv2 or EPL-1.0, at our choice: taken under EPL-1.0 (file-level copyleft, unmodified)",
    "pygit2": "GPL-2.0 with the linking exception: linking with other programs is unrestricted",
}
FORBIDDEN = re.compile(
    r"\bAGPL|Affero|\bSSPL|Server Side Public|\bBUSL\b|\bBSL[- ]?1\.1|Business Source|Non-?Commercial"
    r"|\bCC[- ]BY[- ]NC|(?<!L)(?<!Lesser )\bGPL|(?<!Lesser )General Public License",
    re.IGNORECASE,
)


@cache
def required() -> tuple[str, ...]:
    """Distributions that plumbline requires, directly or indirectly."""
    found: set[str] = set()
    pending = [("plumbline", {"dev"})]
    while pending:
        name, extras = pending.pop()
        for requirement in map(Requirement, (metadata.requires(name) or ()) if installed(name) else ()):
            marker, needed = requirement.marker, canonicalize_name(requirement.name)
            applies = marker is None or any(marker.evaluate({"extra": extra}) for extra in {*extras, ""})
            if applies and needed not in found:
                found.add(needed)
                pending.append((requirement.name, requirement.extras))
    return tuple(sorted(found - {"plumbline"}))


def declared(name: str) -> str:
    """Licence expression, classifiers, and the first line of the licence field, which may have the whole text."""
    fields: Any = metadata.metadata(name)
    classifiers = [c.split("::")[-1].strip() for c in fields.get_all("Classifier") or () if c.startswith("License")]
    first_line = (fields.get("License") or "").strip().splitlines()[:1]
    return " | ".join(filter(None, [fields.get("License-Expression"), *first_line, *classifiers]))


def installed(name: str) -> bool:
    return any(metadata.distributions(name=name))


def test_known_requirements_are_found():
    assert {"torch", "dagster", "mlflow-skinny", "pydicom", "hydra-core", "numpy"} <= set(required())
    assert len(required()) > 120


@pytest.mark.parametrize("name", [n for n in required() if installed(n)])
def test_licence_permits_shipping(name):
    licence = declared(name)
    if name in PERMITTED:
        assert FORBIDDEN.search(licence), f"{name} no longer needs its exception ({licence})"
        return
    if FORBIDDEN.search(licence):
        pytest.fail(f"{name}: {licence}")


def test_the_known_gpl_decoder_is_not_installed():
    assert "pylibjpeg-libjpeg" not in required()
    assert not installed("pylibjpeg-libjpeg"), "pylibjpeg-libjpeg is GPL-3; use gdcm, openjpeg or Pillow"
