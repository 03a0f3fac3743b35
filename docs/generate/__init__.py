"""Pages of the documentation that are made from the code, so that they cannot go stale.

    pages           every generated page, by its place in the site
    source          the parsed modules of the packages
    raised          every place that raises an error with a code, read from the source
    errors          page: exit codes and error codes
    command_line    page: `plumbline` and `python -m training`
    settings        page: params.yaml
    parameters      page: what Plumbline measures
    markdown        Markdown tables
    mkdocs_hook     adds the pages to the site while it is built
    thumbnails      the small pictures of the README, cut from pictures of the documentation

`python -m docs.generate NAME` prints a page. Pages that a person writes do not belong here: see docs/*.md.
"""
