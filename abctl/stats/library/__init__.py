"""The public face of the statistics: arrays and frames in, results for people and programs out.

A thin layer: each function checks what comes in, makes summaries of it, and asks a method of
`abctl.stats.methods`. `abctl.stats` has the names; here they are apart, so that whoever imports
another part of the statistics does not load them all.
"""
