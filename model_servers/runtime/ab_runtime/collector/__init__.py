"""The collector: feedback that can be trusted, counted when its prediction is due."""
