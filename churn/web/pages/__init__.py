"""The pages that people look at: today's calls, the clients, the model, its releases and its data."""

from flask import Blueprint


def blueprint() -> Blueprint:
    """All pages, and what every page is framed in, for the app to register."""
    from churn.web.pages import client, clients, data, marking, model, overview, releases, shell, today

    views = (overview, today, clients, client, marking, model, releases, data)
    assert all(view.pages is shell.pages for view in views)  # importing them is what adds their views
    return shell.pages
