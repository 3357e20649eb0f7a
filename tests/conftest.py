"""Fixtures that more than one folder of tests uses. Tests start as nobody."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.factories import Box, make_box
from tests.whole_box import WholeBox, start_box


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Box]:
    """A fresh box with two trusts, three academies and a device at each."""
    made = make_box(tmp_path / "box")
    yield made
    made.db.close()


@pytest.fixture(scope="session")
def whole_box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WholeBox]:
    """A demo box that runs for all the tests that look at it."""
    running = start_box(tmp_path_factory.mktemp("whole") / "box")
    yield running
    assert running.stop() == 0
