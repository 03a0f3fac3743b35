"""A service with the correction page, and a case of a virtual patient."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from inference.radiograph_files import RadiographFile
from serving.correction.cases import Case, CaseStore
from serving.correction.recording import Recorder
from serving.correction.routes import CorrectionContext, correction_router
from serving.service.settings import Access, ServiceSettings
from tests.serving.service.running import Running, bundled_champion, dicom_pair, running

OPEN = ServiceSettings(access=Access(without_keys=True))


@dataclass(frozen=True)
class PageServer:
    """The running service, its cases and its records."""

    service: Running
    cases: CaseStore
    recorder: Recorder

    def address(self, case: Case) -> str:
        return f"http://127.0.0.1:{self.service.port}/correct/case/{case.case_id}/"


@contextmanager
def page_server(folder: Path, settings: ServiceSettings = OPEN) -> Iterator[PageServer]:
    champion = bundled_champion()
    cases, recorder = CaseStore(folder / "cases", lambda: champion.required().model), Recorder(folder / "corrections")
    context = CorrectionContext(cases, recorder)
    with running(settings, champion, routers=[correction_router(context)]) as service:
        yield PageServer(service, cases, recorder)


def virtual_pair(folder: Path) -> list[RadiographFile]:
    folder.mkdir(parents=True, exist_ok=True)
    return [RadiographFile(content, view, view) for view, content in dicom_pair(folder).items()]
