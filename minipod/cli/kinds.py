"""Kinds and names as kubectl users write them: `pod NAME...`, `po/NAME`, `pods`."""

from minipod.cli.options import Args, UsageError

KINDS = {"pods": ("pods", "pod", "po"), "events": ("events", "event", "ev")}
PODS = KINDS["pods"]
_EMPTY = "resource name may not be empty"  # an unset variable of a script must not stand for every pod


def kind_and_names(args: Args) -> tuple[str, list[str]]:
    """("pods", names) of `pods`, `pod A B` or `pod/A po/B`. Raises UsageError for an unknown kind."""
    words = args.words
    if not words:
        raise UsageError("you must specify the type of resource, e.g. pods", args.verb)
    if any("/" in word for word in words):
        pairs = [word.partition("/") for word in words]
        wrong = [
            word
            for word, (kind, slash, name) in zip(words, pairs, strict=True)
            if not (kind and slash and name)
        ]
        if wrong:
            raise UsageError(f'"{wrong[0]}": either all names are of the form pod/NAME or none is', args.verb)
        kinds = {_plural(kind, args) for kind, _, _ in pairs}
        if len(kinds) > 1:
            raise UsageError("one kind at a time, please", args.verb)
        return kinds.pop(), [name for _, _, name in pairs]
    if "" in words[1:]:
        raise UsageError(_EMPTY, args.verb)
    return _plural(words[0], args), words[1:]


def _plural(kind: str, args: Args) -> str:
    for plural, forms in KINDS.items():
        if kind.lower() in forms:
            return plural
    from minipod.cli.options import suggest

    near = suggest(kind, [form for forms in KINDS.values() for form in forms])
    hint = f"did you mean {near}?" if near else "there are pods and events"
    raise UsageError(f'the server doesn\'t have a resource type "{kind}"; {hint}', args.verb)


def pod_name(word: str, verb: str) -> str:
    """NAME of `NAME` or `pod/NAME`."""
    if not word:
        raise UsageError(_EMPTY, verb)
    kind, slash, name = word.partition("/")
    if not slash:
        return word
    if kind.lower() not in PODS or not name:
        raise UsageError(f'"{word}" is no pod: write NAME or pod/NAME', verb)
    return name
