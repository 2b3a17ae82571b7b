"""The report live: pages of experiments on this machine, for browsers that have its token."""
