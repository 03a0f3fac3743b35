"""The HTTP service: measures radiographs with the champion, and answers with the measurement and the model's digest.

One process: the event loop reads requests, and a bounded pool of threads measures. The package knows no workspace: the
command passes in the model, the settings, and functions.

    app         the application: routes and the layers around them (``make_app``)
    server      runs the application with uvicorn, and stops it
    settings        limits, access, PACS addresses
    settings_file   reads them from a TOML file
    access      keys and persons named by a proxy
    bodies      limits on the body of a request; JSON bodies
    observing   request ids, the log of requests, unexpected errors
    logs        the log as JSON lines without identifiers
    metrics     figures for Prometheus
    problems    errors as answers
    measuring   ``POST /measure``
    uploads     the files of a multipart request
    pacs        the files of a request that names a study in a PACS
    answers     the measurement as an answer
    examples    the OpenAPI description of ``POST /measure``
    pool        the bounded queue and the threads that measure
    champion    the model that answers, and its exchange
    shadow      runs of a challenger on the same studies
"""
