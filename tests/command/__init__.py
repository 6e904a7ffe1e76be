"""The `settle` command, mostly in this process: what it prints, and how it ends."""
