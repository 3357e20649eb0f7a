"""Fixtures of the broker room's tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.broker.running import Site


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """A box with keys; nothing of it runs yet."""
    made = Site(tmp_path)
    yield made
    made.close()
