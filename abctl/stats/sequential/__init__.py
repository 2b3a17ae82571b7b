"""Tests and confidence sequences that may be looked at after every poll."""
