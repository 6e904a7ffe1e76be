"""What callers trigger: one module per provider, each readable as a sentence. Nothing else lives here."""
