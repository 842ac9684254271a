"""The kernel's own evidence of what a pod's processes share.

Imports kernel/ and names only, never the runtime's state.
"""
