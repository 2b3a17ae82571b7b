"""What `import abctl` gives: experiments loaded, analyzed and planned, shown where a notebook is.

`abctl` itself has the names; here they are apart, so that nobody else loads what they need.
"""
