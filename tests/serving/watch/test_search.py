"""The search for new and changed studies: pages, the quick poll, the full sweep."""

import pytest

from tests.serving.watch.moved import SR
from tests.serving.watch.stamped import pair, radiograph


class Killed(BaseException):
    """Ends the process where it is raised, as far as the loop can tell."""


def test_a_sweep_reads_every_page_and_goes_on_where_it_was_interrupted(moved, pacs, case):
    old = {"StudyDate": "20200101"}
    studies = [pacs.add(radiograph(case, "frontal", number, **old)) for number in range(7)]
    pacs.largest_page = 2
    archive, answers = moved.loop._search.archive, iter([False, True])
    ask = archive.studies

    def once_ended(filters: dict, offset: int, limit: int) -> list:
        if "StudyDate" not in filters and next(answers, False):
            raise Killed
        return ask(filters, offset, limit)

    archive.studies = once_ended
    with pytest.raises(Killed):
        moved.after(10)
    assert moved.table.cursor("sweep_offset") == 2
    moved.restart()
    moved.after(10)
    assert {row.study_uid for row in moved.table.rows()} == set(studies)
    assert moved.table.cursor("sweep_offset") is None


def test_the_poll_asks_for_recent_studies_alone(moved, pacs, case):
    moved.after(10)
    old = pacs.add(radiograph(case, "frontal", 1, StudyDate="20200101"))
    moved.after(60)
    assert moved.table.get(old) is None
    moved.after(4000)
    assert moved.table.get(old) is not None


def test_a_pacs_that_states_no_counts_and_no_offsets(moved, pacs, case):
    pacs.states_counts = pacs.knows_offsets = False
    frontal, lateral = pair(case, 1)
    study = pacs.add(frontal)
    moved.after(20)
    assert moved.words(study) == ("WAITING_FOR_PAIR", "")
    pacs.add(lateral)
    moved.after(30)
    assert moved.words(study) == ("STORED", "")
    assert len(pacs.of_class(study, SR)) == 1
