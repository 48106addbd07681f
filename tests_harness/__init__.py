"""The tests that prove the harness itself: offline, and on the lab."""
