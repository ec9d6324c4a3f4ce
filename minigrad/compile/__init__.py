"""Compiling graphs: a plan (what runs when, in which buffer), and a file for each backend."""
