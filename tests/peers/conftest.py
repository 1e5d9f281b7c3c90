import os

import pytest

# Keras reads it once, when it is imported; the tests on JAX run in processes of their own.
os.environ.setdefault("KERAS_BACKEND", "torch")


def pytest_configure(config):
    config.addinivalue_line("markers", "peers: tries packages of others, where they are installed")


def pytest_collection_modifyitems(items):
    for item in items:
        if "peers" in item.path.parts:
            item.add_marker(pytest.mark.peers)
