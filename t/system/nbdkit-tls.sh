#!/bin/bash
# nbdkit --tls=require before the plugin: with pre-shared keys and with certificates; whoever has neither gets no byte.
# SPDX-License-Identifier: MIT
. "$(dirname "$0")/../nbdkit.sh"
for tool in nbdcopy nbdinfo certtool psktool; do
	command -v "$tool" >/dev/null || skip "no $tool"
done
nbdkit --dump-config | grep -q '^tls=yes' || skip "this nbdkit has no TLS"

# a connection whose handshake has just failed may be nbdkit's own leak when it ends
echo 'leak:/usr/bin/nbdkit' >"$T/suppressions"
export LSAN_OPTIONS=suppressions=$T/suppressions:print_suppressions=0
san_up 2
target_args
head -c 64M /dev/urandom >"$T/random"

# ---- pre-shared keys ----

psktool -u alice -p "$T/keys.psk" >/dev/null 2>&1
echo "alice:$(tr -dc 0-9a-f </dev/urandom | head -c 64 || true)" >"$T/wrong.psk"
kit_up --tls=require --tls-psk="$T/keys.psk" "$PLUGIN" "${ARGS[@]}"
psk() { echo "nbds+unix://alice@/?socket=$NBD&tls-psk-file=$T/${1:-keys}.psk"; }
nbdcopy "$T/random" "$(psk)"
nbdcopy "$(psk)" "$T/copy"
cmp "$T/random" "$T/copy" || fail "other bytes came back over TLS-PSK"
load_start "$(psk)" --mix --depth 8 --connections 2 --size-limit 8M
cable_reset 1
mpiod_wait 1
load_progress
cable_restore 1
mpiod_wait 2
load_ok "a path reset below TLS"
load_end
if nbdinfo "$(psk wrong)" >"$T/out" 2>&1; then fail "a wrong key was taken"; fi
if nbdinfo "nbd+unix:///?socket=$NBD" >"$T/out" 2>&1; then fail "a client without TLS was served"; fi
if nbdinfo --list "nbd+unix:///?socket=$NBD" >"$T/out" 2>&1; then fail "a client without TLS got the list"; fi
assert_eq "$(nbdinfo --size "$(psk)")" 67108864 "size, after those that were refused"
kit_down

# ---- certificates: an authority, one of the server for localhost, one of a client, and one of a stranger ----

mkdir "$T/server" "$T/client" "$T/stranger"
# sign DIRECTORY NAME AUTHORITY LINE...: NAME-key.pem and NAME-cert.pem
sign() {
	local dir=$1 name=$2 ca=$3
	shift 3
	certtool --generate-privkey --outfile "$dir/$name-key.pem" >/dev/null 2>&1
	printf '%s\n' 'organization = "mpiod test"' "$@" >"$T/template"
	if [ -z "$ca" ]; then
		certtool --generate-self-signed --load-privkey "$dir/$name-key.pem" --template "$T/template" \
			--outfile "$dir/$name-cert.pem" >/dev/null 2>&1
	else
		certtool --generate-certificate --load-privkey "$dir/$name-key.pem" --template "$T/template" \
			--load-ca-certificate "$ca-cert.pem" --load-ca-privkey "$ca-key.pem" \
			--outfile "$dir/$name-cert.pem" >/dev/null 2>&1
	fi
}
sign "$T/server" ca '' 'cn = "authority"' ca cert_signing_key
sign "$T/stranger" ca '' 'cn = "somebody else"' ca cert_signing_key
sign "$T/server" server "$T/server/ca" 'cn = "localhost"' 'dns_name = "localhost"' tls_www_server encryption_key signing_key
sign "$T/client" client "$T/server/ca" 'cn = "alice"' tls_www_client encryption_key signing_key
sign "$T/stranger" client "$T/stranger/ca" 'cn = "alice"' tls_www_client encryption_key signing_key
cp "$T/server/ca-cert.pem" "$T/client/"
cp "$T/server/ca-cert.pem" "$T/stranger/"

# through TCP, as a remote client would: the name of the host is compared with the certificate
spawn nbdkit nsenter "--net=/run/netns/$NS-ini" env "LD_PRELOAD=$PRELOAD" nbdkit -f -i 127.0.0.1 -p 10809 \
	--tls=require --tls-certificates="$T/server" --tls-verify-peer "$PLUGIN" "${ARGS[@]}"
until_true "nbdkit serves" on ini bash -c ': </dev/tcp/127.0.0.1/10809' 2>/dev/null
x509() { echo "nbds://localhost/?tls-certificates=$T/${1:-client}"; }
on ini nbdcopy "$(x509)" "$T/copy"
cmp -n 16777216 --ignore-initial=8388608 "$T/random" "$T/copy" || fail "other bytes came back over TLS with certificates"
assert_eq "$(on ini nbdinfo --size "$(x509)")" 67108864 "size"
if on ini nbdinfo "$(x509 stranger)" >"$T/out" 2>&1; then fail "a client of another authority was served"; fi
if on ini nbdinfo nbd://localhost >"$T/out" 2>&1; then fail "a client without TLS was served"; fi
assert_eq "$(on ini nbdinfo --size "$(x509)")" 67108864 "size, after those that were refused"
kit_down
