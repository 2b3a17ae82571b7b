"""abctl: is the new model better in production, and may it ship?"""

__version__ = "0.1.0"
