"""Load the plugin; everything else is in the package. `pytester` is for the plugin's own tests."""

pytest_plugins = ["harness.plugin", "pytester"]
