"""The page of exit codes and error codes."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from docs.generate.markdown import code, plain, table
from docs.generate.raised import PARTS, Raised, raised
from docs.generate.source import error_classes

_EXIT_CODES: Mapping[int, str] = {
    0: "Done. `plumbline demo` also ends with 0 when the gate refuses the candidate.",
    1: "A radiograph, study or dataset cannot be used, the work failed, or the disk is full. "
    "`plumbline cohort --stats` ends with 1 when a statistic is outside its tolerance.",
    2: "Wrong usage, or an impossible value of a parameter.",
    3: "The gate refused, or evidence or a model file is missing or altered.",
    4: "Another run is using the workspace.",
    130: "Interrupted. Finished work is kept; run the same command again to continue.",
    143: "Training received a signal to stop and wrote a checkpoint; run the same command again to continue.",
}
_INTRODUCTION = """---
hide: [toc]
---
# Exit codes and error codes

This page is made from the source code.

`plumbline` and `python -m training` end with one of these exit codes:

{exit_codes}
Every error is printed as `CODE: found ...; expected ...; what to do`. The code is stable: a program can rely on it.
The wording may change. An error derived from `InputRejected` concerns one study. The study goes to quarantine with this
message, and the intake continues with the other studies.

In the messages below, text in braces is filled in when the error is raised. A slash separates alternatives. Text in
brackets is sometimes left out. The error class and the exit code are below each code.

{codes}"""


def errors_page() -> str:
    """Exit codes with their error classes, then every code with its messages."""
    by_exit_code = defaultdict(list)
    for name, number in error_classes().items():
        by_exit_code[number].append(code(name))
    exit_codes = table(
        ("Exit code", "Meaning", "Errors"),
        ((str(number), text, ", ".join(by_exit_code[number])) for number, text in _EXIT_CODES.items()),
    )
    codes = table(("Code", "Found", "Expected", "What to do"), _rows(raised()))
    return _INTRODUCTION.format(exit_codes=exit_codes, codes=codes)


def _rows(places: Sequence[Raised]) -> Iterator[tuple[str, ...]]:
    """A row for every message. The messages of one code are in consecutive rows. Only the first row has the code."""
    messages = {(p.code, p.error, *(plain(p.message.get(part, "")) for part in PARTS)): None for p in places}
    before = ""
    for name, error, *texts in messages:
        kind = f"{error}, {error_classes()[error]}"
        yield f"{code(name)}<br>{kind}" if name != before else kind, *texts
        before = name
