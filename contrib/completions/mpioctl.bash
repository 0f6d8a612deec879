# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# Completion of mpioctl(1) for bash: commands, options, and the daemon's own names.

# The values of a key in what COMMAND says, one a line. $socket: arguments that name the daemon.
_mpioctl_names() { # KEY COMMAND
	mpioctl "${socket[@]}" --json "$2" 2>/dev/null |
		sed -n 's/^ *"'"$1"'": "\(.*\)",\{0,1\}$/\1/p'
}

_mpioctl_offer() { # WORDS, one a line
	local word
	while IFS= read -r word; do
		# shellcheck disable=SC2053 # not a pattern: quoted
		[[ -n $word && $word == "$cur"* ]] && COMPREPLY+=("$(printf '%q' "$word")")
	done <<<"$1"
	# readline replaces only what follows the last colon, and portals have them
	if declare -F __ltrim_colon_completions >/dev/null; then
		__ltrim_colon_completions "$cur"
	fi
}

_mpioctl_lines() {
	printf '%s\n' "$@"
}

_mpioctl() {
	local cur prev words=() cword socket=() plain=() i
	if declare -F _get_comp_words_by_ref >/dev/null; then
		_get_comp_words_by_ref -n : cur prev words cword
	else
		cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}
		words=("${COMP_WORDS[@]}") cword=$COMP_CWORD
	fi
	COMPREPLY=()
	for ((i = 1; i < cword; i++)); do
		case ${words[i]} in
		-s | --socket) socket=(-s "${words[++i]}") ;;
		-n | --lines | -p | --paths | -t | --timeout) ((i++)) ;;
		-*) ;;
		*) plain+=("${words[i]}") ;;
		esac
	done
	case $prev in
	-s | --socket)
		mapfile -t COMPREPLY < <(compgen -f -- "$cur")
		return
		;;
	-n | --lines | -p | --paths | -t | --timeout) return ;;
	esac
	if [[ $cur == -* ]]; then
		local options=(--socket --json --help --version)
		case ${plain[0]-} in
		events) options+=(--follow --lines) ;;
		top) options+=(-n) ;;
		wait) options+=(--paths --timeout) ;;
		restart) options+=(--timeout) ;;
		esac
		_mpioctl_offer "$(_mpioctl_lines "${options[@]}")"
		return
	fi
	case ${#plain[@]}:${plain[*]} in
	0:) _mpioctl_offer "$(_mpioctl_lines status show paths sessions explain reservations events top \
		metrics path policy reload rescan restart wait)" ;;
	1:show | 1:paths | 1:policy | 1:wait | 1:explain | 1:reservations) _mpioctl_offer "$(_mpioctl_names export paths | sort -u)" ;;
	1:path) _mpioctl_offer "$(_mpioctl_lines disable enable drain)" ;;
	2:path\ *) _mpioctl_offer "$(_mpioctl_names name paths)"$'\n'"$(_mpioctl_names name sessions)" ;;
	2:policy\ *) _mpioctl_offer "$(_mpioctl_lines failover-only round-robin round-robin-subset \
		least-queue-depth weighted-paths least-blocks least-latency)" ;;
	esac
}

complete -F _mpioctl mpioctl
