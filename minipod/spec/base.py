"""What all structs of the Kubernetes objects have in common."""

import msgspec


class Object(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True, kw_only=True):
    """Base of every struct: Kubernetes' field names in JSON, and nothing written that isn't set."""
