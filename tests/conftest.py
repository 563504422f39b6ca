"""What every test may rely on: marks that skip themselves, and seeds that come from the test's name."""

import signal
import zlib
from importlib.util import find_spec

import numpy as np
import pytest


def pytest_collection_modifyitems(items):
    """Skip what needs TensorFlow where it is not installed, with the command that adds it."""
    if find_spec("tensorflow") is None or find_spec("nengo_dl") is None:
        skip = pytest.mark.skip(reason="needs TensorFlow and nengo-dl: pip install 'neurodeploy[dl]'")
        for item in items:
            if "keras" in item.keywords:
                item.add_marker(skip)


@pytest.fixture
def rng(request):
    """Random numbers that differ between tests and never between runs."""
    return np.random.default_rng(zlib.crc32(request.node.nodeid.encode()))


@pytest.fixture
def ctrl_c():
    """Have SIGINT act as at a terminal, here and in children, also where tests run in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)
