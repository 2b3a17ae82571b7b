"""What summaries say of a contrast, kind by kind, at every look."""
