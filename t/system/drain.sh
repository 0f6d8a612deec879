#!/bin/bash
# Draining a path empties it without an error; disable and enable work as they say, under load.
. "$(dirname "$0")/../lib.sh"

san_up 2
conf
mpiod_up
mpiod_wait 2
load_start "$(uri "$(lun_name)")"
one=$(path_of 1) two=$(path_of 2)

ctl path drain "$one"
until_true "the path is empty" path_is 1 disabled
assert_eq "$(path_get 1 inflight)" 0 "commands on it"
ops=$(path_ops 1)
load_progress 200
assert_eq "$(path_ops 1)" "$ops" "I/O on a drained path"
load_ok "drained"

ctl path enable "$one"
mpiod_wait 2
until_true "I/O returns" ops_beyond 1 "$ops"
load_ok "enabled"

ctl path disable "$two"
until_true "it is disabled" path_is 2 disabled
load_progress 200
load_ok "the other one disabled"
ctl path enable "$two"
mpiod_wait 2
load_progress
load_ok "enabled again"
assert_fails 1 ctl path drain no/such/path
load_end
