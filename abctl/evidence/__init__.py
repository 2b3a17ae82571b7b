"""From samples of counters to streams of summaries."""
