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
    # A node that does not answer, or not to a packet of full size, has the fault itself.
    for peer in 1 2 3 4; do { ping -M do -s 1472 -c 1 -W 3 $net.$peer >/dev/null; say network p$peer $?; } & done; wait
    [ "$(cat /proc/sys/net/ipv4/ip_forward)" = 1 ] || return 1
    for peer in 1 2 3 4; do [ -e /sys/class/net/br0/brif/ethpi$peer ] || return 1; done
    case "$(ip -4 route get 192.0.2.1)" in *" dev br0 "*) return 1 ;; esac
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
  [ "$broken" = 0 ] && sudo apt-get check >/dev/null || return 1
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
  leads cnat cnat $net.254 || return 1
  for peer in 1 2 3 4; do leads p$peer p$peer $net.$peer && leads pi$peer p$peer $net.$peer || return 1; done
}

leads() { # NAME MACHINE ADDRESS: the file says nothing of it, or only this; a machine may have itself on its loopback
  for found in $(getent -s files ahostsv4 "$1" | cut -d' ' -f1); do
    case $me:$found in *:"$3"|"$2":127.0.?.1) ;; *) return 1 ;; esac
  done
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
  sudo fail2ban-client get sshd action iptables actionban | grep -q -- 'iptables.* -I f2b-sshd .*<ip>' || return 1
  rules=$(sudo iptables-save)
  for peer in 1 2 3 4; do
    case $rules in *"-s $net.$peer/32 -j REJECT"*) say fail2ban p$peer 1 ;; esac
  done
  case $rules in *"-s $net."*" -j REJECT"*) return 1 ;; esac
}

images() { # what the registry shows under the name is what is here, and a program of it starts
  image=wzehren/phpsae; [ $me != cnat ] || image=wzehren/mysqlsae
  here=$(sudo docker image inspect -f '{{range .RepoDigests}}{{.}} {{end}}' $image) || return 1
  there=$(sudo docker manifest inspect -v $image | grep -o '"digest": "sha256:[0-9a-f]*"' | head -n 1) || return 1
  case $here in *"$image@$(echo "$there" | cut -d'"' -f4) "*) ;; *) return 1 ;; esac
  if [ $me = cnat ]; then
    [ "$(sudo docker run --rm --entrypoint stat $image -c '%U %G %a' database_script.sql)" = 'mysql mysql 755' ]
  else
    [ "$(sudo docker run --rm --entrypoint stat $image -c '%U %G' /var/www/html)" = 'www-data www-data' ] &&
      sudo docker run --rm --entrypoint /usr/sbin/apache2 $image -v >&2
  fi
}

spec='{{.Spec.TaskTemplate.ContainerSpec.Image}} {{.Spec.Mode.Replicated.Replicas}} {{.Spec.TaskTemplate.Placement.Constraints}}
{{range .Spec.TaskTemplate.ContainerSpec.Mounts}}{{.Source}}:{{.Target}} {{end}}{{range .Spec.EndpointSpec.Ports}}{{.PublishedPort}}:{{.TargetPort}} {{end}}
{{.Spec.TaskTemplate.ContainerSpec.Env}} {{.Spec.TaskTemplate.ContainerSpec.Args}} {{if .UpdateStatus}}{{.UpdateStatus.State}}{{end}}'

service() { # NAME IMAGE REST: as docker service inspect shows it, whatever the digest, and no update that stopped
  shown=$(sudo docker service inspect -f "$spec" "appli_$1" | sed 's/@sha256:[0-9a-f]*//; s/ updating$/ /; s/ completed$/ /')
  [ "$shown" = "$2 $3" ]
}

stack() {
  [ $me = cnat ] || { [ -d /home/pi/webVolume ]; return; }
  sudo test -d /var/lib/mysql_volume_app &&
    service serviceweb wzehren/phpsae:latest '4 [node.labels.service == web]
/home/pi/webVolume:/hostpipe 80:80 
[NODE_NAME={{.Node.Hostname}}] [] ' && service servicebd wzehren/mysqlsae:latest '1 [node.labels.service == sql]
/var/lib/mysql_volume_app:/var/lib/mysql 3306:3306 
[] [] '
}

replicas() {
  mine=serviceweb; [ $me != cnat ] || mine=servicebd
  [ "$(sudo docker ps --filter label=com.docker.stack.namespace=appli --format '{{.Names}}' | cut -d. -f1)" = appli_$mine ] || return 1
  [ $me != cnat ] || [ "$(sudo docker stack services --format '{{.Replicas}}' appli | sort | xargs)" = '1/1 4/4' ]
}

visualizer() {
  [ "$(ss -H -l -n -t 'sport = :5000')" = '' ] || return 1
  [ $me != cnat ] || ! sudo docker service inspect visualizer >/dev/null
}

task_of() { sudo docker ps -qf label=com.docker.swarm.service.name=appli_$1; }

page_of() { # the build that the page at a node's address gives
  python3 -c 'import sys, urllib.request as u; print(u.urlopen(sys.argv[1], timeout=3).read().decode())' "http://$net.$1/" |
    sed -n 's/.*name="build" content="\([0-9a-f]*\)".*/\1/p'
}

