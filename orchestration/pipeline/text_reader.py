"""The optional readers of text in the pixels of radiographs (``source.text_reader``).

Contract: no reader is imported before it is used. A reader keeps nothing of what it reads and writes no log.
"""

from collections.abc import Iterator, Sequence
from functools import cache
from importlib.util import find_spec
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from inference.model import import_onnxruntime
from spine.errors import ParametersRejected
from spine.intake.burned_in_text import TextReader
from spine.radiograph.intensity import MAXIMUM

TextReaderName = Literal["none", "rapidocr"]

_TILE_PX, _OVERLAP_PX = 2048, 128
_QUIET = {
    "Global.log_level": "critical",
    # Intake has a process for each core.
    "EngineConfig.onnxruntime.intra_op_num_threads": 1,
    "EngineConfig.onnxruntime.inter_op_num_threads": 1,
}


def open_text_reader(name: TextReaderName) -> TextReader | None:
    """The reader with this name, or None for ``none``.

    Raises:
        ParametersRejected: ``TEXT_READER_MISSING`` if the extra ``ocr`` is not installed.
    """
    if name == "none":
        return None
    if find_spec("rapidocr") is None:
        raise ParametersRejected(
            "TEXT_READER_MISSING",
            found="source.text_reader is rapidocr, which is not installed",
            expected="the extra `ocr`",
            remedy="install plumbline[ocr], or set source.text_reader to none",
        )
    return RapidOcr()


class RapidOcr:
    """Reads text with the models PP-OCR in the package rapidocr, without a network."""

    def __call__(self, image: NDArray[np.uint16]) -> Sequence[str]:
        """The lines of text in an (H, W) image, whose values are 0..4095."""
        grey = (image // ((MAXIMUM + 1) // 256)).astype(np.uint8)
        found = (_engine()(np.repeat(tile[:, :, None], 3, axis=2)).txts for tile in tiles(grey))
        return [text for texts in found for text in texts or ()]


@cache
def _engine() -> Any:
    """The models, once in each process, because a reader is sent to worker processes."""
    import_onnxruntime()  # without its telemetry; rapidocr imports it too
    from rapidocr import RapidOCR

    return RapidOCR(params=_QUIET)


def tiles(grey: NDArray[np.uint8]) -> Iterator[NDArray[np.uint8]]:
    """Overlapping parts of an (H, W) image of at most 2048 pixels a side, because the reader shrinks larger images."""
    for rows in _parts(grey.shape[0]):
        for columns in _parts(grey.shape[1]):
            yield grey[rows, columns]


def _parts(length: int) -> list[slice]:
    count = max(1, -(-(length - _OVERLAP_PX) // (_TILE_PX - _OVERLAP_PX)))
    step = (length - _OVERLAP_PX) / count
    return [slice(round(i * step), round((i + 1) * step) + _OVERLAP_PX) for i in range(count)]
