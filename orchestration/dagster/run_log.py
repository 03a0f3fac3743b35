"""A Dagster logger that appends events to a text file, for runs on the command line.

Contract: only runs that name this logger in their run config use it. A run writes about 30 kB. The file is rotated
when a run starts.
"""

import logging
from pathlib import Path

import dagster as dg

from orchestration.log_rotation import rotate

EVENTS_FILE = "events_file"


class _Appending(logging.Handler):
    """Opens the file for each record, because Dagster never closes the handlers of a run."""

    def __init__(self, path: Path) -> None:
        super().__init__(logging.DEBUG)
        self._path = path
        self.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        with self._path.open("a", encoding="utf-8") as stream:
            stream.write(self.format(record) + "\n")


@dg.logger(config_schema={"path": str}, description="Appends events to a text file.")
def events_file(init_context: dg.InitLoggerContext) -> logging.Logger:
    """A logger that appends to the configured path."""
    logger = logging.Logger("plumbline.events", logging.DEBUG)
    path = Path(init_context.logger_config["path"])
    rotate(path)
    logger.addHandler(_Appending(path))
    return logger
