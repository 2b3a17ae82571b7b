"""Results as words, tables and pictures: analysis in, text out."""
