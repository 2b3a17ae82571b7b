"""The counter engine: exact increments from as few samples as that takes."""
