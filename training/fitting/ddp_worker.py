"""The program that torchrun starts in each process of a group: ``... -m training.fitting.ddp_worker REQUEST.json``.

Contract: the request contains the data set, the folder and the complete config. The leader appends a JSON line to the
file ``messages`` for each step of progress. If the fit is refused, the leader appends a JSON line with the reason, and
the exit code is the exit code of the error.
"""

import json
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

from spine.errors import PlumblineError
from spine.storage import write_text_atomically
from training.config import TrainingConfig, config_from_json, config_to_json

Report = Callable[[dict[str, Any]], None]


@dataclass(frozen=True)
class Request:
    """A request for a fit by a process group.

    Attributes:
        dataset, out: folder of the data set, and folder of the candidate.
        config: the result of ``training.config.config_to_json``.
        messages: file to which the leader appends its messages.
    """

    dataset: str
    out: str
    config: dict[str, Any]
    messages: str


def write_request(dataset: Path, out: Path, config: TrainingConfig, folder: Path) -> Path:
    """Write a request and an empty file for messages in ``folder``; returns the path of the request.

    Both files are new ones: a process group of an earlier request may still write its messages, and reads its request
    again where it starts again on other nodes.
    """
    folder.mkdir(parents=True, exist_ok=True)
    name = uuid4().hex[:8]
    path, messages = folder / f"request-{name}.json", folder / f"messages-{name}.jsonl"
    messages.write_text("")
    request = Request(str(dataset.resolve()), str(out.resolve()), config_to_json(config), str(messages.resolve()))
    write_text_atomically(path, json.dumps(asdict(request), indent=1))
    return path


def messages_of(request: Path) -> Path:
    """The file for messages that a request names."""
    return Path(json.loads(request.read_text())["messages"])


def run(path: Path, report: Report | None = None) -> int:
    """Run this process's part of the fit that the request ``path`` describes; returns the exit code.

    The leader also sends its messages to ``report``.
    """
    from training.fitting.fit import fit

    request = Request(**json.loads(path.read_text()))
    config = config_from_json(request.config)
    is_leader = os.environ.get("RANK", "0") == "0"

    def send(message: dict[str, Any]) -> None:
        if is_leader:
            with Path(request.messages).open("a") as stream:
                stream.write(json.dumps(message) + "\n")
            if report is not None:
                report(message)

    try:
        summary = fit(Path(request.dataset), Path(request.out), config, lambda a, b: send({"done": a, "total": b}))
        send({"validation_error": summary.validation_error, "unit": summary.error_unit, "seconds": summary.seconds})
    except PlumblineError as error:
        parts = {name: str(getattr(error, name)) for name in ("code", "found", "expected", "remedy")}
        send({"refused": type(error).__name__, **parts})
        return error.exit_code
    except KeyboardInterrupt:  # Ctrl-C reaches every process of the group; the program that started it reports it
        return 130
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the fit of the request that the command line names; returns the exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    return run(Path(given[0]))


if __name__ == "__main__":
    sys.exit(main())
