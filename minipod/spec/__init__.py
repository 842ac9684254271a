"""The Kubernetes objects: structs, the field table, quantities, decoding, defaults, validation. Pure: no I/O."""
