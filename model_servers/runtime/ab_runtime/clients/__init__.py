"""What clients got: the access log of the proxy in front, counted by variant, bucket and class."""
