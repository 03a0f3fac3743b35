"""The file for the GPU machine: images as JPEG bytes with their corners.

Contract: one ``.npz`` without pickled objects:

    jpeg      (bytes,) uint8, all JPEG files concatenated
    ends      (N,) position of the end of each file in ``jpeg``
    corners   (N, 17, 4, 2) float32 (column, row) in the frame, integers at pixel centres; NaN if unknown
    visible   (N, 17, 4)
    names     (N,)
    facts     further arrays of N rows, by name

Vertebrae are listed from cranial to caudal. Corners are upper left, upper right, lower left, lower right in the image.
"""

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

VERTEBRAE_COUNT, CORNERS_COUNT = 17, 4


@dataclass(frozen=True)
class Pack:
    """The content of a file, with decoded images.

    Attributes:
        images: (N, H, W) uint8.
        corners: (N, 17, 4, 2) float32 frame pixels.
        visible: (N, 17, 4).
        names: N names.
        facts: further arrays of N rows.
    """

    images: NDArray[np.uint8]
    corners: NDArray[np.float32]
    visible: NDArray[np.bool_]
    names: tuple[str, ...]
    facts: Mapping[str, NDArray[np.generic]] = field(default_factory=dict)


def write_pack(
    path: Path,
    jpegs: Sequence[bytes],
    corners: NDArray[np.floating],
    visible: NDArray[np.bool_],
    names: Sequence[str],
    facts: Mapping[str, NDArray[np.generic]],
) -> None:
    """Write one file; see the module for shapes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    named: dict[str, Any] = {f"fact_{name}": values for name, values in facts.items()}
    np.savez(
        path,
        jpeg=np.frombuffer(b"".join(jpegs), dtype=np.uint8),
        ends=np.cumsum([len(j) for j in jpegs]),
        corners=corners.astype(np.float32),
        visible=visible,
        names=np.array(names),
        **named,
    )


def read_pack(path: Path, limit: int | None = None) -> Pack:
    """Read a file, or its first ``limit`` rows."""
    with np.load(path) as stored:
        ends = stored["ends"][:limit]
        jpeg, starts = stored["jpeg"], np.concatenate([[0], ends[:-1]])
        decode = _decoder()
        images = np.stack([decode(jpeg[a:b]) for a, b in zip(starts, ends, strict=True)])
        facts = {n.removeprefix("fact_"): stored[n][:limit] for n in stored.files if n.startswith("fact_")}
        names = tuple(str(n) for n in stored["names"][:limit])
        return Pack(images, stored["corners"][:limit], stored["visible"][:limit], names, facts)


def jpeg_bytes(image: NDArray[np.uint8], quality: int) -> bytes:
    """A grey image as a JPEG file."""
    from PIL import Image

    stream = io.BytesIO()
    Image.fromarray(image).save(stream, "JPEG", quality=quality)
    return stream.getvalue()


def _decoder() -> Callable[[NDArray[np.uint8]], NDArray[np.uint8]]:
    """A function from (n,) uint8 bytes of a JPEG file to (H, W) uint8, by Pillow or torchvision."""
    try:
        from PIL import Image
    except ImportError:
        import torch
        from torchvision.io import ImageReadMode, decode_jpeg

        return lambda data: decode_jpeg(torch.from_numpy(data.copy()), ImageReadMode.GRAY)[0].numpy()
    return lambda data: np.asarray(Image.open(io.BytesIO(data.tobytes())).convert("L"))
