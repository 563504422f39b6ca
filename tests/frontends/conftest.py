"""Both generations of Keras."""

from __future__ import annotations

from typing import Any

import pytest


@pytest.fixture(scope="module", params=["keras", "tf_keras"])
def keras(request: pytest.FixtureRequest) -> Any:
    pytest.importorskip("tensorflow", reason="needs TensorFlow (extra dl)")
    return pytest.importorskip(request.param, reason="needs Keras (extra dl)")
