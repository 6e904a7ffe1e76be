"""What callers trigger: one module per provider, each readable as a sentence; and the `settle` command."""
