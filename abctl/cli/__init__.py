"""The command line: the only place that prints, prompts and exits."""

import gc

# Modules stay: to look for garbage among them while they load is a fiftieth of a short command.
gc.set_threshold(50_000)
