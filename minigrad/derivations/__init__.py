"""Derivations as on paper: the chain rule and each rewrite as steps with names, each checked."""
