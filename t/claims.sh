#!/bin/bash
# Every test that SECURITY.md names is there.
set -euo pipefail
cd "$(dirname "$0")/.."
bad=0
# shellcheck disable=SC2016
while IFS=: read -r file claim; do
	grep -q "START_TEST($claim)" "t/unit/$file" || { echo "SECURITY.md: no test $claim in t/unit/$file"; bad=1; }
done < <(grep -oE '`[a-z]+/[a-z_]+\.c:[a-z0-9_]+`' SECURITY.md | tr -d '`')
exit "$bad"
