"""`make bench`: how fast the looking is."""
