"""Evidence in, analysis out: arithmetic, no input and no clock."""
