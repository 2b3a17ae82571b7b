"""Numbers in, estimates out: knows no Kubernetes, no files, no clock."""
