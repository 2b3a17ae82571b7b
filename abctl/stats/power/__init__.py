"""Sample sizes and power, of fixed and of sequential tests."""
