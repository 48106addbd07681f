# Turn Debian's Apache and PHP into what image php:8.2-apache looks like from outside.
# usage: setup.sh ROOT
set -eu
root=$1
cp -r "$(dirname "$0")/rootfs/." "$root"
chmod 0755 "$root"/usr/local/bin/*
chroot "$root" sh -eu <<'INSIDE'
ln -s /usr/bin/php /usr/local/bin/php
# PHP reads php.ini and conf.d of PHP_INI_DIR, and the image comes without a php.ini.
mkdir -p /usr/local/etc/php/conf.d
cp -L /etc/php/8.2/apache2/conf.d/*.ini /usr/local/etc/php/conf.d
for extension in mysqli pdo_mysql; do rm -f /usr/local/etc/php/conf.d/*-"$extension".ini; done
for sapi in apache2 cli; do
    rm -r "/etc/php/8.2/$sapi/conf.d" "/etc/php/8.2/$sapi/php.ini"
    ln -s /usr/local/etc/php/conf.d "/etc/php/8.2/$sapi/conf.d"
    ln -s /usr/local/etc/php/php.ini "/etc/php/8.2/$sapi/php.ini"
done
rm /var/www/html/index.html
chown www-data:www-data /var/www/html
chmod 1777 /var/www/html
ln -sf /proc/self/fd/1 /var/log/apache2/access.log
ln -sf /proc/self/fd/1 /var/log/apache2/other_vhosts_access.log
ln -sf /proc/self/fd/2 /var/log/apache2/error.log
echo 'ServerName localhost' > /etc/apache2/conf-enabled/server-name.conf
INSIDE
