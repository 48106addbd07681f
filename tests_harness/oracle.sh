#!/bin/sh
# What the runbook documents of power, network, arp and hosts, judged with ssh, arp, cat, getent and ip alone.
# It shares no code with hatcheck. $1 is an ssh configuration that knows cnat and p1 to p4.
# One line per place: "STEP NODE ok" or "STEP NODE bad". Not asked for lack of a tool: the HAT, the firewall, pings.
config=$1
net=172.19.181

on() { node=$1; shift; ssh -F "$config" "$node" "$@" </dev/null 2>/dev/null; }
say() { if [ "$3" = 0 ]; then echo "$1 $2 ok"; else echo "$1 $2 bad"; fi; }

resolves() { # NODE NAME ADDRESS: this address, no other IPv4 one, and not the loopback
  [ "$(on "$1" "getent ahosts $2" | cat | while read -r address _; do echo "$address"; done | sort -u)" = "$3" ]
}

knows() { # NODE: the names that the runbook has it know
  grep_names=$(on "$1" "cat /etc/hosts") || return 1
  case $grep_names in *localhost*) ;; *) return 1 ;; esac
  on "$1" "getent ahostsv4 localhost" | cat | { read -r address _ && [ "$address" = 127.0.0.1 ]; } || return 1
  [ "$1" = cnat ] || resolves "$1" cnat $net.254 || return 1
  for peer in 1 2 3 4; do
    [ "p$peer" = "$1" ] || resolves "$1" pi$peer $net.$peer || return 1
  done
}

has_address() { # NODE INTERFACE ADDRESS
  seen=$(on "$1" "ip -4 -o addr show dev $2 up") || return 1
  case $seen in *" inet $3/24 "*) ;; *) return 1 ;; esac
}

has_network() {
  if [ "$1" = cnat ]; then
    has_address cnat br0 $net.254 && [ "$(on cnat "cat /proc/sys/net/ipv4/ip_forward")" = 1 ] || return 1
    ports=$(on cnat "ip -o link show master br0 up")
    for port in 1 2 3 4; do case $ports in *"ethpi$port@"* | *"ethpi$port:"*) ;; *) return 1 ;; esac; done
  else
    has_address "$1" usb0 "$net.${1#p}" || return 1
    [ "$(on "$1" "ip -4 route show default" | cat | { read -r a b c _; echo "$a $b $c"; })" = "default via $net.254" ]
  fi
}

has_mac() { # NODE: behind its address is its documented MAC
  case $(on cnat "/usr/sbin/arp -an") in
    *"($net.${1#p}) at 00:22:82:ff:ff:0${1#p} [ether] "*"on br0"*) ;;
    *) return 1 ;;
  esac
}

for node in cnat p1 p2 p3 p4; do
  on "$node" "cat /proc/uptime" >/dev/null; say power "$node" $?
  has_network "$node"; say network "$node" $?
  if [ "$node" != cnat ]; then has_mac "$node"; say arp "$node" $?; fi
  knows "$node"; say hosts "$node" $?
done
