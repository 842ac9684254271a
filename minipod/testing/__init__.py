"""Pods for tests: private nodes, Python functions run inside containers, and a check that nothing is left.

`plugin.py` makes pytest's fixtures of it; docs/testing.md says how to use them.
"""
