"""The domain, pure: what an experiment is, who is assigned where, what happened, what follows."""
