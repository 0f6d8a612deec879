#!/bin/bash
# The module that CONTRIBUTING.md shows compiles, claims its disks and judges as it says.
. "$(dirname "$0")/../lib.sh"

mkdir "$T/src"
cp -r "$TOP/policy" "$TOP/transport" "$T/src/"
awk '/^   ```c$/ { on = 1; next } /^   ```$/ { on = 0 } on { sub(/^   /, ""); print }' "$TOP/CONTRIBUTING.md" \
	>"$T/src/policy/dsm_acme.c"
[ -s "$T/src/policy/dsm_acme.c" ] || fail "CONTRIBUTING.md shows no module"
sed -i 's/^extern const struct dsm dsm_lio,/& dsm_acme,/' "$T/src/policy/dsm.h"
sed -i 's/^\t&dsm_alua,$/\t\&dsm_acme,\n&/' "$T/src/policy/dsm.c"
cat >"$T/src/main.c" <<'E'
#include <stdio.h>
#include "policy/dsm.h"

int main(void)
{
	struct scsi_inquiry inq = { .vendor = "ACME", .product = "RAID5", .version = 6, .tpgs = 1 };
	struct scsi_device_id id = { 0 };
	struct dsm_device d = { &inq, &id, "" };
	struct scsi_cmd c = { .outcome = SCSI_OUT_STATUS, .status = SCSI_ST_CHECK_CONDITION };
	const struct dsm *m = dsm_claim(&d, NULL);

	c.sense = (struct sense){ .valid = true, .key = SCSI_KEY_NOT_READY, .asc = 0x04, .ascq = 0x03 };
	printf("%s %s %s\n", m->name, m->policy, m->verdict(&c, 0).why);
	return 0;
}
E
(cd "$T/src" && gcc -std=gnu11 -D_GNU_SOURCE -Wall -Wextra -Werror -Wno-unused-parameter -I. -o acme main.c policy/dsm*.c policy/verdict.c) ||
	fail "the module of CONTRIBUTING.md does not compile"
said=$("$T/src/acme")
[ "$said" = "acme least-queue-depth loads firmware" ] || fail "the module of CONTRIBUTING.md says: $said"
