"""minipod: real Kubernetes pods on one Linux machine."""

__version__ = "0.1.0"
