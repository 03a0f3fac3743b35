"""A node takes part only if it sees the shared folder and runs the same code as the machine that gives the work.

Contract: every worker process checks this before its first task, so that a node that joins later is checked too. What
is compared is a random text in the shared folder and a digest of the program's source files. No clock is compared:
results keep the order of their items, and no task reads the time of another machine, so nodes may disagree by hours.

    NODE_SEES_NO_WORKSPACE   the folder on the node is absent or another one
    NODE_RUNS_OTHER_CODE     the source files on the node differ
"""

import secrets
import socket
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path

import spine
from spine.errors import ClusterRefused

_MARK = "cluster-mark"
_PACKAGES = ("spine", "simulation", "validation", "inference", "training", "orchestration")


@dataclass(frozen=True)
class NodeCheck:
    """What every node must find.

    Attributes:
        folder: the shared folder, absolute.
        mark: the text of the file ``cluster-mark`` in it.
        code: digest of the source files.
    """

    folder: str
    mark: str
    code: str


def prepare_check(folder: Path) -> NodeCheck:
    """The check for work in ``folder``; writes the mark if the folder has none."""
    folder.mkdir(parents=True, exist_ok=True)
    mark = folder / _MARK
    try:
        with mark.open("x") as stream:
            stream.write(secrets.token_hex(16))
    except FileExistsError:
        pass
    return NodeCheck(str(folder.resolve()), mark.read_text(), code_digest())


@cache
def require_same(check: NodeCheck) -> None:
    """Refuse this machine if it does not fulfil the check; a process checks once.

    Raises:
        ClusterRefused: a code of this module.
    """
    mark = Path(check.folder) / _MARK
    if not mark.is_file() or mark.read_text() != check.mark:
        raise ClusterRefused(
            "NODE_SEES_NO_WORKSPACE",
            found=f"on the node {socket.gethostname()}, {check.folder} is absent or another folder",
            expected="the same folder under the same path on every node",
            remedy="mount the folder on the node, or take the node out of the cluster",
        )
    if code_digest() != check.code:
        raise ClusterRefused(
            "NODE_RUNS_OTHER_CODE",
            found=f"other source files of Plumbline on the node {socket.gethostname()}",
            expected="the same version on every node",
            remedy="install the version of this machine on the node, and start its Ray again",
        )


@cache
def code_digest() -> str:
    """The digest of the program's source files: their names and their content."""
    root = Path(spine.__file__).parents[1]
    digest = sha256()
    for path in (path for package in _PACKAGES for path in sorted((root / package).rglob("*.py"))):
        digest.update(f"{path.relative_to(root)}\0".encode())
        digest.update(sha256(path.read_bytes()).digest())
    return digest.hexdigest()
