# bash completion for sluicectl
_sluicectl()
{
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} words="" i command=""

	for ((i = 1; i < COMP_CWORD; i++)); do
		case ${COMP_WORDS[i]} in
		--socket) ((i++)) ;;
		-*) ;;
		*)
			command=${COMP_WORDS[i]}
			break
			;;
		esac
	done
	if [ "$prev" = --socket ]; then
		mapfile -t COMPREPLY < <(compgen -f -- "$cur")
		return
	fi
	case $command in
	"") words="show trace explain top health reload confirm rollback reopen drain client help --json --socket --help" ;;
	show)
		[ "$prev" = show ] &&
			words="ports workers clients resources names sessions peers flows limits graph drops stats cpu"
		[ "$prev" = graph ] && words="dot"
		;;
	reload) [ "$prev" = reload ] && words="--confirm" ;;
	drain) [ "$prev" = drain ] && words="stay undo" ;;
	client) [ "$prev" = client ] && words="add remove show" ;;
	trace | explain)
		# Names of clients, from the daemon if it answers.
		[ "$prev" = "$command" ] && words=$(sluicectl --json show clients 2>/dev/null |
			sed -n '/"rows"/,$s/^ *"name": "\(.*\)",$/\1/p')
		;;
	esac
	mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur")
}
complete -F _sluicectl sluicectl
