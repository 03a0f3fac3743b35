"""The loop with a PACS over DICOMweb: finds studies, measures each once, and stores the results beside the radiographs.

The package knows no workspace: the command passes in the settings, the folder of the state and the champion. It uses
the PACS client of ``serving.service`` and writes the objects of ``serving.results``.

    settings        times, limits and the PACS, as plain values
    settings_file   reads them from a TOML file
    study_row       the state of one study
    state_table     the table of these rows in SQLite, and the cursor
    archive         the PACS: studies, instances, radiographs, and the storing of results
    search          finds new and changed studies: the quick poll and the full sweep
    radiographs     the radiographs among the instances of a study, and their views
    study_step      what is done with one study, and the state that follows
    loop            turns: search, one study, pauses while the PACS or the disk cannot be used
"""
