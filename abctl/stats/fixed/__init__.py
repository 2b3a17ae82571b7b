"""Tests for one look, and what they have in common."""
