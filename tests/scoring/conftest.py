"""The model that ships, loaded once for all scoring tests."""

import pytest

from appliance.scoring.scorer import Scorer


@pytest.fixture(scope="session")
def scorer() -> Scorer:
    return Scorer()
