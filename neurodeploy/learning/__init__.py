"""Learning rules as frozen descriptions; the arithmetic that runs them is elsewhere."""
