"""The radiographs of a multipart request.

Contract: a file is called by its field in every message and result, never by its name at the client, because that may
identify a patient. Files stay on disk until a worker reads them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import Request

from inference.radiograph_files import RadiographFile
from spine.errors import InputRejected, ParametersRejected
from spine.landmarks import ViewName

if TYPE_CHECKING:
    from spine.radiograph.orientation import Facing

FILE_FIELDS = ("frontal", "lateral", "files")
SPACING_FIELDS = ("frontal_spacing_mm", "lateral_spacing_mm")
_MOST_FILES, _MOST_FIELDS, _LONGEST_FIELD = 3, 8, 256


@dataclass(frozen=True)
class Upload:
    """One uploaded file, with what its sender states about it."""

    file: UploadFile
    name: str
    view: ViewName | None
    facing: "Facing | None"
    spacing_mm: float | None

    def read(self) -> RadiographFile:
        """The file with its bytes."""
        self.file.file.seek(0)
        return RadiographFile(self.file.file.read(), self.name, self.view, self.facing, self.spacing_mm)


async def read_form(request: Request) -> FormData:
    """The parts of a multipart body.

    Raises:
        InputRejected: ``MULTIPART_INVALID``, and the errors of ``bodies``.
    """
    try:
        return await request.form(max_files=_MOST_FILES, max_fields=_MOST_FIELDS, max_part_size=_LONGEST_FIELD)
    except HTTPException:
        raise InputRejected(
            "MULTIPART_INVALID",
            found="a body that is cut off, has no boundary, or has too many or too large parts",
            expected=f"multipart/form-data with one or two files and short fields of {_LONGEST_FIELD} bytes",
            remedy="see /openapi.json for an example",
        ) from None


def uploads_of(form: FormData) -> list[Upload]:
    """The files of a form.

    Raises:
        ParametersRejected: ``FIELD_UNKNOWN``, ``FIELD_INVALID``, ``FILES_UNCLEAR``.
    """
    _require_known(form)
    facing = _facing(form)
    named: list[tuple[str, ViewName | None, UploadFile]] = []
    for view in ("frontal", "lateral"):
        named += [(view, view, each) for each in _files(form, view)]
    unknown = _files(form, "files")
    named += [(f"file {number}", None, each) for number, each in enumerate(unknown, start=1)]
    if not 1 <= len(named) <= 2 or max(sum(view == v for _, v, _ in named) for view in ("frontal", "lateral")) > 1:
        found, expected = f"{len(named)} files", "one file, or one frontal and one lateral file"
        raise ParametersRejected("FILES_UNCLEAR", found, expected, "send each study by itself")
    return [
        Upload(each, name, view, facing if view != "frontal" else None, _spacing(form, view))
        for name, view, each in named
    ]


def _require_known(form: FormData) -> None:
    known = {*FILE_FIELDS, *SPACING_FIELDS, "facing"}
    if set(form) - known:
        found, remedy = "a field that the service does not know", "leave the other fields out"
        raise ParametersRejected("FIELD_UNKNOWN", found, f"the fields {', '.join(sorted(known))}", remedy)


def _files(form: FormData, field: str) -> Sequence[UploadFile]:
    found = form.getlist(field)
    if any(not isinstance(each, UploadFile) for each in found):
        raise _invalid(field, "a file with a file name")
    return [each for each in found if isinstance(each, UploadFile)]


def _facing(form: FormData) -> Literal["left", "right"] | None:
    values = form.getlist("facing")
    if not values:
        return None
    if values == ["left"]:
        return "left"
    if values == ["right"]:
        return "right"
    raise _invalid("facing", "left or right, once")


def _spacing(form: FormData, view: ViewName | None) -> float | None:
    field = f"{view}_spacing_mm"
    values = form.getlist(field) if view else []
    if not values:
        return None
    try:
        (value,) = values
        return float(str(value))
    except ValueError:
        raise _invalid(field, "one number, the size of a pixel in the patient in mm") from None


def _invalid(field: str, expected: str) -> ParametersRejected:
    return ParametersRejected("FIELD_INVALID", f"another value of {field}", expected, "see /openapi.json")
