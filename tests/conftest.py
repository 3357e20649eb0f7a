"""Fixtures that more than one folder of tests uses. Tests start as nobody."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.factories import Box, make_box


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Box]:
    """A fresh box with two trusts, three academies and a device at each."""
    made = make_box(tmp_path / "box")
    yield made
    made.db.close()
