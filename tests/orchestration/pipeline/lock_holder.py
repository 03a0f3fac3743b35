"""A process that has the lock of a workspace until its standard input ends: python lock_holder.py WORKSPACE RUN."""

import sys
from pathlib import Path

from orchestration.pipeline.lock import workspace_lock
from orchestration.pipeline.workspace import Workspace

if __name__ == "__main__":
    with workspace_lock(Workspace(Path(sys.argv[1])), sys.argv[2]):
        print("locked", flush=True)
        sys.stdin.read()
