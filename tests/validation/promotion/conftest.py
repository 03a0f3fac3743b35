"""The filter for MLflow's warnings in all tests of promotion."""

import pytest


def pytest_itemcollected(item: pytest.Item) -> None:
    """MLflow itself uses what SQLAlchemy 2.1 deprecates."""
    item.add_marker(pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning"))
