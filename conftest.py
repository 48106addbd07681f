"""Load the plugin; everything else is in the package. `pytester` is for the plugin's own tests."""

import importlib.util

import pytest

if importlib.util.find_spec("testinfra") is None or importlib.util.find_spec("pydantic") is None:
    pytest.exit("this pytest is not the project's: run `make setup`, then `. .venv/bin/activate`", returncode=4)

pytest_plugins = ["harness.plugin", "pytester"]
