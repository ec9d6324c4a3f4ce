"""Rewrites: the driver, and its tables of rules."""
