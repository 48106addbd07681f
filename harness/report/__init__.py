"""What a run leaves for people and programs: terminal summary, HTML page, result as JSON."""
