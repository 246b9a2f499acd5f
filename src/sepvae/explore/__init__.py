"""A local page to explore a run: both spaces, single people, and their salient part moved and swapped."""
