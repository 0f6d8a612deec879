#!/bin/bash
# SPDX-License-Identifier: MIT
# lint.sh "C FILES" "SCRIPTS" "MANUAL PAGES": everything but clang-format has to be silent. CFLAGS, JOBS.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 2
read -ra c_files <<<"$1"
read -ra scripts <<<"$2"
read -ra pages <<<"${3:-}"
read -ra cflags <<<"${CFLAGS:-} -UMPIOD_VERSION"
cflags+=('-DMPIOD_VERSION="0"') # the quotes of the real one are gone by now
bad=0

check() { # NAME COMMAND...
	local name=$1 out status=0
	shift
	out=$("$@" 2>&1) || status=$?
	if [ "$status" = 0 ] && [ -z "$out" ]; then
		echo "ok    $name"
	else
		echo "WRONG $name"
		sed 's/^/    /' <<<"$out"
		bad=1
	fi
}

# Arrows point down only: conf/ knows nobody, policy/ the codec's plain types, transport/ itself.
includes() {
	local f inc
	while IFS=: read -r f _ inc; do
		case $f:$inc in
		conf/*:../* | transport/*:../*) echo "$f includes $inc" ;;
		policy/*:../transport/scsi.h) ;;
		policy/*:../*) echo "$f includes $inc" ;;
		daemon/*:../transport/* | daemon/*:../policy/* | daemon/*:../conf/*) ;;
		attach/*:../transport/nbd_proto.h) ;;
		attach/*:../*) echo "$f includes $inc" ;;
		daemon/*:../*) echo "$f includes $inc" ;;
		plugin/*:../transport/* | plugin/*:../conf/* | plugin/*:../daemon/*) ;;
		plugin/*:../*) echo "$f includes $inc" ;;
		esac
	done < <(grep -nE '^#include "' "${c_files[@]}" | grep -E '^(attach|conf|policy|transport|daemon|plugin)/' |
		sed -E 's/#include "([^"]*)".*/\1/')
	# a header of another folder under another name would slip through the above
	grep -nE '^#include [<"](conf|policy|transport|daemon)/' "${c_files[@]}" |
		grep -E '^(conf|policy|transport|daemon)/'
	# and policy/ and the engine read no clock
	grep -nE '\b(clock_gettime|gettimeofday|time)\(' policy/*.[ch]
	true
}

headers() { # the first line, and no file too long
	local f n
	for f in "${c_files[@]}"; do
		[ "$(head -n 1 "$f")" = '/* SPDX-License-Identifier: MIT */' ] || echo "$f: no licence in line 1"
		n=$(wc -l <"$f")
		case $f in
		t/*) ;;
		*) [ "$n" -le 600 ] || echo "$f: $n lines, more than 600" ;;
		esac
	done
}

tidy() {
	printf '%s\n' "${c_files[@]}" | grep '\.c$' |
		xargs -P "${JOBS:-2}" -I{} clang-tidy --quiet {} -- "${cflags[@]}" 2>/dev/null |
		grep -vE '^$' || true
}

cpp() {
	cppcheck --quiet --error-exitcode=1 --std=c11 --enable=warning,performance,portability \
		'-Djson_array_foreach(a,i,v)=for (i = 0; (v = json_array_get(a, i)); i++)' \
		'-Djson_object_foreach(o,k,v)=for (; (k = foreach_key(o, &v));)' \
		--inline-suppr --suppress=missingIncludeSystem --suppress=unusedFunction \
		--suppress=unmatchedSuppression -j "${JOBS:-2}" -I. -DMPIOD_VERSION='"0"' \
		attach conf policy transport daemon plugin t/tools t/target
}

man_pages() {
	[ ${#pages[@]} = 0 ] || mandoc -T lint -W warning "${pages[@]}"
}

check includes includes
check headers headers
check claims t/claims.sh
# what lib.sh offers is used elsewhere (SC2034), its functions take arguments or none (SC2119, SC2120), and are
# called by name through others (SC2317)
check shellcheck shellcheck -x -e SC1091,SC2001,SC2034,SC2119,SC2120,SC2317 "${scripts[@]}"
check "manual pages" man_pages
check cppcheck cpp
check clang-tidy tidy
if command -v clang-format >/dev/null; then
	n=0
	for f in "${c_files[@]}"; do
		clang-format --dry-run --Werror "$f" >/dev/null 2>&1 || n=$((n + 1))
	done
	echo "note  clang-format would change $n of ${#c_files[@]} files (advice only)"
fi
exit "$bad"
