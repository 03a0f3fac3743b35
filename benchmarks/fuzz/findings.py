"""Inputs that broke the contract, each one zip file of the corpus: ``TARGET-DIGEST.zip``.

The members have neutral names; ``names.json`` has the names of the input, which the file system may not take.
"""

import hashlib
import io
import json
import zipfile
from pathlib import Path

CORPUS = Path(__file__).parent / "corpus"
MOST_BYTES = 2**16
"""A larger finding is not saved. Its target, seed and number, which are printed, make it again."""


def save_finding(corpus: Path, target: str, files: dict[str, bytes]) -> Path | None:
    """Write an input into the corpus; None if it is too large."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(zipfile.ZipInfo("names.json"), json.dumps(list(files)))
        for number, payload in enumerate(files.values()):
            archive.writestr(zipfile.ZipInfo(str(number)), payload, zipfile.ZIP_DEFLATED)
    payload = stream.getvalue()
    if len(payload) > MOST_BYTES:
        return None
    corpus.mkdir(parents=True, exist_ok=True)
    path = corpus / f"{target}-{hashlib.sha256(payload).hexdigest()[:12]}.zip"
    path.write_bytes(payload)
    return path


def read_finding(path: Path) -> tuple[str, dict[str, bytes]]:
    """The name of the target and the input of one file of the corpus."""
    with zipfile.ZipFile(path) as archive:
        names = json.loads(archive.read("names.json"))
        return path.stem.partition("-")[0], {name: archive.read(str(i)) for i, name in enumerate(names)}


def findings(corpus: Path) -> list[Path]:
    """The files of the corpus."""
    return sorted(corpus.glob("*.zip"))
