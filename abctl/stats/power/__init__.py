"""How many units a test needs, once or looked at again and again."""
