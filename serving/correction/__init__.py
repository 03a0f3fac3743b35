"""The correction page: shows the landmarks of a study, lets a person move or place them, and records the decision.

The page computes nothing: every angle, line and interval comes from ``inference.given_points``. A record goes through
intake like any other source (``spine.intake``). The folder ``page`` has its HTML, CSS and JavaScript.

    cases        the radiographs of a case, and what a model proposes for them
    answers      a case and its measurement as JSON for the page
    requests     the points and decisions that the page sends
    recording    decisions as correction records
    routes       the routes of the page
"""
