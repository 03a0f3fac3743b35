"""The ``plumbline`` command: one module for each group of subcommands.

Options, help texts and terminal output belong here. The work does not: each subcommand calls one function of another
package. Dagster, matplotlib, scipy and pydicom are imported in functions, so that ``--help`` and ``measure`` start
fast.

    batch             the folder of studies of `measure --studies`
    calibrating       the subcommand calibrate
    cohort            the subcommand cohort
    corrections       the subcommand corrections
    demo              the subcommand demo
    main              the command group, error messages and exit codes
    measured_files    the JSON and the overlay of a measurement, written together or not at all
    measuring         the subcommands measure, parameters, decoders and read3d
    model_choice      the model that measures, with the intervals of the site
    operations        the subcommands backup, restore and clean
    options           options that several subcommands share
    params            the subcommand params
    pipeline          the subcommands init, run and stage
    planning          the subcommand plan
    population_table  compares the virtual population with published figures in a table and a figure
    quarantine        the subcommand quarantine
    radiograph_files  the radiographs that a user names
    registry          the subcommands champion, history, rollback, reinstate, approve and reject
    run_cost          the wall time and the peak memory of a run
    seeds             the subcommand seeds
    serving           the subcommands serve and shadow
    start_model       the model that a fit starts from, and the settings that follow
    status            the subcommand status
    terminal          progress bars, step lines and tables
    training          the subcommands train, adopt and release
    verdicts          the subcommands verdict, explain, review and promote
    watching          the subcommand watch
"""
