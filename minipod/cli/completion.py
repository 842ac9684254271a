"""`minipod completion`: a few lines for the shell, which asks `minipod __complete` for the candidates."""

from minipod.cli.console import out
from minipod.cli.options import Args, Command, UsageError

_BASH = """\
# minipod's completion for bash: source <(minipod completion bash)
_minipod() {
    local IFS=$'\\n'
    COMPREPLY=($("${COMP_WORDS[0]}" __complete -- "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null))
    if [[ ${COMPREPLY[0]-} == *[:/] ]]; then compopt -o nospace; fi
}
complete -o default -F _minipod minipod"""

_ZSH = """\
#compdef minipod
# minipod's completion for zsh: source <(minipod completion zsh)
_minipod() {
    local -a found
    found=(${(f)"$("${words[1]}" __complete -- "${(@)words[2,CURRENT]}" 2>/dev/null)"})
    if (( ! $#found )); then _files; return; fi
    compadd -S '' -- ${(M)found:#*[:/]}
    compadd -- ${found:#*[:/]}
}
compdef _minipod minipod"""

_FISH = """\
# minipod's completion for fish: minipod completion fish | source
function __minipod
    set -l words (commandline -opc) (commandline -ct)
    $words[1] __complete -- $words[2..-1] 2>/dev/null
end
complete -c minipod -a '(__minipod)'"""

SCRIPTS = {"bash": _BASH, "zsh": _ZSH, "fish": _FISH}


def run(args: Args) -> int:
    if len(args.words) != 1 or args.words[0] not in SCRIPTS:
        raise UsageError("expected 'completion bash', 'completion zsh' or 'completion fish'", args.verb)
    out(SCRIPTS[args.words[0]])
    return 0


COMMAND = Command(
    "completion",
    "Print what a shell needs to complete minipod's commands",
    run,
    usage=("completion bash|zsh|fish",),
    examples=(
        ("For this bash", "source <(minipod completion bash)"),
        ("For every bash", "minipod completion bash > ~/.local/share/bash-completion/completions/minipod"),
        ("For fish", "minipod completion fish > ~/.config/fish/completions/minipod.fish"),
    ),
    words=("bash|zsh|fish",),
)
