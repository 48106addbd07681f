"""hatcheck: the runbook of a small cluster, executable."""
