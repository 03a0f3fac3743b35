"""False alarms and misses of the text reader of intake, on real radiographs.

    python -m benchmarks.burned_in_text FOLDER    the layout of AASCE; needs the extra `ocr`

False alarms: the share of the radiographs, as they are, in which text is found that may identify somebody. Misses: an
invented name and a date are drawn into some of the radiographs, in several sizes and contrasts. ``--texts`` also prints
the text of each alarm, so use it only on public images.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from orchestration.pipeline.text_reader import open_text_reader
from spine.errors import InputRejected
from spine.intake.aasce import read_grey_image
from spine.intake.burned_in_text import TextReader, may_identify
from spine.radiograph.intensity import MAXIMUM

LINES = ("KOWALSKA, ANNA", "1961-04-12")
HEIGHTS_PX, CONTRASTS = (10, 16, 24, 48), (0.1, 0.25, 1.0)


def main(arguments: list[str]) -> int:
    """Print the share of false alarms, and a table of the share of names that are found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--drawn", type=int, default=20, help="radiographs into which a name is drawn")
    parser.add_argument("--plain", type=int, default=None, help="radiographs that are read as they are; default all")
    parser.add_argument("--texts", action="store_true", help="print the text of each alarm")
    chosen = parser.parse_args(arguments)
    read, files = open_text_reader("rapidocr"), sorted((chosen.folder / "images").glob("*.jpg"))
    assert read is not None
    alarms = [text for file in files[: chosen.plain] if (text := _alarm(file, read))]
    print(f"false alarms: {len(alarms)} of {len(files[: chosen.plain])} radiographs")
    if chosen.texts:
        print(*("    " + ", ".join(texts) for texts in alarms), sep="\n")
    drawn = files[:: max(1, len(files) // max(1, chosen.drawn))][: chosen.drawn]
    if drawn:
        _print_found([read_grey_image(file) for file in drawn], read)
    return 0


def _alarm(file: Path, read: TextReader) -> list[str]:
    try:
        return [text for text in read(read_grey_image(file)) if may_identify(text)]
    except InputRejected:
        return []


def _print_found(images: Sequence[NDArray[np.uint16]], read: TextReader) -> None:
    print(f"found: share of {len(images)} radiographs with a drawn name")
    print("    letters  " + "".join(f"{f'contrast {contrast:.0%}':>15}" for contrast in CONTRASTS))
    for turned in (False, True):
        for height in HEIGHTS_PX if not turned else HEIGHTS_PX[2:3]:
            shares = []
            for contrast in CONTRASTS:
                found = [any(map(may_identify, read(with_name(i, height, contrast, turned=turned)))) for i in images]
                shares.append(f"{np.mean(found):>15.0%}")
            print(f"    {height:>3} px{', turned' if turned else '':<8}" + "".join(shares), flush=True)


def with_name(image: NDArray[np.uint16], height: int, contrast: float, *, turned: bool = False) -> NDArray[np.uint16]:
    """The (H, W) image with a name in its upper left corner, whose capital letters are ``height`` pixels high.

    ``contrast`` is the grey value that the letters add, as a share of the full range.
    """
    mask = Image.new("L", (image.shape[1], image.shape[0]))
    font = ImageFont.load_default(size=height / 0.7)
    size = (max(1, image.shape[1] - 20), 4 * height)
    text = Image.new("L", size)
    ImageDraw.Draw(text).multiline_text((0, 0), "\n".join(LINES), fill=255, font=font, spacing=height // 2)
    mask.paste(text.rotate(90, expand=True) if turned else text, (10, 20))
    added = np.asarray(mask, dtype=np.float64) / 255 * contrast * MAXIMUM
    return np.clip(image + added, 0, MAXIMUM).astype(np.uint16)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
