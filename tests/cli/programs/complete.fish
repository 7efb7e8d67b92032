# Prints what fish completes: a command, and an option. $AETHER has the words of the command line.
function aether
    eval $AETHER (string escape -- $argv)
end
aether completion fish | source
complete -C "aether lo"
complete -C "aether show --gi"
