"""Source of study folders, whose radiographs and reconstruction are recognised by content, not by file name.

Each folder in the location is one study, with files at any depth. So is each zip archive; the folders at the top of an
archive are one study each. A folder with a ``DICOMDIR`` is an export to CD. It is sorted by examination, as are DICOM
files directly in the location.

``source_files`` gives every file a kind. Reports, presentation states and the like are passed over. A file that looks
like a radiograph, a picture or points and cannot be read refuses its study. A reconstruction in a folder ``extras`` is
a copy for another program. It is read only if the study has no other reconstruction.

The file ``COMPLETE``, in the folder of the study or in the location, says that everything has been written. A simulated
study without it is waiting. ``COMPLETE`` may list the files as ``sha256sum`` prints them. A study with a missing file
is then waiting, and a study with another content is refused.

Contract: every entry of the location is in a candidate or counted as passed over. The candidates are in the order of
the names.
"""

from collections import Counter, defaultdict
from dataclasses import dataclass, replace
from pathlib import Path

from spine.intake.archives import is_zip, top_folders
from spine.intake.complete_marker import COMPLETE, UNREADABLE, is_there, listed_files
from spine.intake.examinations import sort_by_examination
from spine.intake.folder_candidate import FolderCandidate
from spine.intake.records import Contents
from spine.intake.source_files import Tree, files_below, is_hidden, obstacle_of

MARK = "COMPLETE file"
_EXPORT_INDEX = "dicomdir"
"""In lower case, because Linux shows the names on a CD so."""


@dataclass(frozen=True)
class FolderSource:
    """The source of all study folders in a location."""

    location: Path
    name: str = "folder"
    simulated: bool = False

    def contents(self) -> Contents:
        """One candidate for each folder, archive and examination, and the kinds of the other entries."""
        return _Survey(self.location, self.simulated).contents()


class _Survey:
    """Collects the candidates of one location."""

    def __init__(self, location: Path, simulated: bool) -> None:
        self._location, self._simulated = location, simulated
        self._is_complete, self._listed = (location / COMPLETE).is_file(), listed_files(location)
        self._digests = {location / name: digest for name, digest in self._listed.items()}
        self._listed_below: dict[Path, list[Path]] = defaultdict(list)
        for path in self._digests:
            if path.is_relative_to(location) and path != location:
                self._listed_below[location / path.relative_to(location).parts[0]].append(path)
        self._candidates: list[FolderCandidate] = []
        self._passed_over: Counter[str] = Counter()

    def contents(self) -> Contents:
        entries = sorted(self._location.iterdir())
        if any(entry.name.lower() == _EXPORT_INDEX and entry.is_file() for entry in entries):
            self._add_examinations(".", self._location, files_below(self._location), is_export=True)
            return Contents(self._candidates, self._passed_over)
        loose: list[Path] = []
        for entry in entries:
            obstacle = None if entry.is_dir() and not entry.is_symlink() else obstacle_of(entry)
            if entry.name == COMPLETE:
                self._passed_over[MARK] += 1
            elif entry.name.startswith("."):
                hidden = len(files_below(entry).files) if entry.is_dir() and not entry.is_symlink() else 1
                self._passed_over["hidden file"] += hidden
            elif obstacle is not None:
                self._add(FolderCandidate(entry.name, self._location, (), obstacles=(obstacle,)))
            elif entry.is_dir():
                self._add_folder(entry)
            elif is_zip(entry):
                self._add_archive(entry)
            else:
                loose.append(entry)
        if loose:
            self._add_examinations(".", self._location, Tree(tuple(loose)), is_export=False)
        self._add_missing()
        return Contents(self._candidates, self._passed_over)

    def _add(self, candidate: FolderCandidate) -> None:
        at_the_top = candidate.root == self._location
        own = [p for p in candidate.files if p in self._digests] if at_the_top else self._listed_below[candidate.root]
        listed = {str(path.relative_to(candidate.root)): self._digests[path] for path in own}
        if UNREADABLE.items() <= self._listed.items():
            listed |= UNREADABLE
        complete = self._is_complete or candidate.is_complete
        self._candidates.append(
            replace(candidate, is_complete=complete, simulated=self._simulated, listed={**candidate.listed, **listed})
        )

    def _add_folder(self, folder: Path) -> None:
        tree = files_below(folder, own=self._simulated)
        if any(file.parent == folder and file.name.lower() == _EXPORT_INDEX for file in tree.files):
            self._add_examinations(folder.name, folder, tree, is_export=True)
            return
        seen = [file for file in tree.files if not is_hidden(file, folder)]
        files = tuple(file for file in seen if file.name != COMPLETE)
        passed_over = Counter({"hidden file": len(tree.files) - len(seen), MARK: len(seen) - len(files)})
        listed = listed_files(folder)
        if not files and not tree.obstacles and not listed:
            self._passed_over += passed_over
            self._passed_over["empty folder"] += 1
            return
        marked = len(files) < len(seen)
        self._add(
            FolderCandidate(
                folder.name, folder, files, marked, obstacles=tree.obstacles, listed=listed, passed_over=+passed_over
            )
        )

    def _add_archive(self, archive: Path) -> None:
        folders = top_folders(archive)
        for part in folders or ("",):
            key = f"{archive.name}/{part}" if part else archive.name
            self._add(FolderCandidate(key, self._location, (archive,), part=part))

    def _add_examinations(self, key: str, root: Path, tree: Tree, *, is_export: bool) -> None:
        seen = [file for file in tree.files if file.name != COMPLETE]
        self._passed_over[MARK] += len(tree.files) - len(seen)
        found = sort_by_examination(seen, root, is_export=is_export)
        self._passed_over += Counter(found.passed_over)
        marked = any(file.name == COMPLETE for file in tree.files)
        listed = listed_files(root) if is_export else {}  # which examination a missing file belongs to is unknown
        for uid, files in found.groups.items():
            name = key if len(found.groups) == 1 and not is_export else f"{key}/{uid}"
            self._add(FolderCandidate(name, root, files, marked, listed=listed, examinations=len(found.groups)))
        if found.rest or tree.obstacles:
            rest = FolderCandidate(f"{key}/rest", root, found.rest, marked, obstacles=tree.obstacles, is_rest=True)
            self._add(rest)
        if not found.groups and not all(is_there(root / file) for file in listed):
            self._add(FolderCandidate(key, root, (), marked, listed=listed))

    def _add_missing(self) -> None:
        """A waiting candidate for each folder that the list in ``COMPLETE`` names and that is not there yet."""
        names = {Path(name).parts[0] for name in self._listed if name not in UNREADABLE}
        for name in sorted(n for n in names if not is_there(self._location / n)):
            self._add(FolderCandidate(name, self._location / name, ()))
