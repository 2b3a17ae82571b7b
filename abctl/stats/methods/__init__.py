"""One file a method; see `abctl.stats.estimate.Method` for what a method is."""
