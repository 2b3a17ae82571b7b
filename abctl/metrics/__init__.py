"""What a metric is made of: presets of counters, and the selectors of one experiment (pure)."""
