# SPDX-License-Identifier: MIT
# Is this Prometheus' text format, version 0.0.4? Prints what is wrong, a line each; exits 1 then.

function wrong(what) {
	print FILENAME ":" FNR ": " what ": " $0
	bad = 1
}

/^# HELP / {
	if ($3 !~ /^[a-zA-Z_:][a-zA-Z0-9_:]*$/) wrong("not a name")
	if (NF < 4) wrong("no help")
	if ($3 in helped) wrong("HELP twice")
	helped[$3] = 1
	family = $3
	next
}

/^# TYPE / {
	if ($3 != family) wrong("TYPE does not follow HELP")
	if ($4 !~ /^(counter|gauge)$/ || NF != 4) wrong("not a type")
	if (($4 == "counter") != ($3 ~ /_total$/)) wrong("a counter ends in _total, nothing else does")
	type[$3] = $4
	next
}

/^#/ { wrong("a comment"); next }
/^$/ { wrong("an empty line"); next }

{
	if (!match($0, /^[a-zA-Z_:][a-zA-Z0-9_:]*/)) { wrong("not a sample"); next }
	name = substr($0, 1, RLENGTH)
	rest = substr($0, RLENGTH + 1)
	if (name != family || !(name in type)) wrong("a sample outside of its family")
	if (rest ~ /^[{]/ && !match(rest, /^[{][a-zA-Z_][a-zA-Z0-9_]*="([^"\\]|\\["\\n])*"(,[a-zA-Z_][a-zA-Z0-9_]*="([^"\\]|\\["\\n])*")*[}]/)) {
		wrong("not labels")
		next
	}
	if (rest !~ /^[{]/) RLENGTH = 0
	labels = substr(rest, 1, RLENGTH)
	value = substr(rest, RLENGTH + 1)
	if (value !~ /^ -?[0-9]+([.][0-9]+)?(e[+-]?[0-9]+)?$/) wrong("not a value")
	if (type[name] == "counter" && value + 0 < 0) wrong("a counter below 0")
	if ((name labels) in seen) wrong("the same sample twice")
	seen[name labels] = 1
	samples++
}

END {
	if (!samples) { print FILENAME ": no samples"; bad = 1 }
	exit bad
}
