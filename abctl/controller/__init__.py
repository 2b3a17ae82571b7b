"""The controller: each `Experiment` of its namespaces gets the turns of `abctl run`.

It looks again and again rather than waiting to be told, so nothing that it missed is missed for
long. What it knows is in the objects, their status and the ledgers; in memory is only when to look
next. Of several controllers only the holder of a namespace's Lease writes anything there.
"""
