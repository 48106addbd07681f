#!/bin/sh
# What the runbook documents of the cluster kit, judged with ssh, arp, fail2ban-client, cat and other everyday commands.
# It shares no code with hatcheck. usage: oracle.sh SSH-CONFIG STEP...; the configuration knows cnat and p1 to p4.
# One line per place: "STEP NODE ok" or "STEP NODE bad". It sees the present: not what a reboot would bring.
config=$1; shift

on_the_node() { cat <<'NODE'
me=$1; shift; net=172.19.181
say() { if [ "$3" = 0 ]; then echo "$1 $2 ok"; else echo "$1 $2 bad"; fi; }
others() { for peer in 1 2 3 4; do [ "p$peer" = "$me" ] || echo $peer; done; }

network() {
  case $me in
    cnat) links=br0; mine=254 ;;
    *) links=usb0; mine=${me#p} ;;
  esac
  case "$(ip -4 -o addr show dev $links up)" in *" inet $net.$mine/24 "*) ;; *) return 1 ;; esac
  if [ $me = cnat ]; then
    # A node that does not answer has the fault itself.
    for peer in 1 2 3 4; do { ping -c 1 -W 3 $net.$peer >/dev/null; say network p$peer $?; } & done; wait
    [ "$(cat /proc/sys/net/ipv4/ip_forward)" = 1 ] || return 1
    for peer in 1 2 3 4; do [ -e /sys/class/net/br0/brif/ethpi$peer ] || return 1; done
    sudo iptables-save -t nat | grep -q -- '-A POSTROUTING -s 172.19.181.0/24 .*-j MASQUERADE'
  else
    [ "$(ip -4 route show default | { read -r a b c _; echo "$a $b $c"; })" = "default via $net.254" ]
  fi
}

arp_of() { # behind this node's address is its documented MAC
  ping -c 1 -W 2 $net.$1 >/dev/null
  [ "$(/usr/sbin/arp -an | grep -c "($net.$1) at 00:22:82:ff:ff:0$1 \[ether\].* on br0")" = 1 ] &&
    [ "$(/usr/sbin/arp -an | grep -c "($net.$1) ")" = 1 ]
}

system() {
  [ "$(hostname)" = "$me" ] && [ "$(cat /etc/hostname)" = "$me" ] && systemctl -q is-enabled ssh || return 1
  case " $(id -nG pi) " in *" sudo "*) ;; *) return 1 ;; esac
  getent passwd pi | { IFS=: read -r _ _ _ _ _ home shell; grep -qx "$shell" /etc/shells && [ -O "$home" ]; } || return 1
  getent ahostsv4 "$me" >/dev/null && . /etc/os-release && [ "$VERSION_CODENAME" = bookworm ] || return 1
  [ "$(sudo dpkg --print-architecture)" = amd64 ] || return 1
  sudo df -B1 --output=size,avail / | tail -n 1 | { read -r _ free _; [ "$free" -gt 100000000 ]; }
}

updates() {
  broken=$(dpkg-query -W -f '${db:Status-Abbrev}\n' | grep -c '^.[^in]\|^..[^ ]')
  [ "$broken" = 0 ] || return 1
  [ $me != cnat ] || {
    unit=clusterhat-update.service script=/usr/local/sbin/clusterhat-update
    [ -x $script ] && grep -q upgrade $script && systemctl -q is-enabled $unit && ! systemctl -q is-failed $unit
  }
}

resolves() { # NAME ADDRESS: this address, no other IPv4 one, and not the loopback
  [ "$(getent ahosts "$1" | while read -r address _; do echo "$address"; done | sort -u)" = "$2" ]
}

hosts() { # the names that the runbook has this machine know
  grep -q '^127.0.0.1[[:space:]].*localhost' /etc/hosts && grep -q '^::1[[:space:]].*localhost' /etc/hosts || return 1
  [ "$(stat -c %a /etc/hosts)" = 644 ] || return 1
  getent ahostsv4 localhost | { read -r address _ && [ "$address" = 127.0.0.1 ]; } || return 1
  [ $me = cnat ] || resolves cnat $net.254 || return 1
  for peer in $(others); do resolves pi$peer $net.$peer || return 1; done
}

alias_of() { # what ssh on the controller makes of a node's documented alias, by the file
  [ -f ~/.ssh/config ] && ssh -G pi$1 2>/dev/null | grep -qx 'user pi' && ssh -G pi$1 | grep -qx "hostname pi$1" &&
    grep -q "^Host pi$1\$" ~/.ssh/config
}

login() { # ALIAS NAME: who is there
  [ "$(ssh -o BatchMode=yes -o ConnectTimeout=5 -o StrictHostKeyChecking=yes $1 hostname 2>/dev/null </dev/null)" = $2 ]
}

keys() {
  [ "$(stat -c '%a %U' ~/.ssh ~/.ssh/authorized_keys ~/.ssh/id_ed25519 | tr '\n' ' ')" = '700 pi 600 pi 600 pi ' ] ||
    return 1
  [ "$(stat -c %A ~ | cut -c6)" = - ] && [ "$(sort ~/.ssh/authorized_keys | uniq -d)" = '' ] || return 1
  [ "$(ssh-keygen -yf ~/.ssh/id_ed25519 | cut -d' ' -f2)" = "$(cut -d' ' -f2 ~/.ssh/id_ed25519.pub)" ] || return 1
  [ $me = cnat ] || login cnat cnat
}

fail2ban() {
  [ $me = cnat ] || return 0
  systemctl -q is-enabled fail2ban && sudo timeout 9 fail2ban-client ping >/dev/null && sudo fail2ban-client -t >/dev/null || return 1
  systemctl -q is-active rsyslog && [ -f /var/log/auth.log ] && [ -f /var/log/fail2ban.log ] || return 1
  [ "$(sudo fail2ban-client get sshd maxretry; sudo fail2ban-client get sshd bantime)" = "5
120" ] && [ "$(sudo fail2ban-client get recidive bantime)" = 3600 ] || return 1
  sudo fail2ban-client get sshd actions | grep -qw iptables || return 1
  rules=$(sudo iptables-save)
  for peer in 1 2 3 4; do
    case $rules in *"-s $net.$peer/32 -j REJECT"*) say fail2ban p$peer 1 ;; esac
  done
  case $rules in *"-s $net."*" -j REJECT"*) return 1 ;; esac
}

echo # whatever the login said before, our lines begin a line
say power $me 0
for step in "$@"; do
  case $step in
    arp) [ $me != cnat ] || for peer in 1 2 3 4; do arp_of $peer; say arp p$peer $?; done ;;
    ssh_config)
      [ $me != cnat ] || {
        [ "$(stat -c '%a %U' ~/.ssh/config 2>&1)" = '600 pi' ] && ssh -G pi1 >/dev/null 2>&1; say ssh_config cnat $?
        for peer in 1 2 3 4; do alias_of $peer; say ssh_config p$peer $?; done
      } ;;
    keys)
      keys 2>/dev/null; say keys $me $?
      [ $me != cnat ] || for peer in 1 2 3 4; do { login pi$peer p$peer; say keys p$peer $?; } & done; wait ;;
    power) ;;
    *) $step 2>/dev/null; say $step $me $? ;;
  esac
done
NODE
}

for node in cnat p1 p2 p3 p4; do
  { on_the_node | ssh -F "$config" "$node" sh -s -- "$node" "$@" 2>/dev/null || echo "power $node bad"; } &
done
wait
