# Prints what zsh completes: a command, and an option. $AETHER has the words of the command line.
# Tab is pressed in a shell in a terminal of its own.
zmodload zsh/zpty
zpty z "TERM=dumb zsh -f -i"
zpty -w z "aether() { $AETHER \"\$@\" }"
zpty -w z 'autoload -Uz compinit && compinit -u -D && source <(aether completion zsh) && echo rea""dy'
zpty -r z output '*ready*'
zpty -w -n z $'aether lo\t'
zpty -r z output '*aether log*' && echo log
zpty -w -n z $'\C-uaether show --gi\t'
zpty -r z output '*--given*' && echo --given
zpty -d z
