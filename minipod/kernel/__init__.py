"""The only place that talks to the kernel: one function per system call or netlink request.

Every function checks errno and raises errors.KernelError, naming the call and the object. Nothing here knows what a
pod is.
"""
