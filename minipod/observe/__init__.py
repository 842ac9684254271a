"""The kernel's own evidence of what a pod's processes share.

What is shown of a pod is read from the kernel: imports point at kernel/, never at the runtime. Only a trace is what its
supervisor tells (api/cri.py).
"""
