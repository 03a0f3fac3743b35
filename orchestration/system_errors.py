"""Describes errors of the operating system in one line, as every command prints them."""

import errno


def describe_system_error(error: OSError) -> str:
    """The code and the cause: ``DISK_FULL`` if no space is left, otherwise ``SYSTEM_ERROR``."""
    if error.errno == errno.ENOSPC:
        where = error.filename or "a file"
        return f"DISK_FULL: no space left to write {where}; finished work is kept. Free some space and run again"
    return f"SYSTEM_ERROR: {error.strerror or error}: {error.filename or ''}"
