# Turn Debian's MariaDB into what image clover/mysql:5.7 looks like from outside.
# usage: setup.sh ROOT
set -eu
root=$1
cp -r "$(dirname "$0")/rootfs/." "$root"
chmod 0755 "$root"/usr/local/bin/*
# The package makes a database of its own; the image makes it in the volume when it is started first.
rm -rf "$root"/var/lib/mysql/* "$root"/var/log/mysql/*