sign_in() {
  python3 - "http://$net.$1/" <<'PYTHON'
import re, sys, urllib.parse as p, urllib.request as u
site = u.build_opener(u.HTTPCookieProcessor())
form = re.search('name="form" value="([0-9a-f]+)"', site.open(sys.argv[1] + "login.php", timeout=9).read().decode())[1]
data = p.urlencode({"form": form, "login": "user", "password": "count-on-the-hat"}).encode()
sys.exit('<b id="login">user</b>' not in site.open(sys.argv[1] + "login.php", data, timeout=9).read().decode())
PYTHON
}

web() { # each node's page has the build of the files in its container, all the same, and a user may sign in
  if [ $me = cnat ]; then
    for peer in 1 2 3 4; do page_of $peer; done | sort -u | { [ "$(wc -l)" = 1 ] && sign_in 1; }
    answer=$?
    for peer in 1 2 3 4; do [ -n "$(page_of $peer)" ]; say web p$peer $?; done
    return $answer
  fi
  sums='cd /var/www/html && find . -type f | sed s,^./,, | LC_ALL=C sort | xargs sha256sum | sha256sum | cut -c 1-12'
  task=$(task_of serviceweb) && [ -n "$task" ] && [ "$(sudo docker exec $task sh -c "$sums")" = "$(page_of ${me#p})" ]
}

database() { # tables, users, grants and the folder by the client; from a web container by PHP
  if [ $me != cnat ]; then
    asks='$s = json_decode(file_get_contents("Config/config.json"), true); mysqli_report(MYSQLI_REPORT_OFF);
      exit((int) ($s["bd_hostname"] !== "servicebd" ||
        !@mysqli_connect("servicebd", $s["bd_user"], $s["bd_password"], $s["bd_name"])));'
    sudo docker exec -w /var/www/html $(task_of serviceweb) php -r "$asks"; return
  fi
  db=$(task_of servicebd); folder=/var/lib/mysql_volume_app
  [ "$(sudo stat -c %i $folder)" = "$(sudo docker exec $db stat -c %i /var/lib/mysql)" ] || return 1
  query() { echo "$1" | sudo docker exec -i $db mysql -h 127.0.0.1 -uroot -proot -N BlitzCalc_DB; }
  [ "$(query 'SHOW TABLES' | sort | tr '\n' ' ')" = 'Logging Users Weak_passwords ' ] || return 1
  [ "$(query 'SELECT login, role FROM Users WHERE login IN ("admin", "user") ORDER BY login' | tr '\t\n' '  ')" = \
    'admin ADMIN user USER ' ] || return 1
  [ "$(query "SHOW GRANTS FOR blitzcalc@'%'" | grep -v USAGE | sed 's/ TO.*//; s/`//g' | sort | tr '\n' ';')" = \
'GRANT SELECT ON BlitzCalc_DB.Users;GRANT SELECT ON BlitzCalc_DB.Weak_passwords;GRANT SELECT, INSERT ON BlitzCalc_DB.Logging;' ]
}

pipes() { # fifos of pi, the same in the container, a reader on each, and one listener by its command line
  [ $me != cnat ] || return 0
  box=$(sudo docker ps -q --filter volume=/hostpipe | head -n 1); [ -n "$box" ] || return 1
  [ "$(stat -c '%A %U' ~/webVolume/repoOutputResults)" = 'drwxrwxrwx pi' ] && [ "$(stat -c %U ~/webVolume)" = pi ] || return 1
  for pipe in pipe_module_calcul_pi pipe_module_nb_premiers pipe_stats_cluster_hat; do
    case "$(stat -c '%A %U:%G' ~/webVolume/$pipe)" in 'prw-rw-rw- pi:pi'|'prw--w---- pi:www-data') ;; *) return 1 ;; esac
    [ "$(sudo docker exec $box stat -c %i /hostpipe/$pipe)" = "$(stat -c %i ~/webVolume/$pipe)" ] || return 1
    [ "$(pgrep -u pi -fc "^[^ ]+ [^ -][^ ]*/(start_$pipe[.]sh|clusterhat_pipe[.]py .*/$pipe )")" = 1 ] || return 1
    sudo timeout 5 dd if=/dev/null of=/home/pi/webVolume/$pipe oflag=nonblock conv=nocreat,notrunc status=none || return 1
  done
}

boot() { # one line for each script, which is there and may be run
  [ $me != cnat ] || return 0
  systemctl -q is-enabled cron && systemctl -q is-active cron || return 1
  for pipe in pipe_module_calcul_pi pipe_module_nb_premiers pipe_stats_cluster_hat; do
    script=/home/pi/webVolume/repoBashScripts/start_$pipe.sh
    [ -x $script ] && grep -q "$pipe" $script && [ "$(crontab -l | grep -c "^@reboot $script\$")" = 1 ] || return 1
  done
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
    *) case "$(type $step)" in *function*) $step 2>/dev/null; say $step $me $? ;; esac ;; # else it has no opinion
  esac
done
NODE
}

for node in cnat p1 p2 p3 p4; do
  { on_the_node | ssh -F "$config" "$node" sh -s -- "$node" "$@" 2>/dev/null || echo "power $node bad"; } &
done
wait
