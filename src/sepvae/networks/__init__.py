"""Encoders, decoders, small heads, and their assembly into one module."""
