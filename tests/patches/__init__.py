"""Each patch, beside the defect that it cures."""
