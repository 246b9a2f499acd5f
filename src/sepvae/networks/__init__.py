"""Encoders, decoders and small heads, and how they are put together."""
