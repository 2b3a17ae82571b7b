"""What abctl does, one verb a file: no printing, no prompting; clock and sleep are arguments."""
