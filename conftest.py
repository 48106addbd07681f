"""Load the plugin; everything else is in the package."""

pytest_plugins = ["harness.plugin"]
