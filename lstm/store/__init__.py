"""Files of models: ours, and what others' are."""
