"""Pure functions from the text or bytes of a node to values: they know no host, clock or environment."""
