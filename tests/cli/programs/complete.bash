# Prints what bash completes: a command, and an option. $AETHER has the words of the command line.
aether() { eval "$AETHER \"\$@\""; }
source <(aether completion bash)
completer=$(complete -p aether | sed -E 's/.*-F ([^ ]+) .*/\1/')
COMP_WORDS=(aether lo) COMP_CWORD=1 COMP_LINE="aether lo" COMP_POINT=9
$completer aether lo aether
echo "${COMPREPLY[@]}"
COMP_WORDS=(aether show --gi) COMP_CWORD=2 COMP_LINE="aether show --gi" COMP_POINT=16
$completer aether --gi show
echo "${COMPREPLY[@]}"
